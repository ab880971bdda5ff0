//! The same load on Orch and on kube-apiserver, one after the other, each on an etcd of its own with the same settings.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use orch_store::testing::EtcdServer;
use tempfile::TempDir;

use super::kube;
use super::load::Outcome;
use super::reads::{gets, lists, path};
use super::report::{Report, Section, micros, millis};
use super::server::{Server, on_etcd};
use super::watch::fan_out;
use super::wire::Wire;
use super::writes::{CLIENTS, COLLECTION, creates, fill};

const STARTS: usize = 3;
const FEW: usize = 10_000;
const MANY: usize = 100_000;
/// After a start, and after load: until memory and caches have settled.
const SETTLE: Duration = Duration::from_secs(3);

/// One figure of one server.
struct Figure {
    name: String,
    value: f64,
    text: String,
    /// Rates are better high; times and sizes low.
    more_is_better: bool,
}

/// The figures of one server, each shown as it is measured.
#[derive(Default)]
struct Figures(Vec<Figure>);

impl Figures {
    fn push(&mut self, figure: Figure) {
        eprintln!("   {}  {}", figure.name, figure.text);
        self.0.push(figure);
    }
}

/// How a server of one make is started on an etcd.
enum Make<'a> {
    Orch,
    Kube(&'a Path),
}

impl Make<'_> {
    async fn start(&self, etcd: &EtcdServer) -> Result<Server> {
        self.start_in(tempfile::Builder::new().prefix("orch-bench-").tempdir()?, etcd).await
    }

    /// Ends a server and starts another on what it leaves: over one etcd, all have one certificate authority.
    async fn start_again(&self, server: Server, etcd: &EtcdServer) -> Result<Server> {
        self.start_in(server.stop()?, etcd).await
    }

    async fn start_in(&self, directory: TempDir, etcd: &EtcdServer) -> Result<Server> {
        match self {
            Self::Orch => Server::start_in(directory, &on_etcd(etcd)),
            Self::Kube(binary) => {
                // Only the form of a connection is taken from it.
                let like = Server::start(&["--runtime", "simulated"])?.connection()?;
                kube::start(binary, etcd.endpoint(), &like).await
            }
        }
    }
}

/// Measures both.
pub(crate) async fn run(report: &mut Report, binary: Option<&Path>) -> Result<()> {
    let binary = binary.context("beside needs --kube-apiserver FILE: see hack/kube-apiserver")?;
    let version = kube::version(binary)?;
    let method = format!(
        "kube-apiserver is {version}, built by `hack/kube-apiserver`, with its defaults, RBAC and TLS, and nothing beside it; \
         Orch's process holds the controllers, the scheduler and a simulated node too. One after the other, each on an etcd \
         of its own (fsync on), the same client: ConfigMaps of 1 KiB, JSON over HTTP/2 with a client certificate. Memory: \
         RSS of the server, just started on so many objects and after one list of them."
    );
    let orch = figures(&Make::Orch).await?;
    let kube = figures(&Make::Kube(binary)).await?;
    let heading = ["figure", "Orch", "kube-apiserver", "Orch is better by"];
    let section = report.section("Beside kube-apiserver", &method, &heading);
    for (orch, kube) in orch.0.iter().zip(&kube.0) {
        compare(section, orch, kube);
    }
    Ok(())
}

fn compare(section: &mut Section, orch: &Figure, kube: &Figure) {
    let ratio = if orch.more_is_better { orch.value / kube.value } else { kube.value / orch.value };
    section.row([orch.name.clone(), orch.text.clone(), kube.text.clone(), format!("{ratio:.1}×")]);
}

async fn figures(make: &Make<'_>) -> Result<Figures> {
    let etcd = EtcdServer::start().await;
    let mut figures = Figures::default();
    let mut server = make.start(&etcd).await?;
    let mut starts = vec![server.started_in];
    while starts.len() < STARTS {
        server = make.start_again(server, &etcd).await?;
        starts.push(server.started_in);
    }
    figures.push(time("start to ready, p50", Outcome::new(starts, SETTLE).quantile(0.5)));

    tokio::time::sleep(SETTLE).await;
    figures.push(memory("memory, idle", &server)?);
    for clients in CLIENTS {
        let cpu = server.cpu_time()?;
        let outcome = creates(&server, clients).await?;
        let cpu = outcome.each(server.cpu_time()? - cpu);
        requests(&mut figures, "creates", clients, &outcome, cpu);
    }
    drop(server);

    // A fresh etcd: the objects are those that are counted.
    let etcd = EtcdServer::start().await;
    let server = make.start(&etcd).await?;
    fill(&server, 0..FEW).await?;
    let server = make.start_again(server, &etcd).await?;
    reads(&mut figures, &server).await?;
    let fan_out = fan_out(&server).await?;
    figures.push(time("one change to 1,000 watchers, the last has it, p50", fan_out.latency.quantile(0.5)));
    figures.push(time("the same, p99", fan_out.latency.quantile(0.99)));
    figures.push(rate("events to 1,000 watchers, sustained", fan_out.per_second));
    figures.push(time("CPU for an event to a watcher", fan_out.cpu));
    // Without the watchers.
    let server = make.start_again(server, &etcd).await?;
    fill(&server, FEW..MANY).await?;
    let server = make.start_again(server, &etcd).await?;
    lists_once(&server).await?;
    figures.push(memory("memory, 100,000 objects of 1 KiB", &server)?);
    Ok(figures)
}

async fn reads(figures: &mut Figures, server: &Server) -> Result<()> {
    lists_once(server).await?;
    figures.push(memory("memory, 10,000 objects of 1 KiB", server)?);
    for clients in CLIENTS {
        let cpu = server.cpu_time()?;
        let outcome = gets(&server.connection()?, clients, |number| path(number % FEW)).await?;
        let cpu = outcome.each(server.cpu_time()? - cpu);
        requests(figures, "gets", clients, &outcome, cpu);
    }
    let wire = Wire::connect(&server.connection()?).await?;
    let (times, _) = lists(&wire, COLLECTION).await?;
    figures.push(time("list of 10,000, p50", times.quantile(0.5)));
    let (times, _) = lists(&wire, &format!("{COLLECTION}?resourceVersion=0")).await?;
    figures.push(time("list of 10,000 from the cache (resourceVersion=0), p50", times.quantile(0.5)));
    Ok(())
}

async fn lists_once(server: &Server) -> Result<()> {
    let wire = Wire::connect(&server.connection()?).await?;
    wire.send(http::Method::GET, &format!("{COLLECTION}?resourceVersion=0"), "").await?;
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

fn requests(figures: &mut Figures, what: &str, clients: usize, outcome: &Outcome, cpu: Duration) {
    figures.push(rate(&format!("{what}, {clients} clients"), outcome.per_second()));
    figures.push(time(&format!("{what}, {clients} clients, p99"), outcome.quantile(0.99)));
    figures.push(time(&format!("{what}, {clients} clients, CPU of the server"), cpu));
}

fn rate(name: &str, value: f64) -> Figure {
    Figure { name: name.into(), value, text: format!("{value:.0}/s"), more_is_better: true }
}

fn time(name: &str, value: Duration) -> Figure {
    let text = if value < Duration::from_millis(1) { micros(value) } else { millis(value) };
    Figure { name: name.into(), value: value.as_secs_f64(), text, more_is_better: false }
}

fn memory(name: &str, server: &Server) -> Result<Figure> {
    let value = server.resident_mebibytes()?;
    Ok(Figure { name: name.into(), value, text: format!("{value:.0} MiB"), more_is_better: false })
}
