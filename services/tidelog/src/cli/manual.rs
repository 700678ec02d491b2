//! What packages install beside the program: completions for shells, and man pages.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_complete::{Generator, Shell};

/// Writes the script that completes commands and options in a shell.
pub(crate) fn completions(mut command: Command, shell: Shell, out: &mut dyn Write) -> std::io::Result<()> {
    let name = command.get_name().to_owned();
    command.set_bin_name(name);
    command.build();
    shell.try_generate(&command, out)
}

/// Writes a man page for each command: `tidelog.1`, `tidelog-serve.1` and so on.
pub(crate) fn pages(command: Command, directory: &Path) -> anyhow::Result<()> {
    let write = || {
        std::fs::create_dir_all(directory)?;
        clap_mangen::generate_to(command, directory)
    };
    write().with_context(|| format!("cannot write to {}", directory.display()))
}
