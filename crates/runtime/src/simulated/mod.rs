//! A runtime that plays containers instead of running them.

mod attach;
mod exec;
mod images;
mod program;
mod script;
mod verbs;
mod world;

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{sync::broadcast, time::Instant};

pub use self::script::{Behaviour, Failure, Fault, Latency, Outage, Script, Verb};
use self::world::World;
use crate::{ContainerId, RuntimeError, RuntimeEvent};

/// Events a slow reader may fall behind before it gets a `Resync` instead.
const EVENTS_KEPT: usize = 256;

/// A node's runtime in memory: no root, no processes, no files (but logs, if asked for), a few KB for each container.
///
/// Given the same configuration, the same calls for the same ids, and a paused tokio clock, everything happens at the same
/// time in every run: chance is drawn from the seed, the verb, the id and the count of calls, never from the order
/// in which tasks run. Time is tokio's; what is shown as time starts at [`Simulation::epoch`].
///
/// Clones share one node, so a clone is what a restarted agent sees.
///
/// Commands do what they say if they are simple (`echo`, `cat`, `sleep`, `exit` and the like, also in `sh -c`); all else is a server:
/// it runs until stopped, and answers on every port of its sandbox with what it is sent.
/// [`Script::behaviours`] overrides this.
#[derive(Clone)]
pub struct SimulatedRuntime {
    shared: Arc<Shared>,
}

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Decides all chance.
    pub seed: u64,
    /// What time it is when the runtime is made.
    pub epoch: Timestamp,
    /// Address below the first pod's.
    pub base_ip: Ipv4Addr,
    /// What goes wrong.
    pub script: Script,
    /// Writes container output to log files.
    pub write_logs: bool,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            seed: 0,
            epoch: Timestamp::UNIX_EPOCH,
            base_ip: Ipv4Addr::new(10, 88, 0, 1),
            script: Script::default(),
            write_logs: false,
        }
    }
}

struct Shared {
    simulation: Simulation,
    started: Instant,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    events: broadcast::Sender<RuntimeEvent>,
}

/// The script's faults with how often each can still happen, and how often each thing was asked for.
struct Faults {
    pending: Vec<Fault>,
    calls: BTreeMap<(Verb, String), u64>,
    unreachable: bool,
}

impl SimulatedRuntime {
    /// A node with nothing on it. Must be called within a tokio runtime.
    pub fn new(simulation: Simulation) -> Self {
        let faults =
            Faults { pending: simulation.script.faults.clone(), calls: BTreeMap::new(), unreachable: false };
        let world = World::new(simulation.base_ip);
        Self {
            shared: Arc::new(Shared {
                simulation,
                started: Instant::now(),
                world: Mutex::new(world),
                faults: Mutex::new(faults),
                events: broadcast::channel(EVENTS_KEPT).0,
            }),
        }
    }

    /// Adds a fault; those added before it that match are used up first.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.lock().pending.push(fault);
    }

    /// From now on every verb fails with `Unavailable`, or works again. Containers go on.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.shared.faults.lock().unreachable = unreachable;
        if !unreachable {
            self.send(RuntimeEvent::Resync);
        }
    }

    /// Ends a running container from outside, as a crash or `kill -9` (code 137) would. Nothing happens if it does not run.
    pub fn kill(&self, id: &ContainerId, exit_code: i32) {
        self.finish(id, exit_code, false);
    }

    /// Loses all sandboxes and processes, as a reboot does: images and container records stay.
    pub fn reboot(&self) {
        let now = self.now();
        self.shared.world.lock().reboot(now);
        self.send(RuntimeEvent::Resync);
    }

    fn now(&self) -> Timestamp {
        let elapsed = self.shared.started.elapsed();
        self.shared.simulation.epoch.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// Nobody listening is fine.
    fn send(&self, event: RuntimeEvent) {
        let _ = self.shared.events.send(event);
    }

    fn finish(&self, id: &ContainerId, exit_code: i32, out_of_memory: bool) {
        if !self.shared.world.lock().exit(id, exit_code, out_of_memory, self.now()) {
            return;
        }
        if out_of_memory {
            self.send(RuntimeEvent::OutOfMemory { id: id.clone() });
        }
        self.send(RuntimeEvent::ContainerExited { id: id.clone(), exit_code });
    }

    /// What every verb does first: takes its time, and fails if the script says so.
    async fn enter(&self, verb: Verb, subject: &str) -> Result<(), RuntimeError> {
        let latency = self.latency(verb, subject);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let elapsed = self.shared.started.elapsed();
        let mut faults = self.shared.faults.lock();
        if faults.unreachable
            || self.shared.simulation.script.outages.iter().any(|outage| outage.covers(elapsed))
        {
            return Err(Failure::Unavailable.error(subject));
        }
        faults.take(verb, subject).map_or(Ok(()), |failure| Err(failure.error(subject)))
    }

    fn latency(&self, verb: Verb, subject: &str) -> Duration {
        let call = {
            let mut faults = self.shared.faults.lock();
            let calls = faults.calls.entry((verb, subject.to_owned())).or_default();
            *calls += 1;
            *calls
        };
        let Some(latency) = self.shared.simulation.script.latencies.iter().rev().find(|l| l.verb == verb)
        else {
            return Duration::ZERO;
        };
        let chance = world::chance(self.shared.simulation.seed, &format!("{verb:?}/{subject}/{call}"));
        Duration::from_millis(latency.millis + chance % (latency.jitter_millis + 1))
    }
}

impl Faults {
    fn take(&mut self, verb: Verb, subject: &str) -> Option<Failure> {
        let at = self.pending.iter().position(|f| f.verb == verb && subject.contains(f.matching.as_str()))?;
        let fault = self.pending.get_mut(at)?;
        let failure = fault.failure;
        match fault.times.as_mut() {
            None => {}
            Some(times) if *times > 1 => *times -= 1,
            Some(_) => drop(self.pending.remove(at)),
        }
        Some(failure)
    }
}

impl Failure {
    fn error(self, subject: &str) -> RuntimeError {
        let (id, image, message) = (subject.to_owned(), subject.to_owned(), "simulated".to_owned());
        match self {
            Self::Failed => RuntimeError::Failed { action: subject.to_owned(), message },
            Self::Unavailable => RuntimeError::Unavailable { message, source: None },
            Self::ImageNotFound => RuntimeError::ImageNotFound { image },
            Self::PullRetryable => RuntimeError::PullFailed { image, retryable: true, message },
            Self::PullPermanent => RuntimeError::PullFailed { image, retryable: false, message },
            Self::PullRefused => RuntimeError::PullFailed {
                image,
                retryable: false,
                message: "pull access denied: 401 Unauthorized: authentication required".to_owned(),
            },
            Self::StartFailed => RuntimeError::StartFailed { id, message },
            Self::Network => RuntimeError::Network { id, message },
        }
    }
}
