//! Asking a server what it serves: aggregated discovery, and the plain documents of servers without it.

use orch_api::{Status, api_version};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ApiResource, Discovery};
use crate::{Accept, HttpClient};

impl HttpClient {
    /// What the server serves: two requests, or one more per group version from servers without aggregated discovery.
    ///
    /// # Errors
    /// As [`orch_api::Client::send`].
    pub async fn discovery(&self) -> Result<Discovery, Status> {
        let (core, groups) = futures::try_join!(self.root("/api"), self.root("/apis"))?;
        self.described(core, groups).await
    }

    /// What the two documents at the roots say, with those that they lead to.
    pub(super) async fn described(&self, core: Value, groups: Value) -> Result<Discovery, Status> {
        let mut resources = self.resources(core).await?;
        resources.extend(self.resources(groups).await?);
        Ok(Discovery { resources })
    }

    async fn root(&self, path: &str) -> Result<Value, Status> {
        read(&self.get_raw(path, Accept::Discovery).await?)
    }

    async fn resources(&self, root: Value) -> Result<Vec<ApiResource>, Status> {
        if is_aggregated(&root) {
            return aggregated(root);
        }
        let mut resources = Vec::new();
        for (group, version) in group_versions(root)? {
            let prefix = if group.is_empty() { "/api" } else { "/apis" };
            let path = format!("{prefix}/{}", api_version(&group, &version));
            let list: ResourceList = read(&self.get_raw(&path, Accept::Json).await?)?;
            resources.extend(list.resources(&group, &version));
        }
        Ok(resources)
    }
}

/// Whether a document says all by itself.
pub(super) fn is_aggregated(root: &Value) -> bool {
    root["kind"] == "APIGroupDiscoveryList"
}

pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(bytes).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> Status {
    Status::internal(format!("the server's discovery document cannot be read: {error}"))
}

/// Groups in the server's order, the preferred version of each first.
fn aggregated(root: Value) -> Result<Vec<ApiResource>, Status> {
    let root: GroupDiscoveryList = serde_json::from_value(root).map_err(unreadable)?;
    let mut resources = Vec::new();
    for group in root.items {
        for version in group.versions {
            let of_version = version
                .resources
                .into_iter()
                .filter_map(|resource| resource.into_resource(&group.metadata.name, &version.version));
            resources.extend(of_version);
        }
    }
    Ok(resources)
}

fn group_versions(root: Value) -> Result<Vec<(String, String)>, Status> {
    let root: Root = serde_json::from_value(root).map_err(unreadable)?;
    let core = root.versions.into_iter().map(|version| (String::new(), version));
    let groups = root.groups.into_iter().flat_map(|group| {
        let name = group.name;
        group.versions.into_iter().map(move |version| (name.clone(), version.version))
    });
    Ok(core.chain(groups).collect())
}

#[derive(Deserialize)]
struct GroupDiscoveryList {
    #[serde(default)]
    items: Vec<GroupDiscovery>,
}

#[derive(Deserialize)]
struct GroupDiscovery {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<VersionDiscovery>,
}

#[derive(Deserialize, Default)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct VersionDiscovery {
    version: String,
    #[serde(default)]
    resources: Vec<ResourceDiscovery>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceDiscovery {
    resource: String,
    /// Absent of collections that serve subresources only.
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    subresources: Vec<SubresourceDiscovery>,
}

#[derive(Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
struct SubresourceDiscovery {
    subresource: String,
}

impl ResourceDiscovery {
    fn into_resource(self, group: &str, version: &str) -> Option<ApiResource> {
        Some(ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: self.response_kind?.kind,
            plural: self.resource,
            singular: self.singular_resource,
            namespaced: self.scope == "Namespaced",
            short_names: self.short_names,
            categories: self.categories,
            verbs: self.verbs,
            subresources: self.subresources.into_iter().map(|s| s.subresource).collect(),
        })
    }
}

/// `APIVersions` and `APIGroupList` in one: each has only its own field.
#[derive(Deserialize)]
struct Root {
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    #[serde(default)]
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<PlainResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainResource {
    name: String,
    kind: String,
    #[serde(default)]
    singular_name: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
}

impl ResourceList {
    /// The subresources stand in the same list as `pods/log`.
    fn resources(self, group: &str, version: &str) -> Vec<ApiResource> {
        let (below, resources): (Vec<_>, Vec<_>) =
            self.resources.into_iter().partition(|r| r.name.contains('/'));
        let subresources = |plural: &str| {
            let split = below.iter().filter_map(|r| r.name.split_once('/'));
            split.filter(|(of, _)| *of == plural).map(|(_, name)| name.to_owned()).collect()
        };
        let resource = |plain: PlainResource| ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            subresources: subresources(&plain.name),
            kind: plain.kind,
            plural: plain.name,
            singular: plain.singular_name,
            namespaced: plain.namespaced,
            short_names: plain.short_names,
            categories: plain.categories,
            verbs: plain.verbs,
        };
        resources.into_iter().map(resource).collect()
    }
}
