//! `orchctl`, the client.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    orch_cli::ctl::main().await
}
