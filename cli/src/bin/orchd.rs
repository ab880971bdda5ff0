//! `orchd`, the server.

use std::process::ExitCode;

use clap::Parser;

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
