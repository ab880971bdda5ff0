//! `orchctl`: what people type.
//!
//! A verb is one file with its arguments, its examples and a `run`. No verb knows a kind, but those that are about what only
//! Orch's own kinds have (`plan`, `history`, `gitsync`): what there is, is learned from the server by discovery, and how it is shown
//! from its schema. What is printed is made by pure functions in
//! `output`, always coloured; the stream takes the colours out unless it is a terminal.

mod again;
mod api_resources;
mod apply;
mod attach;
mod completion;
mod config;
mod create;
mod delete;
mod describe;
mod diff;
mod edit;
mod exec;
mod explain;
mod failure;
mod files;
mod get;
mod gitsync;
mod graph;
mod history;
mod jsonpath;
mod live;
mod logs;
mod mcp;
mod order;
mod output;
mod plan;
mod pods;
mod port_forward;
mod scale;
mod schema;
mod select;
mod session;
mod simulate;
mod terminal;
mod tree;
mod undo;
mod user;
mod version;
mod wait;
mod why;

use std::io;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory as _, Parser, Subcommand};

pub use failure::Failure;
use session::{Session, SessionArgs};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Orch's client: applies manifests, shows what is there, and reaches into running containers.
#[derive(Parser)]
#[command(name = "orchctl", version, styles = STYLES, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    session: SessionArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Make what the files say, and change what is there already
  orchctl apply -f workload.yaml

  # See it, and everything about it
  orchctl get workloads,pods
  orchctl describe workload web
  orchctl tree workload/web

  # Wait until it is there, then look into it
  orchctl wait workload/web --for=condition=Available --timeout=60s
  orchctl logs -f workload/web
  orchctl exec workload/web -- ps
  orchctl port-forward workload/web 8080:80

  # Who changed it, why, and what was changed; in the last hour, of everything
  orchctl history workload/web
  orchctl diff --since 1h

  # Find out why it does not work
  orchctl why workload/web

  # Take the last change back
  orchctl undo workload/web

  # What can be written into a manifest
  orchctl explain workload.spec

A verb's own help says more: orchctl get --help";

#[derive(Subcommand)]
enum Verb {
    Apply(apply::Args),
    Plan(plan::Args),
    Simulate(simulate::Args),
    Create(create::Args),
    Get(get::Args),
    Describe(describe::Args),
    Tree(tree::Args),
    Graph(graph::Args),
    History(history::Args),
    Diff(diff::Args),
    Undo(undo::Args),
    Edit(edit::Args),
    Delete(delete::Args),
    Why(why::Args),
    Gitsync(gitsync::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Attach(attach::Args),
    PortForward(port_forward::Args),
    Wait(wait::Args),
    Scale(scale::Args),
    Explain(explain::Args),
    Mcp(mcp::Args),
    ApiResources(api_resources::Args),
    User(user::Args),
    Config(config::Args),
    Version(version::Args),
    Completion(completion::Args),
    /// Fetch from a Git repository what is told on standard input; started by `orchd` for each repository.
    #[command(name = GIT_FETCH, hide = true)]
    GitFetch,
}

/// The subcommand by which repositories are fetched.
pub(crate) const GIT_FETCH: &str = "git-fetch";

/// Runs `orchctl` with this process's arguments. 0: done. 1: failed, and standard error says why. 2: the arguments make no
/// sense. `exec` answers with the command's own code, and `why` with codes of its own.
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let session = Session::new(cli.session);
    match cli.verb {
        Verb::Apply(args) => apply::run(&session, args).await,
        Verb::Plan(args) => plan::run(&session, args).await,
        Verb::Simulate(args) => simulate::run(&session, args).await,
        Verb::Create(args) => create::run(&session, args).await,
        Verb::Get(args) => get::run(&session, args).await,
        Verb::Describe(args) => describe::run(&session, args).await,
        Verb::Tree(args) => tree::run(&session, args).await,
        Verb::Graph(args) => graph::run(&session, args).await,
        Verb::History(args) => history::run(&session, args).await,
        Verb::Diff(args) => diff::run(&session, args).await,
        Verb::Undo(args) => undo::run(&session, args).await,
        Verb::Edit(args) => edit::run(&session, args).await,
        Verb::Delete(args) => delete::run(&session, args).await,
        Verb::Why(args) => why::run(&session, args).await,
        Verb::Gitsync(args) => gitsync::run(&session, args).await,
        Verb::Logs(args) => logs::run(&session, args).await,
        Verb::Exec(args) => exec::run(&session, args).await,
        Verb::Attach(args) => attach::run(&session, args).await,
        Verb::PortForward(args) => port_forward::run(&session, args).await,
        Verb::Wait(args) => wait::run(&session, args).await,
        Verb::Scale(args) => scale::run(&session, args).await,
        Verb::Explain(args) => explain::run(&session, args).await,
        Verb::Mcp(args) => mcp::run(&session, args).await,
        Verb::ApiResources(args) => api_resources::run(&session, args).await,
        Verb::User(args) => user::run(&session, args).await,
        Verb::Config(args) => config::run(&session, &args),
        Verb::Version(args) => version::run(&session, args).await,
        Verb::Completion(args) => completion::run(&args, Cli::command()),
        // One thread: this process is limited, and killed if need be.
        Verb::GitFetch => {
            orch_gitops::source::serve(io::stdin().lock(), io::stdout().lock())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
