//! How far it reaches.

use std::collections::{BTreeMap, BTreeSet};

use orch_api::plan::{BlastRadius, ChangeAction};
use orch_api::{Foreseen, Resource as _};
use orch_ontology::{Node, Pod, Service};

use super::future::Future;

impl Future {
    /// What has followed.
    pub(super) fn told(self) -> Foreseen {
        let blast_radius = BlastRadius {
            created: self.count(ChangeAction::Created),
            changed: self.count(ChangeAction::Changed),
            deleted: self.count(ChangeAction::Deleted),
            replicas_lost: self.replicas_lost(),
            nodes_touched: self.nodes_touched(),
            services_affected: self.services_affected(),
        };
        let Self { changes, placements, unplaced, evictions, omitted, .. } = self;
        // What fits nowhere matters most, and not all may be told one by one.
        let placements = unplaced.told().chain(placements).collect();
        Foreseen { changes, placements, evictions, blast_radius, omitted }
    }

    fn count(&self, action: ChangeAction) -> i32 {
        let many = self.changes.iter().filter(|change| change.action == action).count();
        i32::try_from(many).unwrap_or(i32::MAX)
    }

    /// Running pods that have gone, less those that have come in the place of others of the same owner.
    fn replicas_lost(&self) -> i32 {
        let owner = |pod: &Pod| pod.metadata.controller().map(|owner| owner.uid.clone()).unwrap_or_default();
        let mut by_owner: BTreeMap<String, (i32, i32)> = BTreeMap::new();
        for pod in self.gone.iter().filter(|pod| self.ran.contains_key(&pod.metadata.uid)) {
            by_owner.entry(owner(pod)).or_default().0 += 1;
        }
        for pod in self.came.iter().filter(|pod| !owner(pod).is_empty()) {
            by_owner.entry(owner(pod)).or_default().1 += 1;
        }
        by_owner.values().map(|(gone, came)| (gone - came).max(0)).sum()
    }

    fn nodes_touched(&self) -> Vec<String> {
        let gone = self.gone.iter().filter_map(|pod| pod.node_name());
        let came = self.placements.iter().map(|placement| placement.node.as_str());
        let own = self.touched.iter().flat_map(|(before, after)| [before, after]).flatten();
        let own = own.filter(|item| item.kind == Node::KIND).map(|item| item.metadata.name.as_str());
        let all: BTreeSet<&str> = gone.chain(came).chain(own).filter(|node| !node.is_empty()).collect();
        all.into_iter().map(str::to_owned).collect()
    }

    fn services_affected(&self) -> Vec<String> {
        let moved: Vec<&Pod> = self.gone.iter().chain(&self.came).map(|pod| &**pod).collect();
        let own = self.touched.iter().flat_map(|(before, after)| [before, after]).flatten();
        let own: BTreeSet<(&str, &str)> = own
            .filter(|item| item.kind == Service::KIND)
            .map(|item| (item.metadata.namespace(), item.metadata.name.as_str()))
            .collect();
        let affected = self.services.iter().filter(|service| {
            let name = (service.metadata.namespace(), service.metadata.name.as_str());
            own.contains(&name) || moved.iter().any(|pod| selects(service, pod))
        });
        let names: BTreeSet<String> = affected
            .map(|service| format!("{}/{}", service.metadata.namespace(), service.metadata.name))
            .collect();
        names.into_iter().collect()
    }
}

/// Whether the pod is one of those that answer for the service.
fn selects(service: &Service, pod: &Pod) -> bool {
    let wanted = &service.spec.selector.labels;
    !wanted.is_empty()
        && service.metadata.namespace() == pod.metadata.namespace()
        && wanted.iter().all(|(key, value)| pod.metadata.labels.get(key) == Some(value))
}
