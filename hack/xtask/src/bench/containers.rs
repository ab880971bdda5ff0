//! Containers: 100 pods on real containerd, beside containerd's own create and start.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use orch_api::Api;
use orch_ontology::Workload;

use super::report::{Report, millis, rate};
use super::schedule::{until, workload};
use super::server::{Server, binary};
use crate::codegen;

const PODS: usize = 100;
const IMAGE: &str = "localhost/orch/busybox:1";
/// As many at once as make containerd fastest on two cores.
const AT_ONCE: usize = 4;

/// Measures from the apply until all pods are ready, and one pod by itself.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let server = Server::start(&["--runtime", "containerd", "--containerd", "private"])?;
    let image = image(&server)?;
    let socket = server.directory().join("containerd/containerd.sock");
    let raw_one = raw(&socket, &image, 10, 1).await?;
    let raw_all = raw(&socket, &image, PODS, AT_ONCE).await?;

    let api = Api::<Workload>::namespaced(server.client()?, "default");
    let mut ones = Vec::new();
    for number in 0..10 {
        let start = Instant::now();
        api.create(&workload(&format!("one-{number}"), 1, IMAGE)?).await?;
        ones.push(until(&api, start, |ready, _| ready > number).await?);
    }
    ones.sort_unstable();
    let start = Instant::now();
    api.create(&workload("many", PODS, IMAGE)?).await?;
    let many = until(&api, start, |ready, _| ready >= PODS + 10).await?;

    let method = "A Workload of busybox pods with CNI networking, the image present, from sending the create until the \
                  status says ready. Raw: `ctr run --detach` (create and start; no network, no logs) of as many \
                  containers on the same containerd, one at a time and 4 at once.";
    let section =
        report.section("Containers on containerd", method, &["figure", "Orch", "raw", "Orch / raw"]);
    let ratio = |orch: Duration, raw: Duration| format!("{:.2}", orch.as_secs_f64() / raw.as_secs_f64());
    let one = ones[ones.len() / 2];
    let raw_each = raw_one / 10;
    section.row(["one pod, median of 10".into(), millis(one), millis(raw_each), ratio(one, raw_each)]);
    section.row(["100 pods".into(), millis(many), millis(raw_all), ratio(many, raw_all)]);
    section.row(["100 pods, rate".into(), rate(PODS, many), rate(PODS, raw_all), String::new()]);
    Ok(())
}

/// Makes the test image and hands it to Orch.
fn image(server: &Server) -> Result<PathBuf> {
    let tar = server.directory().join("busybox.tar");
    let made = Command::new(codegen::root().join("hack/busybox-image")).arg(&tar).arg(IMAGE).status()?;
    ensure!(made.success(), "the image cannot be made");
    let mut import = Command::new(binary("orchd"));
    import.args(["image", "import", "--data-dir"]).arg(server.directory()).arg(&tar).stdout(Stdio::null());
    ensure!(import.status()?.success(), "the image cannot be imported");
    Ok(tar)
}

/// Runs so many containers with containerd's own client, and removes them again outside of the time.
async fn raw(socket: &Path, image: &Path, count: usize, at_once: usize) -> Result<Duration> {
    let ctr = |args: Vec<String>| {
        let mut command = tokio::process::Command::new("ctr");
        command.arg("--address").arg(socket).args(["--namespace", "raw"]).args(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut import = words("image import");
    import.push(image.to_string_lossy().into_owned());
    ensure!(ctr(import).status().await?.success(), "ctr cannot import the image");
    let permits = Arc::new(tokio::sync::Semaphore::new(at_once));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        let permit = permits.clone().acquire_owned().await?;
        let mut run = ctr(words(&format!("run --detach {IMAGE} raw-{number} sleep 3600")));
        tasks.spawn(async move {
            let status = run.status().await;
            drop(permit);
            status
        });
    }
    while let Some(run) = tasks.join_next().await {
        ensure!(run??.success(), "ctr cannot run a container");
    }
    let time = start.elapsed();
    for number in 0..count {
        for line in [format!("task delete --force raw-{number}"), format!("container delete raw-{number}")] {
            ctr(words(&line)).status().await.context("ctr")?;
        }
    }
    Ok(time)
}
