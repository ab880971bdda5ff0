//! Reads: one object, and a list of 10,000, each beside an answer of the same size for which nothing is looked up.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::Result;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use orch_client::Connection;
use orch_transport::{Authority, Limits};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::load::{self, Outcome};
use super::report::{Report, micros, millis, share};
use super::server::Server;
use super::wire::Wire;
use super::writes::{self, COLLECTION};

const OBJECTS: usize = 10_000;
const LISTS: usize = 20;

/// Measures gets by 1, 16 and 64 clients, and whole lists.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(&["--runtime", "simulated"])?;
    writes::fill(&server, 0..OBJECTS).await?;
    let connection = server.connection()?;
    let one = Wire::connect(&connection).await?.send(Method::GET, &path(0), Bytes::new()).await?;
    let raw = Raw::serve(&connection, one).await?;

    let method = "One of 10,000 ConfigMaps of 1 KiB is read over HTTPS by so many clients, each one after the other, for \
                  5 s after 1 s of warm-up. Raw: as many bytes from memory, by our transport (TLS, HTTP/2) alone. CPU: \
                  of the server, for each request.";
    let heading = ["clients", "Orch", "p50", "p99", "CPU", "raw", "p50", "p99", "Orch / raw"];
    let section = report.section("Get", method, &heading);
    for clients in [1, 16, 64] {
        let cpu = server.cpu_time()?;
        let gets = gets(&connection, clients, |number| path(number % OBJECTS)).await?;
        let cpu = gets.each(server.cpu_time()? - cpu);
        let raw = gets_raw(&raw, clients).await?;
        let mut cells = vec![clients.to_string()];
        cells.extend(gets.cells());
        cells.push(micros(cpu));
        cells.extend(raw.cells());
        cells.push(share(gets.per_second(), raw.per_second()));
        section.row(cells);
    }

    let method = "All 10,000 are listed in one answer by one client; the time until the last byte has arrived. Raw: as \
                  many bytes from memory, by our transport alone.";
    let section = report.section("List of 10,000", method, &["read", "p50", "p99", "answer", "rate"]);
    let wire = Wire::connect(&connection).await?;
    let (consistent, bytes) = lists(&wire, COLLECTION).await?;
    section.row(list_cells("consistent", &consistent, bytes));
    let (cached, bytes) = lists(&wire, &format!("{COLLECTION}?resourceVersion=0")).await?;
    section.row(list_cells("from the cache (resourceVersion=0)", &cached, bytes));
    let raw = Raw::serve(&connection, bytes).await?;
    let (from_memory, bytes) = lists(&Wire::connect(&raw.connection).await?, "/").await?;
    section.row(list_cells("raw", &from_memory, bytes));
    Ok(())
}

/// Where the ConfigMap of this number is.
pub(crate) fn path(number: usize) -> String {
    format!("{COLLECTION}/fill-{number:06}")
}

/// Reads from so many clients on a few connections.
pub(crate) async fn gets(
    connection: &Connection,
    clients: usize,
    path: fn(usize) -> String,
) -> Result<Outcome> {
    let mut pool = Vec::new();
    for _ in 0..clients.min(4) {
        pool.push(Wire::connect(connection).await?);
    }
    load::run(clients, move |client, number| {
        let wire = pool[client % pool.len()].clone();
        async move { wire.send(Method::GET, &path(number), Bytes::new()).await.map(drop) }
    })
    .await
}

async fn gets_raw(raw: &Raw, clients: usize) -> Result<Outcome> {
    gets(&raw.connection, clients, |_| "/".into()).await
}

/// Reads a list again and again: how long each took, and how large it is.
pub(crate) async fn lists(wire: &Wire, path: &str) -> Result<(Outcome, usize)> {
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..LISTS {
        let start = Instant::now();
        bytes = wire.send(Method::GET, path, Bytes::new()).await?;
        times.push(start.elapsed());
    }
    Ok((Outcome::new(times, Duration::from_secs(1)), bytes))
}

fn list_cells(name: &str, times: &Outcome, bytes: usize) -> [String; 5] {
    let megabytes = bytes as f64 / 1e6;
    [
        name.to_owned(),
        millis(times.quantile(0.5)),
        millis(times.quantile(0.99)),
        format!("{megabytes:.1} MB"),
        format!("{:.0} MB/s", megabytes / times.quantile(0.5).as_secs_f64()),
    ]
}

/// Our transport, answering every request with so many bytes from memory. Ends when dropped.
struct Raw {
    connection: Connection,
    serving: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Raw {
    async fn serve(like: &Connection, bytes: usize) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let authority = Authority::open_or_create(directory.path())?;
        let (server, client) =
            (authority.issue_server(&["127.0.0.1"])?, authority.issue_client("raw", &[] as &[&str])?);
        let tls = orch_transport::server_config(&server, authority.certificate_pem())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut connection = like.clone();
        connection.server = format!("https://{}", listener.local_addr()?);
        connection.tls.authority = Some(authority.certificate_pem().into());
        connection.tls.identity = Some((client.certificate_pem.into(), client.key_pem.into()));
        let body = Bytes::from(vec![b'x'; bytes]);
        let answer = tower::service_fn(move |_: Request<Incoming>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(body.clone()))))
        });
        let limits = Limits::default();
        let serving =
            tokio::spawn(orch_transport::serve(listener, tls, answer, limits, std::future::pending()));
        Ok(Self { connection, serving, _directory: directory })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
