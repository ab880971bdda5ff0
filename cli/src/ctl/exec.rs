//! `exec`: runs a command in a container.

use std::process::ExitCode;

use clap::Parser;
use orch_client::{ExecOptions, Streams};

use super::terminal::{self, RawTerminal};
use super::{Failure, Session, pods};

/// Run a command in a running container
///
/// Ends with the command's own exit code. Of an object other than a pod, the first of its running pods is taken.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl exec web-7d9f -- ps
  orchctl exec workload/web -c web -- cat /etc/hosts
  orchctl exec -i web-7d9f -- sh < script.sh

  # A shell to work in
  orchctl exec -it workload/web -- sh")]
pub(super) struct Args {
    /// A pod, or kind/name
    #[arg(value_name = "POD | KIND/NAME")]
    object: String,
    /// In this container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Run the command on a terminal: this one, with -i
    #[arg(short = 't', long)]
    tty: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let tty = args.tty && has_terminal(args.stdin);
    let pod = pods::running(session, &args.object, "exec").await?;
    let container = args.container.or_else(|| pods::default_container(&pod));
    let options = ExecOptions { container, command: args.command, stdin: args.stdin, tty };
    let exec = session.client().await?.exec(pods::target(session, &pod, "exec").await?, &options).await?;
    let stdin = args.stdin.then(tokio::io::stdin);
    let mut streams = Streams::new(stdin, tokio::io::stdout(), tokio::io::stderr());
    if tty {
        streams.sizes = terminal::sizes();
    }
    let raw = (tty && args.stdin).then(RawTerminal::new).transpose()?;
    let code = exec.run(streams).await;
    drop(raw);
    leave(code.map_err(Failure::from))
}

/// Whether there is a terminal for the command; without, it runs all the same.
fn has_terminal(stdin: bool) -> bool {
    let is_there = !stdin || terminal::is_there();
    if !is_there {
        anstream::eprintln!("Standard input is not a terminal; the command gets none (leave out -t).");
    }
    is_there
}

/// Ends the program with the command's code, or says why there is none. A read from standard input cannot be taken back, and the
/// runtime would wait for it.
pub(super) fn leave(code: Result<i32, Failure>) -> ! {
    std::process::exit(code.unwrap_or_else(|failure| {
        failure.report();
        1
    }))
}
