//! [`gather`]: reads what bears on an object, or on the cluster, as whoever asks.

use std::collections::BTreeSet;

use orch_api::{Client, Object as _, Params, Request, Status, Target, Verb};
use serde_json::Value;

use crate::world::{condition, items, label};
use crate::{Missing, World};

/// Objects to a page.
const PAGE: u64 = 500;
/// How many pods that are not well are looked at: causes repeat themselves.
const MOST_PODS: usize = 500;
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
    let subject = match scope {
        Scope::Cluster => None,
        Scope::Object(object) => Some(*object),
    };
    let namespace = subject.as_ref().and_then(within);
    let events = core("events", namespace);
    let (nodes, pods, events, namespaces) = futures::join!(
        list(client, core("nodes", None)),
        list(client, core("pods", namespace)),
        list(client, events),
        list(client, core("namespaces", None)),
    );
    world.nodes = kept(&mut world.unread, "Node", nodes)?;
    let pods = kept(&mut world.unread, "Pod", pods)?;
    world.events = kept(&mut world.unread, "Event", events)?;
    let owners = owned_by(client, subject.as_ref(), &mut world).await?;
    world.pods = chosen(pods, subject.as_ref(), &owners);
    match &subject {
        Some(_) => {}
        None => {
            let namespaces = kept(&mut world.unread, "Namespace", namespaces)?;
            world.others.extend(namespaces.into_iter().filter(|namespace| namespace.is_terminating()));
        }
    }
    world.missing = missing(client, &world.pods).await?;
    world.subject = subject;
    Ok(world)
}

/// The namespace in which everything is that has to do with an object; none if it may be anywhere.
fn within(subject: &Value) -> Option<&str> {
    let namespace = if subject.kind() == "Namespace" { subject.name() } else { subject.namespace() };
    Some(namespace).filter(|namespace| !namespace.is_empty())
}

/// The uids of what may own the pods of an object: itself, and the workloads that it owns. Those are noted, and of the cluster
/// and of a namespace all that there are.
async fn owned_by(
    client: &dyn Client,
    subject: Option<&Value>,
    world: &mut World,
) -> Result<BTreeSet<String>, Status> {
    let namespace = subject.and_then(within);
    let is_all = subject.is_none_or(|subject| subject.kind() == "Namespace");
    let mut owners: BTreeSet<String> = subject.iter().map(|subject| subject.uid().to_owned()).collect();
    let between = [
        ("orch.dev", "v1", "workloads", "Workload"),
        ("batch", "v1", "jobs", "Job"),
        ("apps", "v1", "deployments", "Deployment"),
    ];
    for (group, version, plural, kind) in between {
        let target = Target { group: group.into(), version: version.into(), ..core(plural, namespace) };
        for mut object in kept(&mut world.unread, kind, list(client, target).await)? {
            let references = items(&object, &["metadata", "ownerReferences"]);
            let is_owned = references.iter().any(|owner| owners.contains(owner.text(&["uid"])));
            if is_owned {
                owners.insert(object.uid().to_owned());
            }
            if is_all || is_owned {
                identify(&mut object, group, version, kind);
                world.others.push(object);
            }
        }
    }
    Ok(owners)
}

/// Items of lists do not say what they are.
fn identify(object: &mut Value, group: &str, version: &str, kind: &str) {
    if object.kind().is_empty() {
        object["kind"] = kind.into();
        object["apiVersion"] = orch_api::api_version(group, version).into();
    }
}

/// The pods that count: of an object its own, of a node those on it, of the cluster those that are not well.
fn chosen(pods: Vec<Value>, subject: Option<&Value>, owners: &BTreeSet<String>) -> Vec<Value> {
    let counts = |pod: &Value| match subject {
        None => !is_well(pod),
        Some(subject) if subject.kind() == "Pod" => pod.uid() == subject.uid(),
        Some(subject) if subject.kind() == "Node" => {
            pod.text(&["spec", "nodeName"]) == subject.name() && !is_well(pod)
        }
        Some(subject) if subject.kind() == "Namespace" => pod.namespace() == subject.name() && !is_well(pod),
        Some(subject) if !items(subject, &["spec", "selector"]).is_empty() || subject.kind() == "Service" => {
            selects(subject, pod)
        }
        Some(_) => {
            let references = items(pod, &["metadata", "ownerReferences"]);
            references.iter().any(|owner| owners.contains(owner.text(&["uid"])))
        }
    };
    let mut chosen: Vec<Value> = pods.into_iter().filter(counts).collect();
    chosen.truncate(MOST_PODS);
    chosen
}

/// Whether a Service sends to a pod.
fn selects(service: &Value, pod: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    selector.is_some_and(|selector| {
        selector.iter().all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
    })
}

fn is_well(pod: &Value) -> bool {
    let ready = condition(pod, "Ready").is_some_and(|ready| ready.text(&["status"]) == "True");
    (ready || pod.text(&["status", "phase"]) == "Succeeded") && !pod.is_terminating()
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

async fn list(client: &dyn Client, target: Target) -> Result<Vec<Value>, Status> {
    let (mut items, mut cont) = (Vec::new(), None);
    loop {
        let params = Params { limit: Some(PAGE), cont, ..Params::default() };
        let answer =
            client.send(Request { verb: Verb::List, target: target.clone(), params, body: None }).await?;
        let mut page: Value = serde_json::from_slice(&answer).map_err(Status::internal)?;
        let (kind, api_version) =
            (page.kind().trim_end_matches("List").to_owned(), page.api_version().to_owned());
        if let Value::Array(all) = page["items"].take() {
            items.extend(all.into_iter().map(|mut item| {
                if item.kind().is_empty() {
                    item["kind"] = kind.clone().into();
                    item["apiVersion"] = api_version.clone().into();
                }
                item
            }));
        }
        cont = Some(page["metadata"].text(&["continue"]).to_owned()).filter(|cont| !cont.is_empty());
        if cont.is_none() {
            return Ok(items);
        }
    }
}

/// What was read; what may not be read is noted, and what is not served is nothing.
fn kept(
    unread: &mut Vec<String>,
    kind: &str,
    read: Result<Vec<Value>, Status>,
) -> Result<Vec<Value>, Status> {
    match read {
        Ok(items) => Ok(items),
        Err(status) if status.code == 403 => {
            unread.push(format!("{kind}: {}", status.message));
            Ok(Vec::new())
        }
        Err(status) if status.code == 404 => Ok(Vec::new()),
        Err(status) => Err(status),
    }
}
