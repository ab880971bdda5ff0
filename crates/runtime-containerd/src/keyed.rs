//! One lock for each key.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Locks above which those that nobody holds are forgotten.
const KEPT: usize = 256;

/// Does things to one object one after the other, and to different objects at the same time. Fair for each key.
pub(crate) struct Keyed<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K: Hash + Eq + Clone> Keyed<K> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(crate) async fn lock(&self, key: &K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            if locks.len() > KEPT {
                locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            locks.entry(key.clone()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_key_excludes_and_two_do_not() {
        let keyed = Keyed::new();
        let held = keyed.lock(&1).await;
        let _other = keyed.lock(&2).await;
        let again = keyed.lock(&1);
        tokio::pin!(again);
        assert!(futures::poll!(&mut again).is_pending());
        drop(held);
        again.await;
    }

    #[tokio::test]
    async fn unused_locks_are_forgotten() {
        let keyed = Keyed::new();
        for key in 0..10 * KEPT {
            keyed.lock(&key).await;
        }
        assert!(keyed.0.lock().len() <= KEPT + 1);
    }
}
