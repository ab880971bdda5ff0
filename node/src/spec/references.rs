//! Which other objects a pod needs.

use std::collections::BTreeSet;

use orch_ontology::{Container, Pod, PodSpec, ServiceAccountTokenProjection, Volume};

/// A ConfigMap or Secret by name, in the pod's namespace, or a token of the pod's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reference {
    ConfigMap(String),
    Secret(String),
    Token(WantedToken),
}

/// A token that a pod's volume is to show. Bound to the pod, so no other pod's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WantedToken {
    pub(crate) account: String,
    /// Empty for the API server.
    pub(crate) audience: String,
    pub(crate) seconds: Option<i64>,
    pub(crate) pod: String,
    pub(crate) pod_uid: String,
}

/// The token that a projection of the pod's asks for.
pub(super) fn wanted_token(pod: &Pod, asked: &ServiceAccountTokenProjection) -> WantedToken {
    WantedToken {
        account: pod.spec.service_account_name.to_string(),
        audience: asked.audience.clone(),
        seconds: asked.expiration_seconds,
        pod: pod.metadata.name.clone(),
        pod_uid: pod.metadata.uid.clone(),
    }
}

/// Everything that the pod's environment refers to, and its volumes if the node has any.
pub(crate) fn references(pod: &Pod, with_volumes: bool) -> BTreeSet<Reference> {
    let volumes = pod.spec.volumes.iter().filter(|_| with_volumes).flat_map(|volume| of_volume(pod, volume));
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
            Self::Token(wanted) => &wanted.account,
        }
    }
}

fn of_volume(pod: &Pod, volume: &Volume) -> impl Iterator<Item = Reference> {
    let config_map = volume.config_map.as_ref().map(|source| Reference::config_map(&source.name));
    let secret = volume.secret.as_ref().map(|source| Reference::secret(&source.secret_name));
    let projections = volume.projected.iter().flat_map(|projected| &projected.sources);
    let projected = projections.flat_map(|source| {
        let config_map = source.config_map.as_ref().map(|map| Reference::config_map(&map.name));
        let secret = source.secret.as_ref().map(|secret| Reference::secret(&secret.name));
        let token = source.service_account_token.as_ref();
        let token = token.map(|token| Reference::Token(wanted_token(pod, token)));
        config_map.into_iter().chain(secret).chain(token)
    });
    config_map.into_iter().chain(secret).chain(projected)
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
