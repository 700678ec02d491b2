//! The usual places on this machine. Only this file reads the environment.

use std::fs;
use std::path::{Path, PathBuf};

/// Where to search for Postgres programs, and where to put a socket directory with a short path.
#[derive(Debug, Default)]
pub(crate) struct SearchPaths {
    /// Where packages install one directory per version.
    pub(crate) packages: Vec<VersionedDirs>,
    /// The directories of `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// Where `make postgres` installs programs if there is no package.
    pub(crate) caches: Vec<VersionedDirs>,
    /// Directories for temporary files, the preferred one first.
    pub(crate) temporary: Vec<PathBuf>,
}

/// The directories `<parent>/<prefix><version>/bin` for all versions.
#[derive(Debug)]
pub(crate) struct VersionedDirs {
    parent: PathBuf,
    prefix: &'static str,
}

impl SearchPaths {
    /// The places that Debian, Red Hat, Homebrew and `make postgres` use.
    pub(crate) fn of_this_machine() -> SearchPaths {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|cache| cache.is_absolute());
        let cache = cache.or_else(|| home.map(|home| home.join(".cache")));
        // Postgres' OS user may not enter root's own cache, so for root `make postgres` uses the second one.
        let caches = [cache, Some(PathBuf::from("/var/cache"))].into_iter().flatten();
        SearchPaths {
            packages: vec![
                VersionedDirs::new("/usr/lib/postgresql", ""),
                VersionedDirs::new("/usr", "pgsql-"),
                VersionedDirs::new("/opt/homebrew/opt", "postgresql@"),
                VersionedDirs::new("/usr/local/opt", "postgresql@"),
            ],
            path: std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            caches: caches.map(|cache| VersionedDirs::new(cache.join("tidelog/postgres"), "")).collect(),
            temporary: vec![std::env::temp_dir(), PathBuf::from("/tmp")],
        }
    }
}

impl VersionedDirs {
    pub(crate) fn new(parent: impl AsRef<Path>, prefix: &'static str) -> VersionedDirs {
        VersionedDirs { parent: parent.as_ref().to_owned(), prefix }
    }

    /// The existing ones, the highest version first.
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

/// A pattern, for messages.
impl std::fmt::Display for VersionedDirs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}*/bin", self.parent.display(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_sorted_as_numbers_and_other_names_are_skipped() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pg-9.6", "pg-15", "pg-16.2", "pg-16.10", "pg-new", "15"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let expected = ["pg-16.10", "pg-16.2", "pg-15", "pg-9.6"].map(|name| parent.path().join(name).join("bin"));
        assert_eq!(VersionedDirs::new(parent.path(), "pg-").bin_dirs(), expected);
    }
}
