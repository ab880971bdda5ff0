//! `logs -f` of pods that come and go: each container's log is taken up when it starts, and again when it starts again.

use std::collections::BTreeSet;
use std::process::ExitCode;

use futures::StreamExt as _;
use futures::stream::SelectAll;
use orch_api::{EventType, Object as _, Params, Request, Status, Verb, WatchStream};
use serde_json::Value;

use super::{Args, Lines, lines, source, wanted, write_line};
use crate::ctl::pods::Group;
use crate::ctl::{Failure, Session};

/// A container's run: the pod's uid, its name, and how often it was started again.
type Run = (String, String, u64);

struct Follower<'a> {
    session: &'a Session,
    args: &'a Args,
    logs: SelectAll<Lines>,
    /// Runs whose log is shown or has been.
    taken: BTreeSet<Run>,
}

/// Shows the logs of a group's pods until it is interrupted.
pub(super) async fn run(session: &Session, args: &Args, group: &Group) -> Result<ExitCode, Failure> {
    let mut follower = Follower { session, args, logs: SelectAll::new(), taken: BTreeSet::new() };
    let mut is_first = true;
    loop {
        let (pods, revision) = group.list(session).await?;
        if pods.is_empty() && is_first {
            anstream::eprintln!("There are no pods yet; their logs will be shown as they come.");
        }
        for pod in &pods {
            follower.take_up(pod, is_first).await;
        }
        is_first = false;
        let request = Request {
            verb: Verb::Watch,
            target: group.collection.clone(),
            params: Params { resource_version: Some(revision), ..group.params.clone() },
            body: None,
        };
        session.log(&request);
        let events = session.client().await?.watch_as(request, orch_client::Accept::Json).await?;
        follower.follow(events, group).await?;
    }
}

impl Follower<'_> {
    /// Shows lines and meets pods until the watch ends.
    async fn follow(&mut self, mut events: WatchStream, group: &Group) -> Result<(), Failure> {
        loop {
            tokio::select! {
                Some(line) = self.logs.next() => match line {
                    Ok(line) => write_line(&line)?,
                    // One log less; the others go on.
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
                                self.take_up(&pod, false).await;
                            }
                        }
                        EventType::Deleted | EventType::Bookmark => {}
                    }
                }
            }
        }
    }

    /// Takes up the logs of the pod's containers that have started since. Of those that come later nothing is left out.
    async fn take_up(&mut self, pod: &Value, is_first: bool) {
        for container in wanted(pod, self.args) {
            let Some(run) = container.as_deref().and_then(|container| started(pod, container)) else {
                continue;
            };
            if !self.taken.insert(run) {
                continue;
            }
            let taken = async {
                let source = source(self.session, pod, container, self.args, (true, is_first)).await?;
                lines(self.session, &source).await
            };
            match taken.await {
                Ok(lines) => self.logs.push(lines),
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
