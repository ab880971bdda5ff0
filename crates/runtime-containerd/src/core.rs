//! What every verb works with.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use orch_runtime::{ContainerId, RuntimeError, RuntimeEvent, SandboxId};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, broadcast};

use crate::{
    cgroups::Cgroups,
    config::ContainerdConfig,
    connection::Connection,
    container::Accounts,
    image::{self, Images},
    keyed::Keyed,
    network::Network,
    sandbox::SandboxStore,
};

/// Events that a slow reader may fall behind before it gets a `Resync` instead.
const EVENTS_KEPT: usize = 1024;
/// How long a shim that did not say how its containers are is left in peace.
const RESYNC_SOON: Duration = Duration::from_secs(2);

/// The runtime's insides. Verbs are `impl Core` blocks in the modules that they are about.
///
/// Locks are taken in this order: sandbox, container, shim.
pub(crate) struct Core {
    pub(crate) config: ContainerdConfig,
    pub(crate) connection: Connection,
    pub(crate) snapshotter: String,
    pub(crate) cgroups: Cgroups,
    pub(crate) network: Network,
    pub(crate) images: Images,
    pub(crate) sandboxes: SandboxStore,
    /// Ensuring and removing.
    pub(crate) sandbox_locks: Keyed<SandboxId>,
    /// Starting, settling and removing.
    pub(crate) container_locks: Keyed<ContainerId>,
    /// Making and deleting tasks: the first of a sandbox brings its shim, the last takes it away.
    pub(crate) shim_locks: Keyed<SandboxId>,
    pub(crate) starts: Semaphore,
    /// Account files of images, by their snapshot.
    pub(crate) accounts: Mutex<HashMap<String, Arc<Accounts>>>,
    /// Lowest `oom_score_adj` that can be given; `None` is any.
    pub(crate) oom_score_floor: Option<i32>,
    pub(crate) events: broadcast::Sender<RuntimeEvent>,
    is_resync_due: AtomicBool,
}

impl Core {
    pub(crate) async fn new(config: ContainerdConfig, connection: Connection) -> Result<Self, RuntimeError> {
        let unusable = |error| RuntimeError::failed(format!("use {}", config.state_dir.display()), error);
        // Paths below it are given to other processes.
        let state_dir = std::path::absolute(&config.state_dir).map_err(unusable)?;
        std::fs::create_dir_all(&state_dir).map_err(unusable)?;
        image::unmount_leftovers(&temporary_mounts(&state_dir));
        let config = ContainerdConfig { state_dir, ..config };
        let snapshotter = snapshotter(&config, &connection).await?;
        Ok(Self {
            network: Network::prepare(&config.network, &config.state_dir).await?,
            images: Images::new(connection.clone(), snapshotter.clone(), config.registries.clone()),
            sandboxes: SandboxStore::open(&config.state_dir)?,
            cgroups: Cgroups::detect(),
            sandbox_locks: Keyed::new(),
            container_locks: Keyed::new(),
            shim_locks: Keyed::new(),
            starts: Semaphore::new(config.max_concurrent_starts.max(1)),
            accounts: Mutex::new(HashMap::new()),
            oom_score_floor: oom_score_floor(),
            events: broadcast::channel(EVENTS_KEPT).0,
            is_resync_due: AtomicBool::new(false),
            snapshotter,
            connection,
            config,
        })
    }

    /// Nobody listening is fine.
    pub(crate) fn send(&self, event: RuntimeEvent) {
        let _ = self.events.send(event);
    }

    /// Has everybody observe again in a while.
    pub(crate) fn resync_soon(self: &Arc<Self>) {
        if self.is_resync_due.swap(true, Ordering::Relaxed) {
            return;
        }
        let core = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(RESYNC_SOON).await;
            if let Some(core) = core.upgrade() {
                core.is_resync_due.store(false, Ordering::Relaxed);
                core.send(RuntimeEvent::Resync);
            }
        });
    }
}

/// Where images are mounted while something is read from them.
pub(crate) fn temporary_mounts(state_dir: &Path) -> PathBuf {
    state_dir.join("mounts")
}

/// The configured one, else overlayfs if containerd could load it, else native.
async fn snapshotter(config: &ContainerdConfig, connection: &Connection) -> Result<String, RuntimeError> {
    use containerd_client::services::v1::PluginsRequest;

    use crate::connection::Answer as _;

    if let Some(snapshotter) = &config.snapshotter {
        return Ok(snapshotter.clone());
    }
    let filters = vec!["type==io.containerd.snapshotter.v1,id==overlayfs".to_owned()];
    let request = connection.request(PluginsRequest { filters });
    let plugins = connection.introspection().plugins(request).await.done("ask for plugins")?.plugins;
    let overlayfs = plugins.iter().any(|plugin| plugin.id == "overlayfs" && plugin.init_err.is_none());
    Ok(if overlayfs { "overlayfs" } else { "native" }.to_owned())
}

/// Without CAP_SYS_RESOURCE the kernel refuses scores below the one that was inherited, and runc fails for it.
fn oom_score_floor() -> Option<i32> {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(effective.trim(), 16).ok()?;
    if effective >> CAP_SYS_RESOURCE & 1 == 1 {
        return None;
    }
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse().ok()?;
    tracing::info!(floor = own, "no CAP_SYS_RESOURCE: containers get no lower oom_score_adj than this");
    Some(own)
}
