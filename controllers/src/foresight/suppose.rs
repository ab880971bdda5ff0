//! What a simulation supposes beside changes: nodes that are lost or added, other numbers of replicas.

use orch_api::plan::{Free, PlanTarget, PlannedChange};
use orch_api::{FieldError, FieldPath, Kind, Resource as _, Status};
use orch_controller_runtime::ObjectKey;
use orch_ontology::{Node, Workload};
use serde::Deserialize;
use serde_json::{Value, json};

use super::future::Future;

const SIMULATION: Kind = Kind::cluster("orch.dev", "v1", "Simulation", "simulations", "simulation");

/// A simulation's `spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Spec {
    /// Names of nodes that are gone.
    nodes_lost: Vec<String>,
    /// Nodes that there are beside those that are.
    nodes_added: Vec<Free>,
    /// How many pods workloads want.
    scale: Vec<Scaled>,
    /// Changes that are made before; the server has made them.
    #[serde(rename = "changes")]
    _changes: Vec<PlannedChange>,
}

/// A workload that wants another number of pods.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Scaled {
    target: PlanTarget,
    #[serde(default)]
    replicas: Option<i32>,
    #[serde(default)]
    factor: Option<f64>,
}

/// Makes what the `spec` supposes so.
///
/// # Errors
/// 400 if it is malformed, 422 if it is about what is not there.
pub(super) fn suppose(future: &mut Future, spec: &Value) -> Result<(), Status> {
    let spec = Option::<Spec>::deserialize(spec)
        .map_err(|error| Status::bad_request(format!("Simulation: spec: {error}")))?
        .unwrap_or_default();
    future.supposes = true;
    let path = FieldPath::new("spec");
    let mut errors = Vec::new();
    for (index, node) in spec.nodes_lost.iter().enumerate() {
        if future.nodes.remove(node).is_none() {
            errors.push(absent(path.child("nodesLost").index(index), node));
        }
    }
    for (index, node) in spec.nodes_added.into_iter().enumerate() {
        if let Err(error) = add(future, &path.child("nodesAdded").index(index), node.0) {
            errors.push(error);
        }
    }
    for (index, scaled) in spec.scale.iter().enumerate() {
        if let Err(error) = scale(future, &path.child("scale").index(index), scaled) {
            errors.push(error);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&SIMULATION, "", &errors)) }
}

fn absent(path: FieldPath, name: &str) -> FieldError {
    FieldError::invalid(path, name, "there is no such object")
}

/// A node that is as it is given; at work, unless it says otherwise.
fn add(future: &mut Future, path: &FieldPath, mut node: Value) -> Result<(), FieldError> {
    if node.is_object() && node["status"]["conditions"].is_null() {
        node["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    }
    let node: Node = serde_json::from_value(node.clone())
        .map_err(|error| FieldError::invalid(path, node, error.to_string()))?;
    let name = node.metadata.name.clone();
    if name.is_empty() {
        return Err(FieldError::required(path.child("metadata").child("name"), ""));
    }
    match future.nodes.insert(name.clone(), node) {
        Some(_) => {
            Err(FieldError::invalid(path.child("metadata").child("name"), name, "it is there already"))
        }
        None => Ok(()),
    }
}

fn scale(future: &mut Future, path: &FieldPath, scaled: &Scaled) -> Result<(), FieldError> {
    let Scaled { target, replicas, factor } = scaled;
    if target.kind != Workload::KIND.name || target.api_version != Workload::KIND.api_version() {
        let only = [Workload::KIND.name];
        return Err(FieldError::not_supported(path.child("target").child("kind"), &*target.kind, &only));
    }
    let key = ObjectKey::new(&*target.namespace, &*target.name);
    let workload = future.workloads.get_mut(&key);
    let workload = workload.ok_or_else(|| absent(path.child("target"), &key.to_string()))?;
    let now = f64::from(workload.spec.replicas.unwrap_or(1));
    let wanted = match (replicas, factor) {
        (Some(replicas), None) if *replicas >= 0 => *replicas,
        (None, Some(factor)) if *factor >= 0.0 => (now * factor).ceil() as i32,
        _ => {
            let why = "either replicas or factor must be given, and not be negative";
            return Err(FieldError::invalid(path, Value::Null, why));
        }
    };
    workload.spec.replicas = Some(wanted);
    future.unsettled.insert(key);
    Ok(())
}
