//! Finds Postgres binaries: the newest there are, or those of the version that made the cluster.

pub(crate) mod search_paths;

use std::path::{Path, PathBuf};

use crate::binaries::search_paths::{SearchPaths, Shelf};
use crate::data_dir::DataDir;
use crate::user::{self, OsUser};
use crate::{EmbeddedError, POSTGRES_MAJOR_MIN};

/// A directory with `postgres` and `initdb` in it that can be run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// The server.
    pub(crate) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    /// What makes a cluster.
    pub(crate) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    /// Asks `dir/postgres` for its version, as the OS user that will run it: what that user can't run is of no use.
    fn in_dir(dir: &Path, user: Option<&OsUser>) -> Result<Binaries, String> {
        let dir = std::path::absolute(dir).map_err(|error| error.to_string())?;
        let binaries = Binaries { dir, major: 0 };
        for program in [binaries.postgres(), binaries.initdb()] {
            std::fs::metadata(&program).map_err(|error| format!("{}: {error}", program.display()))?;
        }
        let output = user::command(&binaries.postgres(), user).arg("--version").output();
        let output = output.map_err(|error| format!("{} cannot run it: {error}", user::name(user)))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = parse_major(&text).ok_or("`postgres --version` tells no version")?;
        Ok(Binaries { major, ..binaries })
    }
}

/// The binaries in `pg_bin`, or else the first in `places`, of major version `wanted`, or else of any that is new enough.
pub(crate) fn find(
    pg_bin: Option<&Path>,
    wanted: Option<u32>,
    home: &DataDir,
    places: &SearchPaths,
    user: Option<&OsUser>,
) -> Result<Binaries, EmbeddedError> {
    let mut found = Vec::new();
    let mut fits = |binaries: &Binaries| {
        found.push(binaries.major);
        wanted.map_or(binaries.major >= POSTGRES_MAJOR_MIN, |wanted| binaries.major == wanted)
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
        None => candidates(places).filter_map(|dir| Binaries::in_dir(&dir, user).ok()).find(&mut fits),
    };
    if let Some(binaries) = binaries {
        tracing::debug!(postgres.bin = %binaries.dir.display(), postgres.major = binaries.major, "found Postgres");
        return Ok(binaries);
    }
    found.sort_unstable();
    found.dedup();
    let found: Vec<String> = found.iter().map(u32::to_string).collect();
    Err(match wanted {
        Some(wanted) => EmbeddedError::VersionNotFound {
            pgdata: home.pgdata(),
            wanted,
            found: if found.is_empty() { "none".to_owned() } else { found.join(", ") },
        },
        None => EmbeddedError::NotFound { looked_in: describe(places) },
    })
}

/// Lazily, since each costs a process.
fn candidates(places: &SearchPaths) -> impl Iterator<Item = PathBuf> {
    let by_pg_config = places.path.iter().filter_map(|dir| bindir_of_pg_config(&dir.join("pg_config")));
    let packaged = places.shelves.iter().flat_map(Shelf::bin_dirs);
    let cached = places.caches.iter().flat_map(Shelf::bin_dirs);
    packaged.chain(by_pg_config).chain(places.path.iter().cloned()).chain(cached)
}

fn bindir_of_pg_config(pg_config: &Path) -> Option<PathBuf> {
    let output = pg_config.is_file().then(|| user::command(pg_config, None).arg("--bindir").output().ok())??;
    let bindir = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(bindir.trim_end())).filter(|bindir| bindir.is_absolute())
}

/// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `… 18beta1` or `… 19devel`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

fn describe(places: &SearchPaths) -> String {
    let mut looked_in: Vec<String> = places.shelves.iter().map(Shelf::to_string).collect();
    looked_in.extend(["`pg_config --bindir`".to_owned(), "PATH".to_owned()]);
    looked_in.extend(places.caches.iter().map(Shelf::to_string));
    looked_in.join(", ")
}

#[cfg(test)]
mod tests;
