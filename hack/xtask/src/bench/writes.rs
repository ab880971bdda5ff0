//! Writes: ConfigMaps of 1 KiB created over HTTPS, beside the raw limit of the store.

use std::ops::Range;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use orch_api::Metadata;
use orch_ontology::ConfigMap;
use orch_store::testing::EtcdServer;

use super::load::{self, Outcome};
use super::raw;
use super::report::{Report, micros, share};
use super::server::{Server, on_etcd};
use super::wire::Wire;

/// What a ConfigMap with its metadata comes to in the store, so that the raw limit writes as much.
const STORED_BYTES: usize = 1500;
/// So many clients at a time.
pub(crate) const CLIENTS: [usize; 3] = [1, 16, 64];
/// The ConfigMaps of the namespace that every cluster has.
pub(crate) const COLLECTION: &str = "/api/v1/namespaces/default/configmaps";

/// Measures both backends.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let method = "ConfigMaps with 1 KiB of data are created by so many clients over HTTPS (HTTP/2), each one after the \
                  other, for 5 s after 1 s of warm-up. Raw, etcd: the same number of clients run create-if-absent \
                  transactions of as many bytes on the same etcd, with fsync. Raw, embedded: as many bytes are appended \
                  to one file with one fdatasync for all that wait. CPU: of the server, for each request.";
    let heading = ["store", "clients", "Orch", "p50", "p99", "CPU", "raw", "p50", "p99", "Orch / raw"];
    let section = report.section("Writes", method, &heading);
    let etcd = EtcdServer::start().await;
    let server = Server::start(&on_etcd(&etcd))?;
    for clients in CLIENTS {
        let raw = raw::etcd_transactions(etcd.endpoint(), clients, STORED_BYTES).await?;
        section.row(row("etcd", clients, &server, &raw).await?);
    }
    drop(server);
    let server = Server::start(&["--runtime", "simulated"])?;
    for clients in CLIENTS {
        let raw = raw::durable_appends(clients, STORED_BYTES).await?;
        section.row(row("embedded", clients, &server, &raw).await?);
    }
    Ok(())
}

async fn row(store: &str, clients: usize, server: &Server, raw: &Outcome) -> Result<Vec<String>> {
    let cpu = server.cpu_time()?;
    let orch = creates(server, clients).await?;
    let cpu = orch.each(server.cpu_time()? - cpu);
    let mut cells = vec![store.to_owned(), clients.to_string()];
    cells.extend(orch.cells());
    cells.push(micros(cpu));
    cells.extend(raw.cells());
    cells.push(share(orch.per_second(), raw.per_second()));
    Ok(cells)
}

/// Creates ConfigMaps from so many clients on a few connections.
pub(crate) async fn creates(server: &Server, clients: usize) -> Result<Outcome> {
    let mut pool = Vec::new();
    for _ in 0..clients.min(4) {
        pool.push(Wire::connect(&server.connection()?).await?);
    }
    let run = std::process::id();
    let data = "x".repeat(1024);
    load::run(clients, move |client, number| {
        let wire = pool[client % pool.len()].clone();
        let body = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"bench-{run}-{clients}-{number}"}},"data":{{"data":"{data}"}}}}"#
        );
        async move { wire.send(Method::POST, COLLECTION, body).await.map(drop) }
    })
    .await
}

/// A ConfigMap with 1 KiB of data.
pub(crate) fn config_map(name: &str) -> ConfigMap {
    let metadata = Metadata::named("default".to_owned(), name);
    ConfigMap { metadata, data: [("data".to_owned(), "x".repeat(1024))].into(), ..ConfigMap::default() }
}

/// Creates ConfigMaps with these numbers as fast as it goes.
pub(crate) async fn fill(server: &Server, numbers: Range<usize>) -> Result<()> {
    let wire = Wire::connect(&server.connection()?).await?;
    let created = futures::stream::iter(numbers).map(Ok).try_for_each_concurrent(64, |number| {
        let (wire, body) = (wire.clone(), numbered(number, 0));
        async move { wire.send(Method::POST, COLLECTION, body).await.map(drop) }
    });
    created.await
}

/// The ConfigMap of this number, as JSON; `edition` makes it differ from the one before.
pub(crate) fn numbered(number: usize, edition: usize) -> String {
    let data = "x".repeat(1024);
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"fill-{number:06}"}},"data":{{"data":"{data}","edition":"{edition}"}}}}"#
    )
}
