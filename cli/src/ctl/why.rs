//! `why`: what is wrong with an object, or with the cluster, and what to do about it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use jiff::Timestamp;
use orch_api::Object as _;
use orch_diagnose::{Finding, Scope, World, diagnose, gather};
use serde_json::json;

use super::output::{BAD, FAINT, GOOD, HEADING, paint, plain, print, yaml};
use super::{Failure, Session, select};

/// Say why something does not work, and what to do about it
///
/// Causes are ranked: the first is the likeliest. Ends with 0 if nothing is wrong, with 1 if something is, and with 2 if that is not
/// known: the server cannot be asked, or not all may be read. Nothing is changed.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # Why does it not become available?
  orchctl why workload/web

  # Is anything wrong in the cluster?
  orchctl why")]
pub(super) struct Args {
    /// KIND/NAME; the cluster if left out
    #[arg(value_name = "KIND/NAME")]
    words: Vec<String>,
    /// In this form
    #[arg(short, long, value_name = "FORM", default_value = "text", hide_default_value = true)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs
    Json,
    /// For both
    Yaml,
}

/// Something is wrong.
const WRONG: u8 = 1;
/// Whether something is wrong is not known.
const UNKNOWN: u8 = 2;

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    told(session, args).await.or_else(|failure| {
        failure.report();
        Ok(ExitCode::from(UNKNOWN))
    })
}

async fn told(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let scope = scope(session, &args.words).await?;
    let subject = match &scope {
        Scope::Cluster => "the cluster".to_owned(),
        Scope::Object(object) => format!("{} {}", object.kind(), object.name()),
    };
    let world = gather(session.client().await?, scope).await?;
    let found = diagnose(&world, Timestamp::now());
    let healthy = world.is_healthy(&found);
    let document =
        || json!({"subject": subject, "healthy": healthy, "causes": found, "notRead": world.unread});
    print(&match args.output {
        Output::Text => text(&subject, &world, &found),
        Output::Json => yaml::to_json(&document())?,
        Output::Yaml => yaml::to_yaml(&document())?,
    })?;
    Ok(match healthy {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::from(WRONG),
        None => ExitCode::from(UNKNOWN),
    })
}

async fn scope(session: &Session, words: &[String]) -> Result<Scope, Failure> {
    if words.is_empty() {
        return Ok(Scope::Cluster);
    }
    let mut targets = Vec::new();
    for selection in select::parse(session.discovery().await?, words)? {
        targets.extend(selection.targets(session).await?);
    }
    match (targets.pop(), targets.is_empty()) {
        (Some(target), true) => Ok(Scope::Object(Box::new(session.get(target).await?))),
        _ => Err(Failure::new("name one object, such as workload/web, or none for the cluster")),
    }
}

fn text(subject: &str, world: &World, found: &[Finding]) -> String {
    let mut text = String::new();
    for (number, finding) in found.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{} {}",
            paint(Some(HEADING), &format!("{}.", number + 1)),
            paint(Some(BAD), &plain(&finding.says))
        );
        for evidence in &finding.evidence {
            let at = paint(Some(FAINT), &format!("{}:", plain(&evidence.at)));
            let _ = writeln!(text, "   {at} {}", plain(&evidence.says));
        }
        if finding.affects.len() > 1 {
            let affected = plain(&finding.affects.join(", "));
            let _ = writeln!(text, "   {} {affected}", paint(Some(FAINT), "affects:"));
        }
        let _ = writeln!(text, "   {} {}", paint(Some(GOOD), "fix:"), plain(&finding.fix.say));
    }
    if found.is_empty() {
        let _ = writeln!(text, "nothing is wrong with {subject}, as far as pods, nodes and events tell");
    }
    for unread in &world.unread {
        let _ = writeln!(text, "{} {}", paint(Some(BAD), "not read:"), plain(unread));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_does_not_steer_the_terminal() {
        let steers = "\u{1b}[2J\u{7}";
        let pod = json!({"kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "uid": "1"}, "spec": {"nodeName": "a"},
            "status": {"phase": steers, "reason": steers, "message": steers}});
        let world = World { pods: vec![pod], unread: vec![steers.into()], ..World::default() };
        let found = diagnose(&world, Timestamp::UNIX_EPOCH);
        assert_eq!(found.len(), 1);
        let text = text("the cluster", &world, &found);
        assert!(text.contains("not read:"), "{text:?}");
        assert!(!text.contains("\u{1b}[2J") && !text.contains('\u{7}'), "{text:?}");
    }
}
