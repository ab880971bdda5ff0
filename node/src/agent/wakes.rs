//! What tells the agent's loop that something changed.

use std::collections::BTreeSet;

use orch_controller_runtime::ObjectKey;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::spec::Reference;

/// Something to look at again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// A pod of this name changed in the API.
    Pod(ObjectKey),
    /// An object that pods of this namespace refer to changed.
    Source(String, Reference),
    /// The pods of the node are all known now.
    Synced,
}

/// A set of wakes: bounded by the number of objects, however often they change.
#[derive(Default)]
pub(crate) struct Wakes {
    pending: Mutex<BTreeSet<Wake>>,
    notify: Notify,
}

impl Wakes {
    pub(crate) fn add(&self, wake: Wake) {
        self.pending.lock().insert(wake);
        self.notify.notify_one();
    }

    /// Waits until there is at least one. Nothing is lost when it is dropped.
    pub(crate) async fn ready(&self) {
        while self.pending.lock().is_empty() {
            self.notify.notified().await;
        }
    }

    pub(crate) fn take(&self) -> BTreeSet<Wake> {
        std::mem::take(&mut self.pending.lock())
    }
}
