//! What follows from changes: [`ControllersForesight`] lets the controllers' own decisions happen to a copy of the world.
//!
//! In order: what belonged to what is gone goes (`collect.rs`), and so do pods that nodes no longer bear (`nodes.rs`); workloads make
//! and delete pods until they have what they want, and the scheduler places them (`settle.rs`), new pods being taken as ready as
//! soon as they are placed; how far that reaches is counted (`radius.rs`). `future.rs` is the copy of the world.
//!
//! Everything here is pure. Each decision is the very function that the controller decides by.

mod collect;
mod future;
mod nodes;
mod radius;
mod settle;
mod suppose;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use jiff::Timestamp;
use orch_api::{
    Body, Drain, FieldQuery, Foreseen, Foresight, Kind, MediaType, Params, Request, Resource as _, Scene,
    Status, Target, Verb, View,
};
use orch_ontology::{Node, Pod, Service, Workload};
use serde_json::{Value, json};

use future::{Future, Item, Touched, touched};

/// Foresees by the decisions of the garbage collector, the node, workload and custom resource controllers, the pod collector and the
/// scheduler.
#[derive(Debug, Clone, Copy, Default)]
pub struct ControllersForesight;

impl Foresight for ControllersForesight {
    fn shows(&self) -> Vec<Kind> {
        vec![Node::KIND, Pod::KIND]
    }

    fn services(&self) -> Option<Kind> {
        Some(Service::KIND)
    }

    fn drain(&self, node: &str) -> Result<Drain, Status> {
        Ok(Drain { cordon: cordon(node), kind: Pod::KIND, there: FieldQuery::equals("spec.nodeName", node) })
    }

    fn evictions(&self, there: &[Bytes]) -> Vec<Request> {
        let pods = there.iter().filter_map(|pod| serde_json::from_slice::<Pod>(pod).ok());
        let running = pods.filter(|pod| !pod.is_terminating() && !pod.is_terminal());
        running.map(|pod| eviction(&pod)).collect()
    }

    fn foresee(&self, scene: &dyn Scene, now: Timestamp) -> Foreseen {
        let touched = touched(scene);
        if !concerns_controllers(&touched) {
            return Foreseen::default();
        }
        let (before, after) = scene.views();
        let mut future = Future::new(&*before, &*after, touched);
        future.unfold(&*after, now);
        future.told()
    }

    fn suppose(&self, spec: &Value, scene: &dyn Scene, now: Timestamp) -> Result<Foreseen, Status> {
        let (before, after) = scene.views();
        let mut future = Future::new(&*before, &*after, touched(scene));
        suppose::suppose(&mut future, spec)?;
        future.unfold(&*after, now);
        Ok(future.told())
    }
}

/// Whether anything follows from what has been touched: what makes pods come and go, or takes something along.
fn concerns_controllers(touched: &[Touched]) -> bool {
    const MOVING: [Kind; 4] = [Node::KIND, Pod::KIND, Service::KIND, Workload::KIND];
    touched.iter().any(|change| {
        let kind = change.0.as_ref().or(change.1.as_ref()).map(|item| item.kind);
        kind.is_some_and(|kind| MOVING.contains(&kind)) || collect::leaving(change).is_some()
    })
}

impl Future {
    fn unfold(&mut self, after: &dyn View, now: Timestamp) {
        let mut heap = None;
        let leaving: Vec<Item> = self.touched.iter().filter_map(collect::leaving).collect();
        collect::collect(self, &mut heap, after, leaving);
        let gone = self.gone.len();
        nodes::leave(self);
        nodes::drive_out(self, now);
        settle::settle(self, now);
        let since = self.gone[gone..].iter();
        let since = since.map(|pod| Item { kind: Pod::KIND, metadata: pod.metadata.clone() }).collect();
        collect::collect(self, &mut heap, after, since);
    }
}

/// Keeps new pods off a node.
fn cordon(node: &str) -> Request {
    let target = Target::all(&Node::KIND).named(node);
    request(Verb::Patch, target, MediaType::MergePatch, &json!({"spec": {"unschedulable": true}}))
}

/// Asks a pod to go, as whoever drains a node does.
fn eviction(pod: &Pod) -> Request {
    let (namespace, name) = (pod.metadata.namespace(), pod.metadata.name.as_str());
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": pod.metadata.uid}},
    });
    let target = Target::in_namespace(&Pod::KIND, namespace).named(name).subresource("eviction");
    request(Verb::Create, target, MediaType::Json, &body)
}

fn request(verb: Verb, target: Target, media_type: MediaType, body: &Value) -> Request {
    let body = Body { media_type, bytes: Bytes::from(body.to_string()) };
    Request { verb, target, params: Params::default(), body: Some(body) }
}
