//! Repositories for tests, created with the `git` command.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::repository::Repository;

/// A repository in a temporary directory.
pub(super) struct Fixture {
    dir: TempDir,
}

impl Fixture {
    /// An empty repository.
    pub(super) fn init() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        fixture.git(&["init", "--quiet", "--initial-branch=main"]);
        fixture
    }

    /// The repository, to be read by the code under test.
    pub(super) fn repository(&self) -> Repository {
        Repository::at(self.dir.path())
    }

    /// Runs git. It has to succeed.
    pub(super) fn git(&self, args: &[&str]) {
        self.git_with(args, b"");
    }

    /// Runs git with the given stdin, and returns its stdout.
    pub(super) fn git_with(&self, args: &[&str], stdin: &[u8]) -> String {
        let input = self.dir.path().join(".git").join("fixture-stdin");
        let stdin = match stdin {
            [] => Stdio::null(),
            bytes => {
                fs::write(&input, bytes).unwrap();
                fs::File::open(&input).unwrap().into()
            }
        };
        let output = Command::new("git")
            .args(["-c", "core.fileMode=true", "-c", "core.symlinks=true", "-c", "commit.gpgSign=false"])
            .args(args)
            .current_dir(self.dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org")])
            .envs([("GIT_COMMITTER_NAME", "Bob"), ("GIT_COMMITTER_EMAIL", "bob@example.org")])
            .envs([("GIT_AUTHOR_DATE", "1000000000 +0200"), ("GIT_COMMITTER_DATE", "1100000000 -0500")])
            .env_remove("GIT_DIR")
            .env_remove("GIT_INDEX_FILE")
            .env_remove("GIT_WORK_TREE")
            .stdin(stdin)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Writes a file, and creates its directories.
    pub(super) fn write(&self, path: &[u8], text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The location of a path of the repository.
    pub(super) fn path(&self, path: &[u8]) -> PathBuf {
        self.dir.path().join(OsStr::from_bytes(path))
    }

    /// Commits all changes.
    pub(super) fn commit(&self, subject: &str) {
        self.git(&["add", "--all"]);
        self.commit_index(subject);
    }

    /// Commits the index.
    pub(super) fn commit_index(&self, subject: &str) {
        self.git(&["commit", "--quiet", "--allow-empty", "--message", subject]);
    }
}
