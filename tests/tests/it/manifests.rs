//! Manifests that several tests apply.

/// A Workload of two replicas with these containers, written as the items of a list in YAML.
macro_rules! web {
    ($containers:literal) => {
        concat!(
            "
apiVersion: orch.dev/v1
kind: Workload
metadata: {name: web}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [",
            $containers,
            "]\n"
        )
    };
}
pub(crate) use web;
