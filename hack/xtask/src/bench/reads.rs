//! Reads: one object, and a list of 10,000.

use std::time::Instant;

use anyhow::Result;
use orch_api::{Client, Params, Request, Resource, Target, Verb};
use orch_ontology::ConfigMap;

use super::load::{self, Outcome};
use super::report::{Report, millis};
use super::server::Server;
use super::writes;

const OBJECTS: usize = 10_000;
const LISTS: usize = 20;

/// Measures gets by 1, 16 and 64 clients, and whole lists.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(&["--runtime", "simulated"])?;
    writes::fill(&server, OBJECTS).await?;

    let method = "One of 10,000 ConfigMaps of 1 KiB is read over HTTPS by so many clients, each one after the other, for \
                  5 s after 1 s of warm-up. Raw: the same with `/livez`, which answers without looking anything up.";
    let section = report.section("Get", method, &["clients", "Orch", "p50", "p99", "raw", "p50", "p99"]);
    for clients in [1, 16, 64] {
        let gets = requests(&server, clients, |number| get(number % OBJECTS)).await?;
        let nothing = liveness(&server, clients).await?;
        section.row([clients.to_string()].into_iter().chain(gets.cells()).chain(nothing.cells()));
    }

    let method =
        "All 10,000 are listed in one answer by one client; the time until the last byte has arrived.";
    let section = report.section("List of 10,000", method, &["read", "p50", "p99", "answer"]);
    for (name, resource_version) in
        [("consistent", None), ("from the cache (resourceVersion=0)", Some("0".to_owned()))]
    {
        let client = server.client()?;
        let target = Target::in_namespace(&ConfigMap::KIND, "default");
        let params = Params { resource_version, ..Params::default() };
        let request = Request { verb: Verb::List, target, params, body: None };
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..LISTS {
            let start = Instant::now();
            bytes = client.send(request.clone()).await?.len();
            times.push(start.elapsed());
        }
        let outcome = Outcome::new(times, Instant::now().elapsed());
        let size = format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        section.row([name.to_owned(), millis(outcome.quantile(0.5)), millis(outcome.quantile(0.99)), size]);
    }
    Ok(())
}

fn get(number: usize) -> Request {
    let target = Target::in_namespace(&ConfigMap::KIND, "default").named(format!("fill-{number:06}"));
    Request { verb: Verb::Get, target, params: Params::default(), body: None }
}

async fn requests(server: &Server, clients: usize, make: fn(usize) -> Request) -> Result<Outcome> {
    let pool = (0..clients.min(4)).map(|_| server.client()).collect::<Result<Vec<_>>>()?;
    load::run(clients, move |client, number| {
        let orch = pool[client % pool.len()].clone();
        async move { Ok(orch.send(make(number)).await.map(drop)?) }
    })
    .await
}

async fn liveness(server: &Server, clients: usize) -> Result<Outcome> {
    let pool = (0..clients.min(4)).map(|_| server.client()).collect::<Result<Vec<_>>>()?;
    load::run(clients, move |client, _| {
        let orch = pool[client % pool.len()].clone();
        async move { Ok(orch.get_raw("/livez", orch_client::Accept::Any).await.map(drop)?) }
    })
    .await
}
