//! The Model Context Protocol's server: how AI agents reach the API.
//!
//! A few generic tools, resources and prompts over any [`HttpClient`], which is the API as its
//! owner reaches it: an agent has the rights of whoever it acts as, and everything that it does passes authorization,
//! admission and audit. The protocol is served over HTTP ([`Door`], mounted in the API server) and over standard
//! input and output ([`serve_stdio`]).
//!
//! It deliberately knows no kind, keeps nothing of its own but sessions and what it has learned of the server's kinds (`known.rs`), and has
//! no tool for one kind.
//!
//! # Invariants
//!
//! - No answer of a tool or resource, and no failure, is longer than its caller asked for; what is left is behind a cursor (`answer.rs`,
//!   `fit.rs`).
//! - A call with a cursor does nothing: tools that change something have none.
//! - The values of kinds that hold secrets are shown only where the caller asks for them by name (`secrets.rs`).
//! - What workloads have written is marked as such.
//! - What goes wrong has a code that stays the same, and says what to do (`failure.rs`).
//! - All schemas together take less than 3,000 tokens.
//!
//! Start reading at `tools/mod.rs`, then `server.rs`, then `door.rs`.
#![deny(missing_docs)]

mod answer;
mod ask;
mod door;
mod failure;
mod fit;
mod known;
mod order;
mod prompts;
mod resources;
mod secrets;
mod server;
mod sessions;
mod subscriptions;
mod tools;

pub use door::{Door, DoorBody, DoorOptions};
pub use known::Known;
pub use server::{Mcp, OnListening, Options};

use orch_client::HttpClient;
use rmcp::ServiceExt as _;

/// Serves one caller on standard input and output, on which nothing else may be written, until the input ends.
///
/// # Errors
/// If the other end does not speak the protocol, or goes away in the middle of it.
pub async fn serve_stdio(
    client: HttpClient,
    options: Options,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let running = Mcp::of(client, options).serve(rmcp::transport::stdio()).await?;
    running.waiting().await?;
    Ok(())
}
