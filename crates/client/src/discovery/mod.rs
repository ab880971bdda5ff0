//! [`Discovery`]: what a server serves, and what the words that people type mean to it.

mod fetch;
mod known;

pub use known::KnownDiscovery;

use orch_api::{Target, api_version, split_api_version};

/// A kind of object as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiResource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// The kind's name: `Workload`.
    pub kind: String,
    /// The collection's name: `workloads`.
    pub plural: String,
    /// The name of one: `workload`.
    pub singular: String,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Abbreviations: `wl`.
    pub short_names: Vec<String>,
    /// Groups of kinds that it belongs to: `all`.
    pub categories: Vec<String>,
    /// What may be done with it: `get`, `list`, …
    pub verbs: Vec<String>,
    /// Paths below an object: `status`, `log`, …
    pub subresources: Vec<String>,
}

impl ApiResource {
    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// `pods` or `workloads.orch.dev`.
    pub fn resource(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// `pod` or `workload.orch.dev`: what an object's name follows in messages.
    pub fn prefix(&self) -> String {
        let singular =
            if self.singular.is_empty() { self.kind.to_lowercase() } else { self.singular.clone() };
        qualified(&singular, &self.group)
    }

    /// The collection in a namespace, or across all of them. The namespace of a kind of the cluster is ignored.
    pub fn collection(&self, namespace: Option<&str>) -> Target {
        Target {
            group: self.group.clone().into(),
            version: self.version.clone().into(),
            plural: self.plural.clone().into(),
            namespace: namespace.filter(|_| self.namespaced).map(str::to_owned),
            name: None,
            subresource: None,
        }
    }

    /// Whether the server lets this be done with it.
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    fn goes_by(&self, word: &str) -> bool {
        let names = [&self.plural, &self.singular].into_iter().chain(&self.short_names);
        names.into_iter().any(|name| name == word) || self.kind.to_lowercase() == word
    }
}

/// What a server serves, in the server's order of preference.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// All kinds.
    pub resources: Vec<ApiResource>,
}

/// A word that names no kind that the server serves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server has no resource type {word:?}")]
pub struct UnknownResource {
    /// The word.
    pub word: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

impl Discovery {
    /// The kind that a word means: plural, singular, kind or short name in any case, alone or followed by `.group` or
    /// `.version.group` (`pods.v1.`). Of several kinds of the same name the first counts.
    ///
    /// # Errors
    /// No kind goes by that word.
    pub fn resolve(&self, word: &str) -> Result<&ApiResource, UnknownResource> {
        let folded = word.to_lowercase();
        let (name, suffix) = folded.split_once('.').unwrap_or((&folded, ""));
        let (version, group) = suffix.split_once('.').unwrap_or(("", suffix));
        let by_version = |resource: &&ApiResource| {
            !version.is_empty()
                && resource.goes_by(name)
                && resource.version == version
                && resource.group == group
        };
        let by_group = |resource: &&ApiResource| {
            resource.goes_by(name) && (suffix.is_empty() || resource.group == suffix)
        };
        let resources = &self.resources;
        resources
            .iter()
            .find(by_version)
            .or_else(|| resources.iter().find(by_group))
            .ok_or_else(|| self.unknown(word))
    }

    /// The kinds of a category such as `all` that can be listed.
    pub fn category(&self, word: &str) -> Vec<&ApiResource> {
        let belongs =
            |resource: &&ApiResource| resource.categories.iter().any(|c| c == word) && resource.can("list");
        self.resources.iter().filter(belongs).collect()
    }

    /// The kind that an object says that it has.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> Option<&ApiResource> {
        let (group, version) = split_api_version(api_version);
        self.resources.iter().find(|r| r.kind == kind && r.group == group && r.version == version)
    }

    /// The `Kind` or `apiVersion` that was probably meant by those of an object.
    pub fn nearest_kind(&self, api_version: &str, kind: &str) -> Option<String> {
        if let Some(same) = self.resources.iter().find(|resource| resource.kind == kind) {
            return Some(format!("apiVersion: {}, kind: {kind}", same.api_version()));
        }
        let kinds = self.resources.iter().filter(|resource| resource.api_version() == api_version);
        orch_api::schema::nearest(kind, kinds.map(|resource| resource.kind.as_str()))
            .map(|kind| format!("kind: {kind}"))
    }

    fn unknown(&self, word: &str) -> UnknownResource {
        let names = self
            .resources
            .iter()
            .flat_map(|r| [r.plural.as_str(), r.singular.as_str()])
            .filter(|n| !n.is_empty());
        let bare = word.split('.').next().unwrap_or(word);
        UnknownResource {
            word: word.to_owned(),
            suggestion: orch_api::schema::nearest(bare, names).map(str::to_owned),
        }
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

#[cfg(test)]
mod tests;
