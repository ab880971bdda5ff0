//! `orchd reset`: removes everything that `orchd up` has made on this machine.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_runtime::Runtime;
use orch_runtime_containerd::PrivateContainerd;

use super::containerd;
use super::data_dir::{ContainerdRecord, DataDir};

const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Stops the `orchd up` of a data directory, removes its containers, networks and mounts, and then its files.
pub(crate) async fn run(path: &Path, yes: bool) -> Result<()> {
    let data = match DataDir::existing(path) {
        Ok(data) => data,
        Err(_) if !path.exists() => {
            println!("{} does not exist: nothing to remove", path.display());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if !yes && !confirmed(&data)? {
        bail!("nothing has been removed\nhint: add --yes to be asked no more");
    }
    stop(&data).await?;
    let _lock = data.lock()?;
    if let Some(record) = data.containerd_record()? {
        remove_containers(&data, &record).await?;
    }
    let node = data.node();
    orch_node::remove_data(&node).with_context(|| format!("cannot remove {}", node.display()))?;
    data.remove()?;
    println!("removed {}", data.path().display());
    Ok(())
}

fn confirmed(data: &DataDir) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    print!("Remove all containers and objects of {}? [y/N] ", data.path().display());
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn stop(data: &DataDir) -> Result<()> {
    let Some(pid) = data.holder()? else { return Ok(()) };
    println!("stopping orchd (process {pid})");
    kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("cannot stop process {pid}"))?;
    let deadline = Instant::now() + STOP_WITHIN;
    while data.holder()?.is_some() {
        if Instant::now() > deadline {
            bail!("process {pid} does not stop\nhint: kill -9 {pid}, then try again");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn remove_containers(data: &DataDir, record: &ContainerdRecord) -> Result<()> {
    let runtime = containerd::reconnect(data, record).await?;
    let sandboxes = runtime.observe().await?.sandboxes;
    if !sandboxes.is_empty() {
        println!("removing {} pods", sandboxes.len());
    }
    let removals = sandboxes.iter().map(|sandbox| runtime.remove_sandbox(&sandbox.id));
    futures::future::try_join_all(removals).await.context("a pod cannot be removed")?;
    if record.private {
        PrivateContainerd::start(data.containerd()).await?.stop().await;
    } else {
        for image in runtime.list_images().await? {
            runtime.remove_image(&image.reference).await?;
        }
    }
    runtime.remove_network().await.context("the pods' network cannot be removed")
}
