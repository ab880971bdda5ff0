//! [`Decisions`]: what was decided lately, and why.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use orch_controller_runtime::ObjectKey;
use orch_ontology::Pod;
use orch_scheduler::Placement;
use parking_lot::Mutex;

const KEPT: usize = 512;

/// The latest decisions, for whoever asks why. Clones share them.
#[derive(Clone, Default)]
pub struct Decisions(Arc<Mutex<VecDeque<Arc<Decision>>>>);

/// One decision.
pub struct Decision {
    /// The pod's name.
    pub pod: ObjectKey,
    /// The pod's uid.
    pub uid: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Where the pod goes, with the verdict of each node.
    pub placement: Placement,
}

impl Decisions {
    /// The latest decision about a pod of this name, if it is not too long ago.
    pub fn about(&self, pod: &ObjectKey) -> Option<Arc<Decision>> {
        self.0.lock().iter().rev().find(|decision| decision.pod == *pod).cloned()
    }

    /// The latest decisions, the last one first.
    pub fn latest(&self) -> Vec<Arc<Decision>> {
        self.0.lock().iter().rev().cloned().collect()
    }

    pub(super) fn remember(&self, pod: &Pod, at: Timestamp, placement: Placement) {
        let (key, uid) = (ObjectKey::of(&pod.metadata), pod.metadata.uid.clone());
        let mut decisions = self.0.lock();
        if decisions.len() >= KEPT {
            decisions.pop_front();
        }
        decisions.push_back(Arc::new(Decision { pod: key, uid, at, placement }));
    }
}
