//! Structured logs on standard error.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use super::config::{LogConfig, LogFormat};

/// Starts logging for the whole process.
///
/// # Errors
/// If the filter cannot be read, or logging has been started before.
pub(crate) fn init(config: &LogConfig) -> Result<()> {
    let filter = EnvFilter::try_new(&config.filter).with_context(|| {
        format!("log filter {:?} cannot be read\nhint: try info,orch_node=debug", config.filter)
    })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Human => logs.with_ansi(std::io::stderr().is_terminal()).with_target(true).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}
