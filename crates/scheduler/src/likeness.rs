//! [`Likeness`]: which pods need not be tried when another has been.

use orch_ontology::Pod;

/// All that decides on which nodes a pod fits. As long as nothing changes, pods of one likeness fit on the same nodes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Likeness(String);

impl Likeness {
    /// The likeness of a pod.
    pub fn of(pod: &Pod) -> Self {
        let (spec, metadata) = (&pod.spec, &pod.metadata);
        // Labels tell whether a pod is counted by those that are spread, itself included.
        let counted = (!spec.topology_spread_constraints.is_empty()).then_some(&metadata.labels);
        let ports: Vec<_> = spec.host_ports().collect();
        let all = (
            metadata.namespace(),
            spec.node_name.as_str(),
            &spec.node_selector,
            &spec.tolerations,
            pod.requests(),
            ports,
            &spec.topology_spread_constraints,
            counted,
        );
        // Plain data with string keys can always be written.
        Self(serde_json::to_string(&all).unwrap_or_default())
    }
}
