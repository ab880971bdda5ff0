//! Watches: one change to 1,000 watchers, and how many events arrive in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::StreamExt;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use orch_api::Api;
use orch_ontology::ConfigMap;
use tokio::sync::Notify;

use super::load::Outcome;
use super::report::{Report, millis, rate};
use super::server::Server;
use super::wire::Wire;
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

    let cpu = server.cpu_time()?;
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
    let cpu = (server.cpu_time()? - cpu).div_f64((BURST * WATCHERS) as f64);

    let method = "1,000 watches of ConfigMaps on 20 connections, read by the process that also writes. Latency: from \
                  sending a create until the last watcher has its event. Sustained: 300 creates by 16 clients, events \
                  of 1.5 KiB arrived at all watchers in a second.";
    let section = report.section("One change to 1,000 watchers", method, &["figure", "value"]);
    section.row(["latency p50".into(), millis(single.quantile(0.5))]);
    section.row(["latency p99".into(), millis(single.quantile(0.99))]);
    section.row(["sustained".into(), rate(BURST * WATCHERS, time)]);
    section.row(["server's CPU for each event".into(), format!("{:.1} µs", cpu.as_secs_f64() * 1e6)]);
    section.row(["server's memory".into(), format!("{:.0} MiB", server.resident_mebibytes()?)]);
    Ok(())
}

async fn watch(server: &Server, arrivals: &Arc<Arrivals>) -> Result<()> {
    let connection = server.connection()?;
    let path =
        "/api/v1/namespaces/default/configmaps?watch=true&fieldSelector=metadata.name!%3Dkube-root-ca.crt";
    for _ in 0..WATCHERS / WATCHERS_A_CONNECTION {
        let wire = Wire::connect(&connection).await?;
        for _ in 0..WATCHERS_A_CONNECTION {
            let events = wire.begin(Method::GET, path, "").await?.into_body();
            tokio::spawn(count(events, arrivals.clone()));
        }
    }
    Ok(())
}

/// An event is a line.
async fn count(mut events: Incoming, arrivals: Arc<Arrivals>) {
    while let Some(Ok(frame)) = events.frame().await {
        let lines = frame.data_ref().map_or(0, |data| memchr::memchr_iter(b'\n', data).count());
        let before = arrivals.count.fetch_add(lines, Ordering::AcqRel);
        if before / WATCHERS != (before + lines) / WATCHERS {
            arrivals.arrived.notify_waiters();
        }
    }
}
