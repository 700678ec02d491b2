//! `tidelog`: see `tidelog --help`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Folding makes and frees some fifty small pieces of memory an event.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    tidelog::cli::main()
}
