//! Watches: one change to 1,000 watchers, and how many events arrive in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::StreamExt;
use orch_api::{Api, Client, Params, Request, Resource, Target, Verb};
use orch_ontology::ConfigMap;
use tokio::sync::Notify;

use super::load::Outcome;
use super::report::{Report, millis, rate};
use super::server::Server;
use super::writes::config_map;

const WATCHERS: usize = 1_000;
const WATCHERS_A_CONNECTION: usize = 50;
const SINGLE_CHANGES: usize = 30;
const BURST: usize = 300;

/// Counts events over all watchers, and wakes whoever waits for a number of them.
#[derive(Default)]
struct Arrivals {
    count: AtomicUsize,
    arrived: Notify,
}

impl Arrivals {
    async fn reach(&self, count: usize) -> Result<()> {
        let all = async {
            loop {
                let arrived = self.arrived.notified();
                if self.count.load(Ordering::Acquire) >= count {
                    return;
                }
                arrived.await;
            }
        };
        ensure!(tokio::time::timeout(Duration::from_secs(60), all).await.is_ok(), "events are missing");
        Ok(())
    }
}

/// Measures fan-out.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(&["--runtime", "simulated"])?;
    let arrivals = Arc::new(Arrivals::default());
    watch(&server, &arrivals).await?;
    let api = Api::<ConfigMap>::namespaced(server.client()?, "default");

    let mut times = Vec::new();
    for number in 0..SINGLE_CHANGES {
        let start = Instant::now();
        api.create(&config_map(&format!("single-{number}"))).await?;
        arrivals.reach((number + 1) * WATCHERS).await?;
        times.push(start.elapsed());
    }
    let single = Outcome::new(times, Duration::from_secs(1));

    let start = Instant::now();
    let writes = (0..BURST).map(|number| {
        let api = api.clone();
        async move { api.create(&config_map(&format!("burst-{number}"))).await.map(drop) }
    });
    let mut writes = futures::stream::iter(writes).buffer_unordered(16);
    while let Some(written) = writes.next().await {
        written?;
    }
    arrivals.reach((SINGLE_CHANGES + BURST) * WATCHERS).await?;
    let time = start.elapsed();

    let method = "1,000 watches of ConfigMaps on 20 connections, read by the process that also writes. Latency: from \
                  sending a create until the last watcher has its event. Sustained: 300 creates by 16 clients, events \
                  of 1.5 KiB arrived at all watchers in a second.";
    let section = report.section("One change to 1,000 watchers", method, &["figure", "value"]);
    section.row(["latency p50".into(), millis(single.quantile(0.5))]);
    section.row(["latency p99".into(), millis(single.quantile(0.99))]);
    section.row(["sustained".into(), rate(BURST * WATCHERS, time)]);
    section.row(["server's memory".into(), format!("{:.0} MiB", server.resident_mebibytes()?)]);
    Ok(())
}

async fn watch(server: &Server, arrivals: &Arc<Arrivals>) -> Result<()> {
    for _ in 0..WATCHERS / WATCHERS_A_CONNECTION {
        let client = server.client()?;
        let target = Target::in_namespace(&ConfigMap::KIND, "default");
        let params =
            Params { field_selector: Some("metadata.name!=kube-root-ca.crt".into()), ..Params::default() };
        let request = Request { verb: Verb::Watch, target, params, body: None };
        for _ in 0..WATCHERS_A_CONNECTION {
            let mut events = client.watch(request.clone()).await?;
            let arrivals = arrivals.clone();
            tokio::spawn(async move {
                while let Some(Ok(_)) = events.next().await {
                    let count = arrivals.count.fetch_add(1, Ordering::AcqRel) + 1;
                    if count.is_multiple_of(WATCHERS) {
                        arrivals.arrived.notify_waiters();
                    }
                }
            });
        }
    }
    Ok(())
}
