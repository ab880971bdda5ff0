//! The labels, annotations and taints that the system itself sets and reads.

/// On a pod: the name of the Workload that made it.
pub const WORKLOAD: &str = "orch.dev/workload";
/// On a pod: the hash of the template that it was made of.
pub const TEMPLATE_HASH: &str = "orch.dev/template-hash";
/// On a pod and a Workload: the revision of the template.
pub const REVISION: &str = "orch.dev/revision";

/// On a node: its host name, by which pods are spread over nodes.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// On a node: its operating system.
pub const OS: &str = "kubernetes.io/os";
/// On a node: its processor architecture.
pub const ARCH: &str = "kubernetes.io/arch";
/// On a node: the zone it stands in.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// On a node, followed by the role: what `get nodes` shows under ROLES.
pub const NODE_ROLE_PREFIX: &str = "node-role.kubernetes.io/";
/// On a namespace: its own name, so that selectors can name it.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Taint of a node that says it is not ready.
pub const TAINT_NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Taint of a node that nothing is heard of.
pub const TAINT_UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Taint of a node that takes no new pods.
pub const TAINT_UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Taint of a node that is short of memory.
pub const TAINT_MEMORY_PRESSURE: &str = "node.kubernetes.io/memory-pressure";
/// Taint of a node that is short of disk space.
pub const TAINT_DISK_PRESSURE: &str = "node.kubernetes.io/disk-pressure";
/// Taint of a node that is short of process ids.
pub const TAINT_PID_PRESSURE: &str = "node.kubernetes.io/pid-pressure";

/// On an EndpointSlice: the name of its service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// On an EndpointSlice: who keeps it.
pub const ENDPOINT_SLICE_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// On an EndpointSlice: its service has no address of its own.
pub const HEADLESS_SERVICE: &str = "service.kubernetes.io/headless";
