//! What goes wrong, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a [`SimulatedRuntime`](crate::SimulatedRuntime) deviates from one where everything works at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Script {
    /// How long verbs take; of several that match the last counts, none is no time.
    pub latencies: Vec<Latency>,
    /// Verbs that fail; the first that matches and is not used up counts.
    pub faults: Vec<Fault>,
    /// What containers do instead of what their command says; the first that matches counts.
    pub behaviours: Vec<Behaviour>,
    /// When the runtime cannot be reached.
    pub outages: Vec<Outage>,
}

/// The verbs of [`Runtime`](crate::Runtime) that a script can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the verb of the trait that it is named after")]
pub enum Verb {
    EnsureSandbox,
    RemoveSandbox,
    CreateContainer,
    StartContainer,
    StopContainer,
    RemoveContainer,
    Exec,
    Attach,
    Connect,
    ImageStatus,
    PullImage,
    ListImages,
    RemoveImage,
    Observe,
    Stats,
    Version,
}

/// How long a verb takes: `millis`, and up to `jitter_millis` more, decided by the seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Latency {
    /// The verb.
    pub verb: Verb,
    /// At least this long.
    pub millis: u64,
    /// At most this much longer.
    #[serde(default)]
    pub jitter_millis: u64,
}

/// A verb that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Fault {
    /// The verb.
    pub verb: Verb,
    /// Only when the id or image reference contains this; empty is always.
    #[serde(default)]
    pub matching: String,
    /// How many times; `None` is every time.
    #[serde(default)]
    pub times: Option<u32>,
    /// How.
    pub failure: Failure,
}

/// The ways a verb can fail; each is the variant of [`RuntimeError`](crate::RuntimeError) of that name, said as a real runtime says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the variant of RuntimeError that it is named after")]
pub enum Failure {
    Failed,
    Unavailable,
    ImageNotFound,
    PullRetryable,
    PullPermanent,
    /// A pull that the registry refuses to whoever has no credentials.
    PullRefused,
    StartFailed,
    Network,
}

/// What some containers do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Behaviour {
    /// Those whose id or image contains this; empty is all.
    #[serde(default)]
    pub matching: String,
    /// Exits by itself so long after its start; `None` runs until stopped.
    #[serde(default)]
    pub exit_after_millis: Option<u64>,
    /// With this code.
    #[serde(default)]
    pub exit_code: i32,
    /// Because the kernel killed it at its memory limit.
    #[serde(default)]
    pub out_of_memory: bool,
    /// Takes no notice of its stop signal.
    #[serde(default)]
    pub ignores_stop: bool,
    /// Lines it prints when it starts.
    #[serde(default)]
    pub output: Vec<String>,
}

/// A time during which every verb fails with `Unavailable`, from the making of the runtime on. Containers go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Outage {
    /// From.
    pub from_millis: u64,
    /// Until, exclusively.
    pub until_millis: u64,
}

impl Outage {
    pub(super) fn covers(&self, elapsed: Duration) -> bool {
        (u128::from(self.from_millis)..u128::from(self.until_millis)).contains(&elapsed.as_millis())
    }
}
