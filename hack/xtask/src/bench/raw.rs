//! The raw limits: etcd's transactions, and appends with fsync.

use std::fs::File;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};

use super::load::{self, Outcome};

/// Transactions on etcd as the store makes them: create if absent, 1 KiB values.
pub(crate) async fn etcd_transactions(url: &str, clients: usize, value: usize) -> Result<Outcome> {
    let connections = clients.min(4);
    let mut pool = Vec::new();
    for _ in 0..connections {
        pool.push(Client::connect([url], None).await?);
    }
    let value = vec![b'x'; value];
    load::run(clients, move |client, number| {
        let mut etcd = pool[client % pool.len()].clone();
        let (key, value) = (format!("/raw/{clients}/{number}"), value.clone());
        async move {
            let absent = Compare::mod_revision(key.clone(), CompareOp::Equal, 0);
            let create = Txn::new().when([absent]).and_then([TxnOp::put(key, value, None)]);
            etcd.txn(create).await.map(drop).context("etcd")
        }
    })
    .await
}

type Append = (Vec<u8>, tokio::sync::oneshot::Sender<()>);

/// Appends to one file, made durable together: a thread writes all that wait, calls fdatasync once, acknowledges.
pub(crate) async fn durable_appends(clients: usize, value: usize) -> Result<Outcome> {
    let file = tempfile::tempfile_in(std::env::temp_dir())?;
    let (sender, receiver) = sync_channel(1024);
    let writer = std::thread::spawn(move || append(file, &receiver));
    let sender: Arc<Mutex<Option<SyncSender<Append>>>> = Arc::new(Mutex::new(Some(sender)));
    let handle = sender.clone();
    let outcome = load::run(clients, move |_, _| {
        let sender = handle.lock().ok().and_then(|sender| sender.clone());
        async move {
            let (done, acknowledged) = tokio::sync::oneshot::channel();
            sender.context("closed")?.send((vec![b'x'; value], done))?;
            Ok(acknowledged.await?)
        }
    })
    .await?;
    drop(sender.lock().map(|mut sender| sender.take()));
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    Ok(outcome)
}

fn append(mut file: File, appends: &Receiver<Append>) -> Result<()> {
    while let Ok(first) = appends.recv() {
        let batch: Vec<Append> = std::iter::once(first).chain(appends.try_iter()).collect();
        let bytes: Vec<u8> = batch.iter().flat_map(|(bytes, _)| bytes).copied().collect();
        file.write_all(&bytes)?;
        file.sync_data()?;
        for (_, done) in batch {
            // A client whose time is over no longer listens.
            let _ = done.send(());
        }
    }
    Ok(())
}
