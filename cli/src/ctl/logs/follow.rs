//! `logs -f` of pods that come and go: each container's log is taken up when it starts, and again when it starts again.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use futures::stream::SelectAll;
use jiff::Timestamp;
use orch_api::{EventType, Object as _, Params, Request, Status, Verb, WatchStream};
use serde_json::Value;

use super::{Args, Part, lines, source, wanted};
use crate::ctl::again::Again;
use crate::ctl::output::print_bytes;
use crate::ctl::pods::Group;
use crate::ctl::{Failure, Session};

/// A container's run: the pod's uid, its name, and how often it was started again.
type Run = (String, String, u64);

/// The lines of a run.
type Log = BoxStream<'static, (Arc<Run>, Result<Vec<u8>, Failure>)>;

struct Follower<'a> {
    session: &'a Session,
    args: &'a Args,
    logs: SelectAll<Log>,
    /// Runs whose log is shown or has been.
    taken: BTreeSet<Run>,
    /// Runs whose log broke off, and when.
    broken: BTreeMap<Run, Timestamp>,
    is_first: bool,
}

/// Shows the logs of a group's pods until it is interrupted, as soon as the server answers.
pub(super) async fn run(session: &Session, args: &Args, group: &Group) -> Result<ExitCode, Failure> {
    let mut follower = Follower {
        session,
        args,
        logs: SelectAll::new(),
        taken: BTreeSet::new(),
        broken: BTreeMap::new(),
        is_first: true,
    };
    let mut again = Again::default();
    loop {
        if let Err(failure) = follower.round(group, &mut again).await {
            again.after(failure).await?;
        }
    }
}

impl Follower<'_> {
    /// Shows what there is, and what comes, until the watch ends.
    async fn round(&mut self, group: &Group, again: &mut Again) -> Result<(), Failure> {
        let (pods, revision) = group.list(self.session).await?;
        again.reached();
        if pods.is_empty() && self.is_first {
            anstream::eprintln!("There are no pods yet; their logs will be shown as they come.");
        }
        for pod in &pods {
            self.take_up(pod).await;
        }
        self.is_first = false;
        let request = Request {
            verb: Verb::Watch,
            target: group.collection.clone(),
            params: Params { resource_version: Some(revision), ..group.params.clone() },
            body: None,
        };
        self.session.log(&request);
        let events = self.session.client().await?.watch_as(request, orch_client::Accept::Json).await?;
        self.follow(events, group).await
    }

    /// Shows lines and meets pods until the watch ends.
    async fn follow(&mut self, mut events: WatchStream, group: &Group) -> Result<(), Failure> {
        loop {
            tokio::select! {
                Some((run, line)) = self.logs.next() => match line {
                    Ok(line) => print_bytes(&line)?,
                    // One log less; the others go on. It is taken up where it broke off when the pod is met again.
                    Err(failure) if failure.is_passing() => {
                        self.taken.remove(&*run);
                        self.broken.insert(Run::clone(&run), Timestamp::now());
                    }
                    Err(failure) => drop(failure.report()),
                },
                event = events.next() => {
                    let Some(event) = event else { return Ok(()) };
                    let event = event?;
                    match event.event_type {
                        // What was missed meanwhile is found in a new list.
                        EventType::Error => return expired(serde_json::from_slice(&event.object)?),
                        EventType::Added | EventType::Modified => {
                            let pod: Value = serde_json::from_slice(&event.object)?;
                            if group.has(&pod) {
                                self.take_up(&pod).await;
                            }
                        }
                        EventType::Deleted | EventType::Bookmark => {}
                    }
                }
            }
        }
    }

    /// Takes up the logs of the pod's containers that have started since. Of those that come later nothing is left out.
    async fn take_up(&mut self, pod: &Value) {
        for container in wanted(pod, self.args) {
            let Some(run) = container.as_deref().and_then(|container| started(pod, container)) else {
                continue;
            };
            if !self.taken.insert(run.clone()) {
                continue;
            }
            let part = match self.broken.remove(&run) {
                Some(time) => Part::Since(time),
                None if self.is_first => Part::Asked,
                None => Part::All,
            };
            let taken = async {
                let source = source(self.session, pod, container, self.args, (true, part)).await?;
                lines(self.session, &source).await
            };
            match taken.await {
                Ok(lines) => {
                    let run = Arc::new(run);
                    self.logs.push(lines.map(move |line| (run.clone(), line)).boxed());
                }
                Err(failure) => drop(failure.while_doing(pod.name()).report()),
            }
        }
    }
}

fn expired(status: Status) -> Result<(), Failure> {
    if status.code == 410 { Ok(()) } else { Err(status.into()) }
}

/// The container's present or last run; none before the first.
fn started(pod: &Value, container: &str) -> Option<Run> {
    let statuses = ["initContainerStatuses", "containerStatuses"].into_iter();
    let mut statuses = statuses.flat_map(|field| pod["status"][field].as_array().into_iter().flatten());
    let status = statuses.find(|status| status["name"] == container)?;
    let state = &status["state"];
    let has_run = state.get("running").is_some() || state.get("terminated").is_some();
    let restarts = status["restartCount"].as_u64().unwrap_or(0);
    has_run.then(|| (pod.uid().to_owned(), container.to_owned(), restarts))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_taken_up_when_it_has_started() {
        let pod = |state: Value| json!({"metadata": {"uid": "u"}, "status": {"containerStatuses": [{"name": "web", "restartCount": 2, "state": state}]}});
        let run = Some(("u".to_owned(), "web".to_owned(), 2));
        assert_eq!(started(&pod(json!({"running": {}})), "web"), run);
        assert_eq!(started(&pod(json!({"terminated": {}})), "web"), run);
        assert_eq!(started(&pod(json!({"waiting": {}})), "web"), None);
        assert_eq!(started(&pod(json!({"running": {}})), "other"), None);
    }
}
