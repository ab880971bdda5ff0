//! From a pod's volumes to what must be on the disk.

use std::{collections::BTreeMap, path::PathBuf};

use orch_ontology::{HostPathType, KeyToPath, Pod, StorageMedium, Volume};

use super::facts::{ConfigError, Lookup, Sources};
use super::projected::projected;
use crate::volumes::{File, Payload};

/// A volume as it must be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VolumeSpec {
    pub(crate) name: String,
    pub(crate) content: Content,
}

/// What a volume holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// Whatever containers put there.
    EmptyDir { in_memory: bool, size_limit_bytes: Option<i64> },
    /// A path of the node, checked or made.
    HostPath { path: PathBuf, path_type: HostPathType },
    /// These files.
    Files { files: Payload, in_memory: bool },
}

/// The versions of the objects that a pod's volumes show: volumes made for another are out of date.
pub(crate) type VolumesVersion = BTreeMap<String, String>;

/// Which versions of the objects the volumes would show now. Fails while one is missing.
pub(crate) fn volumes_version(pod: &Pod, sources: &Sources) -> Result<VolumesVersion, ConfigError> {
    let mut versions = VolumesVersion::new();
    for volume in &pod.spec.volumes {
        let version = match &volume.projected {
            Some(source) => projected(pod, source, sources).map(|shown| Some(shown.version)),
            None => entries(volume, sources).map(|entries| entries.map(|entries| entries.version)),
        };
        if let Some(version) = version.map_err(|error| of_volume(volume, error))? {
            versions.insert(volume.name.clone(), version);
        }
    }
    Ok(versions)
}

/// All volumes of the pod. Costs a copy of what they hold.
pub(crate) fn volume_specs(pod: &Pod, sources: &Sources) -> Result<Vec<VolumeSpec>, ConfigError> {
    let spec = |volume: &Volume| {
        let content = content(pod, volume, sources).map_err(|error| of_volume(volume, error))?;
        Ok(VolumeSpec { name: volume.name.clone(), content })
    };
    pod.spec.volumes.iter().map(spec).collect()
}

fn of_volume(volume: &Volume, error: ConfigError) -> ConfigError {
    match error {
        ConfigError::Invalid(why) => ConfigError::Invalid(mount_failure(&volume.name, &why)),
        ConfigError::Loading => ConfigError::Loading,
    }
}

/// Why a volume cannot be set up, as kubelet says it.
pub(crate) fn mount_failure(volume: &str, why: &str) -> String {
    format!("MountVolume.SetUp failed for volume {volume:?} : {why}")
}

fn content(pod: &Pod, volume: &Volume, sources: &Sources) -> Result<Content, ConfigError> {
    if let Some(host_path) = &volume.host_path {
        let path_type = host_path.path_type.unwrap_or_default();
        return Ok(Content::HostPath { path: host_path.path.clone().into(), path_type });
    }
    if let Some(empty_dir) = &volume.empty_dir {
        return Ok(Content::EmptyDir {
            in_memory: empty_dir.medium == StorageMedium::Memory,
            size_limit_bytes: empty_dir.size_limit.map(|limit| limit.value()).filter(|bytes| *bytes > 0),
        });
    }
    if let Some(source) = &volume.projected {
        return Ok(Content::Files { files: projected(pod, source, sources)?.files, in_memory: true });
    }
    match entries(volume, sources)? {
        Some(entries) => Ok(Content::Files { files: entries.files()?, in_memory: volume.secret.is_some() }),
        None => Err(ConfigError::invalid(format!("volume {:?} has no source", volume.name))),
    }
}

/// The entries of the object that a volume shows.
pub(super) struct Entries<'a> {
    /// For messages.
    what: String,
    pub(super) version: String,
    data: BTreeMap<String, Vec<u8>>,
    items: &'a [KeyToPath],
    default_mode: u32,
    optional: bool,
}

pub(super) fn mode_of(mode: Option<i32>) -> u32 {
    mode.map_or(0o644, i32::unsigned_abs)
}

/// `None` if the volume shows no object.
fn entries<'a>(volume: &'a Volume, sources: &Sources) -> Result<Option<Entries<'a>>, ConfigError> {
    if let Some(source) = &volume.config_map {
        let (name, mode) = (source.name.as_str(), mode_of(source.default_mode));
        return Entries::of_config_map(name, &source.items, mode, source.optional, sources).map(Some);
    }
    if let Some(source) = &volume.secret {
        let (name, mode) = (source.secret_name.as_str(), mode_of(source.default_mode));
        return Entries::of_secret(name, &source.items, mode, source.optional, sources).map(Some);
    }
    Ok(None)
}

impl<'a> Entries<'a> {
    pub(super) fn of_config_map(
        name: &str,
        items: &'a [KeyToPath],
        default_mode: u32,
        optional: Option<bool>,
        sources: &Sources,
    ) -> Result<Self, ConfigError> {
        let found = match sources.config_map(name) {
            Lookup::Loading => return Err(ConfigError::Loading),
            Lookup::Missing => None,
            Lookup::Found(object) => {
                let text = object.data.iter().map(|(key, text)| (key.clone(), text.clone().into_bytes()));
                let binary = object.binary_data.iter().map(|(key, bytes)| (key.clone(), bytes.0.clone()));
                Some((object.metadata.resource_version.clone(), text.chain(binary).collect()))
            }
        };
        Self::of("configmap", name, found, items, default_mode, optional == Some(true))
    }

    pub(super) fn of_secret(
        name: &str,
        items: &'a [KeyToPath],
        default_mode: u32,
        optional: Option<bool>,
        sources: &Sources,
    ) -> Result<Self, ConfigError> {
        let found = match sources.secret(name) {
            Lookup::Loading => return Err(ConfigError::Loading),
            Lookup::Missing => None,
            Lookup::Found(object) => {
                let data = object.data.iter().map(|(key, bytes)| (key.clone(), bytes.0.clone())).collect();
                Some((object.metadata.resource_version.clone(), data))
            }
        };
        Self::of("secret", name, found, items, default_mode, optional == Some(true))
    }

    fn of(
        kind: &str,
        name: &str,
        found: Option<(String, BTreeMap<String, Vec<u8>>)>,
        items: &'a [KeyToPath],
        default_mode: u32,
        optional: bool,
    ) -> Result<Self, ConfigError> {
        let what = format!("{kind} {name:?}");
        let (version, data) = match found {
            Some(found) => found,
            None if optional => Default::default(),
            None => return Err(ConfigError::invalid(format!("{what} not found"))),
        };
        Ok(Self { what, version, data, items, default_mode, optional })
    }

    pub(super) fn files(self) -> Result<Payload, ConfigError> {
        let file = |bytes: Vec<u8>, mode: Option<i32>| File {
            bytes,
            mode: mode.map_or(self.default_mode, i32::unsigned_abs),
        };
        if self.items.is_empty() {
            return Ok(self.data.into_iter().map(|(key, bytes)| (key.into(), file(bytes, None))).collect());
        }
        let mut files = Payload::new();
        for item in self.items {
            match self.data.get(&item.key) {
                Some(bytes) => drop(files.insert(item.path.clone().into(), file(bytes.clone(), item.mode))),
                None if self.optional => {}
                None => {
                    let message = format!("{} references non-existent config key: {}", self.what, item.key);
                    return Err(ConfigError::Invalid(message));
                }
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use orch_ontology::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::testing::pod;

    fn specs(volume: serde_json::Value) -> Result<Vec<VolumeSpec>, ConfigError> {
        let mut pod = pod("web");
        pod.spec.volumes = vec![serde_json::from_value(volume).unwrap()];
        let config: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "c", "resourceVersion": "7"}, "data": {"a": "1", "b": "2"}, "binaryData": {"c": "AAE="},
        }))
        .unwrap();
        let config_maps =
            [("c".to_owned(), Lookup::Found(Arc::new(config))), ("none".to_owned(), Lookup::Missing)].into();
        volume_specs(&pod, &Sources { config_maps, ..Sources::default() })
    }

    fn files(volume: serde_json::Value) -> Vec<(String, Vec<u8>, u32)> {
        match specs(volume).unwrap().remove(0).content {
            Content::Files { files, .. } => files
                .into_iter()
                .map(|(path, file)| (path.to_str().unwrap().to_owned(), file.bytes, file.mode))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_config_map_becomes_files() {
        let all = files(json!({"name": "v", "configMap": {"name": "c", "defaultMode": 0o400}}));
        let expected = [("a", &b"1"[..]), ("b", b"2"), ("c", &[0, 1])];
        assert_eq!(all, expected.map(|(path, bytes)| (path.to_owned(), bytes.to_vec(), 0o400)));
        let items = json!([{"key": "b", "path": "deep/file", "mode": 0o600}]);
        let some = files(json!({"name": "v", "configMap": {"name": "c", "items": items}}));
        assert_eq!(some, [("deep/file".to_owned(), b"2".to_vec(), 0o600)]);
    }

    #[test]
    fn what_is_missing_is_named_unless_it_is_optional() {
        let missing = |map: serde_json::Value| specs(json!({"name": "v", "configMap": map}));
        assert_eq!(
            missing(json!({"name": "none"})),
            Err(ConfigError::Invalid(mount_failure("v", "configmap \"none\" not found")))
        );
        assert!(missing(json!({"name": "none", "optional": true})).is_ok());
        assert_eq!(missing(json!({"name": "unheard", "optional": true})), Err(ConfigError::Loading));
        let items = json!([{"key": "x", "path": "x"}]);
        let expected = mount_failure("v", "configmap \"c\" references non-existent config key: x");
        assert_eq!(missing(json!({"name": "c", "items": items})), Err(ConfigError::Invalid(expected)));
        assert!(missing(json!({"name": "c", "items": items, "optional": true})).is_ok());
    }
}
