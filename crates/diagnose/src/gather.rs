//! [`gather`]: reads what bears on an object, or on the cluster, as whoever asks.
//!
//! Collections are read page by page, and of each page only what counts is kept.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use orch_api::{Client, Object as _, Params, Request, Status, Target, Verb};
use serde_json::{Value, json};

use crate::pod::{has_restarted, is_well};
use crate::world::{items, label, seen};
use crate::{Missing, World, owner, subject};

/// Objects to a page.
const PAGE: u64 = 500;
/// How many pods are looked at, those that are not well first: causes repeat themselves.
const MOST_PODS: usize = 500;
/// How many events about these are looked at, the latest.
const MOST_EVENTS: usize = 10_000;
/// How many other objects are looked at.
const MOST_OTHERS: usize = 2_000;
/// How many references are looked up.
const MOST_REFERENCES: usize = 50;

/// What is asked about.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// Everything that the caller may see.
    Cluster,
    /// An object.
    Object(Box<Value>),
}

/// Reads nodes, pods, events and what pods refer to. What the caller may not read is noted in the world and left out.
///
/// # Errors
/// If the server cannot be reached.
pub async fn gather(client: &dyn Client, scope: Scope) -> Result<World, Status> {
    let mut world = World::default();
    if let Scope::Object(object) = scope {
        world.subject = Some(*object);
    }
    let namespace = world.subject.as_ref().and_then(within).map(str::to_owned);
    let namespace = namespace.as_deref();
    nodes(client, &mut world).await?;
    let owners = workloads(client, namespace, &mut world).await?;
    pods(client, namespace, &owners, &mut world).await?;
    if world.subject.is_none() {
        namespaces(client, &mut world).await?;
    }
    events(client, namespace, &mut world).await?;
    world.missing = missing(client, &world.pods).await?;
    Ok(world)
}

/// The namespace in which everything is that has to do with an object; none if it may be anywhere.
fn within(subject: &Value) -> Option<&str> {
    let namespace = if subject.kind() == "Namespace" { subject.name() } else { subject.namespace() };
    Some(namespace).filter(|namespace| !namespace.is_empty())
}

async fn nodes(client: &dyn Client, world: &mut World) -> Result<(), Status> {
    let nodes = &mut world.nodes;
    let read = each(client, core("nodes", None), "Node", |mut node| {
        // The images that a node has are most of it, and nobody asks about them.
        if let Some(status) = node["status"].as_object_mut() {
            status.remove("images");
        }
        nodes.push(node);
        ControlFlow::Continue(())
    });
    let unread = read.await?;
    world.unread.extend(unread);
    Ok(())
}

/// Notes the workloads that may be the trouble: of an object those that it owns, of the cluster and of a namespace all. The answer is
/// the uids of what may own the pods of the object.
async fn workloads(
    client: &dyn Client,
    namespace: Option<&str>,
    world: &mut World,
) -> Result<BTreeSet<String>, Status> {
    let is_all = world.subject.as_ref().is_none_or(|subject| subject.kind() == "Namespace");
    let mut owners: BTreeSet<String> = world.subject.iter().map(|subject| subject.uid().to_owned()).collect();
    let target = Target { group: "orch.dev".into(), ..core("workloads", namespace) };
    let others = &mut world.others;
    let read = each(client, target, "Workload", |object| {
        let is_owned = is_owned(&object, &owners);
        if is_owned {
            owners.insert(object.uid().to_owned());
        }
        let is_wanted = is_all || is_owned;
        if is_wanted && (object.is_terminating() || !owner::has_all(&object)) && others.len() < MOST_OTHERS {
            others.push(object);
        }
        ControlFlow::Continue(())
    });
    let unread = read.await?;
    world.unread.extend(unread);
    Ok(owners)
}

fn is_owned(object: &Value, owners: &BTreeSet<String>) -> bool {
    let references = items(object, &["metadata", "ownerReferences"]);
    references.iter().any(|owner| owners.contains(owner.text(&["uid"])))
}

/// Notes the pods that count: of an object its own, of a node those on it, of the cluster those that are not well.
async fn pods(
    client: &dyn Client,
    namespace: Option<&str>,
    owners: &BTreeSet<String>,
    world: &mut World,
) -> Result<(), Status> {
    let (mut troubled, mut well) = (Vec::new(), Vec::new());
    let subject = world.subject.as_ref();
    let read = each(client, core("pods", namespace), "Pod", |pod| {
        if counts(&pod, subject, owners) {
            let is_troubled = !is_well(&pod) || has_restarted(&pod);
            if is_troubled {
                troubled.push(pod)
            } else if well.len() < MOST_PODS {
                well.push(pod)
            }
        }
        if troubled.len() < MOST_PODS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let unread = read.await?;
    well.truncate(MOST_PODS - troubled.len());
    world.pods = troubled;
    world.pods.extend(well);
    world.unread.extend(unread);
    Ok(())
}

fn counts(pod: &Value, subject: Option<&Value>, owners: &BTreeSet<String>) -> bool {
    let Some(subject) = subject else { return !is_well(pod) };
    match subject.kind() {
        "Pod" => pod.uid() == subject.uid(),
        "Node" => pod.text(&["spec", "nodeName"]) == subject.name() && !is_well(pod),
        "Namespace" => pod.namespace() == subject.name() && !is_well(pod),
        "Service" => selects(subject, pod),
        _ => is_owned(pod, owners),
    }
}

/// Whether a Service sends to a pod.
fn selects(service: &Value, pod: &Value) -> bool {
    subject::selector(service).is_some_and(|selector| {
        selector.iter().all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
    })
}

/// Notes the namespaces that are being deleted.
async fn namespaces(client: &dyn Client, world: &mut World) -> Result<(), Status> {
    let others = &mut world.others;
    let read = each(client, core("namespaces", None), "Namespace", |namespace| {
        if namespace.is_terminating() && others.len() < 2 * MOST_OTHERS {
            others.push(namespace);
        }
        ControlFlow::Continue(())
    });
    let unread = read.await?;
    world.unread.extend(unread);
    Ok(())
}

/// Notes the latest events about what is looked at.
async fn events(client: &dyn Client, namespace: Option<&str>, world: &mut World) -> Result<(), Status> {
    let looked_at = || world.subject.iter().chain(&world.others).chain(&world.pods);
    let uids: BTreeSet<&str> = looked_at().map(|object| object.uid()).collect();
    let names: BTreeSet<&str> = looked_at().map(|object| object.name()).collect();
    let mut events = Vec::new();
    let read = each(client, core("events", namespace), "Event", |event| {
        let involved = &event["involvedObject"];
        let is_about = match involved.text(&["uid"]) {
            "" => names.contains(involved.text(&["name"])),
            uid => uids.contains(uid),
        };
        if is_about {
            events.push(gist(&event));
        }
        if events.len() >= 2 * MOST_EVENTS {
            keep_latest(&mut events);
        }
        ControlFlow::Continue(())
    });
    let unread = read.await?;
    keep_latest(&mut events);
    world.events = events;
    world.unread.extend(unread);
    Ok(())
}

fn keep_latest(events: &mut Vec<Value>) {
    events.sort_by_cached_key(|event| Reverse(seen(event)));
    events.truncate(MOST_EVENTS);
}

/// What of an event is looked at.
fn gist(event: &Value) -> Value {
    let involved = &event["involvedObject"];
    let mut gist = json!({"involvedObject": {"kind": involved["kind"], "name": involved["name"], "uid": involved["uid"]}});
    for field in ["type", "reason", "message", "series", "lastTimestamp", "eventTime"] {
        gist[field] = event[field].clone();
    }
    gist
}

/// What pods that do not run refer to and is not there.
async fn missing(client: &dyn Client, pods: &[Value]) -> Result<Vec<Missing>, Status> {
    let mut known = BTreeSet::new();
    let mut missing = Vec::new();
    for pod in pods.iter().filter(|pod| !is_well(pod) && !pod.is_terminating()) {
        for (plural, kind, name, keys) in references(pod) {
            if known.len() >= MOST_REFERENCES || !known.insert((plural, pod.namespace(), name.clone())) {
                continue;
            }
            let target = core(plural, Some(pod.namespace())).named(&name);
            let request = Request { verb: Verb::Get, target, params: Params::default(), body: None };
            match client.send(request).await {
                Err(status) if status.code == 404 => missing.push(Missing {
                    kind: kind.to_owned(),
                    namespace: pod.namespace().to_owned(),
                    name,
                    keys,
                    pod: label(pod),
                }),
                Err(status) if status.code == 503 => return Err(status),
                // What may not be read may well be there.
                Ok(_) | Err(_) => {}
            }
        }
    }
    Ok(missing)
}

/// The ConfigMaps and Secrets that a pod cannot start without, with the keys that it asks for.
fn references(pod: &Value) -> Vec<(&'static str, &'static str, String, Vec<String>)> {
    const CONFIG_MAP: (&str, &str) = ("configmaps", "ConfigMap");
    const SECRET: (&str, &str) = ("secrets", "Secret");
    let mut found: Vec<(&str, &str, String, Vec<String>)> = Vec::new();
    let mut add = |(plural, kind): (&'static str, &'static str), reference: &Value, name: &str| {
        let (name, key) = (reference.text(&[name]), reference.text(&["key"]));
        if name.is_empty() || reference["optional"] == true {
            return;
        }
        let known = found.iter().position(|(known, _, other, _)| *known == plural && other == name);
        let at = known.unwrap_or_else(|| {
            found.push((plural, kind, name.to_owned(), Vec::new()));
            found.len() - 1
        });
        if let Some((.., keys)) = found.get_mut(at).filter(|_| !key.is_empty()) {
            keys.push(key.to_owned());
        }
    };
    let containers =
        items(pod, &["spec", "initContainers"]).iter().chain(items(pod, &["spec", "containers"]));
    for container in containers {
        for variable in items(container, &["env"]) {
            add(CONFIG_MAP, &variable["valueFrom"]["configMapKeyRef"], "name");
            add(SECRET, &variable["valueFrom"]["secretKeyRef"], "name");
        }
        for source in items(container, &["envFrom"]) {
            add(CONFIG_MAP, &source["configMapRef"], "name");
            add(SECRET, &source["secretRef"], "name");
        }
    }
    for volume in items(pod, &["spec", "volumes"]) {
        add(CONFIG_MAP, &volume["configMap"], "name");
        add(SECRET, &volume["secret"], "secretName");
    }
    found
}

/// A collection of the core group.
fn core(plural: &str, namespace: Option<&str>) -> Target {
    Target {
        group: "".into(),
        version: "v1".into(),
        plural: plural.to_owned().into(),
        namespace: namespace.map(str::to_owned),
        name: None,
        subresource: None,
    }
}

/// Goes through a collection, page by page, until there is no more or enough. What may not be read is said; what is not served is
/// nothing.
async fn each(
    client: &dyn Client,
    target: Target,
    kind: &str,
    mut take: impl FnMut(Value) -> ControlFlow<()>,
) -> Result<Option<String>, Status> {
    let api_version = orch_api::api_version(&target.group, &target.version);
    let mut cont = None;
    loop {
        let params = Params { limit: Some(PAGE), cont, ..Params::default() };
        let request = Request { verb: Verb::List, target: target.clone(), params, body: None };
        let answer = match client.send(request).await {
            Err(status) if status.code == 403 => return Ok(Some(format!("{kind}: {}", status.message))),
            Err(status) if status.code == 404 => return Ok(None),
            answer => answer?,
        };
        let mut page: Value = serde_json::from_slice(&answer).map_err(Status::internal)?;
        let Value::Array(items) = page["items"].take() else { return Ok(None) };
        for mut item in items {
            // Items of lists do not say what they are.
            if item.kind().is_empty() {
                item["kind"] = kind.into();
                item["apiVersion"] = api_version.clone().into();
            }
            if take(item).is_break() {
                return Ok(None);
            }
        }
        cont = Some(page["metadata"].text(&["continue"]).to_owned()).filter(|cont| !cont.is_empty());
        if cont.is_none() {
            return Ok(None);
        }
    }
}
