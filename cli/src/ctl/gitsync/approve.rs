//! `gitsync approve`: lets through what a guard holds.

use std::process::ExitCode;

use clap::Parser;
use orch_api::Object as _;
use orch_ontology::GitSync;

use super::{annotate, label, short, show, target};
use crate::ctl::output::{GOOD, paint, print};
use crate::ctl::{Failure, Session};

/// The fewest digits by which a commit is named.
const FEWEST_DIGITS: usize = 7;

/// Let a revision through that a guard holds
///
/// The approval is of that one commit: if another one is pushed before it is applied, that is held anew. With --revision nothing else
/// is approved than what has been looked at.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # What is held, and why
  orchctl gitsync diff shop

  # Let it through, and nothing that came after
  orchctl gitsync approve shop --revision 1a2b3c4 --reason 'the old region is gone'")]
pub(super) struct Args {
    /// The GitSync's name
    name: String,
    /// Only if this commit is held: as many of its digits as tell it from others, 7 at least
    #[arg(long, value_name = "COMMIT", value_parser = commit)]
    revision: Option<String>,
}

fn commit(text: &str) -> Result<String, String> {
    let is_commit =
        (FEWEST_DIGITS..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_commit {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("expected {FEWEST_DIGITS} hexadecimal digits or more")),
    }
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let (target, label) = (target(session, &args.name).await?, label(&args.name));
    let sync = session.get(target.clone()).await?;
    let held = sync.text(&["status", "held", "revision"]);
    if held.is_empty() {
        return Err(Failure::new(format!("{label} holds nothing"))
            .hint(format!("`orchctl gitsync get {}` shows how it stands", args.name)));
    }
    if let Some(wanted) = args.revision.filter(|wanted| !held.starts_with(wanted.as_str())) {
        return Err(Failure::new(format!("{label} holds {}, not {}", short(held), short(&wanted)))
            .hint(format!("`orchctl gitsync diff {}` shows what it would do", args.name)));
    }
    annotate(session, target, GitSync::APPROVE, held).await?;
    print(&format!("{label} {} {}\n{}", paint(Some(GOOD), "approved"), short(held), show::deletes(&sync)))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_by_its_digits() {
        assert_eq!(commit("1A2B3C4").as_deref(), Ok("1a2b3c4"));
        for wrong in ["", "1a2b3c", "main-is-fine", &"a".repeat(65)] {
            assert!(commit(wrong).is_err(), "{wrong}");
        }
    }
}
