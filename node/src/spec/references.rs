//! Which other objects a pod needs.

use std::collections::BTreeSet;

use orch_ontology::{Container, Pod, PodSpec, Volume};

/// A ConfigMap or Secret by name, in the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reference {
    ConfigMap(String),
    Secret(String),
}

/// Everything that the pod's volumes and environment refer to.
pub(crate) fn references(pod: &Pod) -> BTreeSet<Reference> {
    let volumes = pod.spec.volumes.iter().flat_map(of_volume);
    let containers = all_containers(&pod.spec).flat_map(of_container);
    volumes.chain(containers).filter(|reference| !reference.name().is_empty()).collect()
}

/// Init containers, then the others.
pub(crate) fn all_containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().chain(&spec.containers)
}

impl Reference {
    fn config_map(name: &impl ToString) -> Self {
        Self::ConfigMap(name.to_string())
    }

    fn secret(name: &impl ToString) -> Self {
        Self::Secret(name.to_string())
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::ConfigMap(name) | Self::Secret(name) => name,
        }
    }
}

fn of_volume(volume: &Volume) -> impl Iterator<Item = Reference> {
    let config_map = volume.config_map.as_ref().map(|source| Reference::config_map(&source.name));
    let secret = volume.secret.as_ref().map(|source| Reference::secret(&source.secret_name));
    config_map.into_iter().chain(secret)
}

fn of_container(container: &Container) -> impl Iterator<Item = Reference> {
    let whole = container.env_from.iter().flat_map(|from| {
        let config_map = from.config_map_ref.as_ref().map(|source| Reference::config_map(&source.name));
        config_map.into_iter().chain(from.secret_ref.as_ref().map(|source| Reference::secret(&source.name)))
    });
    let keys = container.env.iter().filter_map(|variable| variable.value_from.as_ref()).flat_map(|from| {
        let config_map = from.config_map_key_ref.as_ref().map(|key| Reference::config_map(&key.name));
        config_map.into_iter().chain(from.secret_key_ref.as_ref().map(|key| Reference::secret(&key.name)))
    });
    whole.chain(keys)
}
