//! Chores of the workspace: `cargo xtask ci`, `codegen`, `fuzz`, `bench`.
//!
//! A chore that is a property of the sources (layering, sizes) is a test instead, in `tests/`.

mod bench;
mod ci;
mod codegen;
mod fuzz;

use anyhow::Result;
use clap::Parser;

/// Chores of the workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Chore {
    /// Everything that CI runs: format, lints, tests, generated files, docs, dependency policy.
    Ci,
    /// Write the files that are generated from the ontology.
    Codegen {
        /// Write nothing; fail if a file is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Throw bytes at whatever reads bytes; see fuzz/.
    Fuzz(fuzz::Fuzz),
    /// Measure the release binary; see docs/benchmarks/.
    Bench(bench::Bench),
}

fn main() -> Result<()> {
    match Chore::parse() {
        Chore::Ci => ci::run(),
        Chore::Codegen { check } => codegen::run(check),
        Chore::Fuzz(fuzz) => fuzz::run(&fuzz),
        Chore::Bench(bench) => bench::run(bench),
    }
}
