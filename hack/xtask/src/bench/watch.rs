//! Watches: one change to 1,000 watchers, and how many events arrive in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use orch_api::Api;
use orch_client::Connection;
use orch_ontology::ConfigMap;
use serde_json::Value;
use tokio::sync::Notify;

use super::load::Outcome;
use super::report::{Report, millis};
use super::server::Server;
use super::wire::Wire;
use super::writes::{COLLECTION, config_map};

const WATCHERS: usize = 1_000;
const WATCHERS_A_CONNECTION: usize = 50;
const SINGLE_CHANGES: usize = 100;
const BURST: usize = 300;

/// Leaves out the ConfigMap that a server makes by itself, perhaps after the watches have begun.
pub(crate) const NOT_OF_ITSELF: &str = "fieldSelector=metadata.name!%3Dkube-root-ca.crt";

/// What a change costs when many watch.
pub(crate) struct FanOut {
    /// From sending a create until the last watcher has its event.
    pub(crate) latency: Outcome,
    /// Events that arrive in a second while creates go on.
    pub(crate) per_second: f64,
    /// The server's CPU for each event.
    pub(crate) cpu: Duration,
}

/// Counts events over all watchers, and wakes whoever waits for a number of them.
pub(crate) struct Arrivals {
    watchers: usize,
    count: AtomicUsize,
    arrived: Notify,
}

impl Arrivals {
    /// Waits until every watcher has so many events on average.
    pub(crate) async fn reach(&self, events: usize) -> Result<()> {
        let all = async {
            loop {
                let arrived = self.arrived.notified();
                if self.count.load(Ordering::Acquire) >= events * self.watchers {
                    return;
                }
                arrived.await;
            }
        };
        ensure!(tokio::time::timeout(Duration::from_secs(120), all).await.is_ok(), "events are missing");
        Ok(())
    }
}

/// Measures fan-out.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(&["--runtime", "simulated"])?;
    let fan_out = fan_out(&server).await?;
    let method = "1,000 watches of ConfigMaps on 20 connections, read by the process that also writes. Latency: from \
                  sending a create until the last watcher has its event. Sustained: 300 creates by 16 clients, events \
                  of 1.5 KiB arrived at all watchers in a second.";
    let section = report.section("One change to 1,000 watchers", method, &["figure", "value"]);
    section.row(["latency p50".into(), millis(fan_out.latency.quantile(0.5))]);
    section.row(["latency p99".into(), millis(fan_out.latency.quantile(0.99))]);
    section.row(["sustained".into(), format!("{:.0}/s", fan_out.per_second)]);
    section.row(["server's CPU for each event".into(), format!("{:.1} µs", fan_out.cpu.as_secs_f64() * 1e6)]);
    section.row(["server's memory".into(), format!("{:.0} MiB", server.resident_mebibytes()?)]);
    Ok(())
}

/// One change after the other to 1,000 watchers, and then as many as go.
pub(crate) async fn fan_out(server: &Server) -> Result<FanOut> {
    // From now on: objects that are there already are no events.
    let from = revision(&server.connection()?).await?;
    let path = format!("{COLLECTION}?watch=true&resourceVersion={from}&{NOT_OF_ITSELF}");
    let arrivals = watch(server, WATCHERS, |_| path.clone()).await?;
    let api = Api::<ConfigMap>::namespaced(server.client()?, "default");
    let mut times = Vec::new();
    for number in 0..SINGLE_CHANGES {
        let start = Instant::now();
        api.create(&config_map(&format!("single-{number}"))).await?;
        arrivals.reach(number + 1).await?;
        times.push(start.elapsed());
    }

    let (cpu, start) = (server.cpu_time()?, Instant::now());
    let writes = (0..BURST).map(|number| {
        let api = api.clone();
        async move { api.create(&config_map(&format!("burst-{number}"))).await.map(drop) }
    });
    let mut writes = futures::stream::iter(writes).buffer_unordered(16);
    while let Some(written) = writes.next().await {
        written?;
    }
    arrivals.reach(SINGLE_CHANGES + BURST).await?;
    let events = (BURST * WATCHERS) as f64;
    Ok(FanOut {
        latency: Outcome::new(times, Duration::from_secs(1)),
        per_second: events / start.elapsed().as_secs_f64(),
        cpu: (server.cpu_time()? - cpu).div_f64(events),
    })
}

/// So many watches, each on its path; they last as long as the server.
pub(crate) async fn watch(
    server: &Server,
    watchers: usize,
    path: impl Fn(usize) -> String,
) -> Result<Arc<Arrivals>> {
    let arrivals = Arc::new(Arrivals { watchers, count: AtomicUsize::new(0), arrived: Notify::new() });
    let connection = server.connection()?;
    for first in (0..watchers).step_by(WATCHERS_A_CONNECTION) {
        let wire = Wire::connect(&connection).await?;
        for number in first..watchers.min(first + WATCHERS_A_CONNECTION) {
            let events = wire.begin(Method::GET, &path(number), "").await?.into_body();
            tokio::spawn(count(events, arrivals.clone()));
        }
    }
    Ok(arrivals)
}

/// The present revision of the ConfigMaps.
pub(crate) async fn revision(connection: &Connection) -> Result<String> {
    let wire = Wire::connect(connection).await?;
    let answer = wire.begin(Method::GET, &format!("{COLLECTION}?limit=1"), "").await?;
    let list: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
    Ok(list["metadata"]["resourceVersion"].as_str().context("no resourceVersion")?.to_owned())
}

/// An event is a line.
async fn count(mut events: Incoming, arrivals: Arc<Arrivals>) {
    while let Some(Ok(frame)) = events.frame().await {
        let lines = frame.data_ref().map_or(0, |data| memchr::memchr_iter(b'\n', data).count());
        let before = arrivals.count.fetch_add(lines, Ordering::AcqRel);
        if before / arrivals.watchers != (before + lines) / arrivals.watchers {
            arrivals.arrived.notify_waiters();
        }
    }
}
