//! [`Sight`]: what of the consequences of a plan somebody may see, as they may be others'.

use std::collections::{BTreeSet, HashMap};

use orch_api::plan::{Eviction, ObjectChange, Placement};
use orch_api::{Attributes, Foreseen, Kind, MASTERS, Params, Request, Target, Verb};

use crate::authn::Identity;
use crate::registry::Registry;

/// The request to list objects, to which it comes down whether they may be told of.
pub(super) fn listing(target: Target) -> Request {
    Request { verb: Verb::List, target, params: Params::default(), body: None }
}

/// What somebody may see.
pub(super) struct Sight<'a> {
    registry: &'a Registry,
    identity: &'a Identity,
    /// What has been decided, by kind and namespace.
    known: HashMap<(Kind, String), bool>,
}

impl<'a> Sight<'a> {
    pub(super) fn of(registry: &'a Registry, identity: &'a Identity) -> Self {
        Self { registry, identity, known: HashMap::new() }
    }

    /// What follows, without what may not be seen: objects whose kind may not be listed where they are, services and pods where these may
    /// not be, and what speaks against nodes. How far it reaches is still told of all, in numbers.
    pub(super) fn narrow(&mut self, mut foreseen: Foreseen) -> Foreseen {
        let foresight = &self.registry.foresight;
        let services = foresight.services();
        let (shared, local): (Vec<Kind>, Vec<Kind>) =
            foresight.shows().into_iter().partition(|kind| !kind.is_namespaced());
        foreseen.changes.retain(|change| self.may_see(change));
        let namespace = |service: &str| service.split('/').next().unwrap_or_default().to_owned();
        let radius = &mut foreseen.blast_radius;
        radius
            .services_affected
            .retain(|service| services.as_ref().is_none_or(|kind| self.may_list(kind, &namespace(service))));
        let sees_shared = self.may_list_all(&shared, "");
        if sees_shared && self.may_list_all(&local, "") {
            return foreseen;
        }
        foreseen.placements.retain(|Placement { namespace, .. }| self.may_list_all(&local, namespace));
        foreseen.evictions.retain(|Eviction { namespace, .. }| self.may_list_all(&local, namespace));
        if !sees_shared {
            foreseen.placements.iter_mut().for_each(|placement| placement.reasons.clear());
            // A pod that may be seen says where it is.
            let came = foreseen.placements.iter().map(|placement| &placement.node);
            let went = foreseen.evictions.iter().map(|eviction| &eviction.node);
            let told: BTreeSet<&String> = came.chain(went).collect();
            foreseen.blast_radius.nodes_touched.retain(|node| told.contains(node));
        }
        foreseen
    }

    fn may_see(&mut self, ObjectChange { target, .. }: &ObjectChange) -> bool {
        let kinds = self.registry.kinds.now();
        let served = kinds.named(&target.api_version, &target.kind);
        served.is_some_and(|served| self.may_list(served.kind(), &target.namespace))
    }

    fn may_list_all(&mut self, kinds: &[Kind], namespace: &str) -> bool {
        kinds.iter().all(|kind| self.may_list(kind, namespace))
    }

    /// Whether the objects of a kind may be listed in a namespace; in all if it is empty.
    fn may_list(&mut self, kind: &Kind, namespace: &str) -> bool {
        let (registry, subject) = (self.registry, self.identity.subject());
        *self.known.entry((*kind, namespace.to_owned())).or_insert_with(|| {
            let target = match namespace {
                "" => Target::all(kind),
                namespace => Target::in_namespace(kind, namespace),
            };
            let request = listing(target);
            subject.is_in(MASTERS)
                || registry.gate.authorizer().decide(&Attributes::of(subject, &request)).allowed
        })
    }
}
