//! `orchd token-key`: another key for service accounts' tokens, while tokens of the old one are still about.

use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_apiserver::TokenKeys;

use super::data_dir::DataDir;

/// Makes a new key; the old one verifies what it has signed.
pub(crate) fn rotate(data_dir: &Path) -> Result<()> {
    let data = DataDir::existing(data_dir)?;
    TokenKeys::rotate(data.token_key())?;
    println!(
        "tokens are signed with a new key; those of the old one stay good until `orchd token-key forget`"
    );
    tell(&data)
}

/// Forgets the old keys.
pub(crate) fn forget(data_dir: &Path) -> Result<()> {
    let data = DataDir::existing(data_dir)?;
    let count = TokenKeys::forget(data.token_key())?;
    println!("{count} old keys have been forgotten");
    tell(&data)
}

/// Has the process that runs from the data directory read its keys again. One that starts later reads them anyway.
fn tell(data: &DataDir) -> Result<()> {
    match data.holder()? {
        Some(pid) => kill(Pid::from_raw(pid), Signal::SIGHUP).context("orchd cannot be told; restart it"),
        None => Ok(()),
    }
}
