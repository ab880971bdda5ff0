//! `orchd`, the server.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// Many threads make and drop many small values, often not where they were made: the C library's allocator spends as much
/// time on that as everything else takes together.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // The one cryptography of the process. It is only refused where one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    match orch_cli::orchd::Orchd::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
