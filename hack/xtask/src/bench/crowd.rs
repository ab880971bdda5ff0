//! A crowd: 100,000 objects and 10,000 watchers, a tenth of which do not read what they are sent.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::load::{self, Outcome};
use super::reads::path;
use super::report::{Report, millis};
use super::server::Server;
use super::watch::{revision, watch};
use super::wire::Wire;
use super::writes::{COLLECTION, fill, numbered};

const OBJECTS: usize = 100_000;
const READING: usize = 9_000;
const SLOW: usize = 1_000;
const SLOW_A_CONNECTION: usize = 50;
/// More changes than the server keeps for those that are behind.
const CHANGES: usize = 20_000;
const CLIENTS: usize = 16;
/// Between two looks at the memory.
const SETTLE: Duration = Duration::from_secs(1);
/// Memory that falls by less than this, so often, has settled.
const STILL_MEBIBYTES: f64 = 2.0;
const STILL_ROUNDS: usize = 3;
/// So little fits before a slow watcher's stream is full.
const SLOW_WINDOW_BYTES: u32 = 16 * 1024;

/// Measures what objects and watchers take, and that watchers that do not read take no more.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(&["--runtime", "simulated"])?;
    let empty = settled(&server).await?;
    fill(&server, 0..OBJECTS).await?;
    let server = Server::start_in(server.stop()?, &["--runtime", "simulated"])?;
    let full = settled(&server).await?;

    let connection = server.connection()?;
    let from = revision(&connection).await?;
    // Each of these waits for one object, as a node agent does; the slow ones want everything.
    let one = |number: usize| {
        let object = number * (OBJECTS / READING);
        format!(
            "{COLLECTION}?watch=true&resourceVersion={from}&fieldSelector=metadata.name%3Dfill-{object:06}"
        )
    };
    let arrivals = watch(&server, READING, one).await?;
    let slow = slow(&server, &from).await?;
    let watched = settled(&server).await?;

    let writes = changes(&server).await?;
    let after = settled(&server).await?;
    let cut = count_cut(slow).await?;
    arrivals.reach(1).await?;

    let method = "On the embedded store. 9,000 watch one ConfigMap each; 1,000 watch all of them and read nothing while 16 \
                  clients make 20,000 changes of 1.5 KiB, one for each watched object among them. Memory: RSS of the server, \
                  just started on the objects, and after each step, once it no longer falls.";
    let section = report.section("100,000 objects of 1 KiB, 10,000 watchers", method, &["figure", "value"]);
    let each = |more: f64, count: usize| format!("{:.1} KiB", more * 1024.0 / count as f64);
    section.row(["memory, no objects".into(), format!("{empty:.0} MiB")]);
    section.row(["memory, 100,000 objects".into(), format!("{full:.0} MiB")]);
    section.row(["an object".into(), each(full - empty, OBJECTS)]);
    section.row(["memory, with 10,000 idle watchers".into(), format!("{watched:.0} MiB")]);
    section.row(["an idle watcher (50 on a connection)".into(), each(watched - full, READING + SLOW)]);
    section.row(["memory, after 20,000 changes".into(), format!("{after:.0} MiB")]);
    section.row(["a change meanwhile, p50".into(), millis(writes.quantile(0.5))]);
    section.row(["changes a second".into(), format!("{:.0}/s", writes.per_second())]);
    section.row(["slow watchers that are told to list again (410)".into(), format!("{cut} of {SLOW}")]);
    Ok(())
}

/// The server's memory once it no longer falls, under a light load: allocators give back what is free as they are used.
async fn settled(server: &Server) -> Result<f64> {
    let (mut lowest, mut still) = (f64::INFINITY, 0);
    while still < STILL_ROUNDS {
        load::run_for(Duration::ZERO, SETTLE, CLIENTS, {
            let wire = Wire::connect(&server.connection()?).await?;
            move |_, _| {
                let wire = wire.clone();
                async move { wire.send(Method::GET, &format!("{COLLECTION}?limit=1"), "").await.map(drop) }
            }
        })
        .await?;
        let now = server.resident_mebibytes()?;
        still = if now < lowest - STILL_MEBIBYTES { 0 } else { still + 1 };
        lowest = lowest.min(now);
    }
    Ok(lowest)
}

async fn slow(server: &Server, from: &str) -> Result<Vec<Incoming>> {
    let mut slow = Vec::new();
    for _ in 0..SLOW / SLOW_A_CONNECTION {
        let wire = Wire::connect_with(&server.connection()?, SLOW_WINDOW_BYTES).await?;
        for _ in 0..SLOW_A_CONNECTION {
            let path = format!("{COLLECTION}?watch=true&resourceVersion={from}");
            slow.push(wire.begin(Method::GET, &path, "").await?.into_body());
        }
    }
    Ok(slow)
}

async fn changes(server: &Server) -> Result<Outcome> {
    let (began, mut tasks) = (Instant::now(), tokio::task::JoinSet::new());
    for client in 0..CLIENTS {
        let wire = Wire::connect(&server.connection()?).await?;
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            for number in (client..CHANGES).step_by(CLIENTS) {
                // First the watched objects, each once, then the others.
                let object = match number < READING {
                    true => number * (OBJECTS / READING),
                    false => (number * (OBJECTS / READING) + 1) % OBJECTS,
                };
                let start = Instant::now();
                wire.send(Method::PUT, &path(object), numbered(object, number + 1)).await?;
                latencies.push(start.elapsed());
            }
            Ok::<_, anyhow::Error>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(client) = tasks.join_next().await {
        latencies.append(&mut client??);
    }
    Ok(Outcome::new(latencies, began.elapsed()))
}

/// As much of what a watch ends with as an error takes.
const LAST_WORDS: usize = 1024;

/// Reads on where nobody read, and counts the watches that end with 410.
async fn count_cut(slow: Vec<Incoming>) -> Result<usize> {
    let mut cut = 0;
    for mut events in slow {
        let mut tail = Vec::new();
        let ended = async {
            while let Some(frame) = events.frame().await {
                if let Some(data) = frame?.data_ref() {
                    tail.extend_from_slice(data);
                    tail.drain(..tail.len().saturating_sub(LAST_WORDS));
                }
            }
            Ok::<_, hyper::Error>(())
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
        ensure!(ended.is_ok(), "a watcher that has missed changes goes on");
        cut += usize::from(memchr::memmem::find(&tail, b"\"code\":410").is_some());
    }
    Ok(cut)
}
