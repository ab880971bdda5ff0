//! Sandboxes: namespaces, network and files that a pod's containers share.

pub(crate) mod files;
mod store;

use futures::{TryStreamExt as _, stream};
use jiff::Timestamp;
use orch_runtime::{Network, RuntimeError, SandboxId, SandboxSpec, SandboxStatus};

pub(crate) use self::store::{SandboxRecord, SandboxStore};
use crate::{core::Core, namespaces, network::Attachment};

impl Core {
    pub(crate) async fn ensure_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxStatus, RuntimeError> {
        let _changing = self.sandbox_locks.lock(&spec.id).await;
        let known = self.sandboxes.get(&spec.id);
        if let Some(known) = &known {
            let status = self.sandboxes.status(known);
            if status.state == orch_runtime::SandboxState::Ready {
                return Ok(status);
            }
            // Half made, or from before a reboot: give back what it was given, then begin anew.
            self.detach(known).await?;
        }
        check(spec)?;
        let record = self.build_sandbox(spec).await?;
        Ok(self.sandboxes.status(&record))
    }

    async fn build_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxRecord, RuntimeError> {
        let dir = self.sandboxes.dir(&spec.id);
        let attachment = (spec.network == Network::Pod).then(|| self.network.intent());
        let mut record = SandboxRecord { spec: spec.clone(), created_at: Timestamp::now(), attachment };
        self.sandboxes.save(record.clone())?;
        namespaces::create(&dir, spec.network, &spec.hostname).await?;
        if spec.network == Network::Pod {
            record.attachment = Some(self.network.attach(spec, &namespaces::path(&dir, "net")).await?);
        }
        let ips = record.attachment.as_ref().map(Attachment::ips).unwrap_or_default();
        files::write(&dir, spec, &ips)
            .map_err(|error| RuntimeError::failed("write the sandbox's files", error))?;
        self.sandboxes.save(record.clone())?;
        Ok(record)
    }

    pub(crate) async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let _changing = self.sandbox_locks.lock(id).await;
        let containers = self.containers_of(id).await?;
        const AT_ONCE: usize = 4;
        stream::iter(containers.into_iter().map(Ok))
            .try_for_each_concurrent(
                AT_ONCE,
                |container| async move { self.remove_container(&container).await },
            )
            .await?;
        self.remove_snapshots_of(id).await?;
        let record = self.sandboxes.get(id);
        if let Some(record) = &record {
            self.detach(record).await?;
        }
        namespaces::remove(&self.sandboxes.dir(id))?;
        let parent = record.as_ref().and_then(|record| record.spec.cgroup_parent.clone());
        self.cgroups.remove(&self.sandbox_cgroup(id, parent.as_deref()));
        self.sandboxes.forget(id)
    }

    async fn detach(&self, record: &SandboxRecord) -> Result<(), RuntimeError> {
        let Some(attachment) = &record.attachment else { return Ok(()) };
        let dir = self.sandboxes.dir(&record.spec.id);
        let netns = namespaces::exist(&dir, record.spec.network).then(|| namespaces::path(&dir, "net"));
        self.network.detach(attachment, &record.spec, netns.as_deref()).await
    }

    /// The cgroup that holds the sandbox's containers' cgroups.
    pub(crate) fn sandbox_cgroup(&self, id: &SandboxId, parent: Option<&str>) -> String {
        format!("{}/{id}", parent.unwrap_or(&self.config.cgroup_root).trim_end_matches('/'))
    }
}

fn check(spec: &SandboxSpec) -> Result<(), RuntimeError> {
    if spec.network == Network::Pod && (spec.hostname.is_empty() || spec.hostname.len() > 63) {
        return Err(RuntimeError::invalid(
            "sandbox.hostname",
            format!("{:?} has not 1 to 63 bytes", spec.hostname),
        ));
    }
    if spec.cgroup_parent.as_ref().is_some_and(|parent| !parent.starts_with('/') || parent.contains("..")) {
        return Err(RuntimeError::invalid("sandbox.cgroup_parent", "it is not an absolute path"));
    }
    let has_break = |text: &str| text.contains(char::is_control);
    let dns = spec.dns.iter().flat_map(|dns| dns.searches.iter().chain(&dns.options));
    if dns.chain(spec.host_aliases.iter().flat_map(|(_, names)| names)).any(|text| has_break(text)) {
        return Err(RuntimeError::invalid("sandbox.dns", "it contains control characters"));
    }
    Ok(())
}
