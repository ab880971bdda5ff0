//! Labels and annotations by which a restarted agent finds what it needs to know. They must never change their meaning.

use std::{collections::BTreeMap, time::Duration};

use orch_api::Metadata;
use orch_runtime::ContainerStatus;

/// On sandboxes and containers: the pod's uid.
pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// On containers: the name in the pod.
pub(crate) const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// On sandboxes: the seconds that the containers have to stop once nobody knows the pod any longer.
pub(crate) const GRACE_SECONDS: &str = "orch.dev/termination-grace-period-seconds";
/// On containers: the seconds after this run's end that the next run has to wait.
pub(crate) const RESTART_DELAY_SECONDS: &str = "orch.dev/restart-delay-seconds";

/// On containers: when their sandbox was made, which tells it from one that was made anew under the same id.
pub(crate) const SANDBOX_CREATED_AT: &str = "orch.dev/sandbox-created-at";

/// On containers: where the message of a run's end comes from, as in the API.
pub(crate) const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";

pub(crate) fn of_pod(metadata: &Metadata) -> BTreeMap<String, String> {
    let labels =
        [(POD_UID, &*metadata.uid), (POD_NAME, &*metadata.name), (POD_NAMESPACE, metadata.namespace())];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What [`RESTART_DELAY_SECONDS`] says.
pub(crate) fn restart_delay(run: &ContainerStatus) -> Duration {
    let seconds = run.annotations.get(RESTART_DELAY_SECONDS).and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}
