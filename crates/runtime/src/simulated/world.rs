//! What is on a simulated node. Synchronous; time comes in as an argument.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, watch};

use super::program::Program;
use crate::{
    ContainerId, ContainerSpec, ContainerState, ContainerStatus, Exit, ImageStatus, Network, Object,
    Observed, RuntimeError, SandboxId, SandboxSpec, SandboxState, SandboxStatus, reason,
};

/// Pieces of output that someone who is attached may fall behind.
const OUTPUT_KEPT: usize = 64;

pub(super) struct World {
    base_ip: u32,
    sandboxes: BTreeMap<SandboxId, SandboxStatus>,
    containers: BTreeMap<ContainerId, Container>,
    pub(super) images: BTreeMap<String, ImageStatus>,
}

pub(super) struct Container {
    pub(super) spec: ContainerSpec,
    pub(super) status: ContainerStatus,
    pub(super) program: Program,
    /// Turns true when it exits; closed when it is removed.
    pub(super) exited: watch::Sender<bool>,
    /// What its process writes, until it exits.
    pub(super) output: Option<broadcast::Sender<Bytes>>,
    /// What its process reads, until that ends.
    pub(super) input: Option<mpsc::Sender<Bytes>>,
}

impl World {
    pub(super) fn new(base_ip: Ipv4Addr) -> Self {
        Self {
            base_ip: base_ip.to_bits(),
            sandboxes: BTreeMap::new(),
            containers: BTreeMap::new(),
            images: BTreeMap::new(),
        }
    }

    pub(super) fn ensure_sandbox(&mut self, spec: &SandboxSpec, now: Timestamp) -> SandboxStatus {
        let known = self.sandboxes.get(&spec.id);
        if let Some(ready) = known.filter(|sandbox| sandbox.state == SandboxState::Ready) {
            return ready.clone();
        }
        let ips = match spec.network {
            Network::Host => Vec::new(),
            Network::Pod => vec![self.free_ip()],
        };
        let status = SandboxStatus {
            id: spec.id.clone(),
            pod: spec.pod.clone(),
            attempt: spec.attempt,
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
            network: spec.network,
            state: SandboxState::Ready,
            ips,
            created_at: now,
        };
        self.sandboxes.insert(spec.id.clone(), status.clone());
        status
    }

    fn free_ip(&self) -> IpAddr {
        let used: Vec<IpAddr> =
            self.sandboxes.values().flat_map(|sandbox| sandbox.ips.iter().copied()).collect();
        let mut ip = self.base_ip;
        loop {
            ip = ip.wrapping_add(1);
            let candidate = IpAddr::V4(Ipv4Addr::from_bits(ip));
            if !used.contains(&candidate) {
                return candidate;
            }
        }
    }

    pub(super) fn remove_sandbox(&mut self, id: &SandboxId) {
        self.sandboxes.remove(id);
        self.containers.retain(|_, container| container.spec.sandbox != *id);
    }

    pub(super) fn create_container(
        &mut self,
        spec: &ContainerSpec,
        image: &ImageStatus,
        program: Program,
        now: Timestamp,
    ) -> Result<(), RuntimeError> {
        if self.containers.contains_key(&spec.id) {
            return Ok(());
        }
        if self.sandboxes.get(&spec.sandbox).is_none_or(|sandbox| sandbox.state != SandboxState::Ready) {
            return Err(RuntimeError::NotFound { object: Object::Sandbox, id: spec.sandbox.to_string() });
        }
        let status = ContainerStatus {
            id: spec.id.clone(),
            sandbox: spec.sandbox.clone(),
            name: spec.name.clone(),
            attempt: spec.attempt,
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
            image: spec.image.clone(),
            image_digest: image.digest.clone(),
            image_id: image.id.clone(),
            log_path: spec.log_path.clone(),
            created_at: now,
            state: ContainerState::Created,
        };
        let container = Container {
            spec: spec.clone(),
            status,
            program,
            exited: watch::channel(false).0,
            output: Some(broadcast::channel(OUTPUT_KEPT).0),
            input: None,
        };
        self.containers.insert(spec.id.clone(), container);
        Ok(())
    }

    pub(super) fn container(&self, id: &ContainerId) -> Result<&Container, RuntimeError> {
        self.containers
            .get(id)
            .ok_or_else(|| RuntimeError::NotFound { object: Object::Container, id: id.to_string() })
    }

    pub(super) fn container_mut(&mut self, id: &ContainerId) -> Option<&mut Container> {
        self.containers.get_mut(id)
    }

    /// Whether something in the sandbox runs that takes connections.
    pub(super) fn serves(&self, id: &SandboxId) -> Result<bool, RuntimeError> {
        if self.sandboxes.get(id).is_none_or(|sandbox| sandbox.state != SandboxState::Ready) {
            return Err(RuntimeError::NotFound { object: Object::Sandbox, id: id.to_string() });
        }
        let is_server = |container: &Container| {
            let is_running = matches!(container.status.state, ContainerState::Running { .. });
            container.spec.sandbox == *id && is_running && container.program.ends_after.is_none()
        };
        Ok(self.containers.values().any(is_server))
    }

    /// The container's program if this call is what started it.
    pub(super) fn start(
        &mut self,
        id: &ContainerId,
        now: Timestamp,
    ) -> Result<Option<Program>, RuntimeError> {
        self.container(id)?;
        let Some(container) = self.containers.get_mut(id) else { return Ok(None) };
        if container.status.state != ContainerState::Created {
            return Ok(None);
        }
        container.status.state = ContainerState::Running { started_at: now };
        Ok(Some(container.program.clone()))
    }

    /// A created container's process could not run.
    pub(super) fn fail_start(&mut self, id: &ContainerId, message: &str, now: Timestamp) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.status.state == ContainerState::Created {
            container.status.state = ContainerState::Exited(Exit {
                started_at: None,
                finished_at: now,
                code: 128,
                reason: reason::START_ERROR.into(),
                message: message.into(),
            });
        }
    }

    /// Whether a running container ended by this.
    pub(super) fn exit(&mut self, id: &ContainerId, code: i32, out_of_memory: bool, now: Timestamp) -> bool {
        let Some(container) = self.containers.get_mut(id) else { return false };
        let ContainerState::Running { started_at } = container.status.state else { return false };
        let reason = match code {
            _ if out_of_memory => reason::OOM_KILLED,
            0 => reason::COMPLETED,
            _ => reason::ERROR,
        };
        container.status.state = ContainerState::Exited(Exit {
            started_at: Some(started_at),
            finished_at: now,
            code,
            reason: reason.into(),
            message: String::new(),
        });
        container.exited.send_replace(true);
        (container.output, container.input) = (None, None);
        true
    }

    pub(super) fn remove_container(&mut self, id: &ContainerId) {
        self.containers.remove(id);
    }

    pub(super) fn reboot(&mut self, now: Timestamp) {
        for sandbox in self.sandboxes.values_mut() {
            (sandbox.state, sandbox.ips) = (SandboxState::NotReady, Vec::new());
        }
        let running: Vec<ContainerId> = self.containers.keys().cloned().collect();
        for id in running {
            if self.exit(&id, 255, false, now)
                && let Some(Container {
                    status: ContainerStatus { state: ContainerState::Exited(exit), .. },
                    ..
                }) = self.containers.get_mut(&id)
            {
                exit.reason = reason::UNKNOWN.into();
            }
        }
    }

    pub(super) fn observe(&self) -> Observed {
        Observed {
            sandboxes: self.sandboxes.values().cloned().collect(),
            containers: self.containers.values().map(|container| container.status.clone()).collect(),
        }
    }
}

/// A number that depends on nothing but its arguments.
pub(super) fn chance(seed: u64, what: &str) -> u64 {
    let mut state = what.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
    });
    // splitmix64's finish
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
