//! From a pod to what the runtime and the disk are asked for. Pure.

mod container;
mod env;
mod expand;
mod facts;
pub(crate) mod label;
mod projected;
mod references;
mod resources;
mod sandbox;
mod volumes;

pub(crate) use self::{
    container::{Run, container_spec},
    env::EnvContext,
    facts::{ConfigError, IssuedToken, Lookup, NodeFacts, Sources, TokenLookup},
    references::{Reference, WantedToken, all_containers, references},
    resources::qos_class,
    sandbox::{grace_seconds, sandbox_spec},
    volumes::{Content, VolumeSpec, VolumesVersion, mount_failure, volume_specs, volumes_version},
};
