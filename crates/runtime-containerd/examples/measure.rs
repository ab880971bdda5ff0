//! Times the verbs on this machine beside `ctr run -d`: `cargo run --release --example measure`. Needs root.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use orch_runtime::{Runtime, conformance};
use orch_runtime_containerd::{
    ContainerdRuntime, LoggerCommand,
    testing::{TestHost, build_busybox_layout},
};

const IMAGE: &str = "localhost/busybox:1";
const ROUNDS: usize = 10;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let host = TestHost::start(dir.path()).await?;
    let logger = LoggerCommand::new(std::env::current_exe()?.with_file_name("log-pipe"), "log-pipe");
    let runtime = ContainerdRuntime::connect(host.config(logger)).await?;
    let layout = dir.path().join("busybox.tar");
    build_busybox_layout(&layout, IMAGE)?;
    let began = Instant::now();
    runtime.import_oci_layout(&layout).await?;
    println!("import                    {:>8.1?}", began.elapsed());
    verbs(&runtime, dir.path()).await?;
    parallel(&runtime, 20).await?;
    memory(&host);
    ctr(&host)?;
    Ok(())
}

async fn verbs(runtime: &ContainerdRuntime, logs: &std::path::Path) -> anyhow::Result<()> {
    let mut times: [Vec<Duration>; 6] = Default::default();
    for round in 0..ROUNDS {
        let pod = conformance::sandbox(&format!("measured{round}"));
        let mut container = conformance::container(&pod, IMAGE, &["sleep", "1000"]);
        container.log_path = Some(logs.join(format!("{round}.log")));
        let mut second = container.clone();
        second.id = orch_runtime::ContainerId::of_pod(&pod.pod.uid, "second", 0);
        let mut clock = Instant::now();
        let mut lap = |n: usize| {
            times[n].push(clock.elapsed());
            clock = Instant::now();
        };
        runtime.ensure_sandbox(&pod).await?;
        lap(0);
        runtime.create_container(&container).await?;
        lap(1);
        runtime.start_container(&container.id).await?;
        lap(2);
        runtime.create_container(&second).await?;
        runtime.start_container(&second.id).await?;
        lap(3);
        runtime.observe().await?;
        lap(4);
        if round % 2 == 0 {
            runtime.remove_sandbox(&pod.id).await?;
            lap(5);
        }
    }
    let names = [
        "ensure_sandbox",
        "create_container",
        "start_container",
        "second create+start",
        "observe",
        "remove_sandbox",
    ];
    for (name, mut times) in names.into_iter().zip(times) {
        times.sort();
        println!("{name:<25} {:>8.1?} median {:>8.1?} max", times[times.len() / 2], times[times.len() - 1]);
    }
    Ok(())
}

async fn parallel(runtime: &ContainerdRuntime, pods: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    let starts = (0..pods).map(|n| async move {
        let pod = conformance::sandbox(&format!("parallel{n}"));
        let container = conformance::container(&pod, IMAGE, &["sleep", "1000"]);
        runtime.ensure_sandbox(&pod).await?;
        runtime.create_container(&container).await?;
        runtime.start_container(&container.id).await
    });
    try_join_all(starts).await?;
    let rate = pods as f64 / began.elapsed().as_secs_f64();
    println!("{pods} pods at once           {:>8.1?} ({rate:.1} pods/s)", began.elapsed());
    Ok(())
}

/// Resident memory of loggers and shims, in KiB: all, and what no other process shares.
fn memory(host: &TestHost) {
    for program in ["log-pipe", "containerd-shim"] {
        let mut sizes = Vec::new();
        for pid in host.processes() {
            let name = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if name.split('\0').next().is_some_and(|path| path.contains(program)) {
                sizes.push((field(pid, "Rss:"), field(pid, "Private_Dirty:"), field(pid, "Pss:")));
            }
        }
        sizes.sort();
        if let Some((rss, private, pss)) = sizes.get(sizes.len() / 2) {
            println!(
                "{program:<25} {rss} KiB resident, {private} KiB private, {pss} KiB proportional ({} processes)",
                sizes.len()
            );
        }
    }
}

fn field(pid: i32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What containerd needs by itself: create and start, without network and log.
fn ctr(host: &TestHost) -> anyhow::Result<()> {
    let socket = host.dir().join("containerd/containerd.sock");
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let began = Instant::now();
        let status = Command::new("ctr")
            .arg("-a")
            .arg(&socket)
            .args(["-n", "orch", "run", "-d", IMAGE, &format!("raw{round}"), "sleep", "1000"])
            .status()?;
        anyhow::ensure!(status.success(), "ctr run failed");
        times.push(began.elapsed());
    }
    times.sort();
    println!("ctr run -d                {:>8.1?} median", times[times.len() / 2]);
    Ok(())
}
