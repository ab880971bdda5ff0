//! Growth: what a write costs as there are more objects, and as there are more watchers.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use http::Method;

use super::load;
use super::plot::{Curve, draw};
use super::reads::path;
use super::report::{Report, micros, millis};
use super::server::Server;
use super::watch::{NOT_OF_ITSELF, revision, watch};
use super::wire::Wire;
use super::writes::{COLLECTION, fill, numbered};

const OBJECTS: [usize; 3] = [1_000, 10_000, 100_000];
const WATCHERS: [usize; 3] = [1, 1_000, 10_000];
/// Writes one after the other, for the growth with watchers.
const WRITES: usize = 100;
const CLIENTS: usize = 16;

/// What a write costs at one size.
struct Cost {
    size: usize,
    latency: Duration,
    cpu: Duration,
}

/// Measures both, and draws them if asked to.
pub(crate) async fn run(report: &mut Report, plots: Option<&Path>) -> Result<()> {
    let heading = ["", "latency of a write, p50", "CPU of the server for a write"];
    let by_objects = with_objects().await?;
    let method = "One of so many ConfigMaps of 1 KiB on the embedded store is replaced (PUT), by 16 clients, each one after \
                  the other, for 5 s after 1 s of warm-up.";
    rows(report.section("A write, as there are more objects", method, &heading), "objects", &by_objects);

    let apart = with_watchers("kube-system").await?;
    let seeing = with_watchers("default").await?;
    let method = "One of 1,000 ConfigMaps is replaced 100 times, one after the other, while so many watch those of another \
                  namespace.";
    let title = "A write, as there are more watchers who do not see it";
    rows(report.section(title, method, &heading), "watchers", &apart);
    let method = "The same, while so many watch this namespace: the CPU is that of the write and of an event for each. The \
                  next write begins when all have the event.";
    let title = "A write, as there are more watchers who see it";
    rows(report.section(title, method, &heading), "watchers", &seeing);
    if let Some(directory) = plots {
        let curves = [curve("", &by_objects)];
        draw(
            &directory.join("write-by-objects.svg"),
            "CPU of a write by number of objects",
            "objects",
            &curves,
        )?;
        let curves = [curve("who see it", &seeing), curve("who do not", &apart)];
        draw(
            &directory.join("write-by-watchers.svg"),
            "CPU of a write by number of watchers",
            "watchers",
            &curves,
        )?;
    }
    Ok(())
}

fn rows(section: &mut super::report::Section, what: &str, costs: &[Cost]) {
    for cost in costs {
        section.row([format!("{} {what}", cost.size), millis(cost.latency), micros(cost.cpu)]);
    }
}

fn curve(name: &str, costs: &[Cost]) -> Curve {
    let points = costs.iter().map(|cost| (cost.size as f64, cost.cpu.as_secs_f64() * 1e6)).collect();
    Curve { name: name.into(), points }
}

async fn with_objects() -> Result<Vec<Cost>> {
    let server = Server::start(&["--runtime", "simulated"])?;
    let (mut costs, mut filled) = (Vec::new(), 0);
    for size in OBJECTS {
        fill(&server, filled..size).await?;
        filled = size;
        let mut pool = Vec::new();
        for _ in 0..4 {
            pool.push(Wire::connect(&server.connection()?).await?);
        }
        let cpu = server.cpu_time()?;
        let outcome = load::run(CLIENTS, move |client, number| {
            // Spread over all objects, and no two clients on one at a time.
            let object = (number * 7_919) % size;
            let (wire, body) = (pool[client % pool.len()].clone(), numbered(object, number));
            async move { wire.send(Method::PUT, &path(object), body).await.map(drop) }
        })
        .await?;
        let cpu = outcome.each(server.cpu_time()? - cpu);
        costs.push(Cost { size, latency: outcome.quantile(0.5), cpu });
    }
    Ok(costs)
}

async fn with_watchers(namespace: &str) -> Result<Vec<Cost>> {
    let mut costs = Vec::new();
    for size in WATCHERS {
        let server = Server::start(&["--runtime", "simulated"])?;
        fill(&server, 0..OBJECTS[0]).await?;
        let connection = server.connection()?;
        let collection = COLLECTION.replace("default", namespace);
        let from = revision(&connection).await?;
        let watched = format!("{collection}?watch=true&resourceVersion={from}&{NOT_OF_ITSELF}");
        let arrivals = watch(&server, size, |_| watched.clone()).await?;
        let wire = Wire::connect(&connection).await?;
        let (mut latencies, cpu) = (Vec::new(), server.cpu_time()?);
        for number in 0..WRITES {
            let began = std::time::Instant::now();
            let object = number % OBJECTS[0];
            wire.send(Method::PUT, &path(object), numbered(object, number + 1)).await?;
            latencies.push(began.elapsed());
            if COLLECTION == collection {
                arrivals.reach(number + 1).await?;
            }
        }
        let cpu = (server.cpu_time()? - cpu).div_f64(WRITES as f64);
        let outcome = load::Outcome::new(latencies, Duration::from_secs(1));
        costs.push(Cost { size, latency: outcome.quantile(0.5), cpu });
    }
    Ok(costs)
}
