//! How Git repositories are read, for `GitSync`s: by `orchctl`, which is beside this program, in a process of its own. Were it this
//! program itself, it and each of its containers' loggers would carry the libraries that only reading repositories needs.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use orch_controllers::git_sync::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data_dir::DataDir;
use crate::ctl::GIT_FETCH;

/// Git repositories, for `GitSync`s.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GitConfig {
    /// The directories of this machine below which repositories may be read by `file://`; none unless given.
    pub local_roots: Vec<PathBuf>,
}

/// What the controller of `GitSync`s is handed.
pub(super) fn settings(config: &GitConfig, data: &DataDir) -> Result<Settings> {
    let own = std::env::current_exe().context("the path of this program cannot be told")?;
    let program = own.with_file_name("orchctl");
    Ok(Settings {
        program,
        arguments: vec![GIT_FETCH.to_owned()],
        cache: data.git(),
        local_roots: config.local_roots.clone(),
    })
}
