//! Which pods are bound to which node, and what they refer to by name.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use orch_api::{Followed, KindEntry, Resource};
use orch_ontology::{KINDS, Pod};
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tracing::error;

/// A namespace and a name.
type Key = (Box<str>, Box<str>);
type Bound = HashMap<Key, Arc<BoundPod>>;
/// The pods of each node. Only a node that was not known before makes it anew.
type ByNode = HashMap<Box<str>, Arc<ArcSwap<Bound>>>;

/// The pods of every node.
#[derive(Default)]
pub(crate) struct Nodes {
    /// Touched only by whoever tells of changes.
    pods: Mutex<HashMap<Key, Arc<BoundPod>>>,
    by_node: ArcSwap<ByNode>,
}

/// A pod that is bound to a node.
#[derive(Debug)]
pub(crate) struct BoundPod {
    pub(crate) uid: Box<str>,
    node: Box<str>,
    generation: i64,
    /// Plurals and names of what it refers to, all in its namespace.
    references: Vec<(&'static str, Box<str>)>,
}

impl BoundPod {
    /// Whether the pod names an object of its namespace.
    pub(crate) fn refers_to(&self, plural: &str, name: &str) -> bool {
        self.references.iter().any(|(own, target)| *own == plural && **target == *name)
    }
}

impl Nodes {
    /// The pod, if it is bound to the node.
    pub(crate) fn pod(&self, node: &str, namespace: &str, name: &str) -> Option<Arc<BoundPod>> {
        self.bound(node)?.get(&(namespace.into(), name.into())).cloned()
    }

    /// Whether a pod of the node names an object. Cost: the pods of the node.
    pub(crate) fn refer_to(&self, node: &str, namespace: &str, plural: &str, name: &str) -> bool {
        let Some(bound) = self.bound(node) else { return false };
        bound.iter().any(|((own, _), pod)| **own == *namespace && pod.refers_to(plural, name))
    }

    fn bound(&self, node: &str) -> Option<Arc<Bound>> {
        Some(self.by_node.load().get(node)?.load_full())
    }

    /// The same pods, to be changed apart from these. Cost: as many as there are.
    pub(crate) fn fork(&self) -> Self {
        let pods = self.pods.lock();
        let by_node = self.by_node.load();
        let apart = |bound: &Arc<ArcSwap<Bound>>| Arc::new(ArcSwap::new(bound.load_full()));
        let by_node: ByNode = by_node.iter().map(|(node, bound)| (node.clone(), apart(bound))).collect();
        Self { pods: Mutex::new(pods.clone()), by_node: ArcSwap::from_pointee(by_node) }
    }

    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer { pods: self.pods.lock(), by_node: &self.by_node }
    }
}

/// Takes in changes, one at a time.
pub(crate) struct Writer<'a> {
    pods: MutexGuard<'a, HashMap<Key, Arc<BoundPod>>>,
    by_node: &'a ArcSwap<ByNode>,
}

impl Writer<'_> {
    pub(crate) fn clear(&mut self) {
        self.pods.clear();
        self.by_node.store(Arc::default());
    }

    /// Takes in a pod, or that it is gone. Cost: the pods of its node, if what concerns the node has changed.
    pub(crate) fn note(&mut self, followed: &Followed<'_>) {
        let key: Key = (followed.namespace.into(), followed.name.into());
        let known = self.pods.get(&key);
        if let (Some(known), Some(object)) = (known, followed.object)
            && known.is_still(object)
        {
            return;
        }
        let now = followed.object.and_then(|object| read(followed, object)).map(Arc::new);
        let before = match &now {
            Some(pod) => self.pods.insert(key.clone(), pod.clone()),
            None => self.pods.remove(&key),
        };
        if let Some(before) = before.filter(|before| now.as_ref().is_none_or(|now| now.node != before.node)) {
            self.change(&before.node, |bound| drop(bound.remove(&key)));
        }
        if let Some(pod) = now {
            self.change(&pod.node.clone(), |bound| drop(bound.insert(key.clone(), pod.clone())));
        }
    }

    fn change(&self, node: &str, change: impl FnOnce(&mut Bound)) {
        let by_node = self.by_node.load();
        let Some(pods) = by_node.get(node) else {
            let mut bound = Bound::new();
            change(&mut bound);
            let mut more = ByNode::clone(&by_node);
            more.insert(node.into(), Arc::new(ArcSwap::from_pointee(bound)));
            self.by_node.store(Arc::new(more));
            return;
        };
        let mut bound = Bound::clone(&pods.load());
        change(&mut bound);
        pods.store(Arc::new(bound));
    }
}

/// What tells whether what the pod asks for has changed, without reading all of it.
#[derive(Deserialize)]
struct Head {
    metadata: HeadMetadata,
    #[serde(default, rename = "status")]
    _status: IgnoredAny,
}

#[derive(Deserialize)]
struct HeadMetadata {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    generation: i64,
}

impl BoundPod {
    fn is_still(&self, object: &[u8]) -> bool {
        let head = serde_json::from_slice::<Head>(object);
        // Pods that were stored before generations were kept have none.
        head.is_ok_and(|head| {
            *head.metadata.uid == *self.uid
                && head.metadata.generation == self.generation
                && self.generation > 0
        })
    }
}

/// The pod if it is bound to a node.
fn read(followed: &Followed<'_>, object: &[u8]) -> Option<BoundPod> {
    let object: Value = serde_json::from_slice(object)
        .inspect_err(|error| {
            error!(namespace = followed.namespace, name = followed.name, %error, "a pod cannot be read");
        })
        .ok()?;
    let paths = &*PATHS;
    let node = *strings(&object, &paths.node).first()?;
    if node.is_empty() {
        return None;
    }
    let mut references: Vec<(&'static str, Box<str>)> = Vec::new();
    for (plural, path) in &paths.references {
        references.extend(strings(&object, path).into_iter().map(|name| (*plural, name.into())));
    }
    references.sort();
    references.dedup();
    Some(BoundPod {
        uid: object["metadata"]["uid"].as_str().unwrap_or_default().into(),
        node: node.into(),
        generation: object["metadata"]["generation"].as_i64().unwrap_or(0),
        references,
    })
}

/// Where pods say what they refer to: read from the ontology, so that a new kind of reference is known here too.
struct Paths {
    node: Vec<String>,
    references: Vec<(&'static str, Vec<String>)>,
}

static PATHS: LazyLock<Paths> = LazyLock::new(|| {
    let relations = KINDS.iter().filter(|entry| entry.kind == Pod::KIND);
    let relations: Vec<_> = relations.flat_map(|entry| entry.schema.relations()).collect();
    let of =
        |verb: &'static str| relations.iter().filter(move |at| at.relation.verb == verb && !at.templated);
    let target = |name: &str| KINDS.iter().map(|entry: &KindEntry| entry.kind).find(|kind| kind.name == name);
    Paths {
        node: of("runsOn").next().map(|at| steps(&at.path.to_string())).unwrap_or_default(),
        references: of("references")
            .filter_map(|at| {
                let kind = target(&at.relation.target).filter(|kind| kind.is_namespaced())?;
                Some((kind.plural, steps(&at.path.to_string())))
            })
            .collect(),
    }
});

/// The steps of a path such as `spec.volumes[].secret.secretName`.
fn steps(path: &str) -> Vec<String> {
    path.replace("[]", ".[]").split('.').map(str::to_owned).collect()
}

/// Every string at a path.
fn strings<'v>(value: &'v Value, path: &[String]) -> Vec<&'v str> {
    let Some((step, rest)) = path.split_first() else { return value.as_str().into_iter().collect() };
    match step.as_str() {
        "[]" => value.as_array().into_iter().flatten().flat_map(|item| strings(item, rest)).collect(),
        "*" => value.as_object().into_iter().flatten().flat_map(|(_, item)| strings(item, rest)).collect(),
        name => value.get(name).map(|value| strings(value, rest)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_a_pod_can_name_is_found() {
        let mut plurals: Vec<&str> = PATHS.references.iter().map(|(plural, _)| *plural).collect();
        plurals.sort_unstable();
        plurals.dedup();
        for needed in ["configmaps", "secrets", "serviceaccounts"] {
            assert!(plurals.contains(&needed), "{plurals:?}");
        }
        assert_eq!(PATHS.node, ["spec", "nodeName"]);
        let pod = json!({
            "metadata": {"uid": "1", "generation": 2},
            "spec": {
                "nodeName": "n",
                "serviceAccountName": "account",
                "volumes": [{"secret": {"secretName": "mounted"}}, {"configMap": {"name": "files"}}],
                "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "early"}}}]}],
                "containers": [{
                    "envFrom": [{"secretRef": {"name": "whole"}}, {"configMapRef": {"name": "settings"}}],
                    "env": [{"valueFrom": {"configMapKeyRef": {"name": "one"}}}],
                }],
            },
        });
        let bytes = pod.to_string();
        let followed =
            Followed { kind: &Pod::KIND, namespace: "a", name: "p", object: Some(bytes.as_bytes()) };
        let read = read(&followed, bytes.as_bytes()).unwrap();
        for (plural, name) in [
            ("secrets", "mounted"),
            ("secrets", "early"),
            ("secrets", "whole"),
            ("configmaps", "files"),
            ("configmaps", "settings"),
            ("configmaps", "one"),
            ("serviceaccounts", "account"),
        ] {
            assert!(read.refers_to(plural, name), "{plural} {name}: {read:?}");
        }
        assert!(!read.refers_to("secrets", "settings"));
    }
}
