//! `cargo xtask ci`: each step is a command that can be run by itself.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::fuzz::Fuzz;
use crate::{codegen, fuzz};

/// For each target. What is looked for in depth is looked for elsewhere.
const FUZZ_SECONDS: u64 = 4;

/// Runs every step in order and stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    step("format", cargo(&["fmt", "--all", "--check"]))?;
    step("lints", cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
    eprintln!("── generated files");
    codegen::run(true)?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    step("docs", doc)?;
    step("binaries", cargo(&["build", "--workspace", "--bin", "orchctl", "--bin", "orchd", "--quiet"]))?;
    step("tests", cargo(&["test", "--workspace", "--quiet", "--no-fail-fast"]))?;
    eprintln!("── fuzzing");
    fuzz::run(&Fuzz { seconds: FUZZ_SECONDS, targets: Vec::new() })?;
    deny()
}

/// A cargo in the root of the workspace.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(args).current_dir(codegen::root()).env("RUST_LIB_BACKTRACE", "0");
    command
}

fn step(name: &str, mut command: Command) -> Result<()> {
    eprintln!("── {name}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{name} failed; run it alone with:\n  {command:?}");
    }
    eprintln!("   {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Checks licences, bans and sources where cargo-deny is installed. Advisories need its database, which not every
/// machine can fetch, so they are not part of CI.
fn deny() -> Result<()> {
    let installed = cargo(&["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        eprintln!("── dependency policy: cargo-deny is not installed here, not checked");
        return Ok(());
    }
    step("dependency policy", cargo(&["deny", "check", "bans", "licenses", "sources"]))
}
