//! `delete`: takes objects away.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use orch_api::labels::Labels;
use orch_api::{LabelQuery, Object as _, Params, Propagation, Request, Target, Verb};
use orch_client::{Accept, ApiResource};
use serde_json::Value;

use super::apply::DryRun;
use super::files::{FileArgs, Placed};
use super::live::Live;
use super::output::{BAD, FAINT, paint, print};
use super::wait::{self, Goal, parse_duration};
use super::{Failure, Session, order, select};

/// Delete objects, and wait until they are gone
///
/// What an object owns is deleted with it, unless --cascade=orphan.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl delete workload web
  orchctl delete -f workload.yaml
  orchctl delete -f all.yaml -l app=web
  orchctl delete pods -l app=web --wait=false
  orchctl delete workload web --dry-run=server
  orchctl delete pod web-0 --grace-period=0 --force")]
pub(super) struct Args {
    /// Kinds, or a kind and names, or kind/name
    #[arg(value_name = "KIND | KIND/NAME", required_unless_present = "filename")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    scope: super::get::Scope,
    /// All objects of the kind
    #[arg(long)]
    all: bool,
    /// Wait until the objects are gone
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    wait: bool,
    /// Give up waiting after this time; 0 never does
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    timeout: Duration,
    /// How many seconds the objects have to end; at least 1, unless --force
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u32>,
    /// Delete at once, whatever still runs: needs --grace-period=0, or implies it
    #[arg(long)]
    force: bool,
    /// What happens to what the objects own
    #[arg(long, value_name = "HOW", default_value = "background")]
    cascade: Cascade,
    /// Delete nothing; on the server: have everything checked as if it were done, and tell what would go along
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_value = "none", default_missing_value = "server")]
    dry_run: DryRun,
    /// An object that is not there is no error
    #[arg(long)]
    ignore_not_found: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cascade {
    /// It is deleted afterwards
    Background,
    /// It is deleted first
    Foreground,
    /// It stays
    Orphan,
}

/// An object to delete.
struct Doomed<'s> {
    resource: &'s ApiResource,
    target: Target,
}

impl Doomed<'_> {
    fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    fn label(&self) -> String {
        format!("{} {:?}", self.resource.prefix(), self.name())
    }
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    if args.force && args.grace_period.is_some_and(|seconds| seconds > 0) {
        return Err(Failure::new("--force deletes at once: it goes with --grace-period=0 only"));
    }
    let (doomed, unreadable) = if args.files.filename.is_empty() {
        (selected(session, &args).await?, 0)
    } else {
        from_files(session, &args).await?
    };
    if doomed.is_empty() && unreadable == 0 {
        anstream::eprintln!("No resources found.");
    }
    let mut failed = unreadable;
    let (mut going, mut along) = (Vec::new(), Along { cascade: args.cascade, live: None });
    for object in doomed {
        match delete(session, &object, &args).await {
            Ok(Some(_)) if args.dry_run == DryRun::Server => along.tell(session, &object).await?,
            Ok(Some(uid)) => going.push((object, uid)),
            Ok(None) => {}
            Err(failure) => {
                failure.report();
                failed += 1;
            }
        }
    }
    if args.wait && args.dry_run == DryRun::None {
        wait_until_gone(session, going, args.timeout).await?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Args {
    /// Whether objects are chosen among others, and not named.
    fn is_query(&self) -> bool {
        self.all || self.scope.selector.is_some() || self.scope.field_selector.is_some()
    }
}

/// What refers to others goes before them.
async fn from_files<'s>(session: &'s Session, args: &Args) -> Result<(Vec<Doomed<'s>>, usize), Failure> {
    select::only_manifests(&args.words, &args.scope, args.all)?;
    let (mut manifests, mut failed) = args.files.read_some("delete")?;
    order::by_references(&mut manifests);
    let wanted: LabelQuery = args.scope.selector.as_deref().unwrap_or_default().parse().unwrap_or_default();
    let mut doomed = Vec::new();
    for manifest in manifests.into_iter().rev().filter(|manifest| wanted.matches(&labels(&manifest.object))) {
        match Placed::new(session, manifest).await {
            Ok(placed) => {
                let target = placed.collection().named(placed.manifest.object.name());
                doomed.push(Doomed { resource: placed.resource, target });
            }
            Err(failure) => {
                failure.report();
                failed += 1;
            }
        }
    }
    Ok((doomed, failed))
}

fn labels(object: &Value) -> Labels {
    let labels = object.labels().into_iter().flatten();
    labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

async fn selected<'s>(session: &'s Session, args: &Args) -> Result<Vec<Doomed<'s>>, Failure> {
    let mut doomed = Vec::new();
    let discovery = session.discovery().await?;
    for selection in select::parse_among(discovery, &args.words, &args.scope, args.all)? {
        let targets = selection.targets(session).await?;
        doomed.extend(targets.into_iter().map(|target| Doomed { resource: selection.resource, target }));
        if !selection.names.is_empty() {
            continue;
        }
        if !args.is_query() {
            return Err(Failure::new(format!("delete which {}?", selection.resource.plural))
                .hint("give names, -l, --field-selector or --all".to_owned()));
        }
        let collection = args.scope.collection(session, &selection).await?;
        let (items, _) = session.list(collection, args.scope.params()).await?;
        doomed.extend(items.iter().map(|item| {
            let namespace = Some(item.namespace()).filter(|namespace| !namespace.is_empty());
            let target = selection.resource.collection(namespace).named(item.name());
            Doomed { resource: selection.resource, target }
        }));
    }
    Ok(doomed)
}

/// Answers with the uid of the object that is going; none if there was nothing to delete.
async fn delete(session: &Session, object: &Doomed<'_>, args: &Args) -> Result<Option<String>, Failure> {
    let params = Params {
        dry_run: args.dry_run == DryRun::Server,
        grace_period_seconds: grace_seconds(args.grace_period, args.force),
        propagation: Some(match args.cascade {
            Cascade::Background => Propagation::Background,
            Cascade::Foreground => Propagation::Foreground,
            Cascade::Orphan => Propagation::Orphan,
        }),
        ..Params::default()
    };
    let request = Request { verb: Verb::Delete, target: object.target.clone(), params, body: None };
    session.log(&request);
    let answer = match session.client().await?.send_as(session.explained(request), Accept::Json).await {
        // Of those that were chosen among others, some may have gone meanwhile.
        Err(status) if status.code == 404 && (args.ignore_not_found || args.is_query()) => return Ok(None),
        answer => answer?,
    };
    let answer: Value = serde_json::from_slice(&answer)?;
    let how = if args.force { "force deleted" } else { "deleted" };
    print(&format!("{} {}{}\n", object.label(), paint(Some(BAD), how), args.dry_run.suffix()))?;
    // The object while it ends, or a status about it if it is gone.
    let uids = [answer.uid(), answer.text(&["details", "uid"])];
    Ok(uids.into_iter().find(|uid| !uid.is_empty()).map(str::to_owned))
}

/// Nothing is ended at once by a zero alone.
fn grace_seconds(given: Option<u32>, force: bool) -> Option<i64> {
    match given {
        None => force.then_some(0),
        Some(seconds) if force => Some(seconds.into()),
        Some(seconds) => Some(seconds.max(1).into()),
    }
}

/// What would go with what is deleted.
struct Along {
    cascade: Cascade,
    /// The objects of the namespace that was looked at last.
    live: Option<(Option<String>, Live)>,
}

impl Along {
    /// Tells what a delete of the object would take along, or leave without an owner.
    async fn tell(&mut self, session: &Session, object: &Doomed<'_>) -> Result<(), Failure> {
        let namespace = &object.target.namespace;
        if self.live.as_ref().is_none_or(|(known, _)| known != namespace) {
            self.live = Some((namespace.clone(), Live::read(session, namespace.as_deref()).await?));
        }
        let Some((_, live)) = &self.live else { return Ok(()) };
        let place = live.find(object.resource, namespace.as_deref().unwrap_or_default(), object.name());
        let Some(place) = place else { return Ok(()) };
        let (places, what) = match self.cascade {
            Cascade::Orphan => (live.owned(place), "would stay without this owner"),
            Cascade::Background | Cascade::Foreground => (live.taken_along(place), "would go along"),
        };
        for place in places {
            print(&format!("  {} {}\n", live.nodes[place].label(), paint(Some(FAINT), what)))?;
        }
        Ok(())
    }
}

async fn wait_until_gone(
    session: &Session,
    going: Vec<(Doomed<'_>, String)>,
    timeout: Duration,
) -> Result<(), Failure> {
    let progress = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} waiting until {msg} is gone ({elapsed})") {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(100));
    let waiting = async {
        for (object, uid) in &going {
            progress.set_message(object.label());
            let collection = Target { name: None, ..object.target.clone() };
            let gone = wait::wait_for(session, collection, object.name(), Some(uid), &Goal::Delete, false);
            match gone.await {
                // It is deleted; who may not look at it cannot be told when it is gone.
                Err(failure) if matches!(failure.code(), 403 | 405) => {}
                gone => gone?,
            }
        }
        Ok(())
    };
    let outcome = match timeout.is_zero() {
        true => waiting.await,
        false => tokio::time::timeout(timeout, waiting).await.unwrap_or_else(|_| {
            let hint =
                "the deletion goes on; finalizers or a node that does not answer may hold it".to_owned();
            Err(Failure::new("timed out waiting until everything is gone").hint(hint))
        }),
    };
    progress.finish_and_clear();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_force_ends_at_once() {
        assert_eq!(grace_seconds(None, false), None);
        assert_eq!([0, 1, 30].map(|given| grace_seconds(Some(given), false)), [1, 1, 30].map(Some));
        assert_eq!((grace_seconds(None, true), grace_seconds(Some(0), true)), (Some(0), Some(0)));
    }
}
