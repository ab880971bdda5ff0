//! EndpointSlices: where the pods that a service selects answer.
//!
//! A pod that comes, goes or changes its mind costs one write to one slice, however many pods the service has: endpoints
//! never move from slice to slice. A slice holds at most [`MAX_ENDPOINTS`] endpoints, which all have the same ports. Slices
//! that others keep for the service are left alone, and so are those of services without a selector.

mod endpoints;
mod slices;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use orch_api::Resource as _;
use orch_controller_runtime::{Cache, Context, Controller, Index, ObjectKey, Plan, Planner};
use orch_ontology::{EndpointSlice, Node, Pod, Service, ServiceType, labels};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// How many endpoints a slice holds at most.
pub const MAX_ENDPOINTS: usize = 100;

/// Who keeps the slices, as their label says it: the name that Kubernetes' own controller has, by which tools know slices that
/// follow a selector.
const MANAGED_BY: &str = "endpointslice-controller.k8s.io";

/// Pods by each of their labels.
const BY_LABEL: Index<Pod> = Index {
    name: "label",
    values: |pod| {
        let labels = pod.metadata.labels.iter();
        labels.map(|(key, value)| label_key(pod.metadata.namespace(), key, value)).collect()
    },
};

fn label_key(namespace: &str, key: &str, value: &str) -> String {
    format!("{namespace}/{key}={value}")
}

/// Keeps services' EndpointSlices.
pub struct EndpointSlices {
    services: Arc<Cache<Service>>,
    slices: Arc<Cache<EndpointSlice>>,
    pods: Arc<Cache<Pod>>,
    nodes: Arc<Cache<Node>>,
}

/// A service, the pods that it selects, and its slices.
#[derive(Debug, Clone, Serialize)]
pub struct World {
    /// The service.
    pub service: Service,
    /// The pods that it selects, in order of their names.
    #[serde(serialize_with = "crate::whole")]
    pub pods: Vec<Arc<Pod>>,
    /// The zones of the pods' nodes, as far as they say.
    pub zones: BTreeMap<String, String>,
    /// The slices that this controller keeps, in order of their names.
    pub slices: Vec<EndpointSlice>,
}

impl Planner for EndpointSlices {
    type World = World;

    const NAME: &'static str = "endpoint-slice-controller";

    fn observe(&self, key: &ObjectKey) -> Option<World> {
        let service = self.services.get(key)?;
        let pods = self.selected(&service);
        let zones = pods.iter().filter_map(|pod| self.zone(pod.node_name()?)).collect();
        let slices = self.slices.managed_by(&service.metadata);
        let slices = slices.iter().map(|slice| (**slice).clone()).filter(is_kept).collect();
        Some(World { service: Service::clone(&service), pods, zones, slices })
    }

    fn plan(world: &World, _: Timestamp) -> Plan {
        let service = &world.service;
        let writes = match service.spec.service_type() {
            _ if service.metadata.is_terminating() => Vec::new(),
            // It is elsewhere: what it had here is no longer.
            ServiceType::ExternalName => slices::delete_all(world),
            _ if service.spec.selector.is_empty() => Vec::new(),
            _ => slices::plan(world),
        };
        Plan { writes, ..Plan::nothing() }
    }
}

impl EndpointSlices {
    /// The pods that a service selects. Costs as many looks as there are pods with one of the labels.
    fn selected(&self, service: &Service) -> Vec<Arc<Pod>> {
        let selector = &service.spec.selector;
        let Some((key, value)) = selector.labels.first_key_value() else { return Vec::new() };
        let mut pods = self.pods.select(&BY_LABEL, &label_key(service.metadata.namespace(), key, value));
        pods.retain(|pod| selector.matches(&pod.metadata.labels));
        pods
    }

    fn zone(&self, node: &str) -> Option<(String, String)> {
        let zone = self.nodes.get(&ObjectKey::new("", node))?.metadata.labels.get(labels::ZONE)?.clone();
        Some((node.to_owned(), zone))
    }
}

fn is_kept(slice: &EndpointSlice) -> bool {
    let metadata = &slice.metadata;
    !metadata.is_terminating()
        && metadata.labels.get(labels::ENDPOINT_SLICE_MANAGED_BY).is_some_and(|by| by == MANAGED_BY)
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let planner = EndpointSlices {
        services: context.caches.of(),
        slices: context.caches.of(),
        pods: context.caches.of(),
        nodes: context.caches.of(),
    };
    let services = planner.services.clone();
    let selecting = move |pod: &Pod| {
        let selects = |service: &Arc<Service>| service.spec.selector.matches(&pod.metadata.labels);
        let services = services.in_namespace(pod.metadata.namespace());
        services
            .iter()
            .filter(|service| selects(service))
            .map(|service| ObjectKey::of(service.metadata()))
            .collect()
    };
    let controller = Controller::<Service>::new(&context).owns::<EndpointSlice>().watches::<Pod>(selecting);
    controller.run(planner, cancel).await;
}

#[cfg(test)]
mod tests;
