//! `gitsync reconcile`: has the repository looked at now, and waits for what comes of it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use jiff::Timestamp;
use orch_api::{Object as _, Target};
use orch_ontology::GitSync;
use serde_json::Value;

use super::show::{condition, passes};
use super::{annotate, label, short, target};
use crate::ctl::output::{FAINT, GOOD, WAITING, paint, plain, print};
use crate::ctl::wait::{observe, parse_duration};
use crate::ctl::{Failure, Session};

/// Have a repository looked at now, and what failed tried again
///
/// With --wait it ends with 0 once what the repository says is so and works, and with 1 if it does not come to that.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl gitsync reconcile shop

  # In a pipeline: until it works, or is known not to
  orchctl gitsync reconcile shop --wait --timeout=10m")]
pub(super) struct Args {
    /// The GitSync's name
    name: String,
    /// Wait for what comes of it, and tell how it goes
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this: 30s, 5m
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration, requires = "wait")]
    timeout: Duration,
}

/// How far a look that was asked for has come.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// It has not ended; why, as far as is known.
    Going(String),
    /// What the repository says is so, and works.
    Ready,
    /// It does not come to that: why.
    Failed(String),
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let (target, label) = (target(session, &args.name).await?, label(&args.name));
    if session.get(target.clone()).await?["spec"]["suspend"] == true {
        return Err(Failure::new(format!("{label} is suspended: nothing will be looked at"))
            .hint(format!("`orchctl gitsync resume {}` lets it go on", args.name)));
    }
    annotate(session, target.clone(), GitSync::RECONCILE, &Timestamp::now().to_string()).await?;
    print(&format!("{label} {}\n", paint(Some(WAITING), "asked to look at its repository")))?;
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    let waiting = wait(session, target, &args.name);
    let revision = tokio::time::timeout(args.timeout, waiting).await.unwrap_or_else(|_| {
        Err(Failure::new(format!("timed out waiting for {label}"))
            .hint(format!("`orchctl gitsync get {}` shows how it stands", args.name)))
    })?;
    print(&format!("{label} {} {}\n", paint(Some(GOOD), "is ready at"), short(&revision)))?;
    Ok(ExitCode::SUCCESS)
}

/// Tells how it goes until it has ended. Answers with the commit that is applied.
async fn wait(session: &Session, target: Target, name: &str) -> Result<String, Failure> {
    let (label, mut told) = (label(name), String::new());
    let collection = Target { name: None, ..target };
    observe(session, collection, name, |sync| {
        let Some(sync) = sync else { return Some(Err(Failure::new(format!("{label} has been deleted")))) };
        match progress(sync) {
            Progress::Ready => Some(Ok(sync.text(&["status", "appliedRevision"]).to_owned())),
            Progress::Failed(why) => {
                Some(Err(Failure::new(format!("{label}: {why}")).hint(next(sync, name))))
            }
            Progress::Going(now) if now == told => None,
            Progress::Going(now) => {
                told = now;
                let shown = print(&format!("  {}\n", paint(Some(FAINT), &told)));
                shown.err().map(|error| Err(error.into()))
            }
        }
    })
    .await
}

/// How far it has come: what was asked for last is what counts, whoever asked.
fn progress(sync: &Value) -> Progress {
    let asked = sync.text(&["metadata", "annotations", GitSync::RECONCILE]);
    let is_handled = sync.text(&["status", "handledReconcile"]) == asked;
    if sync["spec"]["suspend"] == true {
        return Progress::Failed("it has been suspended meanwhile".to_owned());
    }
    let ready = condition(sync, "Ready").cloned().unwrap_or_default();
    match ready.text(&["status"]) {
        "True" if is_handled => Progress::Ready,
        "False" | "Unknown" if passes(&ready) => Progress::Going(told(&ready, "waiting")),
        "False" if is_handled => Progress::Failed(told(&ready, "it is not ready")),
        _ => Progress::Going("waiting for the repository to be looked at".to_owned()),
    }
}

/// A condition's reason and message.
fn told(condition: &Value, otherwise: &str) -> String {
    let parts = ["reason", "message"].map(|field| plain(condition.text(&[field])));
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { otherwise.to_owned() } else { parts.join(": ") }
}

/// What to do about one that does not become ready.
fn next(sync: &Value, name: &str) -> String {
    match sync.text(&["status", "held", "revision"]) {
        "" => format!("`orchctl gitsync get {name}` shows how it stands"),
        held => format!(
            "look at it with `orchctl gitsync diff {name}`, then `orchctl gitsync approve {name} --revision {}`",
            short(held)
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sync(handled: &str, ready: Value) -> Value {
        json!({
            "metadata": {"annotations": {GitSync::RECONCILE: "2"}},
            "status": {"handledReconcile": handled, "conditions": [{"type": "Healthy", "status": "True"}, ready]},
        })
    }

    fn ready(status: &str, reason: &str, message: &str) -> Value {
        json!({"type": "Ready", "status": status, "reason": reason, "message": message})
    }

    #[test]
    fn it_has_ended_once_what_was_asked_for_is_handled_and_decided() {
        let going = |text: &str| Progress::Going(text.to_owned());
        let looked = "waiting for the repository to be looked at";
        assert_eq!(
            progress(&sync("1", ready("True", "Applied", "all of it"))),
            going(looked),
            "that was before"
        );
        assert_eq!(progress(&sync("1", ready("False", "Unreachable", "no route"))), going(looked));
        assert_eq!(progress(&sync("1", Value::Null)), going(looked));
        let fetching = ready("Unknown", "Progressing", "fetching\u{1b}[2J");
        assert_eq!(progress(&sync("2", fetching)), going("Progressing: fetching [2J"));
        for passing in ["Progressing", "DependencyNotReady", "Moved"] {
            let starting = sync("2", ready("False", passing, "web: it starts"));
            assert_eq!(progress(&starting), going(&format!("{passing}: web: it starts")));
        }
        assert_eq!(progress(&sync("2", ready("True", "Applied", "all of it"))), Progress::Ready);
        let failed = progress(&sync("2", ready("False", "Held", "12 objects would go")));
        assert_eq!(failed, Progress::Failed("Held: 12 objects would go".to_owned()));
    }

    #[test]
    fn one_that_is_suspended_meanwhile_is_not_waited_for() {
        let mut suspended = sync("1", ready("True", "Applied", ""));
        suspended["spec"] = json!({"suspend": true});
        assert!(matches!(progress(&suspended), Progress::Failed(_)));
    }

    #[test]
    fn what_is_held_is_to_be_looked_at_and_approved() {
        let held = json!({"status": {"held": {"revision": "1a2b3c4d5e6f7a8b"}}});
        assert!(next(&held, "shop").ends_with("`orchctl gitsync approve shop --revision 1a2b3c4d5e6f`"));
        assert_eq!(next(&json!({}), "shop"), "`orchctl gitsync get shop` shows how it stands");
    }
}
