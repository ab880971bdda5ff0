//! What is wrong with a pod, read from its status and its events.

use jiff::Timestamp;
use orch_api::Object as _;
use serde_json::{Value, json};

use crate::node::is_down;
use crate::world::{Missing, condition, items, label};
use crate::{Cause, Finding, World, exit, placement, pull};

pub(crate) fn findings(world: &World, pod: &Value, now: Timestamp) -> Vec<Finding> {
    if matches!(pod.text(&["status", "phase"]), "Succeeded") || pod.is_terminating() {
        return Vec::new();
    }
    let node = pod.text(&["spec", "nodeName"]);
    if node.is_empty() {
        return placement::finding(world, pod).into_iter().collect();
    }
    // What a pod on a dead node says is what it said last.
    if world.node(node).is_some_and(is_down) {
        return Vec::new();
    }
    let mut found: Vec<Finding> =
        statuses(pod).filter_map(|status| of_container(world, pod, status, now)).collect();
    if found.is_empty() && !is_ready(pod) {
        found.extend(of_events(world, pod));
    }
    let events = world.events_of(pod);
    for finding in &mut found {
        let warning = events.iter().find(|event| event.text(&["type"]) == "Warning");
        let told = warning.map(|event| (event.text(&["reason"]), event.text(&["message"])));
        if let Some((reason, message)) = told {
            *finding = finding.clone().because(format!("Event {reason}"), message);
        }
    }
    found.into_iter().map(|finding| finding.affecting(label(pod))).collect()
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |list| items(pod, &["status", list]).iter();
    of("initContainerStatuses").chain(of("containerStatuses"))
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.text(&["status"]) == "True")
}

fn of_container(world: &World, pod: &Value, status: &Value, now: Timestamp) -> Option<Finding> {
    let name = status.text(&["name"]);
    let waiting = &status["state"]["waiting"];
    let (reason, message) = (waiting.text(&["reason"]), waiting.text(&["message"]));
    let at = format!("{} container {name}", label(pod));
    match reason {
        "InvalidImageName" | "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" => {
            Some(pull::finding(world, pod, name, waiting).because(at, format!("{reason}: {message}")))
        }
        "CreateContainerConfigError" => {
            Some(of_config(pod, name, message).because(at, format!("{reason}: {message}")))
        }
        "CreateContainerError" | "RunContainerError" => {
            let says = format!("container {name} of {} cannot be started: {message}", label(pod));
            let key = format!("{} {name} {message}", owner_or_self(pod));
            Some(Finding::new(Cause::StartFailed, key, says).because(at, message).fix(
                format!("correct the container's command, arguments or security context: {message}"),
                Vec::new(),
            ))
        }
        _ => exit::finding(pod, status, &at, now),
    }
}

/// What a container refers to and is not there, by what the node's agent said: `configmap "x" not found`.
fn of_config(pod: &Value, container: &str, message: &str) -> Finding {
    let name = message.split('"').nth(1).unwrap_or_default();
    let kind = if message.to_lowercase().starts_with("secret") { "Secret" } else { "ConfigMap" };
    if name.is_empty() || !message.contains("not found") {
        let says = format!("container {container} of {} refers to what is not there: {message}", label(pod));
        return Finding::new(Cause::MissingReference, format!("{} {message}", pod.namespace()), says)
            .fix(format!("make what is missing, or correct the reference: {message}"), Vec::new());
    }
    missing_reference(&Missing {
        kind: kind.into(),
        namespace: pod.namespace().into(),
        name: name.into(),
        keys: Vec::new(),
        pod: label(pod),
    })
}

/// The finding of a reference that leads nowhere.
pub(crate) fn missing(missing: &Missing) -> Finding {
    let at = format!("{} spec", missing.pod);
    missing_reference(missing)
        .because(at, format!("refers to {} {:?}", missing.kind, missing.name))
        .affecting(&*missing.pod)
}

fn missing_reference(missing: &Missing) -> Finding {
    let Missing { kind, namespace, name, keys, .. } = missing;
    let field = if kind == "Secret" { "stringData" } else { "data" };
    let data: serde_json::Map<String, Value> = keys.iter().map(|key| (key.clone(), "".into())).collect();
    let manifest = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, field: data});
    Finding::new(
        Cause::MissingReference,
        format!("{kind} {namespace}/{name}"),
        format!("{kind} {name} is not in the namespace {namespace}, and is needed"),
    )
    .fix(
        format!("make {kind} {namespace}/{name} with the values that the containers need, or correct the reference"),
        vec![json!({"apply": {"manifest": manifest}})],
    )
}

/// What the pods of one owner share.
pub(crate) fn owner_or_self(pod: &Value) -> String {
    crate::world::owner(pod).map_or_else(
        || label(pod),
        |owner| format!("{} {}/{}", owner.text(&["kind"]), owner.text(&["namespace"]), owner.text(&["name"])),
    )
}

/// What only events tell: volumes that cannot be mounted, probes that fail.
fn of_events(world: &World, pod: &Value) -> Option<Finding> {
    for event in world.events_of(pod) {
        let (reason, message) = (event.text(&["reason"]), event.text(&["message"]));
        match reason {
            "FailedMount" if message.contains("not found") && message.contains("configmap \"") => {
                let rest = message.split("configmap ").nth(1).unwrap_or_default();
                return Some(of_config(pod, "", rest));
            }
            "FailedMount" if message.contains("not found") && message.contains("secret \"") => {
                let rest = message.split("secret ").nth(1).unwrap_or_default();
                return Some(of_config(pod, "", &format!("secret {rest}")));
            }
            "FailedMount" => {
                let says = format!("a volume of {} cannot be mounted: {message}", label(pod));
                return Some(
                    Finding::new(Cause::MountFailed, format!("{} {message}", owner_or_self(pod)), says)
                        .fix(format!("correct the volume: {message}"), Vec::new()),
                );
            }
            "Unhealthy" => {
                let says = format!("a probe of {} fails: {message}", label(pod));
                return Some(Finding::new(Cause::ProbeFailed, owner_or_self(pod), says).fix(
                    "see why the program does not answer (its logs), or correct the probe",
                    Vec::new(),
                ));
            }
            _ => {}
        }
    }
    None
}
