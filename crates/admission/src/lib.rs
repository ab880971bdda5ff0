//! Which changes may be stored: `ValidatingAdmissionPolicy`, over an index that follows the policies and their bindings.
//!
//! [`Policies`] is the [`Admission`] that the API server is handed. It is told every change of policies and bindings before
//! anybody can read it, compiles a policy's expressions once, when the policy changes, and finds those that concern a request
//! by its kind. Where there are no policies, a request costs one look at an empty index.
//!
//! It deliberately does no I/O, changes no object, and says nothing of its own: all rules are CEL that users have written.
//! Policies and bindings themselves are exempt, so that a bad policy can always be taken back.
//!
//! # Invariants
//!
//! - Reviews read immutable snapshots and wait for nobody.
//! - Whatever goes wrong in a policy is decided by its `failurePolicy`, never by accident.
//! - Refusals, warnings and audit annotations are worded as kube-apiserver words them.
//!
//! Start reading at [`Policies`], then `review.rs`, `matching.rs`, `evaluate.rs`.
#![deny(missing_docs)]

mod evaluate;
mod index;
mod matching;
mod params;
mod review;
mod rights;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use orch_api::{
    Admission, AdmissionRequest, Admitted, Concern, Followed, Kind, Resource as _, Status, World,
};
use orch_ontology::{ADMISSION_GROUP, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use parking_lot::Mutex;
use tracing::error;

use index::{Index, Policy};
use review::Review;

/// Decides by the policies that there are.
///
/// Knows of none at first: the API server tells it. A change of a policy costs its compilation, a change of a binding a new
/// index of all.
#[derive(Default)]
pub struct Policies {
    objects: Mutex<Objects>,
    index: ArcSwap<Index>,
}

/// The objects as told, by name.
#[derive(Clone, Default)]
struct Objects {
    policies: BTreeMap<String, Arc<Policy>>,
    bindings: BTreeMap<String, Arc<ValidatingAdmissionPolicyBinding>>,
}

impl Policies {
    /// No policies yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn note(&self, objects: &mut Objects, changes: &mut dyn Iterator<Item = Followed<'_>>) {
        changes.for_each(|change| objects.note(&change));
        self.index.store(Arc::new(Index::of(objects.policies.values(), objects.bindings.values())));
    }
}

impl Objects {
    fn note(&mut self, change: &Followed<'_>) {
        let name = change.name.to_owned();
        if *change.kind == ValidatingAdmissionPolicy::KIND {
            match change.object.and_then(|json| read(change, json)) {
                Some(policy) => drop(self.policies.insert(name, Arc::new(Policy::compile(policy)))),
                None => drop(self.policies.remove(&name)),
            }
        } else {
            match change.object.and_then(|json| read(change, json)) {
                Some(binding) => drop(self.bindings.insert(name, Arc::new(binding))),
                None => drop(self.bindings.remove(&name)),
            }
        }
    }
}

fn read<K: serde::de::DeserializeOwned>(change: &Followed<'_>, json: &[u8]) -> Option<K> {
    serde_json::from_slice(json)
        .inspect_err(|problem| error!(kind = %change.kind, name = change.name, %problem, "a stored policy cannot be read and does not apply"))
        .ok()
}

impl Admission for Policies {
    fn concern(&self, kind: &Kind) -> Concern {
        if is_exempt(kind) { Concern::Nothing } else { self.index.load().concern(kind) }
    }

    fn review(
        &self,
        request: &AdmissionRequest<'_>,
        world: &dyn World,
        said: &mut Admitted,
    ) -> Result<(), Status> {
        if is_exempt(request.kind) {
            return Ok(());
        }
        let index = self.index.load();
        let mut review = Review::new(request, world);
        index.of_kind(request.kind).for_each(|bound| review.policy(&bound.policy, &bound.bindings));
        review.end(said)
    }

    fn follows(&self) -> Vec<Kind> {
        vec![ValidatingAdmissionPolicy::KIND, ValidatingAdmissionPolicyBinding::KIND]
    }

    fn replace(&self, objects: &mut dyn Iterator<Item = Followed<'_>>) {
        let mut known = self.objects.lock();
        *known = Objects::default();
        self.note(&mut known, objects);
    }

    fn take(&self, changes: &mut dyn Iterator<Item = Followed<'_>>) {
        self.note(&mut self.objects.lock(), changes);
    }

    fn fork(&self) -> Arc<dyn Admission> {
        let objects = self.objects.lock();
        Arc::new(Self { objects: Mutex::new(objects.clone()), index: ArcSwap::new(self.index.load_full()) })
    }
}

/// Whether the kind's objects are policies: what they forbid must not keep anybody from changing them.
fn is_exempt(kind: &Kind) -> bool {
    kind.group == ADMISSION_GROUP
}
