//! Where the agent keeps files.

use std::path::{Path, PathBuf};

use orch_api::Metadata;

/// Paths below the agent's data directory. All are functions of the pod's identity, so a restarted agent finds its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    data_dir: PathBuf,
}

impl Layout {
    /// Everything will be below `data_dir`.
    pub(crate) fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into() }
    }

    /// Volumes and the like of all pods, each in a directory named by the pod's uid.
    pub(crate) fn pods(&self) -> PathBuf {
        self.data_dir.join("pods")
    }

    /// Everything of one pod but its logs.
    pub(crate) fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }

    /// All volumes of a pod.
    pub(crate) fn volumes(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volumes")
    }

    /// One volume of a pod.
    pub(crate) fn volume(&self, uid: &str, name: &str) -> PathBuf {
        self.volumes(uid).join(name)
    }

    /// The file that one run of a container may leave a message in.
    pub(crate) fn termination_message(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod(uid).join("containers").join(container).join(format!("{attempt}.message"))
    }

    /// The logs of all pods.
    pub(crate) fn logs(&self) -> PathBuf {
        self.data_dir.join("logs")
    }

    /// The logs of one pod, named as kubelet names them.
    pub(crate) fn pod_logs(&self, pod: &Metadata) -> PathBuf {
        self.logs().join(format!("{}_{}_{}", pod.namespace(), pod.name, pod.uid))
    }

    /// The log of one run of a container.
    pub(crate) fn log(&self, pod: &Metadata, container: &str, attempt: u32) -> PathBuf {
        log_path(&self.pod_logs(pod), container, attempt)
    }
}

/// The log of one run of a container, below its pod's directory.
pub(crate) fn log_path(pod_logs: &Path, container: &str, attempt: u32) -> PathBuf {
    pod_logs.join(container).join(format!("{attempt}.log"))
}
