//! Finds Postgres programs: the newest, or those of the version that created the cluster.

pub(crate) mod search_paths;

use std::path::{Path, PathBuf};

use crate::binaries::search_paths::{SearchPaths, VersionedDirs};
use crate::data_dir::DataDir;
use crate::user::{self, OsUser};
use crate::{EmbeddedError, POSTGRES_MAJOR_MIN};

/// A directory with the programs `postgres` and `initdb`, which run on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// Path of the server program.
    pub(crate) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    /// Path of the program that creates a cluster.
    pub(crate) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    /// Path of another program of the same version.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Runs `dir/postgres --version` as the OS user that will run the server, since that user has to be able to.
    fn in_dir(dir: &Path, user: Option<&OsUser>) -> Result<Binaries, String> {
        let dir = std::path::absolute(dir).map_err(|error| error.to_string())?;
        let binaries = Binaries { dir, major: 0 };
        for program in [binaries.postgres(), binaries.initdb()] {
            std::fs::metadata(&program).map_err(|error| format!("{}: {error}", program.display()))?;
        }
        let output = user::command(&binaries.postgres(), user).arg("--version").output();
        let output = output.map_err(|error| format!("{} cannot run it: {error}", user::name(user)))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = parse_major(&text).ok_or("`postgres --version` prints no version")?;
        Ok(Binaries { major, ..binaries })
    }
}

/// The programs in `pg_bin` if it is given, else the first that are found in the search paths. They must have major version
/// `version` if it is given, else be new enough.
pub(crate) fn find(
    pg_bin: Option<&Path>,
    version: Option<u32>,
    data_dir: &DataDir,
    search_paths: &SearchPaths,
    user: Option<&OsUser>,
) -> Result<Binaries, EmbeddedError> {
    let mut found_versions = Vec::new();
    let mut fits = |binaries: &Binaries| {
        found_versions.push(binaries.major);
        version.map_or(binaries.major >= POSTGRES_MAJOR_MIN, |version| binaries.major == version)
    };
    let binaries = match pg_bin {
        Some(bin) => {
            let bad = |reason| EmbeddedError::BadBinaries { bin: bin.to_owned(), reason };
            let binaries = Binaries::in_dir(bin, user).map_err(bad)?;
            if binaries.major < POSTGRES_MAJOR_MIN {
                return Err(bad(format!("it holds Postgres {}", binaries.major)));
            }
            Some(binaries).filter(&mut fits)
        }
        None => candidate_dirs(search_paths).filter_map(|dir| Binaries::in_dir(&dir, user).ok()).find(&mut fits),
    };
    if let Some(binaries) = binaries {
        tracing::debug!(postgres.bin = %binaries.dir.display(), postgres.major = binaries.major, "found Postgres");
        return Ok(binaries);
    }
    found_versions.sort_unstable();
    found_versions.dedup();
    let found: Vec<String> = found_versions.iter().map(u32::to_string).collect();
    Err(match version {
        Some(wanted) => EmbeddedError::VersionNotFound {
            pgdata: data_dir.pgdata(),
            wanted,
            found: if found.is_empty() { "none".to_owned() } else { found.join(", ") },
        },
        None => EmbeddedError::NotFound { searched: describe(search_paths) },
    })
}

/// Directories that may hold the programs, in the order of preference. Lazy, since looking into one runs a program.
fn candidate_dirs(search_paths: &SearchPaths) -> impl Iterator<Item = PathBuf> {
    let by_pg_config = search_paths.path.iter().filter_map(|dir| bindir_of_pg_config(&dir.join("pg_config")));
    let packaged = search_paths.packages.iter().flat_map(VersionedDirs::bin_dirs);
    let cached = search_paths.caches.iter().flat_map(VersionedDirs::bin_dirs);
    packaged.chain(by_pg_config).chain(search_paths.path.iter().cloned()).chain(cached)
}

fn bindir_of_pg_config(pg_config: &Path) -> Option<PathBuf> {
    let output = pg_config.is_file().then(|| user::command(pg_config, None).arg("--bindir").output().ok())??;
    let bindir = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(bindir.trim_end())).filter(|bindir| bindir.is_absolute())
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `… 18beta1` or `… 19devel`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

/// The places that were searched, for messages.
fn describe(search_paths: &SearchPaths) -> String {
    let mut searched: Vec<String> = search_paths.packages.iter().map(VersionedDirs::to_string).collect();
    searched.extend(["`pg_config --bindir`".to_owned(), "PATH".to_owned()]);
    searched.extend(search_paths.caches.iter().map(VersionedDirs::to_string));
    searched.join(", ")
}

#[cfg(test)]
mod tests;
