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
    Body, Foreseen, Foresight, Kind, MediaType, Params, Request, Resource as _, Status, Target, Verb, View,
};
use orch_ontology::{Node, Pod, Service, Workload};
use serde_json::{Value, json};

use future::{Future, Item, Touched, objects, touched};

/// Foresees by the decisions of the garbage collector, the node, workload and custom resource controllers, the pod collector and the
/// scheduler.
#[derive(Debug, Clone, Copy, Default)]
pub struct ControllersForesight;

impl Foresight for ControllersForesight {
    fn shows(&self) -> Vec<Kind> {
        vec![Node::KIND, Pod::KIND]
    }

    fn drain(&self, node: &str, view: &dyn View) -> Result<Vec<Request>, Status> {
        // Whether there is such a node is told by the first request, to who may ask.
        let pods: Vec<Pod> = objects(view, &Pod::KIND);
        let there = pods.iter().filter(|pod| pod.node_name() == Some(node));
        let running = there.filter(|pod| !pod.is_terminating() && !pod.is_terminal());
        Ok(std::iter::once(cordon(node)).chain(running.map(eviction)).collect())
    }

    fn foresee(&self, before: &dyn View, after: &dyn View, now: Timestamp) -> Foreseen {
        let touched = touched(before, after);
        if !concerns_controllers(&touched) {
            return Foreseen::default();
        }
        let mut future = Future::new(before, after, touched);
        future.unfold(after, now);
        future.told()
    }

    fn suppose(
        &self,
        spec: &Value,
        before: &dyn View,
        after: &dyn View,
        now: Timestamp,
    ) -> Result<Foreseen, Status> {
        let mut future = Future::new(before, after, touched(before, after));
        suppose::suppose(&mut future, spec)?;
        future.unfold(after, now);
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
