//! In which order objects are applied: what is referred to comes before what refers to it.

use orch_api::{Object as _, RelationGraph};
use serde_json::Value;

/// Sorts objects by the relations of their kinds. Kinds that are not known come last; objects of one rank stay in their order.
pub(crate) fn by_references(graph: &RelationGraph, objects: &mut [Value]) {
    objects.sort_by_cached_key(|object| graph.rank(object.kind()).unwrap_or(usize::MAX));
}

#[cfg(test)]
mod tests {
    use orch_api::{KindNode, RelationEdge};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_referred_to_comes_first() {
        let node = |kind: &str, namespaced| KindNode { kind: kind.into(), namespaced, ..KindNode::default() };
        let edge = |from: &str, verb: &str, to: &str| RelationEdge {
            from: from.into(),
            verb: verb.into(),
            to: to.into(),
            ..RelationEdge::default()
        };
        let graph = RelationGraph {
            nodes: vec![
                node("Namespace", false),
                node("Workload", true),
                node("Pod", true),
                node("Secret", true),
            ],
            edges: vec![
                edge("Workload", "owns", "Pod"),
                edge("Pod", "references", "Secret"),
                edge("Pod", "references", "Pod"),
            ],
        };
        let mut objects: Vec<Value> =
            ["Other", "Workload", "Pod", "Secret", "Namespace"].map(|kind| json!({"kind": kind})).into();
        by_references(&graph, &mut objects);
        let kinds: Vec<_> = objects.iter().map(|object| object.kind().to_owned()).collect();
        assert_eq!(kinds, ["Namespace", "Secret", "Pod", "Workload", "Other"]);
    }
}
