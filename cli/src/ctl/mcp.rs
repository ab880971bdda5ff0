//! `mcp`: the Model Context Protocol on standard input and output, for AI agents on this machine.

use std::process::ExitCode;

use clap::Parser;
use orch_mcp::Options;

use super::{Failure, Session};

/// Serve the Model Context Protocol on standard input and output, for an AI agent to start
///
/// The agent acts as you: it may do what the kubeconfig's user may do. Nothing but the protocol is written to standard output.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # What an agent's configuration says
  {\"mcpServers\": {\"orch\": {\"command\": \"orchctl\", \"args\": [\"mcp\"]}}}

  # As a user who may only look
  orchctl mcp --context viewer")]
pub(super) struct Args {
    /// Let the agent run commands in containers
    #[arg(long)]
    exec: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let client = session.client().await?.clone();
    let served = orch_mcp::serve_stdio(client, Options { exec: args.exec }).await;
    served.map_err(|error| Failure::new(format!("the protocol ended: {error}")))?;
    Ok(ExitCode::SUCCESS)
}
