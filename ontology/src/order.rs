//! In which order objects are made: what is referred to comes before what refers to it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use orch_api::{RelationGraph, split_api_version};

use crate::KINDS;

static RANKS: LazyLock<BTreeMap<(&'static str, &'static str), usize>> = LazyLock::new(|| {
    let graph = RelationGraph::of(KINDS.iter());
    let kinds = KINDS.iter().map(|entry| entry.kind);
    kinds.filter_map(|kind| Some(((kind.group, kind.name), graph.rank(kind.name)?))).collect()
});

/// How late objects of a kind are made: kinds of the cluster first, because the others live in them, then by the longest chain of
/// references. Kinds that users define come last.
pub fn rank(api_version: &str, kind: &str) -> usize {
    let (group, _) = split_api_version(api_version);
    RANKS.get(&(group, kind)).copied().unwrap_or(usize::MAX)
}
