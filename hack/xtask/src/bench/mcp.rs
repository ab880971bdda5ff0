//! Tools of the Model Context Protocol, each beside the same call over HTTP, and what `diagnose` finds of seeded faults.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use memchr::memmem;
use orch_client::manifest::Manifest;
use serde_json::{Value, json};

use super::load::{self, Outcome};
use super::reads::path;
use super::report::{Report, micros, millis, share};
use super::server::Server;
use super::wire::Wire;
use super::writes::{self, COLLECTION};

const OBJECTS: usize = 1_000;
const LISTED: usize = 20;
const CLIENTS: [usize; 2] = [1, 16];
/// The revision of the protocol in which each request stands for itself.
const REVISION: &str = "2026-07-28";
/// The faults that the tests have, too.
const FAULTS: &str = include_str!("../../../../tests/faults.yaml");
/// A node is noticed to be down 40 s after it was last heard of.
const FOUND_WITHIN: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// As the server counts them.
const BYTES_PER_TOKEN: f64 = 3.5;

/// What is called.
#[derive(Debug, Clone, Copy)]
enum Call {
    Get,
    List,
    Apply,
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Apply => "apply",
        }
    }

    /// As a tool's arguments.
    fn arguments(self, number: usize) -> Value {
        match self {
            Self::Get => json!({"kind": "configmap", "name": name(number)}),
            Self::List => json!({"kind": "configmaps", "namespace": "default", "limit": LISTED}),
            Self::Apply => json!({"manifests": writes::numbered(number % OBJECTS, number), "force": true}),
        }
    }

    async fn over_http(self, wire: &Wire, number: usize) -> Result<()> {
        let (method, path, media_type, body) = match self {
            Self::Get => (Method::GET, path(number % OBJECTS), "application/json", String::new()),
            Self::List => {
                (Method::GET, format!("{COLLECTION}?limit={LISTED}"), "application/json", String::new())
            }
            Self::Apply => {
                let path = format!("{}?fieldManager=bench&force=true", path(number % OBJECTS));
                (
                    Method::PATCH,
                    path,
                    "application/apply-patch+yaml",
                    writes::numbered(number % OBJECTS, number),
                )
            }
        };
        let answer = wire.begin_with(method, &path, &[("content-type", media_type)], body).await?;
        answer.into_body().collect().await?;
        Ok(())
    }
}

fn name(number: usize) -> String {
    format!("fill-{:06}", number % OBJECTS)
}

/// Measures both.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    calls(report).await?;
    diagnoses(report).await
}

async fn calls(report: &mut Report) -> Result<()> {
    let server = Server::start(&["--runtime", "simulated"])?;
    writes::fill(&server, 0..OBJECTS).await?;
    let method = format!(
        "Of {OBJECTS} ConfigMaps of 1 KiB one is read, {LISTED} are listed, or one is applied with another value, by so many clients over \
         HTTPS (HTTP/2), each one after the other, for 5 s after 1 s of warm-up: by a tool at /mcp (revision {REVISION}: a request \
         stands for itself), and by the plain request. The tool `apply` reads the object before, to say what it has changed. CPU: of the server, for each call."
    );
    let heading = ["call", "clients", "MCP", "p50", "p99", "CPU", "HTTP", "p50", "p99", "CPU", "MCP / HTTP"];
    let section = report.section("MCP", &method, &heading);
    for call in [Call::Get, Call::List, Call::Apply] {
        for clients in CLIENTS {
            let (mcp, mcp_cpu) = measured(&server, clients, move |wire, number| async move {
                tool(&wire, call.name(), &call.arguments(number)).await.map(drop)
            })
            .await?;
            let (http, http_cpu) =
                measured(
                    &server,
                    clients,
                    move |wire, number| async move { call.over_http(&wire, number).await },
                )
                .await?;
            let mut cells = vec![call.name().to_owned(), clients.to_string()];
            cells.extend(mcp.cells());
            cells.push(micros(mcp_cpu));
            cells.extend(http.cells());
            cells.push(micros(http_cpu));
            cells.push(share(mcp.per_second(), http.per_second()));
            section.row(cells);
        }
    }
    Ok(())
}

/// Calls from so many clients on a few connections, and what of the server's time each took.
async fn measured<F, R>(server: &Server, clients: usize, call: F) -> Result<(Outcome, Duration)>
where
    F: Fn(Wire, usize) -> R + Send + Sync + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let mut pool = Vec::new();
    for _ in 0..clients.min(4) {
        pool.push(Wire::connect(&server.connection()?).await?);
    }
    let cpu = server.cpu_time()?;
    let outcome =
        load::run(clients, move |client, number| call(pool[client % pool.len()].clone(), number)).await?;
    let each = outcome.each(server.cpu_time()? - cpu);
    Ok((outcome, each))
}

/// Calls a tool. Answers with what the server sent.
///
/// # Errors
/// Also if the tool failed.
async fn tool(wire: &Wire, tool: &str, arguments: &Value) -> Result<Bytes> {
    let about = json!({
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"_meta": about, "name": tool, "arguments": arguments}});
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", REVISION),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
    ];
    let answer = wire.begin_with(Method::POST, "/mcp", &headers, body.to_string()).await?;
    let bytes = answer.into_body().collect().await?.to_bytes();
    let failed = memmem::find(&bytes, br#""isError":true"#).is_some()
        || memmem::find(&bytes, br#""structuredContent""#).is_none();
    ensure!(!failed, "{tool} {arguments} was answered {}", String::from_utf8_lossy(&bytes));
    Ok(bytes)
}

/// What a tool answers for programs, and how many bytes that is.
async fn answer(wire: &Wire, name: &str, arguments: &Value) -> Result<(Value, usize)> {
    let mut answer: Value = serde_json::from_slice(&tool(wire, name, arguments).await?)?;
    let content = answer["result"]["structuredContent"].take();
    let bytes = content.to_string().len();
    Ok((content, bytes))
}

async fn diagnoses(report: &mut Report) -> Result<()> {
    let seeds = Manifest::parse("faults.yaml", FAULTS).remove(0)?.object;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("faults.yaml");
    std::fs::write(&file, seeds["simulated"].to_string())?;
    let file = file.to_str().context("a temporary directory has no such name")?;
    let server =
        Server::start(&["--runtime", "simulated", "--simulate-nodes", "3", "--simulate-faults", file])?;
    let wire = Wire::connect(&server.connection()?).await?;
    let faults = seeds["faults"].as_array().context("no faults")?;
    all_nodes(&wire).await?;
    seed(&wire, faults).await?;
    let method = "Ten faults are seeded, all at once, on three simulated nodes, and `diagnose` is asked about the object that suffers until \
                  it names the cause first: the answer of that call. Beside: the lists of pods, events and nodes from which a program, or an agent \
                  without the tool, would have to find that out. A token is 3.5 bytes.";
    let heading = [
        "fault",
        "first of the ranking",
        "calls",
        "answer",
        "tokens",
        "time",
        "lists: calls",
        "answers",
        "tokens",
    ];
    let section = report.section("Diagnose", method, &heading);
    for fault in faults {
        let cause = fault["cause"].as_str().unwrap_or_default();
        let (found, bytes, time) = found(&wire, &fault["ask"], cause).await?;
        let mut raw = 0;
        for path in ["/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/events", "/api/v1/nodes"]
        {
            raw += wire.send(Method::GET, path, Bytes::new()).await?;
        }
        let of = |bytes: usize| [format!("{bytes} B"), format!("{:.0}", bytes as f64 / BYTES_PER_TOKEN)];
        let mut cells = vec![cause.to_owned(), found, "1".to_owned()];
        cells.extend(of(bytes));
        cells.extend([millis(time), "3".to_owned()]);
        cells.extend(of(raw));
        section.row(cells);
    }
    Ok(())
}

/// Waits until the nodes have come.
async fn all_nodes(wire: &Wire) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < FOUND_WITHIN {
        let (listed, _) = answer(wire, "list", &json!({"kind": "nodes"})).await?;
        if listed["items"].as_array().is_some_and(|nodes| nodes.len() == 3) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    anyhow::bail!("the simulated nodes have not come")
}

async fn seed(wire: &Wire, faults: &[Value]) -> Result<()> {
    for fault in faults {
        for object in fault["apply"].as_array().into_iter().flatten() {
            tool(wire, "apply", &json!({"manifests": object.to_string(), "force": true})).await?;
        }
        if fault["delete"].is_object() {
            tool(wire, "delete", &fault["delete"]).await?;
        }
    }
    Ok(())
}

/// Asks until the cause is the first, or for so long. Answers with the first cause of the last answer, its bytes, and how long it took.
async fn found(wire: &Wire, ask: &Value, cause: &str) -> Result<(String, usize, Duration)> {
    let start = Instant::now();
    loop {
        let asked = Instant::now();
        let (diagnosis, bytes) = answer(wire, "diagnose", ask).await?;
        let time = asked.elapsed();
        let first = diagnosis["causes"][0]["cause"].as_str().unwrap_or("nothing").to_owned();
        if first == cause || start.elapsed() > FOUND_WITHIN {
            return Ok((first, bytes, time));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
