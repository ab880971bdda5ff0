//! `why`: what is wrong with an object, or with the cluster, and what to do about it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use jiff::Timestamp;
use orch_api::Object as _;
use orch_diagnose::{Finding, Scope, World, diagnose, gather};
use serde_json::json;

use super::output::{BAD, FAINT, GOOD, HEADING, paint, print, yaml};
use super::{Failure, Session, select};

/// Say why something does not work, and what to do about it
///
/// Causes are ranked: the first is the likeliest. Ends with 1 if something is wrong. Nothing is changed.
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

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let scope = scope(session, &args.words).await?;
    let subject = match &scope {
        Scope::Cluster => "the cluster".to_owned(),
        Scope::Object(object) => format!("{} {}", object.kind(), object.name()),
    };
    let world = gather(session.client().await?, scope).await?;
    let found = diagnose(&world, Timestamp::now());
    let code = if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let document =
        || json!({"subject": subject, "healthy": found.is_empty(), "causes": found, "notRead": world.unread});
    print(&match args.output {
        Output::Text => text(&subject, &world, &found),
        Output::Json => yaml::to_json(&document())?,
        Output::Yaml => yaml::to_yaml(&document())?,
    })?;
    Ok(code)
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
            paint(Some(BAD), &finding.says)
        );
        for evidence in &finding.evidence {
            let _ =
                writeln!(text, "   {} {}", paint(Some(FAINT), &format!("{}:", evidence.at)), evidence.says);
        }
        if finding.affects.len() > 1 {
            let _ = writeln!(text, "   {} {}", paint(Some(FAINT), "affects:"), finding.affects.join(", "));
        }
        let _ = writeln!(text, "   {} {}", paint(Some(GOOD), "fix:"), finding.fix.say);
    }
    if found.is_empty() {
        let _ = writeln!(text, "nothing is wrong with {subject}, as far as pods, nodes and events tell");
    }
    for unread in &world.unread {
        let _ = writeln!(text, "{} {unread}", paint(Some(BAD), "not read:"));
    }
    text
}
