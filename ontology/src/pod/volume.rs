//! Directories and files that a pod's containers can mount.

use orch_api::{Quantity, Ref};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProjectedVolumeSource;
use crate::{ConfigMap, Secret};

/// A directory that containers can mount. Besides the name, exactly one field is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// The volume's name, unique in the pod.
    pub name: String,
    /// A directory of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<HostPathVolumeSource>,
    /// An empty directory that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// The entries of a Secret as files, in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// The entries of a ConfigMap as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// Tokens, entries of Secrets and ConfigMaps, and what the pod itself says, as files in one directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected: Option<ProjectedVolumeSource>,
}

/// An empty directory that lives as long as the pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmptyDirVolumeSource {
    /// Where it is kept: on the node's disk (empty, the default), or in memory (`Memory`).
    #[serde(default, skip_serializing_if = "StorageMedium::is_disk")]
    pub medium: StorageMedium,
    /// The most that it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Quantity>,
}

/// Where an empty directory is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StorageMedium {
    /// On the node's disk.
    #[default]
    #[serde(rename = "")]
    Disk,
    /// In memory. What it holds counts against the container's memory limit.
    Memory,
}

impl StorageMedium {
    /// Whether this is the default, the node's disk.
    pub fn is_disk(&self) -> bool {
        *self == Self::Disk
    }
}

/// A file or directory of the node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostPathVolumeSource {
    /// The path on the node.
    pub path: String,
    /// What must be at the path, or is made there. Nothing is checked unless given.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub path_type: Option<HostPathType>,
}

/// What must be at a path of the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HostPathType {
    /// Anything: nothing is checked.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// A directory, made with mode 0755 if there is nothing.
    DirectoryOrCreate,
    /// A directory.
    Directory,
    /// A file, made empty with mode 0644 if there is nothing.
    FileOrCreate,
    /// A file.
    File,
    /// A UNIX socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// The entries of a ConfigMap as files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapVolumeSource {
    /// The ConfigMap.
    #[serde(default)]
    pub name: Ref<ConfigMap>,
    /// The entries and the files they become. All entries, each a file named by its key, unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub items: Vec<KeyToPath>,
    /// The files' mode. 0644 (in JSON 420) unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<i32>,
    /// Whether the pod starts when there is no such ConfigMap or entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// The entries of a Secret as files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretVolumeSource {
    /// The Secret.
    #[serde(default, skip_serializing_if = "Ref::is_empty")]
    pub secret_name: Ref<Secret>,
    /// The entries and the files they become. All entries, each a file named by its key, unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub items: Vec<KeyToPath>,
    /// The files' mode. 0644 (in JSON 420) unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<i32>,
    /// Whether the pod starts when there is no such Secret or entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// An entry and the file it becomes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyToPath {
    /// The entry's key.
    pub key: String,
    /// The file, relative to the volume. May not contain `..`.
    pub path: String,
    /// The file's mode. The volume's `defaultMode` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<i32>,
}
