//! Writes: ConfigMaps of 1 KiB created over HTTPS, beside the raw limit of the store.

use std::sync::Arc;

use anyhow::Result;
use orch_api::{Api, Metadata};
use orch_ontology::ConfigMap;

use super::load::{self, Outcome};
use super::raw;
use super::report::{Report, share};
use super::server::{Etcd, Server};

/// What a ConfigMap with its metadata comes to in the store, so that the raw limit writes as much.
const STORED_BYTES: usize = 1500;
const CLIENTS: [usize; 3] = [1, 16, 64];

/// Measures both backends.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let method = "ConfigMaps with 1 KiB of data are created by so many clients over HTTPS (HTTP/2), each one after the \
                  other, for 5 s after 1 s of warm-up. Raw, etcd: the same number of clients run create-if-absent \
                  transactions of as many bytes on the same etcd, with fsync. Raw, embedded: as many bytes are appended \
                  to one file with one fdatasync for all that wait.";
    let heading = ["store", "clients", "Orch", "p50", "p99", "raw", "p50", "p99", "Orch / raw"];
    let section = report.section("Writes", method, &heading);
    let etcd = Etcd::start().await?;
    for clients in CLIENTS {
        let raw = raw::etcd_transactions(&etcd.url, clients, STORED_BYTES).await?;
        let server =
            Server::start(&["--runtime", "simulated", "--store", "etcd", "--etcd-endpoints", &etcd.url])?;
        section.row(row("etcd", clients, &creates(&server, clients).await?, &raw));
    }
    for clients in CLIENTS {
        let raw = raw::durable_appends(clients, STORED_BYTES).await?;
        let server = Server::start(&["--runtime", "simulated"])?;
        section.row(row("embedded", clients, &creates(&server, clients).await?, &raw));
    }
    Ok(())
}

fn row(store: &str, clients: usize, orch: &Outcome, raw: &Outcome) -> Vec<String> {
    let mut cells = vec![store.to_owned(), clients.to_string()];
    cells.extend(orch.cells());
    cells.extend(raw.cells());
    cells.push(share(orch.per_second(), raw.per_second()));
    cells
}

/// Creates ConfigMaps from so many clients on a few connections.
pub(crate) async fn creates(server: &Server, clients: usize) -> Result<Outcome> {
    let pool = (0..clients.min(4)).map(|_| server.client()).collect::<Result<Vec<_>>>()?;
    let run = std::process::id();
    load::run(clients, move |client, number| {
        let api = Api::<ConfigMap>::namespaced(pool[client % pool.len()].clone(), "default");
        async move {
            api.create(&config_map(&format!("bench-{run}-{clients}-{number}"))).await?;
            Ok(())
        }
    })
    .await
}

/// A ConfigMap with 1 KiB of data.
pub(crate) fn config_map(name: &str) -> ConfigMap {
    let metadata = Metadata::named("default".to_owned(), name);
    ConfigMap { metadata, data: [("data".to_owned(), "x".repeat(1024))].into(), ..ConfigMap::default() }
}

/// Creates so many ConfigMaps as fast as it goes.
pub(crate) async fn fill(server: &Server, count: usize) -> Result<()> {
    let api = Api::<ConfigMap>::namespaced(server.client()?, "default");
    let permits = Arc::new(tokio::sync::Semaphore::new(64));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        let (api, permit) = (api.clone(), permits.clone().acquire_owned().await?);
        tasks.spawn(async move {
            let created = api.create(&config_map(&format!("fill-{number:06}"))).await;
            drop(permit);
            created.map(drop)
        });
    }
    while let Some(created) = tasks.join_next().await {
        created??;
    }
    Ok(())
}
