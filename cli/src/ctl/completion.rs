//! `completion`: what a shell needs to complete words.

use std::process::ExitCode;

use clap::{Command, Parser};
use clap_complete::Shell;

use super::Failure;
use super::output::print;

/// Print what a shell needs to complete words
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # In ~/.bashrc
  source <(orchctl completion bash)

  # zsh, fish
  orchctl completion zsh > \"${fpath[1]}/_orchctl\"
  orchctl completion fish > ~/.config/fish/completions/orchctl.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, mut command: Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "orchctl", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
