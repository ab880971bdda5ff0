//! What is served: groups, versions, resources, verbs; as Kubernetes' plain documents and as its aggregated one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::body::Body;
use http::Response;
use http::request::Parts;
use orch_api::{Kind, Subresource, api_version};
use serde_json::{Value, json};

use super::{Document, review};
use crate::accept::clauses;
use crate::kinds::{Kinds, Served};

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Those of kinds of which only one object at a time is deleted.
const SINGLE_VERBS: [&str; 7] = ["create", "delete", "get", "list", "patch", "update", "watch"];
/// Those of kinds that can only be read.
const READ_VERBS: [&str; 2] = ["get", "list"];
/// Those of plans, which do not change.
const FIXED_VERBS: [&str; 6] = ["create", "delete", "deletecollection", "get", "list", "watch"];
const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

/// Every discovery document, ready to be sent.
pub(crate) struct Discovery {
    /// By path below `/api` or `/apis`, such as `apis/orch.dev/v1`.
    plain: BTreeMap<String, Document>,
    /// By root (`api`, `apis`) and version of the aggregated format.
    aggregated: BTreeMap<(&'static str, &'static str), Document>,
}

/// The resources of one group, by version.
type Versions<'a> = BTreeMap<&'a str, Vec<Listed>>;

/// What is told of a kind, or of a question that callers may ask.
struct Listed {
    kind: Kind,
    verbs: &'static [&'static str],
    /// Their names, kinds and verbs.
    subresources: Vec<(&'static str, Kind, Vec<&'static str>)>,
}

impl Listed {
    fn of(served: &Served) -> Self {
        let verbs: &[_] = match &served.entry {
            entry if entry.is_history => &READ_VERBS,
            entry if entry.is_plan => &FIXED_VERBS,
            entry if entry.deletes_collections => &VERBS,
            _ => &SINGLE_VERBS,
        };
        Self { kind: *served.kind(), verbs, subresources: subresources(served) }
    }

    /// A question: it is answered, and nothing of it is kept.
    fn question(kind: Kind) -> Self {
        Self { kind, verbs: &["create"], subresources: Vec::new() }
    }
}

impl Discovery {
    pub(crate) fn new(kinds: &Kinds) -> Self {
        let mut groups: BTreeMap<&str, Versions<'_>> = BTreeMap::new();
        let served = kinds.all().iter().map(|served| Listed::of(served));
        for listed in served.chain(review::kinds().map(Listed::question)) {
            let kind = listed.kind;
            groups.entry(kind.group).or_default().entry(kind.version).or_default().push(listed);
        }
        let core = groups.remove("").unwrap_or_default();
        let mut plain = BTreeMap::new();
        let versions: Vec<&str> = core.keys().copied().collect();
        plain.insert(
            "api".to_owned(),
            Document::new(&json!({"kind": "APIVersions", "versions": versions,
            "serverAddressByClientCIDRs": []})),
        );
        for (version, kinds) in &core {
            plain.insert(format!("api/{version}"), Document::new(&resources("", version, kinds)));
        }
        let list: Vec<Value> = groups.iter().map(|(group, versions)| self::group(group, versions)).collect();
        plain.insert(
            "apis".to_owned(),
            Document::new(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list})),
        );
        for (group, versions) in &groups {
            let mut document = self::group(group, versions);
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            plain.insert(format!("apis/{group}"), Document::new(&document));
            for (version, kinds) in versions {
                plain.insert(
                    format!("apis/{group}/{version}"),
                    Document::new(&resources(group, version, kinds)),
                );
            }
        }
        let mut aggregated = BTreeMap::new();
        for format in ["v2", "v2beta1"] {
            let core = aggregate(format, [("", &core)]);
            aggregated.insert(("api", format), Document::new(&core));
            let named = aggregate(format, groups.iter().map(|(group, versions)| (*group, versions)));
            aggregated.insert(("apis", format), Document::new(&named));
        }
        Self { plain, aggregated }
    }

    /// The document of a path, or none if there is no such path.
    pub(super) fn answer(&self, root: &str, rest: &[&str], parts: &Parts) -> Option<Response<Body>> {
        if rest.is_empty()
            && let Some((format, document)) = self.aggregated(root, parts)
        {
            let content_type =
                format!("application/json;g=apidiscovery.k8s.io;v={format};as=APIGroupDiscoveryList");
            return Some(document.answer(parts, &content_type));
        }
        let path = [&[root], rest].concat().join("/");
        Some(self.plain.get(&path)?.answer(parts, "application/json"))
    }

    /// The aggregated document, if the client prefers it.
    fn aggregated(&self, root: &str, parts: &Parts) -> Option<(&'static str, &Document)> {
        for clause in clauses(&parts.headers).iter().filter(|clause| clause.is_json()) {
            if clause.parameter("as").is_empty() {
                return None;
            }
            let wanted = clause.parameter("as") == "APIGroupDiscoveryList"
                && clause.parameter("g") == "apidiscovery.k8s.io";
            let found = self
                .aggregated
                .iter()
                .find(|((r, format), _)| *r == root && *format == clause.parameter("v"));
            if let Some(((_, format), document)) = found.filter(|_| wanted) {
                return Some((format, document));
            }
        }
        None
    }
}

fn group(group: &str, versions: &Versions<'_>) -> Value {
    let list: Vec<Value> = preferred(versions)
        .map(|(version, _)| json!({"groupVersion": api_version(group, version), "version": version}))
        .collect();
    json!({"name": group, "versions": list, "preferredVersion": list.first()})
}

/// The versions in Kubernetes' order of preference: `v2`, `v1`, `v1beta2`, `v1alpha1`, then other names by alphabet.
fn preferred<'v, 'a>(versions: &'v Versions<'a>) -> impl Iterator<Item = (&'a str, &'v Vec<Listed>)> {
    let mut versions: Vec<_> = versions.iter().map(|(version, kinds)| (*version, kinds)).collect();
    versions.sort_by_key(|(version, _)| (Reverse(maturity(version)), *version));
    versions.into_iter()
}

/// Stable before beta before alpha before what is none of these; then by number.
fn maturity(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let (major, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let (stage, minor) = match (rest, rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
        ("", ..) => (2, "0"),
        (_, Some(minor), _) => (1, minor),
        (_, _, Some(minor)) => (0, minor),
        _ => return None,
    };
    Some((stage, major.parse().ok()?, minor.parse().ok()?))
}

fn resources(group: &str, version: &str, kinds: &[Listed]) -> Value {
    let mut list = Vec::new();
    for Listed { kind, verbs, subresources } in kinds {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.is_namespaced(), "kind": kind.name,
            "verbs": verbs,
        });
        put_names(&mut resource, kind);
        list.push(resource);
        for (name, of, verbs) in subresources {
            let mut resource = json!({
                "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.is_namespaced(),
                "kind": of.name, "verbs": verbs,
            });
            if (of.group, of.version) != (kind.group, kind.version) {
                resource["group"] = of.group.into();
                resource["version"] = of.version.into();
            }
            list.push(resource);
        }
    }
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group, version), "resources": list})
}

fn aggregate<'a>(format: &str, groups: impl IntoIterator<Item = (&'a str, &'a Versions<'a>)>) -> Value {
    let items = groups.into_iter().filter(|(_, versions)| !versions.is_empty()).map(|(group, versions)| {
        let versions: Vec<Value> = preferred(versions)
            .map(|(version, kinds)| {
                let resources: Vec<Value> = kinds.iter().map(aggregated_resource).collect();
                json!({"version": version, "resources": resources, "freshness": "Current"})
            })
            .collect();
        let metadata = if group.is_empty() {
            json!({"creationTimestamp": null})
        } else {
            json!({"name": group, "creationTimestamp": null})
        };
        json!({"metadata": metadata, "versions": versions})
    });
    let items: Vec<Value> = items.collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{format}"), "metadata": {}, "items": items})
}

fn aggregated_resource(Listed { kind, verbs, subresources }: &Listed) -> Value {
    let mut resource = json!({
        "resource": kind.plural, "responseKind": names(kind), "singularResource": kind.singular, "verbs": verbs,
        "scope": if kind.is_namespaced() { "Namespaced" } else { "Cluster" },
    });
    put_names(&mut resource, kind);
    let subresources: Vec<Value> = subresources
        .iter()
        .map(|(name, of, verbs)| json!({"subresource": name, "responseKind": names(of), "verbs": verbs}))
        .collect();
    if !subresources.is_empty() {
        resource["subresources"] = subresources.into();
    }
    resource
}

fn names(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.name})
}

fn put_names(resource: &mut Value, kind: &Kind) {
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
}

fn subresources(served: &Served) -> Vec<(&'static str, Kind, Vec<&'static str>)> {
    let status = served.kind().has_status.then(|| ("status", *served.kind(), STATUS_VERBS.to_vec()));
    let verbs = |subresource: &Subresource| {
        subresource.verbs(served.kind()).iter().map(|verb| verb.as_str()).collect()
    };
    let others = served.entry.subresources.iter().map(|s| (s.name, s.kind, verbs(s)));
    status.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_versions_are_preferred_to_newer_unstable_ones() {
        let mut names = ["v1alpha1", "foo1", "v1", "v1beta2", "v11", "v2", "v12alpha1", "v10beta3", "foo10"];
        names.sort_by_key(|name| (Reverse(maturity(name)), *name));
        assert_eq!(
            names,
            ["v11", "v2", "v1", "v10beta3", "v1beta2", "v12alpha1", "v1alpha1", "foo1", "foo10"]
        );
    }
}
