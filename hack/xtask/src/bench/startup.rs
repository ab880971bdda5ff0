//! Starting, and being idle.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use orch_api::{Client, Params, Request, Resource, Target, Verb};
use orch_ontology::ConfigMap;
use serde_json::Value;

use super::load::Outcome;
use super::report::{Report, millis};
use super::server::Server;
use super::writes;

const STARTS: usize = 10;
const OBJECTS: usize = 10_000;
const IDLE: Duration = Duration::from_secs(60);

/// Measures starts, and memory and writes of an idle server.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let method = "From the start of the process to its ready line, 10 times on the embedded store, one simulated node.";
    let section = report.section("Cold start to ready", method, &["store", "p50", "slowest"]);
    let mut empty = Vec::new();
    for _ in 0..STARTS {
        empty.push(Server::start(&["--runtime", "simulated"])?.started_in);
    }
    section.row(cells("empty", empty));

    let mut server = Server::start(&["--runtime", "simulated"])?;
    writes::fill(&server, 0..OBJECTS).await?;
    let mut full = Vec::new();
    for _ in 0..STARTS {
        server = Server::start_in(server.stop()?, &["--runtime", "simulated"])?;
        full.push(server.started_in);
    }
    section.row(cells("10,000 objects of 1 KiB", full));
    let resident = server.resident_mebibytes()?;
    drop(server);

    let method = "The whole control plane and a node agent in one process, after 60 idle seconds; the store's revision \
                  before and after.";
    let section = report.section("Idle", method, &["figure", "value"]);
    let server = Server::start(&["--runtime", "simulated"])?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (before, start) = (revision(&server).await?, Instant::now());
    tokio::time::sleep(IDLE).await;
    let written = revision(&server).await? - before;
    section.row(["memory (RSS)".into(), format!("{:.1} MiB", server.resident_mebibytes()?)]);
    section.row([
        "memory (RSS) with 10,000 objects of 1 KiB, just started".into(),
        format!("{resident:.1} MiB"),
    ]);
    section.row([format!("store writes in {:.0} s", start.elapsed().as_secs_f64()), written.to_string()]);
    Ok(())
}

fn cells(name: &str, times: Vec<Duration>) -> [String; 3] {
    let outcome = Outcome::new(times, Duration::from_secs(1));
    [name.into(), millis(outcome.quantile(0.5)), millis(outcome.quantile(1.0))]
}

async fn revision(server: &Server) -> Result<u64> {
    let params = Params { limit: Some(1), ..Params::default() };
    let request = Request { verb: Verb::List, target: Target::all(&ConfigMap::KIND), params, body: None };
    let list: Value = serde_json::from_slice(&server.client()?.send(request).await?)?;
    let revision = list["metadata"]["resourceVersion"].as_str().context("no resourceVersion")?;
    Ok(revision.parse()?)
}
