//! A disk whose flushes take longer: a library that is loaded into Postgres sleeps after each flush of the WAL.
//!
//! `commit_delay` of Postgres is another thing: it sleeps before a flush, so a commit that comes meanwhile joins that flush.
//! On a slow disk it has to wait for the next one.

use std::fs::{self, File, Permissions};
use std::io::{Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

const SOURCE: &str = include_str!("slow_flush.c");

/// The flushes of a cluster, which can be made slower while it runs.
pub(crate) struct SlowFlush {
    delay: File,
}

impl SlowFlush {
    /// Compiles the library. Returns also a directory of Postgres programs of which `postgres` loads it; the others are those
    /// in `programs`. All files are in `dir`.
    pub(super) fn prepare(dir: &Path, programs: &Path) -> Result<(Self, PathBuf)> {
        let (source, library) = (dir.join("slow_flush.c"), dir.join("slow_flush.so"));
        fs::write(&source, SOURCE)?;
        let compiled = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).args([&library, &source]).status();
        ensure!(compiled.context("slower flushes need a C compiler, `cc`")?.success(), "`cc` has failed");
        let delay = dir.join("flush_delay");
        fs::write(&delay, 0_u32.to_ne_bytes())?;
        let slow_programs = dir.join("slow_programs");
        fs::create_dir(&slow_programs)?;
        for program in fs::read_dir(programs)? {
            let program = program?;
            if program.file_name() != "postgres" {
                symlink(program.path(), slow_programs.join(program.file_name()))?;
            }
        }
        let script = format!(
            "#!/bin/sh\nSLOW_FLUSH_FILE='{}' LD_PRELOAD='{}' exec '{}' \"$@\"\n",
            delay.display(),
            library.display(),
            programs.join("postgres").display()
        );
        fs::write(slow_programs.join("postgres"), script)?;
        fs::set_permissions(slow_programs.join("postgres"), Permissions::from_mode(0o755))?;
        // Postgres has mapped the file, so it must never be truncated.
        Ok((Self { delay: File::options().write(true).open(delay)? }, slow_programs))
    }

    /// Makes each flush take longer by this.
    pub(crate) fn set(&self, delay_us: u32) -> Result<()> {
        let mut delay = &self.delay;
        delay.rewind()?;
        Ok(delay.write_all(&delay_us.to_ne_bytes())?)
    }
}
