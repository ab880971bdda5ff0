//! Whether an object's owners are still there.

use std::collections::{BTreeSet, VecDeque};

use orch_api::{Kind, Metadata, OwnerReference, Params, Reason, Request, Status, Target, Verb};
use orch_controller_runtime::{Index, Note, ObjectKey, ObjectReference, PartialObject};
use parking_lot::Mutex;

use super::{Collector, FOREGROUND, Owner, OwnerState, kind_of};

/// How many owners are remembered to be gone.
const REMEMBERED: usize = 4096;

/// Objects by their own uid.
const BY_UID: Index<PartialObject> =
    Index { name: "uid", values: |object| vec![object.metadata.uid.clone()] };

impl Collector {
    /// The object's owners. Those that the caches don't show are looked for on the server.
    pub(super) async fn owners(&self, kind: &Kind, metadata: &Metadata) -> Result<Vec<Owner>, Status> {
        let mut owners = Vec::new();
        for reference in &metadata.owner_references {
            let state = self.owner_state(kind, metadata, reference).await?;
            owners.push(Owner { reference: reference.clone(), state });
        }
        Ok(owners)
    }

    async fn owner_state(
        &self,
        dependent_kind: &Kind,
        dependent: &Metadata,
        reference: &OwnerReference,
    ) -> Result<OwnerState, Status> {
        let Some((_, kind, cache)) = kind_of(&self.kinds, reference) else {
            // It went together with its kind, if it was seen going. In which namespace it was, nobody can say any more.
            let is_gone = dependent_kind.is_namespaced() && self.absent.has_gone(&reference.uid);
            return Ok(if is_gone { OwnerState::Absent } else { OwnerState::Unknown });
        };
        if kind.is_namespaced() && !dependent_kind.is_namespaced() {
            // An object of the cluster cannot belong to one in a namespace: which namespace would it be?
            self.report_invalid_namespace(dependent_kind, dependent, reference);
            return Ok(OwnerState::Unknown);
        }
        let key = ObjectKey::of_owner(dependent, reference, kind.is_namespaced());
        let sought = Sought::new(&kind, &key, reference);
        if self.absent.has_gone(&reference.uid) || self.absent.is_missing(&sought) {
            return Ok(OwnerState::Absent);
        }
        let cached = cache.get(&key).map(|owner| owner.metadata.clone());
        let found = match cached.filter(|owner| owner.uid == reference.uid) {
            Some(owner) => Some(owner),
            None => self.ask(&kind, &key).await?.filter(|owner| owner.uid == reference.uid),
        };
        Ok(match found {
            Some(owner) if is_waiting(&owner) => OwnerState::Waiting,
            Some(_) => OwnerState::Present,
            None => {
                // Once for each owner that is gone, and the only way to know: names say nothing of other namespaces.
                if !cache.select(&BY_UID, &reference.uid).is_empty() {
                    self.report_invalid_namespace(dependent_kind, dependent, reference);
                }
                self.absent.remember_missing(sought);
                OwnerState::Absent
            }
        })
    }

    /// Tells whoever looks at the dependent that its owner is where an owner cannot be, in Kubernetes' words.
    fn report_invalid_namespace(&self, kind: &Kind, dependent: &Metadata, owner: &OwnerReference) {
        let OwnerReference { api_version, kind: owner_kind, name, uid, .. } = owner;
        let namespace = dependent.namespace();
        let owner = format!("[{api_version}/{owner_kind}, namespace: {namespace}, name: {name}, uid: {uid}]");
        self.executor.recorder.record(Note::warning_about(
            ObjectReference::to_metadata(kind, dependent),
            "OwnerRefInvalidNamespace",
            format!("ownerRef {owner} does not exist in namespace {namespace:?}"),
        ));
    }

    async fn ask(&self, kind: &Kind, key: &ObjectKey) -> Result<Option<Metadata>, Status> {
        let target = Target::in_namespace(kind, key.namespace.clone()).named(key.name.clone());
        let request = Request { verb: Verb::Get, target, params: Params::default(), body: None };
        match self.executor.client.send(request).await {
            Ok(answer) => {
                let object: PartialObject = serde_json::from_slice(&answer).map_err(Status::internal)?;
                Ok(Some(object.metadata))
            }
            // The object, and not the path: a kind that is not served at the moment says nothing of its objects.
            Err(status) if status.is(&Reason::NotFound) && names(&status, &key.name) => Ok(None),
            Err(status) => Err(status),
        }
    }
}

/// An owner as a reference says where it is: of its kind, in the namespace of the dependent. One reference that is wrong says nothing
/// of those that are right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sought {
    uid: String,
    group: &'static str,
    kind: &'static str,
    key: ObjectKey,
}

impl Sought {
    fn new(kind: &Kind, key: &ObjectKey, reference: &OwnerReference) -> Self {
        Self { uid: reference.uid.clone(), group: kind.group, kind: kind.name, key: key.clone() }
    }
}

/// Owners known not to be there: a uid never comes back.
#[derive(Default)]
pub(super) struct Absent {
    /// The uids of objects that were seen going.
    gone: Mutex<Remembered<String>>,
    /// What the server did not have where it was looked for.
    missing: Mutex<Remembered<Sought>>,
}

/// What has been remembered last.
struct Remembered<T> {
    all: BTreeSet<T>,
    /// The oldest first.
    order: VecDeque<T>,
}

impl Absent {
    pub(super) fn has_gone(&self, uid: &str) -> bool {
        self.gone.lock().all.contains(uid)
    }

    pub(super) fn remember_gone(&self, uid: &str) {
        self.gone.lock().remember(uid.to_owned());
    }

    fn is_missing(&self, sought: &Sought) -> bool {
        self.missing.lock().all.contains(sought)
    }

    fn remember_missing(&self, sought: Sought) {
        self.missing.lock().remember(sought);
    }
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { all: BTreeSet::new(), order: VecDeque::new() }
    }
}

impl<T: Ord + Clone> Remembered<T> {
    fn remember(&mut self, one: T) {
        if !self.all.insert(one.clone()) {
            return;
        }
        self.order.push_back(one);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

fn names(status: &Status, object: &str) -> bool {
    status.details.as_ref().is_some_and(|details| details.name == object)
}

/// Whether the owner waits for its dependents to go.
fn is_waiting(owner: &Metadata) -> bool {
    owner.is_terminating() && owner.finalizers.iter().any(|name| name == FOREGROUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_remembered_first_is_forgotten_first() {
        let mut known = Remembered::default();
        (0..REMEMBERED).rev().for_each(|number| known.remember(number));
        known.remember(REMEMBERED - 1);
        known.remember(REMEMBERED);
        assert!(!known.all.contains(&(REMEMBERED - 1)), "the oldest");
        assert!(known.all.contains(&0) && known.all.contains(&REMEMBERED));
        assert_eq!((known.all.len(), known.order.len()), (REMEMBERED, REMEMBERED));
    }
}
