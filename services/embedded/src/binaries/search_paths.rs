//! Where things are on this machine: the only part that reads the environment.

use std::fs;
use std::path::{Path, PathBuf};

/// Where to look for binaries, and where a short socket path can be had.
#[derive(Debug, Default)]
pub(crate) struct SearchPaths {
    /// Where packages put one directory per version.
    pub(crate) shelves: Vec<Shelf>,
    /// The directories of `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// What `make postgres` fills when there is no package.
    pub(crate) caches: Vec<Shelf>,
    /// Directories for temporary ones, the preferred first.
    pub(crate) temp: Vec<PathBuf>,
}

/// All directories `<parent>/<prefix><version>/bin`.
#[derive(Debug)]
pub(crate) struct Shelf {
    parent: PathBuf,
    prefix: &'static str,
}

impl SearchPaths {
    /// The usual places of Debian, Red Hat, Homebrew and `make postgres`.
    pub(crate) fn of_this_machine() -> SearchPaths {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|cache| cache.is_absolute());
        let cache = cache.or_else(|| home.map(|home| home.join(".cache")));
        // Root's own cache is of no use to the OS user that runs Postgres for it, hence the second one.
        let caches = [cache, Some(PathBuf::from("/var/cache"))].into_iter().flatten();
        SearchPaths {
            shelves: vec![
                Shelf::new("/usr/lib/postgresql", ""),
                Shelf::new("/usr", "pgsql-"),
                Shelf::new("/opt/homebrew/opt", "postgresql@"),
                Shelf::new("/usr/local/opt", "postgresql@"),
            ],
            path: std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            caches: caches.map(|cache| Shelf::new(cache.join("tidelog/postgres"), "")).collect(),
            temp: vec![std::env::temp_dir(), PathBuf::from("/tmp")],
        }
    }
}

impl Shelf {
    pub(crate) fn new(parent: impl AsRef<Path>, prefix: &'static str) -> Shelf {
        Shelf { parent: parent.as_ref().to_owned(), prefix }
    }

    /// Its bin directories, the highest version first.
    pub(crate) fn bin_dirs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.parent).into_iter().flatten().flatten();
        let mut versions: Vec<(Vec<u32>, PathBuf)> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let version = name.to_str()?.strip_prefix(self.prefix)?;
                let version = version.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
                Some((version, entry.path().join("bin")))
            })
            .collect();
        versions.sort();
        versions.into_iter().rev().map(|(_, bin)| bin).collect()
    }
}

/// For messages.
impl std::fmt::Display for Shelf {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}*/bin", self.parent.display(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers_and_other_names_are_passed_over() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pg-9.6", "pg-15", "pg-16.2", "pg-16.10", "pg-new", "15"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let expected = ["pg-16.10", "pg-16.2", "pg-15", "pg-9.6"].map(|name| parent.path().join(name).join("bin"));
        assert_eq!(Shelf::new(parent.path(), "pg-").bin_dirs(), expected);
    }
}
