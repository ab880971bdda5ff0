//! Applying a plan: everything that it was made from must be as it was; then all of it happens in one commit.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::future::try_join_all;
use orch_api::plan::{ChangeAction, ObjectChange, PlanTarget, PlannedChange};
use orch_api::{FieldChange, Object as _, Status, StatusCause, StatusDetails, Time};
use orch_store::{Entry, Key, ReadAt, Revision, StoreError, Write};
use serde::Deserialize;
use serde_json::{Value, json};

use super::moved::{Place, has_only_status_changed};
use super::record::{Record, believed};
use super::rehearsal::{Rehearsed, rehearse};
use super::stage::Asker;
use crate::cache::encode;
use crate::origin::object_in;
use crate::registry::{Answer, Call, Registry, Via, Written};
use crate::status::from_store;

/// How often a plan is looked at again because something moved while it was being applied: what moves is found the next time.
const ATTEMPTS: usize = 3;

/// Makes the changes of the plan of the path, all or none, and answers with the plan.
///
/// # Errors
/// 404 if there is no such plan; 403 if it is somebody else's; 409 if something that it was made from has changed, with a cause
/// for each, or if it has been applied or has expired; whatever its changes would be refused with now.
pub(crate) async fn apply(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let key = call.key()?;
    for _ in 0..ATTEMPTS {
        let entry = registry.store.get(&key, ReadAt::Latest).await.map_err(from_store)?;
        let entry = entry.ok_or_else(|| Status::not_found(call.kind.kind(), call.name()))?;
        let mut kept = Kept::read(&entry)?;
        kept.check(registry, call)?;
        let moved = kept.catch_up(registry).await?;
        if !moved.is_empty() {
            return Err(kept.stale(registry, call, moved).await);
        }
        let about = (call.kind.kind(), call.name());
        let rehearsed = rehearse(registry, &kept.asker(call), about, &kept.changes).await?;
        kept.check_outcome(call, &rehearsed)?;
        if let Some(answer) = kept.commit(registry, call, rehearsed).await? {
            return Ok(answer);
        }
    }
    Err(Status::conflict(call.kind.kind(), call.name(), "what it was made from keeps changing; try again"))
}

/// Of an object's change: the object, what becomes of it, and its fields, some with what they become.
type Gist<'a> = (&'a PlanTarget, ChangeAction, Vec<(&'a str, Option<String>)>);

/// A plan as it is stored.
struct Kept {
    entry: Entry,
    plan: Value,
    changes: Vec<PlannedChange>,
    /// What it shows of the objects that its changes are about.
    shown: Vec<ObjectChange>,
    reads: BTreeMap<Key, Option<Revision>>,
    /// Objects whose status has moved on, by kind, namespace and name.
    moved_on: BTreeSet<Place>,
    /// The program that made the plan: the fields are its.
    manager: String,
}

impl Kept {
    fn read(entry: &Entry) -> Result<Self, Status> {
        let plan: Value = serde_json::from_slice(&object_in(&entry.value)).map_err(Status::internal)?;
        let record = Record::of(&plan)?;
        let changes = Vec::deserialize(record.changes(&plan)).map_err(Status::internal)?;
        let reads = record.reads()?;
        let mut shown =
            Vec::<ObjectChange>::deserialize(&plan["status"]["changes"]).map_err(Status::internal)?;
        shown.retain(|change| change.because.is_empty());
        let manager = plan["metadata"]["managedFields"][0].text(&["manager"]).to_owned();
        let moved_on = BTreeSet::new();
        Ok(Self { entry: entry.clone(), plan, changes, shown, reads, moved_on, manager })
    }

    /// Goes on from objects of which nothing but the status has changed since the plan was made, unless the plan changes that.
    /// Answers with all that are otherwise not as they were: what, from which revision, to which.
    async fn catch_up(&mut self, registry: &Registry) -> Result<Vec<StatusCause>, Status> {
        let asked = self.reads.keys().map(|key| registry.store.get(key, ReadAt::Latest));
        let found = try_join_all(asked).await.map_err(from_store)?;
        let kinds = registry.kinds.now();
        let changes_status = |change: &&ObjectChange| change.fields.iter().any(FieldChange::is_status);
        let about_status: BTreeSet<Place> =
            self.shown.iter().filter(changes_status).map(|change| Place::of(&change.target)).collect();
        let mut moved = Vec::new();
        for ((key, before), now) in self.reads.iter_mut().zip(found) {
            let at = now.as_ref().map(|entry| entry.modified);
            if at == *before {
                continue;
            }
            let kind = kinds.kept_at(key.as_str()).first().cloned();
            if let (Some(kind), Some(was_at), Some(now)) = (&kind, *before, &now) {
                let place = Place::at(kind.kind(), key);
                if !about_status.contains(&place)
                    && has_only_status_changed(registry, kind, was_at, now).await
                {
                    self.moved_on.insert(place);
                    *before = at;
                    continue;
                }
            }
            let named = match kind {
                Some(kind) => Place::at(kind.kind(), key).to_string(),
                None => key.to_string(),
            };
            let told = match (*before, at) {
                (Some(before), Some(now)) => format!("was at revision {before}, is at {now}"),
                (Some(before), None) => format!("was at revision {before}, is gone"),
                (None, Some(now)) => format!("was not there, is at revision {now}"),
                (None, None) => continue,
            };
            let message = format!("{named} {told}");
            moved.push(StatusCause { reason: "PlanMoved".into(), message, field: String::new() });
        }
        Ok(moved)
    }

    /// Who makes the changes: who applies the plan, by it and for its reason; if it gives none, for theirs.
    fn asker<'a>(&'a self, call: &'a Call) -> Asker<'a> {
        let via = Via { plan: Some(call.name().to_owned()), ..call.via.clone() };
        let reason = match self.plan["spec"].text(&["reason"]) {
            "" => call.params().reason.as_deref().unwrap_or_default(),
            reason => reason,
        };
        Asker { identity: &call.identity, via, manager: &self.manager, reason, notices: &call.notices }
    }

    /// Whether the plan may be applied at all, and by this caller.
    fn check(&self, registry: &Registry, call: &Call) -> Result<(), Status> {
        let (kind, name) = (call.kind.kind(), call.name());
        let status = &self.plan["status"];
        let user = status.text(&["user"]);
        if user != call.identity.user {
            let why = format!("it can be applied only by {user:?}, who made it");
            return Err(Status::forbidden(kind, name, why));
        }
        let why = match status.text(&["phase"]) {
            "Ready" if self.plan.is_terminating() => "it is being deleted".to_owned(),
            "Ready" => match Option::<Time>::deserialize(&status["expiresAt"]).ok().flatten() {
                Some(until) if until.timestamp() > registry.clock.now() => return Ok(()),
                _ => "it has expired; make it anew".to_owned(),
            },
            "Applied" => "it has been applied already".to_owned(),
            "Stale" => format!("it is stale: {}; make it anew", status.text(&["message"])),
            phase => format!("it is {phase}"),
        };
        Err(Status::conflict(kind, name, why))
    }

    /// What would come of the changes now must be what the plan says, object by object and field by field.
    fn check_outcome(&self, call: &Call, rehearsed: &Rehearsed) -> Result<(), Status> {
        let planned: BTreeSet<_> = self.shown.iter().map(|change| self.gist(change)).collect();
        let now: BTreeSet<_> = rehearsed.changes.iter().map(|change| self.gist(change)).collect();
        let differing: BTreeSet<_> = planned.symmetric_difference(&now).map(|(target, ..)| target).collect();
        if differing.is_empty() {
            return Ok(());
        }
        let cause = |target: &&PlanTarget| StatusCause {
            reason: "PlanDiffers".into(),
            message: format!("{}: something else than planned would become of it", Place::of(target)),
            field: String::new(),
        };
        Err(conflict(call, differing.into_iter().map(cause).collect()))
    }

    /// What must be the same of an object's change when the plan is applied. The values are, if what they come from is, but for
    /// those that depend on the time; so they are looked at only where the status has moved on.
    fn gist<'a>(&self, change: &'a ObjectChange) -> Gist<'a> {
        let values = self.moved_on.contains(&Place::of(&change.target));
        let field = |field: &'a FieldChange| {
            (field.path.as_str(), field.after.as_ref().filter(|_| values).map(Value::to_string))
        };
        (&change.target, change.action, change.fields.iter().map(field).collect())
    }

    /// The plan as it is once it has been applied, or found stale.
    fn with_status(&self, registry: &Registry, call: &Call, status: Value) -> Result<Bytes, Status> {
        let mut plan = self.plan.clone();
        if let (Some(fields), Value::Object(news)) = (plan["status"].as_object_mut(), status) {
            fields.extend(news);
        }
        encode(&plan, registry.origin(call).as_ref()).map_err(Status::internal)
    }

    /// Commits what has been rehearsed. None if somebody was faster.
    async fn commit(
        &self,
        registry: &Registry,
        call: &Call,
        rehearsed: Rehearsed,
    ) -> Result<Option<Answer>, Status> {
        let Rehearsed { mut writes, written, .. } = rehearsed;
        let differs = |write: &Write| self.reads.get(&write.key).is_some_and(|at| *at != believed(write));
        if writes.iter().any(differs) {
            return Ok(None);
        }
        let known: BTreeSet<Key> = writes.iter().map(|write| write.key.clone()).collect();
        let others = self.reads.iter().filter(|(key, _)| !known.contains(*key));
        writes.extend(others.map(|(key, at)| Write::keep(key.clone(), *at)));
        let now = Time::new(registry.clock.now());
        let stored = self.with_status(registry, call, json!({"phase": "Applied", "appliedAt": now}))?;
        writes.push(Write::update(self.entry.key.clone(), self.entry.modified, stored.clone()));
        let revision = match call.params().dry_run {
            true => self.entry.modified,
            false => match registry.store.commit(&writes).await {
                Err(StoreError::Conflict { .. }) => return Ok(None),
                outcome => outcome.map_err(from_store)?,
            },
        };
        for kind in &written {
            registry.gate.written(kind).await?;
        }
        let bytes = call.kind.window.reading().wire(&stored, revision).map_err(Status::internal)?;
        Ok(Some(Answer::Object(Written { code: 200, bytes, warnings: Vec::new() })))
    }

    /// 409 with a cause for each object that has moved. The plan is marked, so that others see it: nothing moves back.
    async fn stale(&self, registry: &Registry, call: &Call, moved: Vec<StatusCause>) -> Status {
        let conflict = conflict(call, moved);
        let message = conflict.details.iter().flat_map(|details| &details.causes);
        let message: Vec<&str> = message.map(|cause| cause.message.as_str()).collect();
        let marked =
            self.with_status(registry, call, json!({"phase": "Stale", "message": message.join("; ")}));
        if let Ok(stored) = marked.as_ref()
            && !call.params().dry_run
        {
            let write = Write::update(self.entry.key.clone(), self.entry.modified, stored.clone());
            // Whoever was faster has marked it, applied it or deleted it; the next to ask finds out the same.
            let _ = registry.store.commit(&[write]).await;
        }
        conflict
    }
}

fn conflict(call: &Call, causes: Vec<StatusCause>) -> Status {
    let list: Vec<&str> = causes.iter().map(|cause| cause.message.as_str()).collect();
    let why = format!("what it was made from has changed: {}", list.join("; "));
    let status = Status::conflict(call.kind.kind(), call.name(), why);
    let details = status.details.as_deref().cloned().unwrap_or_default();
    status.about(StatusDetails { causes, ..details })
}
