//! From layers to snapshots.
//!
//! The snapshot of layers 0 to n is named by their chain ID, so images that begin with the same layers share them.

use std::{
    collections::HashMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use containerd_client::{
    services::v1::{
        ApplyRequest,
        snapshots::{
            CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
        },
    },
    types,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use oci_spec::image::Descriptor;
use orch_runtime::RuntimeError;

use super::{
    Images,
    content::{Lease, add_lease},
    ingest::{descriptor, digest_of},
};
use crate::connection::Answer;

static EXTRACTIONS: AtomicU64 = AtomicU64::new(0);

impl Images {
    /// Makes the snapshots that are missing; returns the name of the last.
    pub(super) async fn unpack(
        &self,
        layers: &[Descriptor],
        diff_ids: &[String],
        lease: &Lease,
    ) -> Result<String, RuntimeError> {
        let chain_ids = chain_ids(diff_ids);
        let mut parent = String::new();
        for ((layer, diff_id), chain_id) in layers.iter().zip(diff_ids).zip(&chain_ids) {
            if !self.has_snapshot(chain_id).await? {
                self.extract(layer, diff_id, &parent, chain_id, lease).await?;
            }
            parent.clone_from(chain_id);
        }
        Ok(parent)
    }

    async fn has_snapshot(&self, name: &str) -> Result<bool, RuntimeError> {
        let message = StatSnapshotRequest { snapshotter: self.snapshotter.clone(), key: name.to_owned() };
        let found = self
            .connection
            .snapshots()
            .stat(self.connection.request(message))
            .await
            .found("find snapshot")?;
        Ok(found.is_some())
    }

    async fn extract(
        &self,
        layer: &Descriptor,
        diff_id: &str,
        parent: &str,
        chain_id: &str,
        lease: &Lease,
    ) -> Result<(), RuntimeError> {
        let key = format!("extract-{}-{}", lease.id, EXTRACTIONS.fetch_add(1, Ordering::Relaxed));
        let mut request = self.connection.request(PrepareSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.clone(),
            parent: parent.to_owned(),
            labels: HashMap::new(),
        });
        add_lease(&mut request, lease);
        let mounts = self.connection.snapshots().prepare(request).await.done("prepare snapshot")?.mounts;
        let made = self.apply(layer, diff_id, mounts, &key, chain_id, lease).await;
        if !matches!(made, Ok(true)) {
            let message = RemoveSnapshotRequest { snapshotter: self.snapshotter.clone(), key };
            self.connection
                .snapshots()
                .remove(self.connection.request(message))
                .await
                .found("remove snapshot")?;
        }
        made.map(drop)
    }

    /// Whether this call made the snapshot; someone else may have been faster.
    async fn apply(
        &self,
        layer: &Descriptor,
        diff_id: &str,
        mounts: Vec<types::Mount>,
        key: &str,
        chain_id: &str,
        lease: &Lease,
    ) -> Result<bool, RuntimeError> {
        let message =
            ApplyRequest { diff: Some(descriptor(layer)), mounts, payloads: HashMap::new(), sync_fs: false };
        // As long as unpacking takes.
        let mut request = self.connection.waiting(message);
        add_lease(&mut request, lease);
        let applied = self.connection.diff().apply(request).await.done("unpack layer")?.applied;
        let found = applied.map(|applied| applied.digest).unwrap_or_default();
        if found != diff_id {
            return Err(RuntimeError::failed(
                "unpack layer",
                format!("layer {} has diff id {found}, its configuration says {diff_id}", layer.digest()),
            ));
        }
        let mut request = self.connection.request(CommitSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            name: chain_id.to_owned(),
            key: key.to_owned(),
            labels: HashMap::new(),
        });
        add_lease(&mut request, lease);
        Ok(self.connection.snapshots().commit(request).await.fresh("commit snapshot")?.is_some())
    }
}

/// For each layer the name of the snapshot up to it (image-spec, config.md, "Layer ChainID").
pub(super) fn chain_ids(diff_ids: &[String]) -> Vec<String> {
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(parent) => digest_of(format!("{parent} {diff_id}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}

/// Mounts a snapshot read-only for as long as `read` takes. Blocks.
pub(crate) fn mount_temporarily<T>(
    mounts: &[types::Mount],
    dir: &Path,
    read: impl FnOnce(&Path) -> T,
) -> std::io::Result<T> {
    std::fs::create_dir_all(dir)?;
    let mut flags = MsFlags::MS_RDONLY;
    for part in mounts {
        let mut options = Vec::new();
        for option in &part.options {
            match option.as_str() {
                "rbind" | "bind" => flags |= MsFlags::MS_BIND,
                "ro" | "rw" => {}
                other => options.push(other),
            }
        }
        let options = options.join(",");
        mount(Some(part.source.as_str()), dir, Some(part.r#type.as_str()), flags, Some(options.as_str()))?;
    }
    let value = read(dir);
    umount2(dir, MntFlags::MNT_DETACH)?;
    std::fs::remove_dir(dir)?;
    Ok(value)
}

/// Undoes what processes that were killed within [`mount_temporarily`] left.
pub(crate) fn unmount_leftovers(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let _ = umount2(&entry.path(), MntFlags::MNT_DETACH);
        if let Err(error) = std::fs::remove_dir(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "a temporary mount is left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::chain_ids;

    #[test]
    fn chain_ids_depend_on_all_layers_below() {
        let diff_ids = ["sha256:a", "sha256:b"].map(str::to_owned);
        let chain = chain_ids(&diff_ids);
        assert_eq!(chain[0], "sha256:a");
        // printf 'sha256:a sha256:b' | sha256sum
        assert_eq!(chain[1], "sha256:970a948bffa8de94d6e22d747ba8c95030e6e546909f98f54e99a13005e173a8");
        assert_eq!(chain_ids(&[]), [""; 0]);
    }
}
