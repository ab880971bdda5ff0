//! `orchd image`: images on this machine, for when there is no registry.

use std::path::Path;

use anyhow::{Context, Result};
use orch_runtime::Runtime;

use super::containerd;
use super::data_dir::DataDir;

/// Hands an OCI image layout, a directory or a tar file, to the containerd of a data directory.
pub(crate) async fn import(data_dir: &Path, layout: &Path) -> Result<()> {
    let runtime = runtime(data_dir).await?;
    let imported = runtime.import_oci_layout(layout).await;
    for image in imported.with_context(|| format!("{} cannot be imported", layout.display()))? {
        println!("imported {} ({})", image.reference, image.digest);
    }
    Ok(())
}

/// Prints the images that the containerd of a data directory has.
pub(crate) async fn list(data_dir: &Path) -> Result<()> {
    for image in runtime(data_dir).await?.list_images().await? {
        println!("{}\t{}", image.reference, image.digest);
    }
    Ok(())
}

async fn runtime(data_dir: &Path) -> Result<orch_runtime_containerd::ContainerdRuntime> {
    let data = DataDir::existing(data_dir)?;
    let record = data.containerd_record()?;
    let record = record.context("this data directory runs no containers\nhint: start `orchd up` first")?;
    containerd::reconnect(&data, &record).await
}
