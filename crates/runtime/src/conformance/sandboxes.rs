use std::collections::BTreeSet;

use futures::future::try_join_all;

use super::{Harness, container, run, sandbox};
use crate::{ContainerState, Network, PullOptions, SandboxId, SandboxState};

pub async fn a_sandbox_has_an_address_and_keeps_it(harness: &mut dyn Harness) {
    let runtime = harness.runtime();
    let spec = sandbox("keeps");
    let first = runtime.ensure_sandbox(&spec).await.unwrap();
    assert_eq!(first.ips.len(), 1, "{first:?}");
    assert_eq!(first.state, SandboxState::Ready);
    assert_eq!(first, runtime.ensure_sandbox(&spec).await.unwrap());
    let observed = runtime.observe().await.unwrap().sandboxes;
    assert_eq!(observed, [first]);
    assert_eq!((&observed[0].labels, &observed[0].annotations), (&spec.labels, &spec.annotations));
    assert_eq!((&observed[0].pod, observed[0].attempt), (&spec.pod, 0));
}

pub async fn a_host_network_sandbox_has_no_address(harness: &mut dyn Harness) {
    let mut spec = sandbox("host");
    spec.network = Network::Host;
    let status = harness.runtime().ensure_sandbox(&spec).await.unwrap();
    assert_eq!((status.ips.len(), status.state, status.network), (0, SandboxState::Ready, Network::Host));
}

pub async fn removing_a_sandbox_removes_its_containers(harness: &mut dyn Harness) {
    let stays = run(harness, "stays", &["sleep", "1000"]).await;
    let goes = run(harness, "goes", &["sleep", "1000"]).await;
    let runtime = harness.runtime();
    runtime.remove_sandbox(&goes.sandbox).await.unwrap();
    runtime.remove_sandbox(&goes.sandbox).await.unwrap();
    runtime.remove_sandbox(&SandboxId::of_pod("never-was", 0)).await.unwrap();
    let left = runtime.observe().await.unwrap();
    assert_eq!(left.sandboxes.iter().map(|s| &s.id).collect::<Vec<_>>(), [&stays.sandbox]);
    assert_eq!(left.containers.iter().map(|c| &c.id).collect::<Vec<_>>(), [&stays.id]);
    assert!(matches!(left.containers[0].state, ContainerState::Running { .. }));
}

pub async fn many_sandboxes_can_be_made_at_once(harness: &mut dyn Harness) {
    let runtime = harness.runtime();
    runtime.pull_image(&harness.image(), &PullOptions::default()).await.unwrap();
    let (runtime, image) = (&runtime, harness.image());
    let image = &image;
    let starts = (0..8).map(|n| async move {
        let pod = sandbox(&format!("many{n}"));
        let status = runtime.ensure_sandbox(&pod).await?;
        let container = container(&pod, image, &["sleep", "1000"]);
        runtime.create_container(&container).await?;
        runtime.start_container(&container.id).await?;
        Ok::<_, crate::RuntimeError>(status.ips)
    });
    let addresses: BTreeSet<_> = try_join_all(starts).await.unwrap().into_iter().flatten().collect();
    assert_eq!(addresses.len(), 8, "{addresses:?}");
    let observed = runtime.observe().await.unwrap().containers;
    assert_eq!(observed.iter().filter(|c| matches!(c.state, ContainerState::Running { .. })).count(), 8);
}
