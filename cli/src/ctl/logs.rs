//! `logs`: what containers have written.

mod follow;

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Parser;
use futures::stream::{BoxStream, SelectAll};
use futures::{StreamExt as _, TryStreamExt as _};
use orch_api::{Object as _, Params, Request, Status, Verb};
use serde_json::Value;
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};
use tokio_util::io::StreamReader;

use super::get::label_selector;
use super::output::{for_stdout, paint, print_bytes};
use super::pods::{self, Behind};
use super::wait::parse_duration;
use super::{Failure, Session};

const TAIL_OF_MANY: u64 = 10;

/// Show what containers have written
///
/// Of an object other than a pod, the logs of all pods that it owns are shown, each line behind the name of its pod. With
/// -f, pods that come later are shown too, and containers that start again.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # A pod's log, and what is added to it; of a workload's pods together
  orchctl logs -f web-7d9f
  orchctl logs -f workload/web --tail=10

  # Of the container that ran before the last restart
  orchctl logs web-7d9f --previous")]
pub(super) struct Args {
    /// A pod, or kind/name
    #[arg(value_name = "POD | KIND/NAME", required_unless_present = "selector")]
    object: Option<String>,
    /// Of this container, as with -c
    #[arg(value_name = "CONTAINER", conflicts_with_all = ["container", "all_containers"])]
    of_container: Option<String>,
    /// Of all pods with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "object", value_parser = label_selector)]
    selector: Option<String>,
    /// Go on as more is written
    #[arg(short, long)]
    follow: bool,
    /// Of the container before its last restart
    #[arg(short, long)]
    previous: bool,
    /// Of this container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Of all containers of the pod, init containers too
    #[arg(long, conflicts_with = "container")]
    all_containers: bool,
    /// Only the last lines; -1: all. With -l 10, else all
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Only what is younger than this: 30s, 5m, 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<std::time::Duration>,
    /// Only what is younger than this time: 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    since_time: Option<jiff::Timestamp>,
    /// Only so many bytes of each log
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<u64>,
    /// Show when each line was written
    #[arg(long)]
    timestamps: bool,
    /// Show the name of the pod and container before each line
    #[arg(long)]
    prefix: bool,
}

/// A log to show, and what stands before its lines.
struct Source {
    request: Request,
    pod: String,
    prefix: String,
}

pub(super) async fn run(session: &Session, mut args: Args) -> Result<ExitCode, Failure> {
    args.container = args.container.or_else(|| args.of_container.take());
    let behind = match (&args.object, &args.selector) {
        (Some(object), _) => pods::behind(session, object, "log").await?,
        (None, Some(selector)) => Behind::Group(Box::new(pods::labelled(session, selector, "log").await?)),
        (None, None) => return Err(Failure::new("name a pod, or kind/name, or labels with -l")),
    };
    if let (Behind::Group(group), true) = (&behind, args.follow && !args.previous) {
        return follow::run(session, &args, group).await;
    }
    let pods = behind.pods(session).await?;
    if let Some(pod) = pods.first().filter(|_| args.container.is_none() && !args.all_containers) {
        say_default(pod);
    }
    let mut sources = Vec::new();
    for pod in &pods {
        for container in wanted(pod, &args) {
            sources.push(source(session, pod, container, &args, (pods.len() > 1, Part::Asked)).await?);
        }
    }
    // One log after the other keeps their order; followed ones are shown as they come.
    if args.follow { show_together(session, sources).await } else { show_in_turn(session, sources).await }
}

fn wanted(pod: &Value, args: &Args) -> Vec<Option<String>> {
    match &args.container {
        Some(name) => vec![Some(name.clone())],
        None if args.all_containers => pods::containers(pod).into_iter().map(Some).collect(),
        None => vec![pods::default_container(pod)],
    }
}

/// Of many pods at once, few lines each, unless more are asked for.
fn tail(args: &Args) -> Option<u64> {
    let of_many = args.selector.is_some().then_some(TAIL_OF_MANY);
    match args.tail {
        Some(lines) => u64::try_from(lines).ok(),
        None => of_many,
    }
}

fn say_default(pod: &Value) {
    let containers = pods::containers(pod);
    if let (Some(default), [_, _, ..]) = (pods::default_container(pod), containers.as_slice()) {
        anstream::eprintln!("Defaulted container {default:?} out of: {}", containers.join(", "));
    }
}

/// Which part of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// As the options say.
    Asked,
    /// All of it.
    All,
    /// What has been written since.
    Since(jiff::Timestamp),
}

/// Where a container's log is.
async fn source(
    session: &Session,
    pod: &Value,
    container: Option<String>,
    args: &Args,
    (several, part): (bool, Part),
) -> Result<Source, Failure> {
    let given = [
        container.clone().map(|name| ("container", name)),
        args.follow.then(|| ("follow", "true".into())),
        args.previous.then(|| ("previous", "true".into())),
        args.timestamps.then(|| ("timestamps", "true".into())),
        args.limit_bytes.map(|bytes| ("limitBytes", bytes.to_string())),
    ];
    let limits = match part {
        Part::Asked => [
            tail(args).map(|lines| ("tailLines", lines.to_string())),
            args.since_time.map(|time| ("sinceTime", time.to_string())),
            args.since.map(|since| ("sinceSeconds", since.as_secs().max(1).to_string())),
        ],
        Part::All => [None, None, None],
        Part::Since(time) => [None, Some(("sinceTime", time.to_string())), None],
    };
    let given = given.into_iter().chain(limits);
    let other = given.flatten().map(|(name, value)| (name.to_owned(), value)).collect();
    let target = pods::target(session, pod, "log").await?.subresource("log");
    let request =
        Request { verb: Verb::Get, target, params: Params { other, ..Params::default() }, body: None };
    let prefix = match several || args.prefix || args.all_containers {
        true => prefix(pod.name(), container.as_deref().unwrap_or_default()),
        false => String::new(),
    };
    Ok(Source { request, pod: pod.name().to_owned(), prefix })
}

/// `[pod/web-1/web] `, in a colour that a pod keeps, where there are colours.
fn prefix(pod: &str, container: &str) -> String {
    const COLOURS: [AnsiColor; 5] =
        [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Yellow, AnsiColor::Green, AnsiColor::Blue];
    let sum: usize = pod.bytes().map(usize::from).sum();
    let style: Style = COLOURS[sum % COLOURS.len()].on_default();
    for_stdout(&format!("{} ", paint(Some(style), &format!("[pod/{pod}/{container}]"))))
}

type Lines = BoxStream<'static, Result<Vec<u8>, Failure>>;

async fn lines(session: &Session, source: &Source) -> Result<Lines, Failure> {
    session.log(&source.request);
    let body = session.client().await?.stream(source.request.clone()).await?;
    let reader = StreamReader::new(body.map_err(std::io::Error::other));
    let prefix = source.prefix.clone();
    let lines = FramedRead::new(reader, AnyDelimiterCodec::new(b"\n".to_vec(), Vec::new())).map(
        move |line| match line {
            Ok(line) => Ok([prefix.as_bytes(), &line, b"\n"].concat()),
            Err(AnyDelimiterCodecError::Io(error)) => Err(broken(&error)),
            Err(error) => Err(Failure::new(format!("the log cannot be read: {error}"))),
        },
    );
    Ok(lines.boxed())
}

/// What the server, or the way to it, says of the log that ended too early.
fn broken(error: &std::io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Status>()) {
        Some(status) => status.clone().into(),
        None => Failure::new(error.to_string()),
    }
}

async fn show_in_turn(session: &Session, sources: Vec<Source>) -> Result<ExitCode, Failure> {
    let several = sources.len() > 1;
    let mut code = ExitCode::SUCCESS;
    for source in sources {
        let shown = async { show(lines(session, &source).await?).await };
        match shown.await {
            Err(failure) if several => code = failure.while_doing(&source.pod).report(),
            shown => shown?,
        }
    }
    Ok(code)
}

async fn show_together(session: &Session, sources: Vec<Source>) -> Result<ExitCode, Failure> {
    let mut all = SelectAll::new();
    for source in &sources {
        all.push(lines(session, source).await?);
    }
    show(all.boxed()).await?;
    Ok(ExitCode::SUCCESS)
}

async fn show(mut lines: Lines) -> Result<(), Failure> {
    while let Some(line) = lines.next().await {
        print_bytes(&line?)?;
    }
    Ok(())
}
