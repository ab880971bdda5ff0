//! Scheduling: 10,000 pods on 1,000 simulated nodes, end to end.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use orch_api::{Api, Metadata};
use orch_ontology::Workload;

use super::report::{Report, millis, rate};
use super::server::Server;

const NODES: usize = 1_000;
const PODS: usize = 10_000;
const DEADLINE: Duration = Duration::from_secs(600);

/// Measures from the apply of one Workload until all of its pods are ready.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let nodes = NODES.to_string();
    let server = Server::start(&["--runtime", "simulated", "--simulate-nodes", &nodes])?;
    let api = Api::<Workload>::namespaced(server.client()?, "default");
    let start = Instant::now();
    api.create(&workload("big", PODS, "registry.test/app:1")?).await?;
    let created = until(&api, start, |ready, made| made >= PODS || ready >= PODS).await?;
    let ready = until(&api, start, |ready, _| ready >= PODS).await?;

    let method = "One Workload of 10,000 pods on 1,000 simulated nodes in one process: API server, embedded store, \
                  controllers, scheduler and all node agents, each of which watches its pods and reports their status. \
                  A pod costs at least four durable writes: made, bound, and running as its node reports it.";
    let section = report.section("1,000 nodes, 10,000 pods", method, &["figure", "time", "rate"]);
    section.row(["all pods made".into(), millis(created), rate(PODS, created)]);
    section.row(["all pods scheduled, started and ready".into(), millis(ready), rate(PODS, ready)]);
    section.row(["memory (RSS)".into(), format!("{:.0} MiB", server.resident_mebibytes()?), String::new()]);
    Ok(())
}

/// A Workload of pods that ask for little.
pub(crate) fn workload(name: &str, replicas: usize, image: &str) -> Result<Workload> {
    let resources = serde_json::json!({"requests": {"cpu": "10m", "memory": "8Mi"}});
    let container = serde_json::json!({"name": "app", "image": image, "command": ["sleep", "3600"], "resources": resources});
    let template = serde_json::json!({
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    });
    let workload = serde_json::json!({"spec": {"replicas": replicas, "template": template}});
    Ok(Workload {
        metadata: Metadata::named("default".to_owned(), name),
        ..serde_json::from_value(workload)?
    })
}

/// Waits until the Workload's status says so: `done(ready, made)`.
pub(crate) async fn until(
    api: &Api<Workload>,
    start: Instant,
    done: impl Fn(usize, usize) -> bool,
) -> Result<Duration> {
    loop {
        let items = api.list(Default::default()).await?.items;
        let sum = |count: fn(&Workload) -> i32| {
            items.iter().map(|workload| usize::try_from(count(workload)).unwrap_or_default()).sum::<usize>()
        };
        let ready = sum(|workload| workload.status.ready_replicas);
        let made = sum(|workload| workload.status.replicas);
        if done(ready, made) {
            return Ok(start.elapsed());
        }
        ensure!(start.elapsed() < DEADLINE, "{ready} of the pods are ready after {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
