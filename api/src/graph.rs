//! [`RelationGraph`]: the kinds and how they relate, read from their schemas.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::KindEntry;

/// The kinds and how they relate: what `/ontology` serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationGraph {
    /// The kinds.
    pub nodes: Vec<KindNode>,
    /// How they relate.
    pub edges: Vec<RelationEdge>,
}

/// A kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KindNode {
    /// Its name: `Pod`.
    pub kind: String,
    /// Its group and version: `v1`.
    pub api_version: String,
    /// The name of the collection with its group: `workloads.orch.dev`.
    pub resource: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether its objects hold secrets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

/// A relation of all objects of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelationEdge {
    /// The kind whose objects hold the relation.
    pub from: String,
    /// `owns`, `selects`, `runsOn`, `references`.
    pub verb: String,
    /// The kind that they relate to.
    pub to: String,
    /// The field that holds it: list items are `[]`, map entries `*`: `spec.volumes[].configMap.name`. None where the
    /// relation is told by the owned object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Whether the `kind` beside the field says that it is this one: `roleRef.kind`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_kind: bool,
    /// Whether it is declared below a template: true of the objects to be made from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub templated: bool,
}

impl RelationGraph {
    /// The graph of these kinds. Costs a walk through each schema.
    pub fn of<'a>(kinds: impl IntoIterator<Item = &'a KindEntry>) -> Self {
        let mut graph = Self::default();
        // A form of another kind has that kind's objects, and so its relations.
        for entry in kinds.into_iter().filter(|entry| entry.form.is_none()) {
            let kind = &entry.kind;
            graph.nodes.push(KindNode {
                kind: kind.name.to_owned(),
                api_version: kind.api_version(),
                resource: kind.resource(),
                namespaced: kind.is_namespaced(),
                sensitive: kind.is_sensitive,
            });
            graph.edges.extend(RelationEdge::of(entry));
        }
        graph
    }

    /// The kind of this name; of several, the first.
    pub fn node(&self, kind: &str) -> Option<&KindNode> {
        self.nodes.iter().find(|node| node.kind == kind)
    }

    /// How late the objects of a kind come where what is referred to comes before what refers to it: kinds of the cluster
    /// first, because the others live in them, then by the longest chain of references. `None` for kinds that are not here.
    pub fn rank(&self, kind: &str) -> Option<usize> {
        let node = self.node(kind)?;
        Some(if node.namespaced { 1 + self.depth(&node.kind, &mut Vec::new()) } else { 0 })
    }

    /// The length of the longest chain of references that begins at a kind. A cycle is entered once.
    fn depth<'g>(&'g self, kind: &'g str, above: &mut Vec<&'g str>) -> usize {
        if above.contains(&kind) {
            return 0;
        }
        above.push(kind);
        let leads = |verb: &str| matches!(verb, "references" | "owns");
        let edges =
            self.edges.iter().filter(|edge| edge.from == kind && edge.to != kind && leads(&edge.verb));
        let deepest = edges.map(|edge| 1 + self.depth(&edge.to, above)).max().unwrap_or(0);
        above.pop();
        deepest
    }
}

impl RelationEdge {
    /// The relations of a kind: what it owns, then what its schema says, by path.
    pub fn of(entry: &KindEntry) -> Vec<Self> {
        let from = || entry.kind.name.to_owned();
        let owns = entry.owns.iter().map(|owned| Self {
            from: from(),
            verb: "owns".to_owned(),
            to: owned.name.to_owned(),
            ..Self::default()
        });
        let relations = entry.schema.relations().into_iter();
        let others = relations.map(|at| Self {
            from: from(),
            verb: at.relation.verb,
            to: at.relation.target,
            by_kind: at.relation.by_kind,
            path: at.path,
            templated: at.templated,
        });
        owns.chain(others).collect()
    }

    /// What an object's field holds: a name, or a selector, for each of the places that the path leads to.
    pub fn found<'v>(&self, object: &'v Value) -> Vec<Found<'v>> {
        let mut found = vec![Found { value: object, is_optional: false, kind: None }];
        for step in self.path.split('.').filter(|step| !step.is_empty()) {
            found = found.into_iter().flat_map(|found| found.step(step)).collect();
        }
        found.retain(|found| !found.value.is_null() && found.value.as_str() != Some(""));
        found.retain(|found| !self.by_kind || found.kind == Some(self.to.as_str()));
        found
    }
}

/// What a relation's field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found<'v> {
    /// A name, or a selector.
    pub value: &'v Value,
    /// Whether the object says `optional: true` beside it: that nothing may be there.
    pub is_optional: bool,
    /// The `kind` beside it.
    kind: Option<&'v str>,
}

impl<'v> Found<'v> {
    fn step(self, step: &str) -> Vec<Self> {
        let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let is_optional = self.value["optional"] == true;
        let kind = self.value["kind"].as_str();
        let found = |value| Self { value, is_optional, kind };
        match self.value.get(name) {
            _ if step == "*" => {
                self.value.as_object().into_iter().flat_map(|map| map.values()).map(found).collect()
            }
            Some(Value::Array(items)) if is_list => items.iter().map(found).collect(),
            Some(value) if !is_list => vec![found(value)],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_every_place() {
        let object = json!({"spec": {"volumes": [
            {"name": "a", "configMap": {"name": "one"}}, {"name": "b"},
            {"name": "c", "configMap": {"name": "two", "optional": true}}, {"name": "d", "configMap": {"name": ""}}],
            "by": {"x": {"ref": "three"}}}});
        let at = |path: &str| {
            let edge = RelationEdge { path: path.to_owned(), ..RelationEdge::default() };
            let found: Vec<_> =
                edge.found(&object).iter().map(|f| (f.value.clone(), f.is_optional)).collect();
            found
        };
        let volumes = at("spec.volumes[].configMap.name");
        assert_eq!(volumes, [(json!("one"), false), (json!("two"), true)]);
        assert_eq!(at("spec.by.*.ref"), [(json!("three"), false)]);
        assert_eq!(at("spec.none[].name"), []);
    }

    #[test]
    fn the_kind_beside_a_name_says_whose_name_it_is() {
        let object = json!({"roleRef": {"kind": "Role", "name": "reader"}});
        let edge = |to: &str| RelationEdge {
            path: "roleRef.name".to_owned(),
            to: to.to_owned(),
            by_kind: true,
            ..RelationEdge::default()
        };
        assert_eq!(edge("Role").found(&object).len(), 1);
        assert_eq!(edge("ClusterRole").found(&object).len(), 0);
    }
}
