//! `exec`: runs a command in a container.

use std::process::ExitCode;

use clap::Parser;
use orch_api::Object as _;
use orch_client::ExecOptions;

use super::{Failure, Session, pods};

/// Run a command in a running container
///
/// Ends with the command's own exit code. Of an object other than a pod, the first of its running pods is taken.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl exec web-7d9f -- ps
  orchctl exec workload/web -c web -- cat /etc/hosts
  orchctl exec -i web-7d9f -- sh < script.sh")]
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
    /// Refused: terminals are not passed on yet
    #[arg(short = 't', long, hide = true)]
    tty: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    if args.tty {
        let hint = "without -t, commands that need no terminal work, also with -i".to_owned();
        return Err(Failure::new("-t is not supported: terminals are not passed on").hint(hint));
    }
    let found = pods::behind(session, &args.object, "exec").await?;
    let Some(pod) = found.iter().find(|pod| pods::is_running(pod)) else {
        let phase = found.first().map_or("Unknown", |pod| pod.text(&["status", "phase"]));
        let hint = format!("`orchctl describe {}` may say why", described(&args.object));
        return Err(Failure::new(format!("{} is not running (its phase is {phase})", args.object)).hint(hint));
    };
    let container = args.container.or_else(|| pods::containers(pod).into_iter().next());
    let options = ExecOptions { container, command: args.command, stdin: args.stdin };
    let exec = session.client().await?.exec(pods::target(session, pod, "exec").await?, &options).await?;
    let stdin = args.stdin.then(tokio::io::stdin);
    let code = exec.run(stdin, tokio::io::stdout(), tokio::io::stderr()).await?;
    leave(code)
}

/// A read from standard input cannot be taken back, and the runtime would wait for it.
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

fn described(object: &str) -> String {
    if object.contains('/') { object.to_owned() } else { format!("pod {object}") }
}
