//! From manifests to the objects that there should be: placed in their namespaces, in the order in which they are to be made.

use std::collections::BTreeMap;

use orch_api::plan::{Free, PlannedApply, PlannedChange};
use orch_api::{Object as _, split_api_version};
use orch_gitops::source::Manifest;
use orch_ontology::{CustomResourceDefinition, GitSyncSpec, InventoryItem, KINDS, rank};
use serde_json::Value;

/// An object that there should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Desired {
    pub(super) item: InventoryItem,
    pub(super) object: Value,
    /// Where it is written: `deploy/web.yaml:12`.
    pub(super) place: String,
}

impl Desired {
    /// The change that makes it so: its fields become those of `manager`, whoever has them.
    pub(super) fn apply(&self, manager: &str) -> PlannedChange {
        let (manifest, field_manager) = (Free(self.object.clone()), manager.to_owned());
        PlannedChange {
            apply: Some(PlannedApply { manifest, field_manager, force: true }),
            ..PlannedChange::default()
        }
    }
}

/// Whether the objects of a kind live in namespaces, by group and kind.
pub(super) struct Scopes(BTreeMap<(String, String), bool>);

impl Scopes {
    /// Those of the built-in kinds, of those that these objects define, and of those that manifests are about to define.
    pub(super) fn of<'a>(
        definitions: impl IntoIterator<Item = &'a CustomResourceDefinition>,
        manifests: &[Manifest],
    ) -> Self {
        let built_in = KINDS.iter().map(|entry| {
            ((entry.kind.group.to_owned(), entry.kind.name.to_owned()), entry.kind.is_namespaced())
        });
        let mut scopes: BTreeMap<_, _> = built_in.collect();
        scopes.extend(definitions.into_iter().map(|definition| {
            let spec = &definition.spec;
            ((spec.group.clone(), spec.names.kind.clone()), spec.scope == "Namespaced")
        }));
        let defining =
            manifests.iter().filter(|manifest| manifest.object.kind() == "CustomResourceDefinition");
        scopes.extend(defining.map(|manifest| {
            let spec = &manifest.object["spec"];
            let kind = spec["names"].text(&["kind"]).to_owned();
            ((spec.text(&["group"]).to_owned(), kind), spec.text(&["scope"]) == "Namespaced")
        }));
        Self(scopes)
    }

    /// None for a kind that nobody knows.
    fn namespaced(&self, api_version: &str, kind: &str) -> Option<bool> {
        let (group, _) = split_api_version(api_version);
        self.0.get(&(group.to_owned(), kind.to_owned())).copied()
    }
}

/// The objects that manifests describe, what is referred to first.
///
/// # Errors
/// Everything that is wrong with them as a whole, each with its place. What is wrong with one by itself, the server says.
pub(super) fn desired(
    manifests: &[Manifest],
    spec: &GitSyncSpec,
    own_namespace: &str,
    scopes: &Scopes,
) -> Result<Vec<Desired>, Vec<String>> {
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    let mut places: BTreeMap<InventoryItem, String> = BTreeMap::new();
    for manifest in manifests {
        let place = format!("{}:{}", manifest.path, manifest.line);
        let mut object = manifest.object.clone();
        let is_namespaced = scopes.namespaced(object.api_version(), object.kind());
        match is_namespaced.unwrap_or(!object.namespace().is_empty()) {
            true => {
                let given = Some(object.namespace()).filter(|namespace| !namespace.is_empty());
                let target = Some(spec.target_namespace.as_str()).filter(|target| !target.is_empty());
                let namespace = target.or(given).unwrap_or(own_namespace).to_owned();
                object["metadata"]["namespace"] = namespace.into();
            }
            false => {
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("namespace");
                }
            }
        }
        let item = item(&object);
        if let Some(other) = places.insert(item.clone(), place.clone()) {
            wrong.push(format!("{place}: {} {} is also in {other}", item.kind, object.name()));
        }
        all.push(Desired { item, object, place });
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    all.sort_by_key(|desired| rank(&desired.item.api_version, &desired.item.kind));
    Ok(all)
}

fn item(object: &Value) -> InventoryItem {
    InventoryItem {
        api_version: object.api_version().to_owned(),
        kind: object.kind().to_owned(),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifests(objects: &[Value]) -> Vec<Manifest> {
        let with_line = |(line, object): (usize, &Value)| Manifest {
            object: object.clone(),
            path: "a.yaml".into(),
            line: line + 1,
        };
        objects.iter().enumerate().map(with_line).collect()
    }

    fn told(spec: &GitSyncSpec, objects: &[Value]) -> Result<Vec<String>, Vec<String>> {
        let manifests = manifests(objects);
        let all = desired(&manifests, spec, "own", &Scopes::of([], &manifests))?;
        Ok(all
            .iter()
            .map(|Desired { item, place, .. }| {
                format!("{place} {} {}/{}", item.kind, item.namespace, item.name)
            })
            .collect())
    }

    fn object(api_version: &str, kind: &str, metadata: Value) -> Value {
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata})
    }

    #[test]
    fn objects_are_placed_and_what_is_referred_to_comes_first() {
        let mut definition =
            object("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({"name": "x"}));
        definition["spec"] =
            json!({"group": "example.com", "names": {"kind": "Shop"}, "scope": "Namespaced"});
        let objects = [
            object("example.com/v1", "Shop", json!({"name": "s"})),
            object("orch.dev/v1", "Workload", json!({"name": "w"})),
            object("v1", "Secret", json!({"name": "k", "namespace": "other"})),
            object("v1", "Namespace", json!({"name": "n", "namespace": "meaningless"})),
            definition,
        ];
        let expected = [
            "a.yaml:4 Namespace /n",
            "a.yaml:5 CustomResourceDefinition /x",
            "a.yaml:3 Secret other/k",
            "a.yaml:2 Workload own/w",
            "a.yaml:1 Shop own/s",
        ];
        assert_eq!(told(&GitSyncSpec::default(), &objects).unwrap(), expected);
        let spec = GitSyncSpec { target_namespace: "target".into(), ..GitSyncSpec::default() };
        assert_eq!(told(&spec, &objects).unwrap()[2], "a.yaml:3 Secret target/k");
    }

    #[test]
    fn one_object_in_two_places_is_told() {
        let objects = [
            object("v1", "ConfigMap", json!({"name": "a"})),
            object("v1", "ConfigMap", json!({"name": "a", "namespace": "own"})),
        ];
        let expected = ["a.yaml:2: ConfigMap a is also in a.yaml:1"];
        assert_eq!(told(&GitSyncSpec::default(), &objects).unwrap_err(), expected);
    }
}
