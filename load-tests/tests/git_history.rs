//! A git history is replayed against a real server. In the controls the server loses or alters one value, which has to be
//! noticed.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use tidelog_testkit::TestApp;

fn git(repository: &Path, author: &str, args: &[&str]) {
    let status = Command::new("git")
        .current_dir(repository)
        .args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", author), ("GIT_AUTHOR_EMAIL", "a@example.org")])
        .envs([("GIT_COMMITTER_NAME", author), ("GIT_COMMITTER_EMAIL", "c@example.org")])
        .output()
        .unwrap();
    assert!(status.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&status.stderr));
}

/// A repository with two authors and some commits: paths are added, changed and removed, some with unusual names.
fn repository() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    git(dir.path(), "ann", &["init", "-q"]);
    std::fs::create_dir_all(at("deep/er")).unwrap();
    for (name, text) in [("a.txt", "1"), ("deep/er/b \"quoted\"\n.txt", "2"), ("ünïcode ✓", "3")] {
        std::fs::write(at(name), text).unwrap();
    }
    let commit = |author: &str, subject: &str| {
        git(dir.path(), author, &["add", "-A"]);
        git(dir.path(), author, &["commit", "-q", "--allow-empty", "-m", subject]);
    };
    commit("ann", "the first");
    std::fs::write(at("a.txt"), "changed").unwrap();
    std::fs::write(at("c.txt"), "4").unwrap();
    commit("ben", "a change");
    commit("ann", "nothing");
    let long: String = std::iter::repeat_n("long/", 60).collect();
    std::fs::create_dir_all(at(&long)).unwrap();
    std::fs::write(at(&long).join("file"), "5").unwrap();
    std::fs::remove_file(at("c.txt")).unwrap();
    commit("ben", "a path longer than a record id, and a removal");
    dir
}

async fn replay(app: &TestApp, repository: &Path, encoding: &str) -> Output {
    let key = app.key("member", &["*"]).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog-load"));
    command.arg("git-history").arg(repository).args(["--server", &app.url(), "--key", &key, "--encoding", encoding]);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn log_records_and_git_agree_byte_for_byte() {
    for encoding in ["msgpack", "json"] {
        let (app, repository) = (TestApp::start().await, repository());
        let output = replay(&app, repository.path(), encoding).await;
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        assert!(printed(&output).contains("identical"), "{}", printed(&output));
    }
}

/// Adds a trigger to a table of the server that changes the rows which the server writes.
async fn with_trigger(app: &TestApp, table: &str, body: &str) {
    let owner = app.database.connect().await;
    let sql = format!(
        "CREATE FUNCTION public.alter_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
         CREATE TRIGGER alter_row BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION public.alter_row()"
    );
    owner.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loses_a_record_is_noticed() {
    let (app, repository) = (TestApp::start().await, repository());
    with_trigger(&app, "tidelog.records", "IF NEW.record = 'a.txt' THEN RETURN NULL; END IF; RETURN NEW;").await;
    let output = replay(&app, repository.path(), "msgpack").await;
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    assert!(printed(&output).contains("a.txt"), "{}", printed(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_alters_a_value_is_noticed() {
    let (app, repository) = (TestApp::start().await, repository());
    let body = "IF NEW.record = 'c.txt' AND NEW.fields IS NOT NULL THEN NEW.fields := '\\x80'; END IF; RETURN NEW;";
    with_trigger(&app, "tidelog.log", body).await;
    let output = replay(&app, repository.path(), "msgpack").await;
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
}
