//! Workloads: keeps as many pods running as wanted, and replaces those of an old template one by one.
//!
//! A workload's pods are those in its namespace that name it as their controller. Each carries the hash of the template that it was made of,
//! so which pods are old needs no memory.

mod pods;
mod rollout;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use orch_controller_runtime::{Cache, Context, Controller, Note, ObjectKey, Plan, Planner, Write};
use orch_ontology::{Pod, Workload, labels};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub use pods::PodView;
pub(crate) use pods::template_hash;
use pods::{new_pod, pod_name};
use rollout::Rollout;

/// Keeps workloads' pods as wanted.
pub struct Workloads {
    workloads: Arc<Cache<Workload>>,
    pods: Arc<Cache<Pod>>,
}

/// A workload and its pods.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct World {
    /// The workload.
    pub workload: Workload,
    /// The pods that it manages, in order of their names.
    pub pods: Vec<PodView>,
}

impl Planner for Workloads {
    type World = World;

    const NAME: &'static str = "workload-controller";

    fn observe(&self, key: &ObjectKey) -> Option<World> {
        let workload = self.workloads.get(key)?;
        let pods = self.pods.managed_by(&workload.metadata);
        Some(World { workload: (*workload).clone(), pods: pods.iter().map(|pod| PodView::of(pod)).collect() })
    }

    fn plan(world: &World, now: Timestamp) -> Plan {
        let rollout = Rollout::new(world, now);
        let is_wanted = !world.workload.metadata.is_terminating();
        let record = record_revision(world, &rollout).filter(|_| is_wanted);
        let mut plan = Plan::nothing();
        rollout.next_change.into_iter().for_each(|delay| plan.again_within(delay));
        if record.is_none() {
            // What is recorded is another write to the workload: the change wakes us for the status.
            plan.status = status::write(world, &rollout, now);
        }
        if is_wanted {
            plan.writes.extend(record);
            plan.writes.extend(rollout.delete.iter().map(|pod| delete(&world.workload, pod)));
            plan.writes.extend(create(world, &rollout, now));
            plan.events.extend(scaling(world, &rollout));
        }
        plan
    }
}

/// The workload carries its template's hash and revision, as a Deployment does, so that the count survives a scaling to zero.
fn record_revision(world: &World, rollout: &Rollout<'_>) -> Option<Write> {
    let workload = &world.workload;
    let wanted = [(labels::TEMPLATE_HASH, &rollout.hash), (labels::REVISION, &rollout.revision.to_string())];
    let is_so = |(name, value): &(&str, &String)| workload.metadata.annotations.get(*name) == Some(*value);
    (!wanted.iter().all(is_so))
        .then(|| Write::merge(workload, json!({"metadata": {"annotations": BTreeMap::from(wanted)}})))
}

fn create(world: &World, rollout: &Rollout<'_>, now: Timestamp) -> Vec<Write> {
    let workload = &world.workload;
    let mut taken: BTreeSet<String> = world.pods.iter().map(|pod| pod.name.clone()).collect();
    let names = (0_u64..).map(|number| pod_name(workload, now, number));
    let names = names.filter(|name| taken.insert(name.clone()));
    names
        .take(rollout.create)
        .map(|name| {
            let created = Note::normal(workload, "SuccessfulCreate", format!("Created pod: {name}"));
            let failed = Note::warning(workload, "FailedCreate", "Error creating");
            Write::create(&new_pod(workload, name, rollout)).on_success(created).on_failure(failed)
        })
        .collect()
}

fn delete(workload: &Workload, pod: &PodView) -> Write {
    let deleted = Note::normal(workload, "SuccessfulDelete", format!("Deleted pod: {}", pod.name));
    let failed = Note::warning(workload, "FailedDelete", format!("Error deleting pod {}", pod.name));
    Write::delete_of(&<Pod as orch_api::Resource>::KIND, &pod.metadata(workload))
        .on_success(deleted)
        .on_failure(failed)
}

fn scaling(world: &World, rollout: &Rollout<'_>) -> Vec<Note> {
    let say = |verb: &str, count: usize, preposition: &str| {
        let pods = if count == 1 { "pod" } else { "pods" };
        let message = format!("{verb} {count} {pods} {preposition} revision {}", rollout.revision);
        Note::normal(&world.workload, "ScalingWorkload", message)
    };
    let old = rollout.delete.iter().filter(|pod| pod.template_hash != rollout.hash).count();
    let created = (rollout.create > 0).then(|| say("Starting", rollout.create, "of"));
    let replaced = (old > 0).then(|| say("Stopping", old, "older than"));
    let surplus = rollout.delete.len() - old;
    let stopped = (surplus > 0).then(|| say("Stopping", surplus, "of"));
    [created, replaced, stopped].into_iter().flatten().collect()
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let planner = Workloads { workloads: context.caches.of(), pods: context.caches.of() };
    Controller::<Workload>::new(&context).owns::<Pod>().run(planner, cancel).await;
}

#[cfg(test)]
mod tests;
