//! The `tidelog` program: see `tidelog --help`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Replaces the system's allocator, because folding makes and frees some fifty small allocations for each event.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    tidelog::cli::main()
}
