//! `cargo xtask fuzz`: every target for some seconds, guided by what it reaches in this workspace's crates.
//!
//! The targets are those of `cargo fuzz`, which would build every dependency again, instrumented: minutes that CI does not have.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::ci::cargo;
use crate::codegen::root;

/// No input is longer.
const LONGEST: usize = 16 * 1024;
/// No input may keep a target busy for longer: a generous bound for unoptimised code on a busy machine.
const PATIENCE_SECONDS: u64 = 20;

/// Throw bytes at whatever reads bytes.
#[derive(clap::Args)]
pub(crate) struct Fuzz {
    /// For how long, each target.
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// The targets; all of them unless some are named.
    pub(crate) targets: Vec<String>,
}

/// Builds the targets and runs as many at a time as there are processors.
///
/// # Errors
/// If one fails; what it said is printed, and the input is kept.
pub(crate) fn run(fuzz: &Fuzz) -> Result<()> {
    let programs = build(&fuzz.targets)?;
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = |worker: usize| programs.iter().skip(worker).step_by(workers);
    let failed: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || -> Result<Vec<String>> {
                    let mut failed = Vec::new();
                    for (name, program) in share(worker) {
                        failed.extend((!target(name, program, fuzz.seconds)?).then(|| name.clone()));
                    }
                    Ok(failed)
                })
            })
            .collect();
        let ends = runs.into_iter().map(|run| run.join().unwrap_or_else(|_| bail!("a run panicked")));
        ends.collect::<Result<Vec<_>>>().map(|failed| failed.concat())
    })?;
    match failed.as_slice() {
        [] => Ok(()),
        failed => bail!("fuzzing failed: {}", failed.join(", ")),
    }
}

/// The programs of these targets, or of all, by name.
fn build(targets: &[String]) -> Result<Vec<(String, PathBuf)>> {
    // All packages are named so that those from elsewhere have the features with which CI has built them before.
    let mut command = cargo(&["build", "--workspace", "--quiet", "--message-format=json-render-diagnostics"]);
    for name in if targets.is_empty() { all()? } else { targets.to_vec() } {
        command.args(["--bin", &name]);
    }
    command.env("RUSTC_WORKSPACE_WRAPPER", root().join("hack/coverage-rustc")).stderr(Stdio::inherit());
    let Output { status, stdout, .. } = command.output().context("cannot start cargo")?;
    if !status.success() {
        bail!("the fuzz targets cannot be built");
    }
    let messages = std::str::from_utf8(&stdout)?.lines().map(serde_json::from_str::<Value>);
    let program = |message: Value| {
        Some((message["target"]["name"].as_str()?.to_owned(), message["executable"].as_str()?.into()))
    };
    messages
        .filter_map(|message| message.map(program).transpose())
        .collect::<Result<_, _>>()
        .context("cargo's answer")
}

/// The names of all targets, in order.
fn all() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        names.extend(file?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Whether a target has nothing to say against what it was given.
fn target(name: &str, program: &Path, seconds: u64) -> Result<bool> {
    let place = |kind: &str| root().join("fuzz").join(kind).join(name);
    for made in ["corpus", "artifacts"] {
        std::fs::create_dir_all(place(made))?;
    }
    let mut command = Command::new(program);
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={PATIENCE_SECONDS}"),
        format!("-max_len={LONGEST}"),
    ]);
    command.arg(format!("-dict={}", root().join("fuzz/words.dict").display()));
    command.arg(format!("-artifact_prefix={}/", place("artifacts").display()));
    // What is found goes to the first of them.
    let output = command
        .arg(place("corpus"))
        .arg(place("seeds"))
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        eprintln!("   {name}: {}", said.lines().next_back().unwrap_or_default());
    } else {
        eprintln!("{said}\n{name} failed; run it on the input that it names: {} INPUT", program.display());
    }
    Ok(output.status.success())
}
