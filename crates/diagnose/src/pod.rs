//! What is wrong with a pod, read from its status and its events.

use jiff::{SignedDuration, Timestamp};
use orch_api::Object as _;
use serde_json::{Value, json};

use crate::node::is_down;
use crate::world::{Index, Missing, condition, is_object_name, items, label, named, said};
use crate::{Cause, Finding, exit, placement, pull};

/// How long a pod may take to be placed and to become ready before something is wrong, as long as nobody warns of it.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

pub(crate) fn findings(world: &Index<'_>, pod: &Value, now: Timestamp) -> Vec<Finding> {
    if matches!(pod.text(&["status", "phase"]), "Succeeded") || pod.is_terminating() {
        return Vec::new();
    }
    let node = pod.text(&["spec", "nodeName"]);
    if node.is_empty() {
        let found = of_phase(pod).map(|finding| finding.affecting(label(pod)));
        let found = found.or_else(|| placement::finding(world, pod)).or_else(|| unplaced(world, pod, now));
        return found.into_iter().collect();
    }
    // What a pod on a dead node says is what it said last.
    if world.node(node).is_some_and(is_down) {
        return Vec::new();
    }
    let mut found: Vec<Finding> =
        statuses(pod).filter_map(|status| of_container(world, pod, status, now)).collect();
    if found.is_empty() && !is_well(pod) {
        let finding = of_phase(pod).or_else(|| of_events(world, pod));
        found.extend(finding.or_else(|| unwell(world, pod, now)));
    }
    let warning = world.warning_of(pod);
    let warned = |finding: Finding| match warning {
        Some(event) => {
            finding.because(format!("Event {}", event.text(&["reason"])), event.text(&["message"]))
        }
        None => finding,
    };
    found.into_iter().map(|finding| warned(finding).affecting(label(pod))).collect()
}

/// Whether a pod is ready, or has done what it was there for.
pub(crate) fn is_well(pod: &Value) -> bool {
    (is_ready(pod) || pod.text(&["status", "phase"]) == "Succeeded") && !pod.is_terminating()
}

/// Whether any container of a pod has been started again.
pub(crate) fn has_restarted(pod: &Value) -> bool {
    statuses(pod).any(|status| status["restartCount"].as_i64() > Some(0))
}

/// A pod that has failed as a whole: its containers may never have run.
fn of_phase(pod: &Value) -> Option<Finding> {
    let status = &pod["status"];
    let reason = Some(status.text(&["reason"])).filter(|_| status.text(&["phase"]) == "Failed")?;
    let by = if reason.is_empty() { String::new() } else { format!(" ({})", named(reason)) };
    let says = format!("{} has failed{by} and is not started again", label(pod));
    Some(
        Finding::new(Cause::PodFailed, format!("{} {reason}", owner_or_self(pod)), says)
            .because(format!("{} status.phase", label(pod)), "Failed")
            .because(format!("{} status", label(pod)), said(status))
            .fix(
                "see in the evidence why its node has not kept it (room, disk, time): correct that or the pod, and delete the pod that has failed",
                Vec::new(),
            ),
    )
}

/// A pod of which nothing is known but that it is not ready.
fn unwell(world: &Index<'_>, pod: &Value, now: Timestamp) -> Option<Finding> {
    if is_waited_for(world, pod, now) {
        return None;
    }
    let status = &pod["status"];
    let says = format!("{} is not ready", label(pod));
    let mut finding = Finding::new(Cause::NotReady, owner_or_self(pod), says)
        .because(format!("{} status.phase", label(pod)), status.text(&["phase"]))
        .because(format!("{} status", label(pod)), said(status));
    for status in statuses(pod) {
        let at = format!("{} container {}", label(pod), status.text(&["name"]));
        finding = finding.because(at, said(&status["state"]["waiting"]));
    }
    if let Some(ready) = condition(pod, "Ready") {
        finding = finding.because(format!("{} condition Ready", label(pod)), said(ready));
    }
    let say = "see what it waits for in the evidence and in its events, and read the logs of its containers";
    Some(finding.fix(say, Vec::new()))
}

/// A pod that no scheduler has said anything about.
fn unplaced(world: &Index<'_>, pod: &Value, now: Timestamp) -> Option<Finding> {
    if is_waited_for(world, pod, now) {
        return None;
    }
    let says = format!("{} has no node, and no scheduler says why", label(pod));
    Some(
        Finding::new(Cause::Unplaceable, "no scheduler", says)
            .because(format!("{} spec.nodeName", label(pod)), "none")
            .because(format!("{} status", label(pod)), said(&pod["status"]))
            .affecting(label(pod))
            .fix("see whether the scheduler runs, and whether it is the one that the pod asks for (spec.schedulerName)", Vec::new()),
    )
}

/// Whether a pod may still become ready by itself: it is young, nobody warns of it, and it was not asked about.
fn is_waited_for(world: &Index<'_>, pod: &Value, now: Timestamp) -> bool {
    let made = pod.text(&["metadata", "creationTimestamp"]).parse::<Timestamp>();
    let is_young = made.is_ok_and(|made| now.duration_since(made) < PATIENCE);
    is_young && !world.is_about(pod) && world.warning_of(pod).is_none()
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |list| items(pod, &["status", list]).iter();
    of("initContainerStatuses").chain(of("containerStatuses"))
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.text(&["status"]) == "True")
}

fn of_container(world: &Index<'_>, pod: &Value, status: &Value, now: Timestamp) -> Option<Finding> {
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
            let says = format!("container {name} of {} cannot be started", label(pod));
            let key = format!("{} {name} {message}", owner_or_self(pod));
            Some(Finding::new(Cause::StartFailed, key, says).because(at, message).fix(
                "correct the container's command, arguments or security context: the evidence says which",
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
    if !is_object_name(name) || !message.contains("not found") {
        let who = if container.is_empty() { String::new() } else { format!("container {container} of ") };
        let says = format!("{who}{} refers to what is not there", label(pod));
        return Finding::new(Cause::MissingReference, format!("{} {message}", pod.namespace()), says)
            .fix("make what is missing, or correct the reference: the evidence says which", Vec::new());
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
    let keys = keys.iter().filter(|key| named(key) == key.as_str());
    let data: serde_json::Map<String, Value> = keys.map(|key| (key.clone(), "".into())).collect();
    let (key, name) = (format!("{kind} {namespace}/{name}"), named(name));
    let manifest = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, field: data});
    Finding::new(
        Cause::MissingReference,
        key,
        format!("{kind} {name} is not in the namespace {namespace}, and is needed"),
    )
    .fix(
        format!("make {kind} {namespace}/{name} with the values that the containers need, or correct the reference"),
        if is_object_name(name) { vec![json!({"apply": {"manifest": manifest}})] } else { Vec::new() },
    )
}

/// What the pods of one owner share.
pub(crate) fn owner_or_self(pod: &Value) -> String {
    crate::world::owner(pod).map_or_else(
        || label(pod),
        |owner| format!("{} {}/{}", owner.text(&["kind"]), owner.text(&["namespace"]), owner.text(&["name"])),
    )
}

/// What only events tell: sandboxes that cannot be made, volumes that cannot be mounted, probes that fail.
fn of_events(world: &Index<'_>, pod: &Value) -> Option<Finding> {
    world.events_of(pod).into_iter().find_map(|event| {
        let (reason, message) = (event.text(&["reason"]), event.text(&["message"]));
        let finding = match reason {
            "FailedMount" => of_mount(pod, message),
            "FailedCreatePodSandBox" => {
                let says = format!("the sandbox of {} cannot be made", label(pod));
                let say = "see whether the container runtime and the network (CNI) of its node work: the evidence says what failed";
                Finding::new(Cause::StartFailed, format!("sandbox {}", owner_or_self(pod)), says).fix(say, Vec::new())
            }
            "Unhealthy" => {
                let says = format!("a probe of {} fails", label(pod));
                let say = "see why the program does not answer (its logs), or correct the probe";
                Finding::new(Cause::ProbeFailed, owner_or_self(pod), says).fix(say, Vec::new())
            }
            _ => return None,
        };
        Some(finding.because(format!("Event {reason}"), message))
    })
}

fn of_mount(pod: &Value, message: &str) -> Finding {
    if message.contains("not found") {
        for kind in ["configmap", "secret"] {
            if let Some((_, rest)) = message.split_once(&format!("{kind} \"")) {
                return of_config(pod, "", &format!("{kind} \"{rest}"));
            }
        }
    }
    let says = format!("a volume of {} cannot be mounted", label(pod));
    Finding::new(Cause::MountFailed, format!("{} {message}", owner_or_self(pod)), says)
        .fix("correct the volume: the evidence says what is wrong with it", Vec::new())
}
