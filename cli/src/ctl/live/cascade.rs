//! What goes with an object when it is deleted. Pure.

use std::collections::BTreeSet;

use super::Live;

impl Live {
    /// The objects that a delete of one takes along, as garbage collection decides it: those whose owners all go. A
    /// namespace takes along all that is in it.
    pub(in crate::ctl) fn taken_along(&self, root: usize) -> BTreeSet<usize> {
        let mut gone = BTreeSet::from([root]);
        gone.extend(self.contents(root));
        loop {
            let uids: BTreeSet<&str> = gone.iter().map(|place| self.nodes[*place].uid.as_str()).collect();
            let goes = |place: &usize| {
                let owners = &self.nodes[*place].owners;
                !gone.contains(place)
                    && !owners.is_empty()
                    && owners.iter().all(|uid| uids.contains(uid.as_str()))
            };
            let next: Vec<usize> = (0..self.nodes.len()).filter(goes).collect();
            if next.is_empty() {
                gone.remove(&root);
                return gone;
            }
            gone.extend(next);
        }
    }

    /// The objects that name an object as an owner.
    pub(in crate::ctl) fn owned(&self, root: usize) -> BTreeSet<usize> {
        let uid = &self.nodes[root].uid;
        (0..self.nodes.len()).filter(|place| self.nodes[*place].owners.contains(uid)).collect()
    }

    /// What is in a namespace and belongs to nothing else there; nothing for objects that are no namespaces.
    pub(in crate::ctl) fn inside(&self, root: usize) -> Vec<usize> {
        let is_free = |place: &usize| self.nodes[*place].owners.is_empty();
        self.contents(root).filter(is_free).collect()
    }

    fn contents(&self, root: usize) -> impl Iterator<Item = usize> + '_ {
        let root = &self.nodes[root];
        let is_namespace = root.kind == "Namespace" && root.api_version == "v1";
        (0..self.nodes.len()).filter(move |place| {
            let node = &self.nodes[*place];
            is_namespace && node.exists && node.namespace == root.name
        })
    }
}
