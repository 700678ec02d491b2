//! `tidelog`: see `tidelog --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidelog::cli::main()
}
