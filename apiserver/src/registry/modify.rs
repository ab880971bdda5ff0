//! Read, decide, commit; again if somebody was faster.

use bytes::Bytes;
use orch_api::{Object as _, Status};
use orch_store::{Entry, Key, Revision, StoreError, Write};
use serde_json::Value;

use super::{Answer, Call, Registry, Written};
use crate::cache::encode;
use crate::origin::{Origin, object_in};
use crate::status::from_store;

/// An object as it is, to decide upon.
pub(crate) struct Current {
    /// The object, with its `resourceVersion`.
    pub(crate) value: Value,
    /// Its JSON.
    pub(crate) bytes: Bytes,
    /// The revision that wrote it.
    pub(crate) revision: Revision,
    /// Read from the cache, so perhaps out of date: what is decided on it counts only once it is committed.
    stale: bool,
    /// The store keeps it in another form than it would be written in now.
    outdated: bool,
}

/// What becomes of an object.
pub(crate) enum Outcome {
    /// It becomes this.
    Put(Value),
    /// It stays as it is.
    Keep,
    /// It goes; this was its last state.
    Remove(Value),
}

/// What has become of it.
pub(crate) enum Done {
    /// It is this now.
    Put(Bytes),
    /// It is gone; this was its last state.
    Removed(Value),
}

impl Done {
    /// The answer of a write: the object as it is now, or as it last was.
    pub(crate) fn answer(self, warnings: Vec<String>) -> Result<Answer, Status> {
        let bytes = match self {
            Self::Put(bytes) => bytes,
            Self::Removed(value) => serde_json::to_vec(&value).map_err(Status::internal)?.into(),
        };
        Ok(Answer::Object(Written { code: 200, bytes, warnings }))
    }
}

impl Registry {
    /// Changes an object: `decide` is asked, with the object as it is, until its decision is committed or is a refusal.
    ///
    /// `decide` is pure. It is first asked about the cached object, which saves a read; a refusal or a "nothing to do"
    /// found there is asked again about the stored one.
    ///
    /// # Errors
    /// 404 if there is no such object, what `decide` says, or what the store says.
    pub(super) async fn modify(
        &self,
        call: &Call,
        decide: impl Fn(&Current) -> Result<Outcome, Status>,
    ) -> Result<Done, Status> {
        self.modify_as(call, call.params().dry_run, decide).await
    }

    /// As [`modify`](Self::modify), where the body says whether this is a dry run.
    pub(super) async fn modify_as(
        &self,
        call: &Call,
        dry_run: bool,
        decide: impl Fn(&Current) -> Result<Outcome, Status>,
    ) -> Result<Done, Status> {
        let key = call.key()?;
        let mut current = self.current(call, &key).await?;
        loop {
            // Neither the cache nor the store has it, or somebody has just deleted it.
            let Some(read) = &current else { return Err(Status::not_found(call.kind.kind(), call.name())) };
            let outcome = match decide(read) {
                // What nothing is committed of finds out here whether somebody has been faster.
                outcome if read.stale && (dry_run || matches!(outcome, Ok(Outcome::Keep) | Err(_))) => {
                    current = self.stored(call, &key).await?;
                    continue;
                }
                decision => decision?,
            };
            match self.carry_out(call, dry_run, &key, read, outcome).await {
                Err(StoreError::Conflict { current: None, .. }) => current = None,
                Err(StoreError::Conflict { current: Some(entry), .. }) => {
                    current = Some(parse(call, &entry)?);
                }
                Err(other) => return Err(from_store(other)),
                Ok(done) => return Ok(done),
            }
        }
    }

    async fn carry_out(
        &self,
        call: &Call,
        dry_run: bool,
        key: &Key,
        current: &Current,
        outcome: Outcome,
    ) -> Result<Done, StoreError> {
        let outcome = match outcome {
            // Writing what is there already is how objects are brought to another storage version.
            Outcome::Keep if current.outdated => Outcome::Put(current.value.clone()),
            decided => decided,
        };
        Ok(match outcome {
            Outcome::Keep => Done::Put(current.bytes.clone()),
            Outcome::Put(value) => {
                let stored = stored(call, value, self.origin(call).as_ref()).map_err(invalid)?;
                let revision = match dry_run {
                    true => current.revision,
                    false => {
                        self.store
                            .commit(&[Write::update(key.clone(), current.revision, stored.clone())])
                            .await?
                    }
                };
                Done::Put(call.kind.window.reading().wire(&stored, revision).map_err(invalid)?)
            }
            Outcome::Remove(mut value) => {
                if !dry_run {
                    let delete = Write::delete(key.clone(), current.revision);
                    let record =
                        self.origin(call).map(|origin| origin.record()).transpose().map_err(invalid)?;
                    let writes: Vec<_> = [delete].into_iter().chain(record).collect();
                    let revision = self.store.commit(&writes).await?;
                    value["metadata"]["resourceVersion"] = revision.to_string().into();
                }
                Done::Removed(value)
            }
        })
    }

    /// Stores a new object. `None` if there is one of this name already.
    pub(super) async fn insert(&self, call: &Call, key: &Key, value: Value) -> Result<Option<Bytes>, Status> {
        let stored = stored(call, value, self.origin(call).as_ref()).map_err(Status::internal)?;
        let served = |revision| call.kind.window.reading().wire(&stored, revision).map_err(Status::internal);
        if call.params().dry_run {
            let taken = self.store.get(key, orch_store::ReadAt::Latest).await.map_err(from_store)?.is_some();
            let shown = call.kind.window.reading().read(&stored).map_err(Status::internal)?;
            return Ok((!taken).then_some(shown));
        }
        match self.store.commit(&[Write::create(key.clone(), stored.clone())]).await {
            Ok(revision) => served(revision).map(Some),
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(other) => Err(from_store(other)),
        }
    }

    /// What is stored of who makes a change, if the history is to know of it.
    pub(crate) fn origin(&self, call: &Call) -> Option<Origin> {
        call.kind.entry.recorded.then(|| call.origin(self.clock.now()))
    }

    /// The object as cached, or else as stored.
    pub(super) async fn current(&self, call: &Call, key: &Key) -> Result<Option<Current>, Status> {
        match call.kind.window.get(key) {
            Some(object) => {
                let bytes = object.wire();
                let value = serde_json::from_slice(&bytes).map_err(Status::internal)?;
                Ok(Some(Current { value, bytes, revision: object.revision, stale: true, outdated: false }))
            }
            None => self.stored(call, key).await,
        }
    }

    async fn stored(&self, call: &Call, key: &Key) -> Result<Option<Current>, Status> {
        let entry = self.store.get(key, orch_store::ReadAt::Latest).await.map_err(from_store)?;
        entry.as_ref().map(|entry| parse(call, entry)).transpose()
    }
}

/// What the store is to keep of an object.
fn stored(call: &Call, mut object: Value, origin: Option<&Origin>) -> Result<Bytes, serde_json::Error> {
    if let Some(custom) = &call.kind.entry.custom {
        object["apiVersion"] = (*custom.stored_as).into();
    }
    if let Some(form) = &call.kind.entry.form {
        form.keep(&mut object);
    }
    encode(&object, origin)
}

fn parse(call: &Call, entry: &Entry) -> Result<Current, Status> {
    let bytes = call.kind.window.reading().wire(&entry.value, entry.modified).map_err(Status::internal)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(Status::internal)?;
    if value.name().is_empty() {
        return Err(Status::internal(format!("{} does not hold an object", entry.key)));
    }
    let outdated = call.kind.entry.custom.is_some()
        && stored(call, value.clone(), None).map_err(Status::internal)? != object_in(&entry.value);
    Ok(Current { value, bytes, revision: entry.modified, stale: false, outdated })
}

fn invalid(error: impl std::fmt::Display) -> StoreError {
    StoreError::Invalid { reason: error.to_string() }
}
