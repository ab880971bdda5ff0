//! What specs are made from, besides the pod.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use orch_ontology::{ConfigMap, Secret};

use super::references::WantedToken;
use crate::Layout;

/// What is true of the node, whatever the pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeFacts {
    pub(crate) name: String,
    /// The node's addresses, the primary one first.
    pub(crate) host_ips: Vec<IpAddr>,
    /// Where files go; `None` keeps the agent off the disk: no volumes, no logs.
    pub(crate) layout: Option<Layout>,
    /// Where containers reach the API server, if they can.
    pub(crate) api_server: Option<SocketAddr>,
    /// The cluster's name servers; empty leaves name resolution as it is on the node.
    pub(crate) cluster_dns: Vec<IpAddr>,
    pub(crate) cluster_domain: String,
    pub(crate) memory_bytes: i64,
    /// The scheme of container ids, such as `containerd`.
    pub(crate) runtime_name: String,
}

/// A ConfigMap or Secret as far as the agent knows.
#[derive(Debug, PartialEq)]
pub(crate) enum Lookup<T> {
    /// Not heard of yet.
    Loading,
    /// There is none.
    Missing,
    Found(Arc<T>),
}

impl<T> Clone for Lookup<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Loading => Self::Loading,
            Self::Missing => Self::Missing,
            Self::Found(object) => Self::Found(object.clone()),
        }
    }
}

/// A token as far as the agent knows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenLookup {
    /// Asked for, not answered yet.
    Loading,
    /// There is none, and why.
    Refused(String),
    Found(Arc<IssuedToken>),
}

/// A token. Which one is told, the token itself is not.
#[derive(PartialEq)]
pub(crate) struct IssuedToken {
    pub(crate) text: String,
    /// Grows with each that replaces another.
    pub(crate) version: u64,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedToken").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The ConfigMaps and Secrets that a pod refers to, by name, and its tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sources {
    pub(crate) config_maps: BTreeMap<String, Lookup<ConfigMap>>,
    pub(crate) secrets: BTreeMap<String, Lookup<Secret>>,
    pub(crate) tokens: BTreeMap<WantedToken, TokenLookup>,
}

impl Sources {
    pub(crate) fn config_map(&self, name: &str) -> Lookup<ConfigMap> {
        self.config_maps.get(name).cloned().unwrap_or(Lookup::Loading)
    }

    pub(crate) fn secret(&self, name: &str) -> Lookup<Secret> {
        self.secrets.get(name).cloned().unwrap_or(Lookup::Loading)
    }

    pub(crate) fn token(&self, wanted: &WantedToken) -> TokenLookup {
        self.tokens.get(wanted).cloned().unwrap_or(TokenLookup::Loading)
    }
}

/// Why something cannot be configured now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConfigError {
    /// An object was not heard of yet: soon.
    Loading,
    /// The sentence for people. Only a change of an object can help.
    Invalid(String),
}

impl ConfigError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}
