//! Tests with directories of scripts that only print a version.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::*;

struct Machine {
    root: TempDir,
    data_dir: DataDir,
}

impl Machine {
    fn new() -> Machine {
        let root = tempfile::tempdir().unwrap();
        let data_dir = DataDir::create(&root.path().join("data")).unwrap();
        Machine { root, data_dir }
    }

    /// Installs a Postgres that reports `version`.
    fn install(&self, dir: &str, version: &str) -> PathBuf {
        for program in ["postgres", "initdb"] {
            self.script(&format!("{dir}/{program}"), &format!("{program} (PostgreSQL) {version}"));
        }
        self.root.path().join(dir)
    }

    /// A program that only prints `line`. A shell writes it: if this process had the file open to write while another test
    /// forks, the file would be open there too, and could not be run ("text file busy").
    fn script(&self, path: &str, line: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let write = "printf '#!/bin/sh\\necho \"%s\"\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
        let status = Command::new("/bin/sh").arg("-c").arg(write).arg(&path).arg(line).status().unwrap();
        assert!(status.success());
    }

    fn find(&self, pg_bin: Option<&Path>, version: Option<u32>) -> Result<Binaries, EmbeddedError> {
        let path = |name: &str| self.root.path().join(name);
        let search_paths = SearchPaths {
            packages: vec![VersionedDirs::new(path("lib"), ""), VersionedDirs::new(path("opt"), "postgresql@")],
            path: vec![path("bin"), path("sbin")],
            caches: vec![VersionedDirs::new(path("cache"), "")],
            temporary: Vec::new(),
        };
        // As the user that runs the tests: if that is root, no other user could enter the temporary directory.
        find(pg_bin, version, &self.data_dir, &search_paths, None)
    }
}

#[test]
fn the_newest_package_is_taken_before_path_and_cache() {
    let machine = Machine::new();
    machine.install("cache/18.1/bin", "18.1");
    assert_eq!(machine.find(None, None).unwrap().major, 18);
    machine.install("sbin", "17.2");
    assert_eq!(machine.find(None, None).unwrap().major, 17);
    machine.install("lib/15/bin", "15.18 (Debian 15.18-0+deb12u1)");
    machine.install("lib/14/bin", "14.2");
    let newest = machine.install("lib/16/bin", "16.4");
    assert_eq!(machine.find(None, None).unwrap(), Binaries { dir: newest, major: 16 });
}

#[test]
fn pg_config_is_asked_for_the_directory() {
    let machine = Machine::new();
    let bin = machine.install("elsewhere", "16.4");
    machine.script("bin/pg_config", bin.to_str().unwrap());
    assert_eq!(machine.find(None, None).unwrap().dir, bin);
}

#[test]
fn a_cluster_gets_the_version_that_created_it() {
    let machine = Machine::new();
    machine.install("lib/16/bin", "16.4");
    machine.install("opt/postgresql@15/bin", "15.2");
    assert_eq!(machine.find(None, Some(15)).unwrap().major, 15);
    let refusal = machine.find(None, Some(14)).unwrap_err().to_string();
    assert!(
        refusal.contains("created by Postgres 14, and the installed versions are 15, 16: install Postgres 14"),
        "{refusal}"
    );
}

#[test]
fn too_old_is_not_found_and_the_message_names_the_next_step() {
    let machine = Machine::new();
    machine.install("lib/14/bin", "14.2");
    let refusal = machine.find(None, None).unwrap_err().to_string();
    for part in ["lib/*/bin", "opt/postgresql@*/bin", "PATH", "make postgres", "--pg-bin", "--database-url"] {
        assert!(refusal.contains(part), "{part} in {refusal}");
    }
    assert!(!refusal.contains('\n'), "{refusal}");
}

#[test]
fn the_named_directory_is_the_only_one() {
    let machine = Machine::new();
    machine.install("lib/16/bin", "16.4");
    let old = machine.install("old", "14.2");
    let new = machine.install("new", "17beta1");
    let empty = machine.root.path().join("empty");
    assert_eq!(machine.find(Some(&new), None).unwrap().major, 17);
    assert!(machine.find(Some(&old), None).unwrap_err().to_string().contains("it holds Postgres 14"));
    assert!(machine.find(Some(&empty), None).unwrap_err().to_string().contains("No such file"));
    assert!(matches!(machine.find(Some(&new), Some(16)), Err(EmbeddedError::VersionNotFound { .. })));
}

#[test]
fn versions_are_read_from_what_postgres_prints() {
    let check = |text: &str, expected| assert_eq!(parse_major(text), expected, "{text}");
    check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15));
    check("postgres (PostgreSQL) 18rc1\n", Some(18));
    check("postgres (PostgreSQL) 19devel", Some(19));
    check("postgres (PostgreSQL) 16", Some(16));
    check("postgres (PostgreSQL) ", None);
    check("BusyBox 1.36", None);
}
