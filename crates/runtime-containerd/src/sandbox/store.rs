//! What is known about sandboxes: one directory each, one file in it, read once at the start.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use orch_runtime::{Network, RuntimeError, SandboxId, SandboxSpec, SandboxState, SandboxStatus};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::{namespaces, network::Attachment};

const FILE: &str = "sandbox.json";

/// A sandbox as it was asked for, and what it was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub(crate) spec: SandboxSpec,
    pub(crate) created_at: Timestamp,
    /// Written before the network is asked for, so that whatever it gave can be given back.
    pub(crate) attachment: Option<Attachment>,
}

/// All sandboxes. Reads cost no I/O; every write is in the file before it is seen.
pub(crate) struct SandboxStore {
    dir: PathBuf,
    records: RwLock<BTreeMap<SandboxId, Arc<SandboxRecord>>>,
}

impl SandboxStore {
    /// Reads what an earlier process wrote. A file that cannot be read is reported and left for `remove_sandbox`.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, RuntimeError> {
        let dir = state_dir.join("sandboxes");
        let failed = |error: io::Error| RuntimeError::failed(format!("read {}", dir.display()), error);
        fs::create_dir_all(&dir).map_err(failed)?;
        let mut records = BTreeMap::new();
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path().join(FILE);
            match read(&path) {
                Ok(record) => drop(records.insert(record.spec.id.clone(), Arc::new(record))),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a sandbox's record is unreadable")
                }
            }
        }
        Ok(Self { dir, records: RwLock::new(records) })
    }

    /// The sandbox's own directory, whether it exists or not.
    pub(crate) fn dir(&self, id: &SandboxId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    pub(crate) fn get(&self, id: &SandboxId) -> Option<Arc<SandboxRecord>> {
        self.records.read().get(id).cloned()
    }

    pub(crate) fn save(&self, record: SandboxRecord) -> Result<(), RuntimeError> {
        let dir = self.dir(&record.spec.id);
        let written = serde_json::to_vec(&record).map_err(io::Error::from).and_then(|bytes| {
            fs::create_dir_all(&dir)?;
            let new = dir.join(format!("{FILE}.new"));
            fs::write(&new, bytes)?;
            fs::rename(new, dir.join(FILE))
        });
        written.map_err(|error| RuntimeError::failed(format!("write {}", dir.display()), error))?;
        self.records.write().insert(record.spec.id.clone(), Arc::new(record));
        Ok(())
    }

    /// Forgets it and removes its files; whatever was mounted there must be gone.
    pub(crate) fn forget(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let dir = self.dir(id);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RuntimeError::failed(format!("remove {}", dir.display()), error))
            }
            _ => {
                self.records.write().remove(id);
                Ok(())
            }
        }
    }

    /// All of them, sorted.
    pub(crate) fn statuses(&self) -> Vec<SandboxStatus> {
        let records: Vec<Arc<SandboxRecord>> = self.records.read().values().cloned().collect();
        records.iter().map(|record| self.status(record)).collect()
    }

    pub(crate) fn status(&self, record: &SandboxRecord) -> SandboxStatus {
        let SandboxRecord { spec, created_at, attachment } = record;
        let attached =
            spec.network == Network::Host || attachment.as_ref().is_some_and(Attachment::is_complete);
        let ready = attached && namespaces::exist(&self.dir(&spec.id), spec.network);
        SandboxStatus {
            id: spec.id.clone(),
            pod: spec.pod.clone(),
            attempt: spec.attempt,
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
            network: spec.network,
            state: if ready { SandboxState::Ready } else { SandboxState::NotReady },
            ips: attachment.as_ref().filter(|_| ready).map(Attachment::ips).unwrap_or_default(),
            created_at: *created_at,
        }
    }
}

fn read(path: &Path) -> io::Result<SandboxRecord> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}
