//! The live graph: the objects that there are, and how they relate.
//!
//! No kind is known here: what kinds there are is learned by discovery, how they relate from the server's `/ontology`, and
//! how an object is from the columns that the server makes.

mod cascade;

use std::collections::BTreeMap;

use futures::future::try_join_all;
use orch_api::{LabelSelector, Object as _, Params, RelationEdge, RelationGraph, Request, Verb};
use orch_client::{Accept, ApiResource};
use serde::Serialize;
use serde_json::Value;

use super::{Failure, Session};

const PAGE: u64 = 500;
/// Columns that say how an object is; the first that there is counts.
const STATES: [&str; 3] = ["Status", "Phase", "Ready"];

/// Objects and how they relate.
#[derive(Debug, Default, Serialize)]
pub(super) struct Live {
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
}

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) verb: String,
    pub(super) to: usize,
}

impl Node {
    /// `workload/web`: the kind in short, because people read it.
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.prefix.split('.').next().unwrap_or_default(), self.name)
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
        let listed = resources.iter().filter(is_there).filter(|resource| resource.kind != "Event");
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
        self.nodes.iter().position(|node| {
            node.kind == resource.kind
                && node.prefix == resource.prefix()
                && node.namespace == namespace
                && node.name == name
        })
    }

    fn add(&mut self, resource: &ApiResource, table: &Value, objects: &mut Vec<Listed>) {
        let columns = table["columnDefinitions"].as_array();
        let named = |name: &str| columns?.iter().position(|column| column["name"] == name);
        let state = STATES.iter().find_map(|name| named(name));
        for row in table["rows"].as_array().into_iter().flatten() {
            let object = row["object"].clone();
            let status = state.and_then(|at| match &row["cells"][at] {
                Value::String(text) => Some(text.clone()),
                Value::Null => None,
                other => Some(other.to_string()),
            });
            let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            objects.push(Listed { node: self.nodes.len(), object: object.clone() });
            self.nodes.push(Node {
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
        for listed in objects {
            let kind = self.nodes[listed.node].kind.clone();
            let relations = ontology.edges.iter().filter(|edge| edge.from == kind && !edge.templated);
            for relation in relations.filter(|edge| !edge.path.is_empty()) {
                let Some(target) = resources.iter().find(|resource| resource.kind == relation.to) else {
                    continue;
                };
                for to in self.targets(listed, relation, target, objects) {
                    let edge = Edge { from: listed.node, verb: relation.verb.clone(), to };
                    // A selector of an object may select the object itself.
                    if edge.from != edge.to && !self.edges.contains(&edge) {
                        self.edges.push(edge);
                    }
                }
            }
        }
    }

    fn targets(
        &mut self,
        from: &Listed,
        relation: &RelationEdge,
        target: &ApiResource,
        objects: &[Listed],
    ) -> Vec<usize> {
        let namespace = from.object.namespace();
        let mut places = Vec::new();
        for found in relation.found(&from.object) {
            match found.value.as_str() {
                Some(name) => places.extend(self.named(target, namespace, name, found.is_optional)),
                None => places.extend(self.selected(target, namespace, found.value, objects)),
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
        self.nodes.push(Node {
            api_version: target.api_version(),
            kind: target.kind.clone(),
            namespace: if target.namespaced { namespace.to_owned() } else { String::new() },
            name: name.to_owned(),
            prefix: target.prefix(),
            status: "Missing".to_owned(),
            ..Node::default()
        });
        Some(self.nodes.len() - 1)
    }

    fn selected(
        &self,
        target: &ApiResource,
        namespace: &str,
        selector: &Value,
        objects: &[Listed],
    ) -> Vec<usize> {
        let Some(selector) = LabelSelector::read(selector) else { return Vec::new() };
        let is_selected = |listed: &&Listed| {
            let node = &self.nodes[listed.node];
            let labels = listed.object.labels().into_iter().flatten();
            let labels: BTreeMap<String, String> = labels
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect();
            node.kind == target.kind && node.namespace == namespace && selector.matches(&labels)
        };
        objects.iter().filter(is_selected).map(|listed| listed.node).collect()
    }
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
