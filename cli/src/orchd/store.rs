//! Where objects are kept.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::etcd::{EtcdConfig, EtcdStore, EtcdTls};
use orch_store::{Limits, Store};

use super::config::{Config, EtcdOptions, StoreBackend};
use super::data_dir::DataDir;

/// Opens the store that the configuration asks for.
pub(crate) async fn open(config: &Config, data: &DataDir) -> Result<Arc<dyn Store>> {
    match config.store.backend {
        StoreBackend::Embedded => {
            let embedded = EmbeddedConfig::new(data.store());
            let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(embedded)).await?;
            Ok(Arc::new(opened.context("the embedded store cannot be opened")?))
        }
        StoreBackend::Etcd => {
            let options = &config.store.etcd;
            let etcd = EtcdConfig {
                prefix: options.prefix.clone(),
                tls: tls(options)?,
                limits: Limits { writes: options.max_txn_ops, ..Limits::OF_ETCD },
                ..EtcdConfig::new(options.endpoints.clone())
            };
            let connected = EtcdStore::connect(etcd).await;
            Ok(Arc::new(
                connected.with_context(|| format!("cannot use etcd at {}", options.endpoints.join(", ")))?,
            ))
        }
    }
}

fn tls(options: &EtcdOptions) -> Result<Option<EtcdTls>> {
    let Some(ca) = &options.ca_file else { return Ok(None) };
    let identity = match (&options.cert_file, &options.key_file) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        _ => None,
    };
    Ok(Some(EtcdTls { ca: read(ca)?, identity, domain: None }))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
