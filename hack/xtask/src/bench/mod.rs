//! `cargo xtask bench`: what Orch does in a second, each figure beside its raw limit measured in the same run.
//!
//! The server is the release binary in a process of its own; the load comes from this process, on the same machine, so
//! both share its cores. Every figure is taken over a fixed time or count, after a warm-up, and printed with how.

mod beside;
mod containers;
mod crowd;
mod gitsync;
mod growth;
mod kube;
mod load;
mod mcp;
mod plot;
mod raw;
mod reads;
mod report;
mod schedule;
mod server;
mod startup;
mod watch;
mod wire;
mod writes;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};
use clap::Args;

use report::Report;

use crate::codegen;

/// What to measure, and where to write it down.
#[derive(Args)]
pub(crate) struct Bench {
    /// Which benchmarks to run; all that need no other server if none is named: startup, writes, reads, watch, growth, crowd,
    /// schedule, containers, mcp, gitsync, beside.
    names: Vec<String>,
    /// The kube-apiserver that `beside` compares with: see hack/kube-apiserver.
    #[arg(long, value_name = "FILE")]
    kube_apiserver: Option<PathBuf>,
    /// Where `growth` draws its plots.
    #[arg(long, value_name = "DIRECTORY")]
    plots: Option<PathBuf>,
    /// Also write the report, as Markdown, to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the same command in an optimised build of this program: an unoptimised load is slower than what it measures.
fn optimised() -> Result<()> {
    let mut again = Command::new(env!("CARGO"));
    again.args(["run", "--release", "--quiet", "--package", "xtask", "--"]).args(std::env::args_os().skip(1));
    ensure!(again.current_dir(codegen::root()).status()?.success(), "the benchmarks failed");
    Ok(())
}

const ALL: [&str; 11] = [
    "startup",
    "writes",
    "reads",
    "watch",
    "growth",
    "crowd",
    "schedule",
    "containers",
    "mcp",
    "gitsync",
    "beside",
];

/// Those that are asked for, in the order in which they run.
fn chosen(bench: &Bench) -> impl Iterator<Item = &'static str> {
    let asked = |name: &&str| match bench.names.is_empty() {
        true => *name != "beside" || bench.kube_apiserver.is_some(),
        false => bench.names.iter().any(|asked| asked == name),
    };
    ALL.into_iter().filter(asked)
}

/// Runs the benchmarks that are asked for, one after the other.
pub(crate) fn run(bench: Bench) -> Result<()> {
    if let Some(unknown) = bench.names.iter().find(|name| !ALL.contains(&name.as_str())) {
        bail!("there is no benchmark {unknown:?}; there are: {}", ALL.join(", "));
    }
    if cfg!(debug_assertions) {
        return optimised();
    }
    server::build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::default();
    for name in chosen(&bench) {
        eprintln!("── {name}");
        runtime.block_on(async {
            match name {
                "startup" => startup::run(&mut report).await,
                "writes" => writes::run(&mut report).await,
                "reads" => reads::run(&mut report).await,
                "watch" => watch::run(&mut report).await,
                "growth" => growth::run(&mut report, bench.plots.as_deref()).await,
                "crowd" => crowd::run(&mut report).await,
                "beside" => beside::run(&mut report, bench.kube_apiserver.as_deref()).await,
                "gitsync" => gitsync::run(&mut report).await,
                "schedule" => schedule::run(&mut report).await,
                "mcp" => mcp::run(&mut report).await,
                _ => containers::run(&mut report).await,
            }
        })?;
    }
    let text = report.to_string();
    println!("{text}");
    if let Some(path) = bench.out {
        std::fs::write(&path, text)?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}
