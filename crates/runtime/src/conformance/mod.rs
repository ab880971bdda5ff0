//! The contract of [`Runtime`], as tests that every implementation passes.
//!
//! Implement [`Harness`], then let [`conformance_tests!`](crate::conformance_tests) write the tests:
//!
//! ```text
//! orch_runtime::conformance_tests!(MyHarness::start().await);
//! ```
//!
//! Each test gets a harness of its own; the names of the functions in this module are the sentences of the contract.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests, called only by tests; their names say what they test"
)]

mod attaching;
mod containers;
mod images;
mod processes;
mod sandboxes;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::{attaching::*, containers::*, images::*, processes::*, sandboxes::*};
use crate::{
    ContainerId, ContainerSpec, ContainerState, ContainerStatus, Exit, Network, PodIdentity, PullOptions,
    Resources, Runtime, SandboxId, SandboxSpec, Security, Stdin,
};

/// Longest that anything asked for may take to be observed. Generous: machines that run tests are busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// A runtime on a node of its own, and what a test needs to know about it.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The runtime under test.
    fn runtime(&self) -> Arc<dyn Runtime>;
    /// The runtime as an agent has it that was killed and started again: a new client of the same node.
    async fn restarted(&mut self) -> Arc<dyn Runtime>;
    /// A reference that can be pulled; its image has `sh`, `sleep`, `echo`, `cat`, `nc`.
    fn image(&self) -> String;
    /// A reference that its registry does not know.
    fn missing_image(&self) -> String;
    /// An existing directory for logs.
    fn log_dir(&self) -> PathBuf;
    /// Called when the test passed.
    async fn finish(self: Box<Self>) {}
}

/// Writes a `#[tokio::test]` for each sentence of the contract; the argument is an async expression that makes a [`Harness`].
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests! { @each $harness;
            a_sandbox_has_an_address_and_keeps_it
            a_host_network_sandbox_has_no_address
            removing_a_sandbox_removes_its_containers
            many_sandboxes_can_be_made_at_once
            a_container_runs_and_is_observed
            an_exit_is_observed_with_its_code
            starting_is_idempotent_even_after_the_exit
            what_cannot_work_is_refused
            a_missing_executable_is_a_start_error
            output_is_logged_in_cri_format
            a_graceful_stop_lets_the_process_decide
            a_stop_kills_what_ignores_its_signal
            a_shorter_grace_overtakes_a_longer_one
            removing_a_running_container_ends_it
            what_is_unknown_is_already_stopped_and_removed
            a_restarted_agent_finds_everything
            an_exit_while_the_agent_is_away_is_not_lost
            an_exit_nudges
            running_containers_have_stats
            exec_returns_output_and_code
            exec_reads_its_input
            exec_needs_a_running_container
            those_who_attach_see_and_say_what_they_like
            what_is_said_once_ends_with_who_said_it
            a_restarted_agent_attaches_again
            attaching_needs_a_running_container
            a_port_of_the_sandbox_is_connected_to
            a_port_that_nobody_listens_on_is_refused
            an_image_is_pulled_listed_and_removed
            a_missing_image_is_not_found
            one_image_can_be_pulled_many_times_at_once
        }
    };
    (@each $harness:expr; $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut harness = ::std::boxed::Box::new($harness);
            $crate::conformance::$name(harness.as_mut()).await;
            $crate::conformance::Harness::finish(harness).await;
        }
    )*};
}

/// A pod of this name with its own network.
pub fn sandbox(name: &str) -> SandboxSpec {
    SandboxSpec {
        id: SandboxId::of_pod(name, 0),
        pod: PodIdentity { uid: name.into(), name: name.into(), namespace: "default".into() },
        attempt: 0,
        labels: BTreeMap::from([("app".into(), name.into())]),
        annotations: BTreeMap::from([("orch.dev/note".into(), "kept for the agent".into())]),
        hostname: name.into(),
        network: Network::Pod,
        dns: None,
        host_aliases: Vec::new(),
        port_mappings: Vec::new(),
        cgroup_parent: None,
    }
}

/// The first run of a container `main` in that pod.
pub fn container(pod: &SandboxSpec, image: &str, command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        id: ContainerId::of_pod(&pod.pod.uid, "main", 0),
        sandbox: pod.id.clone(),
        name: "main".into(),
        attempt: 0,
        labels: BTreeMap::from([("tier".into(), "test".into())]),
        annotations: BTreeMap::from([("orch.dev/hash".into(), "42".into())]),
        image: image.into(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        args: Vec::new(),
        working_dir: None,
        env: Vec::new(),
        mounts: Vec::new(),
        user: None,
        resources: Resources::default(),
        security: Security::default(),
        log_path: None,
        stdin: Stdin::Empty,
        terminal: false,
    }
}

/// Pulls the image, makes the pod, starts `command` in it.
pub async fn run(harness: &dyn Harness, name: &str, command: &[&str]) -> ContainerSpec {
    let runtime = harness.runtime();
    runtime.pull_image(&harness.image(), &PullOptions::default()).await.unwrap();
    let pod = sandbox(name);
    runtime.ensure_sandbox(&pod).await.unwrap();
    let container = container(&pod, &harness.image(), command);
    runtime.create_container(&container).await.unwrap();
    runtime.start_container(&container.id).await.unwrap();
    container
}

/// The container as observed now.
pub async fn observed(runtime: &dyn Runtime, id: &ContainerId) -> Option<ContainerStatus> {
    runtime.observe().await.unwrap().containers.into_iter().find(|container| container.id == *id)
}

/// Waits until the container has exited.
pub async fn exit_of(runtime: &dyn Runtime, id: &ContainerId) -> Exit {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        match observed(runtime, id).await.expect("container is listed").state {
            ContainerState::Exited(exit) => return exit,
            state if tokio::time::Instant::now() > deadline => panic!("{id} has not exited: {state:?}"),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
