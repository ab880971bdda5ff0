//! What all parts of an agent use.

use std::sync::Arc;

use orch_api::{Client, Clock};
use orch_controller_runtime::{Note, Recorder};
use orch_ontology::Pod;
use orch_runtime::Runtime;
use tokio::sync::Semaphore;

use crate::spec::NodeFacts;

pub(crate) struct Shared {
    pub(crate) client: Arc<dyn Client>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) facts: NodeFacts,
    pub(crate) recorder: Recorder,
    pub(crate) starts: Semaphore,
    pub(crate) pulls: Semaphore,
}

impl Shared {
    /// Tells people that something happened to a pod. Of pods that nobody knows, nothing is told.
    pub(crate) fn tell(&self, pod: Option<&Pod>, reason: &str, message: String) {
        pod.into_iter().for_each(|pod| self.recorder.record(Note::normal(pod, reason, message.clone())));
    }

    pub(crate) fn warn(&self, pod: Option<&Pod>, reason: &str, message: String) {
        pod.into_iter().for_each(|pod| self.recorder.record(Note::warning(pod, reason, message.clone())));
    }
}
