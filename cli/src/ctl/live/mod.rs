//! The live graph: the objects that there are, and how they relate.
//!
//! No kind is known here: what kinds there are is learned by discovery, how they relate from the server's `/ontology`, and
//! how an object is from the columns that the server makes.

mod cascade;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use orch_api::labels::Labels;
use orch_api::{LabelSelector, Object as _, Params, RelationEdge, RelationGraph, Request, Verb};
use orch_client::{Accept, ApiResource};
use serde::Serialize;
use serde_json::Value;

use super::output::plain;
use super::{Failure, Session};

const PAGE: u64 = 500;
/// Columns that say how an object is; the first that there is counts.
const STATES: [&str; 3] = ["Status", "Phase", "Ready"];

/// Objects and how they relate.
#[derive(Debug, Default, Serialize)]
pub(super) struct Live {
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    /// The nodes by what they are.
    #[serde(skip)]
    places: BTreeMap<Key, usize>,
}

/// The prefix of a kind, a namespace and a name.
type Key = (String, String, String);

/// An object, or the place of one that is named and not there.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    pub(super) api_version: String,
    pub(super) kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    pub(super) name: String,
    /// What stands before the name in messages: `workload.orch.dev`.
    #[serde(skip)]
    pub(super) prefix: String,
    /// What several of its kind are called: `workloads`.
    #[serde(skip)]
    pub(super) plural: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) uid: String,
    /// How it is, as `get` says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) status: String,
    /// Whether it is there.
    pub(super) exists: bool,
    #[serde(skip)]
    pub(super) owners: Vec<String>,
}

/// A relation of one object to another, each by its place among the nodes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) verb: String,
    pub(super) to: usize,
}

impl Node {
    /// `workload/web`: the kind in short, because people read it.
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.prefix.split('.').next().unwrap_or_default(), plain(&self.name))
    }

    fn key(&self) -> Key {
        (self.prefix.clone(), self.namespace.clone(), self.name.clone())
    }
}

/// An object as the server listed it.
struct Listed {
    node: usize,
    object: Value,
}

impl Live {
    /// Everything in a namespace, or in all of them, with the objects of the cluster; events are left out, they are about
    /// objects and nothing is about them.
    pub(super) async fn read(session: &Session, namespace: Option<&str>) -> Result<Self, Failure> {
        let ontology: RelationGraph =
            serde_json::from_slice(&session.client().await?.get_raw("/ontology", Accept::Json).await?)?;
        let resources = &session.discovery().await?.resources;
        // What cannot be watched, such as changes, is not a thing that there is.
        let is_there = |resource: &&ApiResource| resource.can("list") && resource.can("watch");
        let listed = once_each(resources).filter(is_there).filter(|resource| resource.kind != "Event");
        let tables = try_join_all(listed.map(|resource| table(session, resource, namespace))).await?;
        let mut live = Self::default();
        let mut objects = Vec::new();
        for (resource, tables) in &tables {
            for table in tables {
                live.add(resource, table, &mut objects);
            }
        }
        live.own();
        live.relate(&ontology, resources, &objects);
        Ok(live)
    }

    /// The object of a kind and name.
    pub(super) fn find(&self, resource: &ApiResource, namespace: &str, name: &str) -> Option<usize> {
        let namespace = if resource.namespaced { namespace } else { "" };
        self.places.get(&(resource.prefix(), namespace.to_owned(), name.to_owned())).copied()
    }

    fn push(&mut self, node: Node) -> usize {
        self.places.insert(node.key(), self.nodes.len());
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Some of the nodes, with the relations between them.
    pub(super) fn only(&self, kept: &BTreeSet<usize>) -> Self {
        let mut only = Self::default();
        let places: BTreeMap<usize, usize> =
            kept.iter().map(|old| (*old, only.push(self.nodes[*old].clone()))).collect();
        let place = |old: usize| places.get(&old).copied();
        let edge = |edge: &Edge| Some(Edge { from: place(edge.from)?, to: place(edge.to)?, ..edge.clone() });
        only.edges = self.edges.iter().filter_map(edge).collect();
        only
    }

    /// The relations of each node to others, in their order.
    pub(super) fn by_origin(&self) -> BTreeMap<usize, Vec<&Edge>> {
        let mut edges: BTreeMap<usize, Vec<&Edge>> = BTreeMap::new();
        for edge in &self.edges {
            edges.entry(edge.from).or_default().push(edge);
        }
        edges
    }

    fn add(&mut self, resource: &ApiResource, table: &Value, objects: &mut Vec<Listed>) {
        let columns = table["columnDefinitions"].as_array();
        let named = |name: &str| columns?.iter().position(|column| column["name"] == name);
        let state = STATES.iter().find_map(|name| named(name));
        for row in table["rows"].as_array().into_iter().flatten() {
            let object = row["object"].clone();
            let status = state.and_then(|at| match &row["cells"][at] {
                Value::String(text) => Some(plain(text)),
                Value::Null => None,
                other => Some(other.to_string()),
            });
            let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            let node = self.push(Node {
                api_version: resource.api_version(),
                kind: resource.kind.clone(),
                namespace: object.namespace().to_owned(),
                name: object.name().to_owned(),
                prefix: resource.prefix(),
                plural: resource.plural.clone(),
                uid: object.uid().to_owned(),
                status: if object.is_terminating() {
                    "Terminating".into()
                } else {
                    status.unwrap_or_default()
                },
                exists: true,
                owners: owners.map(|owner| owner.text(&["uid"]).to_owned()).collect(),
            });
            objects.push(Listed { node, object });
        }
    }

    fn own(&mut self) {
        let by_uid: BTreeMap<&str, usize> =
            self.nodes.iter().enumerate().map(|(place, node)| (node.uid.as_str(), place)).collect();
        let owned = self.nodes.iter().enumerate().flat_map(|(to, node)| {
            let owners = node.owners.iter().filter_map(|uid| by_uid.get(uid.as_str()).copied());
            owners.map(move |from| Edge { from, verb: "owns".to_owned(), to }).collect::<Vec<_>>()
        });
        self.edges = owned.collect();
    }

    /// Relations that objects themselves hold; those that are true of objects to be made from them are left to these.
    fn relate(&mut self, ontology: &RelationGraph, resources: &[ApiResource], objects: &[Listed]) {
        let neighbours = self.neighbours(objects);
        let mut known: BTreeSet<Edge> = self.edges.iter().cloned().collect();
        for listed in objects {
            let kind = self.nodes[listed.node].kind.clone();
            let relations = ontology.edges.iter().filter(|edge| edge.from == kind && !edge.templated);
            for relation in relations.filter(|edge| !edge.path.is_empty()) {
                let Some(target) = resources.iter().find(|resource| resource.kind == relation.to) else {
                    continue;
                };
                for to in self.targets(listed, relation, target, &neighbours) {
                    let edge = Edge { from: listed.node, verb: relation.verb.clone(), to };
                    // A selector of an object may select the object itself.
                    if edge.from != edge.to && known.insert(edge.clone()) {
                        self.edges.push(edge);
                    }
                }
            }
        }
    }

    /// The labels of the objects of each kind in each namespace.
    fn neighbours(&self, objects: &[Listed]) -> Neighbours {
        let mut neighbours = Neighbours::new();
        for listed in objects {
            let node = &self.nodes[listed.node];
            let labels = listed.object.labels().into_iter().flatten();
            let labels =
                labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
            let place = (node.prefix.clone(), node.namespace.clone());
            neighbours.entry(place).or_default().push((listed.node, labels.collect()));
        }
        neighbours
    }

    fn targets(
        &mut self,
        from: &Listed,
        relation: &RelationEdge,
        target: &ApiResource,
        neighbours: &Neighbours,
    ) -> Vec<usize> {
        let namespace = from.object.namespace();
        let mut places = Vec::new();
        for found in relation.found(&from.object) {
            match found.value.as_str() {
                Some(name) => places.extend(self.named(target, namespace, name, found.is_optional)),
                None => places.extend(selected(target, namespace, found.value, neighbours)),
            }
        }
        places
    }

    /// The object of a name; a place for it if it is not there, unless it need not be.
    fn named(
        &mut self,
        target: &ApiResource,
        namespace: &str,
        name: &str,
        is_optional: bool,
    ) -> Option<usize> {
        if let Some(place) = self.find(target, namespace, name) {
            return Some(place);
        }
        if is_optional {
            return None;
        }
        Some(self.push(Node {
            api_version: target.api_version(),
            kind: target.kind.clone(),
            namespace: if target.namespaced { namespace.to_owned() } else { String::new() },
            name: name.to_owned(),
            prefix: target.prefix(),
            status: "Missing".to_owned(),
            ..Node::default()
        }))
    }
}

/// The labels of the objects of a kind, by its prefix, in a namespace.
type Neighbours = BTreeMap<(String, String), Vec<(usize, Labels)>>;

fn selected(target: &ApiResource, namespace: &str, selector: &Value, neighbours: &Neighbours) -> Vec<usize> {
    let Some(selector) = LabelSelector::read(selector) else { return Vec::new() };
    let candidates = neighbours.get(&(target.prefix(), namespace.to_owned())).into_iter().flatten();
    candidates.filter(|(_, labels)| selector.matches(labels)).map(|(place, _)| *place).collect()
}

/// Each kind once, however many of its versions are served: in the first.
fn once_each(resources: &[ApiResource]) -> impl Iterator<Item = &ApiResource> {
    let mut known = BTreeSet::new();
    resources.iter().filter(move |resource| known.insert((&resource.group, &resource.kind)))
}

/// All objects of a kind as tables, page by page. A kind that may not be listed has none.
async fn table<'a>(
    session: &Session,
    resource: &'a ApiResource,
    namespace: Option<&str>,
) -> Result<(&'a ApiResource, Vec<Value>), Failure> {
    let (mut pages, mut cont) = (Vec::new(), None);
    loop {
        let params = Params {
            limit: Some(PAGE),
            cont: cont.take(),
            other: vec![("includeObject".to_owned(), "Object".to_owned())],
            ..Params::default()
        };
        let request =
            Request { verb: Verb::List, target: resource.collection(namespace), params, body: None };
        session.log(&request);
        let page: Value = match session.client().await?.send_as(request, Accept::Table).await {
            Ok(answer) => serde_json::from_slice(&answer)?,
            Err(status) if matches!(status.code, 403..=405) => return Ok((resource, pages)),
            Err(status) => return Err(status.into()),
        };
        cont = page["metadata"]["continue"].as_str().filter(|cont| !cont.is_empty()).map(str::to_owned);
        pages.push(page);
        if cont.is_none() {
            return Ok((resource, pages));
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
