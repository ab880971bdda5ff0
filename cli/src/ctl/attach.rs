//! `attach`: takes part in what a container's own process reads and writes.

use std::process::ExitCode;

use clap::Parser;
use orch_api::Object as _;
use orch_client::{ExecOptions, Streams};
use serde_json::Value;

use super::terminal::{self, RawTerminal};
use super::{Failure, Session, exec, pods};

/// See what a running container writes, and write to it
///
/// What the container's own process writes is shown from now on; `orchctl logs` shows what came before. Input needs a container
/// with `stdin: true`, and a terminal one with `tty: true`. To run something else beside that process, use `orchctl exec`.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # Look on; Ctrl-C ends the looking and not the container
  orchctl attach web-7d9f
  orchctl attach workload/web -c web

  # Take over the container's terminal, of a pod with `stdin: true` and `tty: true`
  orchctl attach -it shell

  # Feed a container that reads its input, of a pod with `stdin: true` and `stdinOnce: true`
  orchctl attach -i import < rows.csv")]
pub(super) struct Args {
    /// A pod, or kind/name
    #[arg(value_name = "POD | KIND/NAME")]
    object: String,
    /// This container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Join the container's terminal: with this one, with -i
    #[arg(short = 't', long)]
    tty: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let pod = pods::running(session, &args.object, "attach").await?;
    let container = args.container.or_else(|| pods::default_container(&pod)).unwrap_or_default();
    let spec = pods::container(&pod, &container);
    check(&pod, &container, spec, args.stdin, args.tty)?;
    // The process is on a terminal, or it is not: what is asked for changes nothing.
    let has_terminal = is_true(spec, "tty");
    let is_raw = has_terminal && args.stdin && terminal::is_there();
    let options =
        ExecOptions { container: Some(container), command: Vec::new(), stdin: args.stdin, tty: has_terminal };
    let target = pods::target(session, &pod, "attach").await?;
    let attached = session.client().await?.attach(target, &options).await?;
    let stdin = args.stdin.then(tokio::io::stdin);
    let mut streams = Streams::new(stdin, tokio::io::stdout(), tokio::io::stderr());
    if has_terminal {
        streams.sizes = terminal::sizes();
    }
    if is_raw {
        anstream::eprintln!("If there is no prompt, press enter.");
    }
    let raw = is_raw.then(RawTerminal::new).transpose()?;
    let code = attached.run(streams).await;
    drop(raw);
    exec::leave(code.map_err(Failure::from))
}

/// Refuses what the container has not, and says what would give it that.
fn check(pod: &Value, container: &str, spec: &Value, stdin: bool, tty: bool) -> Result<(), Failure> {
    let name = pod.name();
    for (is_asked, field, what) in [(stdin, "stdin", "standard input"), (tty, "tty", "terminal")] {
        if is_asked && !is_true(spec, field) {
            let hint = format!(
                "`{field}: true` in the container's manifest gives it one; `orchctl exec` runs something else in it"
            );
            let failure = Failure::new(format!("container {container} of pod {name} has no {what}"));
            return Err(failure.hint(hint));
        }
    }
    Ok(())
}

fn is_true(spec: &Value, field: &str) -> bool {
    spec[field] == true
}
