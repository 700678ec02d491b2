//! The histories of real repositories, applied to a map and compared with git's own trees.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::fixture::Fixture;
use super::{Commit, Tree};

/// Reads the history of a fixture, applies its commits one after the other, and checks that the result of each is the tree
/// that git has for it.
fn check(fixture: &Fixture) -> Vec<Commit> {
    let repository = fixture.repository();
    let head = repository.head().unwrap();
    let commits: Vec<Commit> = repository.history(&head).unwrap().map(Result::unwrap).collect();
    assert_eq!(commits.len() as u64, repository.count_first_parents(&head).unwrap());
    assert_eq!(commits.last().unwrap().id, head);
    let mut tree = Tree::new();
    for commit in &commits {
        for change in &commit.changes {
            match &change.entry {
                Some(entry) => tree.insert(change.path.clone(), entry.to_line(&change.path)),
                None => tree.remove(&change.path),
            };
        }
        assert_eq!(tree, repository.tree(&commit.id).unwrap(), "at {:?}", commit.subject.escape_ascii().to_string());
    }
    commits
}

/// The changes of a commit as one line.
fn changes(commit: &Commit) -> String {
    let change = |change: &super::Change| {
        let mode = change.entry.as_ref().map_or("-", |entry| entry.mode.as_str());
        format!("{mode} {}", change.path.escape_ascii())
    };
    commit.changes.iter().map(change).collect::<Vec<_>>().join(", ")
}

#[test]
fn adds_changes_and_removes_make_the_trees() {
    let fixture = Fixture::init();
    fixture.write(b"a", "1");
    fixture.write(b"dir/b", "2");
    fixture.commit("root");
    fixture.write(b"a", "3");
    fixture.commit("change");
    fs::rename(fixture.path(b"a"), fixture.path(b"c")).unwrap();
    fixture.commit("rename");
    fs::remove_dir_all(fixture.path(b"dir")).unwrap();
    fixture.write(b"dir", "a file now");
    fixture.commit("directory to file");
    let commits = check(&fixture);
    let all: Vec<String> = commits.iter().map(changes).collect();
    let expected = ["100644 a, 100644 dir/b", "100644 a", "- a, 100644 c", "100644 dir, - dir/b"].map(str::to_owned);
    assert_eq!(all, expected);
    assert_eq!(commits[0].author, b"Ada <ada@example.org>");
    assert_eq!((commits[0].subject.as_slice(), commits[0].committed_s), (&b"root"[..], 1_100_000_000));
}

#[test]
fn modes_symlinks_and_submodules_are_changes_like_others() {
    let fixture = Fixture::init();
    fixture.write(b"a", "1");
    fixture.commit("root");
    fs::set_permissions(fixture.path(b"a"), fs::Permissions::from_mode(0o755)).unwrap();
    fixture.commit("executable");
    fs::remove_file(fixture.path(b"a")).unwrap();
    symlink("target", fixture.path(b"a")).unwrap();
    fixture.commit("symlink");
    let submodule = format!("160000,{},sub", "1".repeat(40));
    fixture.git(&["update-index", "--add", "--cacheinfo", &submodule]);
    fixture.git(&["config", "diff.ignoreSubmodules", "all"]);
    fixture.commit_index("submodule");
    let all: Vec<String> = check(&fixture).iter().map(changes).collect();
    assert_eq!(all, ["100644 a", "100755 a", "120000 a", "160000 sub"].map(str::to_owned));
}

#[test]
fn a_merge_is_what_it_brought_to_its_first_parent() {
    let fixture = Fixture::init();
    fixture.write(b"a", "1");
    fixture.commit("root");
    fixture.git(&["switch", "--quiet", "--create", "side"]);
    fixture.write(b"side-1", "2");
    fixture.commit("side 1");
    fixture.write(b"side-2", "3");
    fixture.commit("side 2");
    fixture.git(&["switch", "--quiet", "main"]);
    fixture.write(b"a", "4");
    fixture.commit("main");
    fixture.git(&["merge", "--quiet", "--no-ff", "--message", "merge", "side"]);
    fixture.git(&["config", "log.diffMerges", "separate"]);
    let all: Vec<String> = check(&fixture).iter().map(changes).collect();
    assert_eq!(all, ["100644 a", "100644 a", "100644 side-1, 100644 side-2"].map(str::to_owned));
}

#[test]
fn paths_may_be_any_bytes_and_of_any_length() {
    let fixture = Fixture::init();
    let long = vec!["d".repeat(100); 4].join("/");
    let strange: [&[u8]; 8] = [
        b"tab\there",
        b"new\nline",
        b"\"quotes\" and \\",
        b":100644 100644 0 0 M",
        b"commit 0000",
        "\u{1f30a}/e\u{301}".as_bytes(),
        b"latin1-\xe9",
        long.as_bytes(),
    ];
    for path in strange {
        fixture.write(path, "1");
    }
    fixture.commit("add");
    for path in strange {
        fixture.write(path, "2");
    }
    fixture.commit("change");
    for path in strange {
        fs::remove_file(fixture.path(path)).unwrap();
    }
    fixture.commit("remove");
    let commits = check(&fixture);
    assert!(commits.iter().all(|commit| commit.changes.len() == strange.len()));
    for path in strange {
        assert!(commits[0].changes.iter().any(|change| change.path == path), "{}", path.escape_ascii());
    }
}

#[test]
fn empty_commits_and_empty_subjects_are_commits() {
    let fixture = Fixture::init();
    fixture.commit_index("empty root");
    fixture.write(b"a", "1");
    fixture.commit("first\nparagraph\n\nbody");
    fixture.git(&["commit", "--quiet", "--allow-empty", "--allow-empty-message", "--message", ""]);
    fixture.commit_index("last");
    let commits = check(&fixture);
    assert_eq!(commits.iter().map(|commit| commit.changes.len()).collect::<Vec<_>>(), [0, 1, 0, 0]);
    let subjects: Vec<&[u8]> = commits.iter().map(|commit| commit.subject.as_slice()).collect();
    assert_eq!(subjects, [&b"empty root"[..], b"first paragraph", b"", b"last"]);
}

#[test]
fn authors_and_subjects_may_be_in_any_encoding() {
    let fixture = Fixture::init();
    let tree = fixture.git_with(&["write-tree"], b"");
    let person = b"Ren\xe9e <r@example.org> 1100000000 +0000";
    let commit = |encoding: &[u8]| {
        let parts = [b"tree ".as_slice(), tree.as_bytes(), b"\nauthor ", person, b"\ncommitter ", person, encoding];
        [&parts.concat(), b"\n\ncaf\xe9\n".as_slice()].concat()
    };
    let check_one = |object: &[u8], author: &[u8], subject: &[u8]| {
        let id = fixture.git_with(&["hash-object", "-t", "commit", "-w", "--stdin"], object);
        fixture.git(&["update-ref", "HEAD", &id]);
        let commits = check(&fixture);
        assert_eq!((commits[0].author.as_slice(), commits[0].subject.as_slice()), (author, subject));
    };
    check_one(&commit(b""), b"Ren\xe9e <r@example.org>", b"caf\xe9");
    check_one(&commit(b"\nencoding ISO-8859-1"), "Ren\u{e9}e <r@example.org>".as_bytes(), "caf\u{e9}".as_bytes());
}

#[test]
fn a_history_need_not_be_read_to_its_end_and_a_directory_without_one_is_an_error() {
    let fixture = Fixture::init();
    let error = format!("{:#}", fixture.repository().head().unwrap_err());
    assert!(error.contains("no commit at HEAD"), "{error}");
    for number in 0..3 {
        fixture.commit_index(&number.to_string());
    }
    let repository = fixture.repository();
    let mut history = repository.history(&repository.head().unwrap()).unwrap();
    assert_eq!(history.next().unwrap().unwrap().subject, b"0");
}
