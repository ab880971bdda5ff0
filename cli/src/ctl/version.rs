//! `version`: of this program and of the server.

use std::process::ExitCode;

use clap::Parser;
use orch_client::Accept;
use serde_json::Value;

use super::output::print;
use super::{Failure, Session};

/// Show the version of this program and of the server
#[derive(Parser, Debug)]
pub(super) struct Args {
    /// Do not ask the server
    #[arg(long)]
    client: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    print(&format!("Client Version: v{}\n", env!("CARGO_PKG_VERSION")))?;
    if !args.client {
        let answer = session.client().await?.get_raw("/version", Accept::Json).await?;
        let version: Value = serde_json::from_slice(&answer)?;
        print(&format!("Server Version: {}\n", version["gitVersion"].as_str().unwrap_or("unknown")))?;
    }
    Ok(ExitCode::SUCCESS)
}
