//! Creating a container: its record and its writable snapshot. No process yet.

use std::{
    collections::HashMap,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use containerd_client::{
    services::v1::{
        Container, CreateContainerRequest, container,
        snapshots::{MountsRequest, PrepareSnapshotRequest},
    },
    types,
};
use nix::sys::stat::{major, minor, stat};
use orch_runtime::{ContainerSpec, Object, RuntimeError, SandboxState};
use prost::Message as _;
use prost_types::Any;
use serde_json::{Value, json};

use super::{
    process,
    record::{Fixed, SANDBOX_LABEL, extensions},
    spec::{Input, runtime_spec},
    user::{Accounts, Ids},
};
use crate::{
    cgroups::Cgroups,
    connection::Answer,
    core::{Core, temporary_mounts},
    image::{ImageInfo, digest_of, mount_temporarily},
    sandbox::SandboxRecord,
};

const RUNTIME: &str = "io.containerd.runc.v2";
const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
/// A snapshot is ours to remove: it is not garbage in the moment before its container exists.
const ROOT_LABEL: &str = "containerd.io/gc.root";

/// The fields that we set of containerd's message of this name.
#[derive(Clone, PartialEq, prost::Message)]
struct RuncOptions {
    #[prost(string, tag = "6")]
    binary_name: String,
    #[prost(string, tag = "7")]
    root: String,
}

impl Core {
    pub(crate) async fn create_container(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        let _changing = self.container_locks.lock(&spec.id).await;
        let sandbox = self.sandboxes.get(&spec.sandbox);
        let sandbox = sandbox.filter(|sandbox| self.sandboxes.status(sandbox).state == SandboxState::Ready);
        let sandbox = sandbox.ok_or_else(|| RuntimeError::NotFound {
            object: Object::Sandbox,
            id: spec.sandbox.to_string(),
        })?;
        let image = match self.images.info(&spec.image).await {
            // It was created when the image was still here.
            Err(RuntimeError::ImageNotFound { .. }) if self.container(&spec.id).await?.is_some() => {
                return Ok(());
            }
            image => image?,
        };
        let mounts = self.prepare(spec, &image).await?;
        let ids = self.ids(spec, &image, &mounts).await?;
        let container = self.describe(spec, &sandbox, &image, &ids)?;
        let request = self.connection.request(CreateContainerRequest { container: Some(container) });
        self.connection.containers().create(request).await.fresh("create container").map(drop)
    }

    /// Makes the writable snapshot, or finds the one of an earlier try.
    async fn prepare(
        &self,
        spec: &ContainerSpec,
        image: &ImageInfo,
    ) -> Result<Vec<types::Mount>, RuntimeError> {
        let labels =
            [(ROOT_LABEL, jiff::Timestamp::now().to_string()), (SANDBOX_LABEL, spec.sandbox.to_string())];
        let request = self.connection.request(PrepareSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: spec.id.to_string(),
            parent: image.chain_id.clone(),
            labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        });
        match self.connection.snapshots().prepare(request).await.fresh("prepare snapshot")? {
            Some(prepared) => Ok(prepared.mounts),
            None => self.rootfs(spec.id.as_str()).await,
        }
    }

    /// What to mount as the container's root.
    pub(super) async fn rootfs(&self, key: &str) -> Result<Vec<types::Mount>, RuntimeError> {
        let message = MountsRequest { snapshotter: self.snapshotter.clone(), key: key.to_owned() };
        let mounts = self.connection.snapshots().mounts(self.connection.request(message)).await;
        Ok(mounts.done("get snapshot")?.mounts)
    }

    async fn ids(
        &self,
        spec: &ContainerSpec,
        image: &ImageInfo,
        mounts: &[types::Mount],
    ) -> Result<Ids, RuntimeError> {
        let known = self.accounts.lock().get(&image.chain_id).cloned();
        let accounts = match known {
            Some(accounts) => accounts,
            None => {
                let dir = temporary_mounts(&self.config.state_dir).join(spec.id.as_str());
                let mounts = mounts.to_vec();
                let read = move || mount_temporarily(&mounts, &dir, Accounts::read);
                let accounts = tokio::task::spawn_blocking(read)
                    .await
                    .map_err(|error| RuntimeError::failed("read the image's accounts", error))?
                    .map_err(|error| RuntimeError::failed("read the image's accounts", error))?;
                let accounts = Arc::new(accounts);
                self.accounts.lock().insert(image.chain_id.clone(), accounts.clone());
                accounts
            }
        };
        accounts.resolve(image.config.user().as_deref().unwrap_or_default(), spec.user.as_ref())
    }

    fn describe(
        &self,
        spec: &ContainerSpec,
        sandbox: &SandboxRecord,
        image: &ImageInfo,
        ids: &Ids,
    ) -> Result<Container, RuntimeError> {
        let parent = sandbox.spec.cgroup_parent.as_deref();
        let cgroup = format!("{}/{}", self.sandbox_cgroup(&spec.sandbox, parent), spec.id);
        let devices = if spec.security.privileged { host_devices() } else { Vec::new() };
        let oci = runtime_spec(&Input {
            container: spec,
            sandbox: &sandbox.spec,
            sandbox_dir: &self.sandboxes.dir(&spec.sandbox),
            image: &image.config,
            ids,
            cgroup: &cgroup,
            oom_score_adj: spec
                .resources
                .oom_score_adj
                .map(|score| score.max(self.oom_score_floor.unwrap_or(-1000))),
            devices: &devices,
            unified: self.cgroups == Cgroups::V2,
        })?;
        let fixed = Fixed {
            spec: spec.clone(),
            image_digest: image.digest.clone(),
            image_id: image.id.clone(),
            cgroup,
            stop_signal: process::stop_signal(&image.config),
        };
        Ok(Container {
            id: spec.id.to_string(),
            labels: HashMap::from([(SANDBOX_LABEL.to_owned(), spec.sandbox.to_string())]),
            image: spec.image.clone(),
            runtime: Some(container::Runtime { name: RUNTIME.into(), options: Some(self.runtime_options()) }),
            spec: Some(Any { type_url: SPEC_TYPE.into(), value: oci.to_string().into_bytes() }),
            snapshotter: self.snapshotter.clone(),
            snapshot_key: spec.id.to_string(),
            extensions: extensions(&fixed),
            ..Container::default()
        })
    }

    /// Selects the OCI runtime, and where it keeps its state.
    pub(super) fn runtime_options(&self) -> Any {
        let options = RuncOptions {
            binary_name: self.config.oci_runtime.clone().unwrap_or_default(),
            root: oci_state_dir(&self.config.state_dir).to_string_lossy().into_owned(),
        };
        Any { type_url: "containerd.runc.v1.Options".into(), value: options.encode_to_vec() }
    }
}

/// Volatile, and our own: the default directory is shared by every containerd of the machine, so equal ids would collide.
pub(crate) fn oci_state_dir(state_dir: &Path) -> PathBuf {
    let hash = digest_of(state_dir.as_os_str().as_encoded_bytes());
    Path::new("/run/orch/oci").join(hash.trim_start_matches("sha256:").get(..12).unwrap_or_default())
}

/// Every device node of the host, as privileged containers get them.
fn host_devices() -> Vec<Value> {
    let mut devices = Vec::new();
    collect_devices(Path::new("/dev"), &mut devices);
    devices
}

fn collect_devices(dir: &Path, devices: &mut Vec<Value>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        // Containers have their own of these.
        let own = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", "console"];
        if kind.is_dir() && !own.iter().any(|name| path.ends_with(name)) {
            collect_devices(&path, devices);
        }
        let letter = match (kind.is_char_device(), kind.is_block_device()) {
            (true, _) => "c",
            (_, true) => "b",
            _ => continue,
        };
        if let Ok(data) = stat(&path)
            && !path.ends_with("console")
        {
            let (major, minor, mode) = (major(data.st_rdev), minor(data.st_rdev), data.st_mode & 0o777);
            devices.push(json!({
                "path": path, "type": letter, "major": major, "minor": minor, "fileMode": mode,
                "uid": data.st_uid, "gid": data.st_gid,
            }));
        }
    }
}
