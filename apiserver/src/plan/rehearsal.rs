//! [`rehearse`]: what would come of changes, without making them.

use std::collections::{BTreeMap, HashMap};

use orch_api::plan::{ChangeAction, ObjectChange, PlannedChange};
use orch_api::{
    Foreseen, Kind, Object as _, Reason, Scene, Status, StatusCause, StatusDetails, field_changes,
};
use orch_store::{Entry, Key, Limits, Op, Revision, Write};
use serde_json::Value;

use super::request::{causes, place, requests};
use super::stage::{Asker, Done, Stage};
use super::{drain, secrets, undo};
use crate::kinds::Served;
use crate::origin::{is_record, object_in};
use crate::registry::Registry;

/// What would come of changes.
pub(super) struct Rehearsed {
    /// What becomes of each object that the changes are about, in their order.
    pub(super) changes: Vec<ObjectChange>,
    /// What makes them true: one write for each object that was read or written, each with what was believed.
    pub(super) writes: Vec<Write>,
    /// The kinds of what is written.
    pub(super) written: Vec<Kind>,
    /// The revision that everything was looked at.
    pub(super) revision: Revision,
    /// The stage on which it happened.
    pub(super) stage: Stage,
}

/// Carries out the changes of a plan on a stage, one after the other: each sees those before it.
///
/// # Errors
/// 422 with everything that is wrong with any change; 503 and the like if the server cannot tell.
pub(super) async fn rehearse(
    registry: &Registry,
    asker: &Asker<'_>,
    about: (&Kind, &str),
    changes: &[PlannedChange],
) -> Result<Rehearsed, Status> {
    let stage = Stage::open(registry).await?;
    let (mut done, mut wrong) = (Vec::new(), Vec::new());
    for (index, change) in changes.iter().enumerate() {
        let path = format!("spec.changes[{index}]");
        match perform(&stage, asker, change).await {
            Ok(performed) => done.extend(performed),
            Err(refusal) if stage.is_full().await => return Err(refusal),
            Err(refusal) => wrong.extend(causes(&path, place(change), refusal)?),
        }
    }
    if !wrong.is_empty() {
        return Err(refused(about, wrong));
    }
    let writes = stage.overlay.writes(|before, after| object_in(before) == object_in(after)).await;
    let writes = with_one_record(writes);
    let touched = Touched::of(done);
    let written = touched.0.iter().map(|(_, done)| *done.kind.kind()).collect();
    let changes = touched.changes(stage.overlay.changes().await)?;
    Ok(Rehearsed { changes, writes, written, revision: stage.overlay.start(), stage })
}

async fn perform(stage: &Stage, asker: &Asker<'_>, change: &PlannedChange) -> Result<Vec<Done>, Status> {
    if let Some(undo) = &change.undo {
        return undo::perform(stage, asker, undo).await;
    }
    if let Some(drain) = &change.drain {
        return drain::perform(stage, asker, drain).await;
    }
    let mut done = Vec::new();
    for request in requests(stage, asker, change).await? {
        done.push(stage.run(asker, request).await?);
    }
    Ok(done)
}

impl Rehearsed {
    /// What follows from it. If anything does, that takes as long as it takes to look at every object, in a thread of its own.
    ///
    /// # Errors
    /// 500 if that fails.
    pub(super) async fn foresee(&self, registry: &Registry) -> Result<Foreseen, Status> {
        let (foresight, now) = (registry.foresight.clone(), registry.clock.now());
        self.look(move |scene| Ok(foresight.foresee(scene, now))).await
    }

    /// What follows from it if what a simulation supposes were so.
    ///
    /// # Errors
    /// 422 if it supposes what cannot be; as [`foresee`](Self::foresee).
    pub(super) async fn suppose(&self, registry: &Registry, spec: Value) -> Result<Foreseen, Status> {
        let (foresight, now) = (registry.foresight.clone(), registry.clock.now());
        self.look(move |scene| foresight.suppose(&spec, scene, now)).await
    }

    async fn look(
        &self,
        look: impl FnOnce(&dyn Scene) -> Result<Foreseen, Status> + Send + 'static,
    ) -> Result<Foreseen, Status> {
        let scene = self.stage.scene().await;
        let looked = tokio::task::spawn_blocking(move || look(&scene));
        looked.await.map_err(|_| Status::internal("what follows from the changes cannot be foreseen"))?
    }
}

/// The writes as those of one commit, which has one record of its deletions, if there are any. Each request that deleted has put
/// its own, and all say the same.
fn with_one_record(writes: Vec<Write>) -> Vec<Write> {
    let (records, mut writes): (Vec<_>, Vec<_>) = writes.into_iter().partition(|write| is_record(&write.key));
    let deletes = writes.iter().any(|write| matches!(write.op, Op::Delete));
    writes.extend(records.into_iter().next_back().filter(|_| deletes));
    writes
}

/// 422 with everything that is wrong with the changes of a plan.
fn refused((kind, name): (&Kind, &str), causes: Vec<StatusCause>) -> Status {
    let list: Vec<String> =
        causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    let message = format!("{}.{} {name:?} is invalid: {}", kind.name, kind.group, list.join("; "));
    let details = StatusDetails {
        name: name.to_owned(),
        group: kind.group.to_owned(),
        kind: kind.name.to_owned(),
        causes,
        ..StatusDetails::default()
    };
    Status::failure(Reason::Invalid, message).about(details)
}

/// All of a plan that is to be applied must fit into one transaction, with the plan itself, which has `own_bytes`.
///
/// # Errors
/// 422 if it does not.
pub(super) fn check_size(
    about: (&Kind, &str),
    limits: Limits,
    writes: &[Write],
    own_bytes: usize,
) -> Result<(), Status> {
    let (keys, most) = (writes.len(), limits.writes.saturating_sub(1));
    let bytes = Limits::size(writes) + own_bytes;
    let too_large = if keys > most {
        format!(
            "the changes read and write {keys} keys, but one transaction holds at most {most}: make several plans"
        )
    } else if bytes > limits.bytes {
        let most = limits.bytes;
        format!(
            "the changes, and the plan itself, have {bytes} bytes, but one transaction holds at most {most}: make \
             several plans"
        )
    } else {
        return Ok(());
    };
    let cause =
        StatusCause { reason: "FieldValueTooMany".into(), message: too_large, field: "spec.changes".into() };
    Err(refused(about, vec![cause]))
}

/// The objects that requests were about, each once, in the order in which they first came.
struct Touched(Vec<(Key, Done)>);

impl Touched {
    fn of(done: Vec<Done>) -> Self {
        let mut all: Vec<(Key, Done)> = Vec::new();
        let mut places: HashMap<Key, usize> = HashMap::new();
        for one in done {
            match places.get(&one.key).and_then(|place| all.get_mut(*place)) {
                Some((_, known)) => {
                    let news = one.warnings.into_iter().filter(|warning| !known.warnings.contains(warning));
                    known.warnings.extend(news.collect::<Vec<_>>());
                }
                None => {
                    places.insert(one.key.clone(), all.len());
                    all.push((one.key.clone(), one));
                }
            }
        }
        Self(all)
    }

    fn changes(self, changes: Vec<(Key, Option<Entry>, Option<Entry>)>) -> Result<Vec<ObjectChange>, Status> {
        let mut changes: BTreeMap<Key, _> =
            changes.into_iter().map(|(key, before, after)| (key, (before, after))).collect();
        self.0
            .into_iter()
            .map(|(key, done)| {
                let (before, after) = changes.remove(&key).unwrap_or_default();
                let (before, after) = (read(&done.kind, before)?, read(&done.kind, after)?);
                let (target, warnings) = (done.target, done.warnings);
                let action = action(before.as_ref(), after.as_ref());
                let mut fields = match action {
                    ChangeAction::Created | ChangeAction::Changed | ChangeAction::Replaced => {
                        field_changes(before.as_ref(), after.as_ref())
                    }
                    ChangeAction::Deleted | ChangeAction::Unchanged => Vec::new(),
                };
                if done.kind.kind().is_sensitive {
                    secrets::hide_fields(&mut fields);
                }
                Ok(ObjectChange { target, action, fields, warnings, because: String::new() })
            })
            .collect()
    }
}

fn read(kind: &Served, entry: Option<Entry>) -> Result<Option<Value>, Status> {
    let Some(entry) = entry else { return Ok(None) };
    let bytes = kind.window.reading().read(&entry.value).map_err(Status::internal)?;
    serde_json::from_slice(&bytes).map(Some).map_err(Status::internal)
}

fn action(before: Option<&Value>, after: Option<&Value>) -> ChangeAction {
    match (before, after) {
        (None, None) => ChangeAction::Unchanged,
        (None, Some(_)) => ChangeAction::Created,
        (Some(_), None) => ChangeAction::Deleted,
        (Some(before), Some(after)) if after.uid() != before.uid() => ChangeAction::Replaced,
        (Some(before), Some(after)) if after.is_terminating() && !before.is_terminating() => {
            ChangeAction::Deleted
        }
        (Some(before), Some(after)) if before == after => ChangeAction::Unchanged,
        _ => ChangeAction::Changed,
    }
}
