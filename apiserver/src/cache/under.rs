//! [`Under`]: what a window shows where it has nothing of its own: for plans, whose changes only they see.

use std::collections::HashSet;
use std::sync::Arc;

use orch_store::{Key, Prefix, Revision};
use parking_lot::RwLock;

use super::{Cached, Query, Window};

/// Told of every object that is looked for: the revision that wrote it, or that it is not there.
pub(crate) type Note = Arc<dyn Fn(&Key, Option<Revision>) + Send + Sync>;

/// Another window, whose objects are shown as long as there are none of one's own in their place.
pub(super) struct Under {
    window: Arc<Window>,
    gone: RwLock<HashSet<Key>>,
    note: Note,
}

impl Under {
    pub(super) fn new(window: Arc<Window>, note: Note) -> Self {
        Self { window, gone: RwLock::default(), note }
    }

    /// The object that was there before any change.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Cached>> {
        if self.gone.read().contains(key) {
            return None;
        }
        let found = self.window.get(key);
        (self.note)(key, found.as_ref().map(|object| object.revision));
        found
    }

    /// Whether there was an object before any change, and it is not gone. That is not noted.
    pub(super) fn has(&self, key: &Key) -> bool {
        !self.gone.read().contains(key) && self.window.has(key)
    }

    /// All objects that were there before any change, and are not gone.
    pub(super) fn all(&self) -> Vec<Arc<Cached>> {
        self.left(self.window.all())
    }

    /// Those below a prefix.
    pub(super) fn below(&self, prefix: &Prefix) -> Vec<Arc<Cached>> {
        let left = self.left(self.window.below(prefix));
        left.iter().for_each(|object| (self.note)(&object.key, Some(object.revision)));
        left
    }

    /// Those that a query selects. That is not noted.
    pub(super) fn selected(&self, query: &Query) -> Vec<Arc<Cached>> {
        self.left(self.window.selected(query))
    }

    fn left(&self, mut objects: Vec<Arc<Cached>>) -> Vec<Arc<Cached>> {
        let gone = self.gone.read();
        objects.retain(|object| !gone.contains(&object.key));
        objects
    }

    /// Takes note that an object of one's own has come in the place of another, or that it is gone.
    pub(super) fn cover(&self, key: &Key) {
        self.gone.write().insert(key.clone());
    }
}
