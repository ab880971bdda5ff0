//! One run of one plugin.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use orch_runtime::{PodIdentity, RuntimeError, SandboxId};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{network_error, pod_arguments};

/// Longest that a plugin may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// For whom plugins are run.
pub(super) struct Call<'a> {
    pub(super) id: &'a SandboxId,
    pub(super) pod: &'a PodIdentity,
    pub(super) netns: Option<&'a Path>,
    pub(super) plugin_dirs: &'a [PathBuf],
}

#[derive(Clone, Copy)]
pub(super) enum Invocation {
    Add,
    AddLoopback,
    Del,
}

impl Call<'_> {
    /// The plugin's result; `Null` if it says nothing, as after `DEL`.
    pub(super) async fn run(
        &self,
        invocation: Invocation,
        plugin: &Value,
        config: &Value,
    ) -> Result<Value, RuntimeError> {
        let name = plugin["type"].as_str().unwrap_or_default();
        let failed = |message: String| network_error(self.id, format!("CNI plugin {name}: {message}"));
        let executable = self.find(name).ok_or_else(|| failed(format!("not in {:?}", self.plugin_dirs)))?;
        let run = async {
            let mut child = self.command(invocation, &executable).spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(config.to_string().as_bytes()).await?;
            }
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(DEADLINE, run)
            .await
            .map_err(|_| failed(format!("no answer within {} s", DEADLINE.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.status.success() {
            return Ok(answer);
        }
        let said = [answer["msg"].as_str(), answer["details"].as_str()].into_iter().flatten();
        let said = said.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(failed(if said.is_empty() { format!("{}: {}", output.status, stderr.trim()) } else { said }))
    }

    fn command(&self, invocation: Invocation, executable: &Path) -> Command {
        let (verb, interface) = match invocation {
            Invocation::Add => ("ADD", "eth0"),
            Invocation::AddLoopback => ("ADD", "lo"),
            Invocation::Del => ("DEL", "eth0"),
        };
        let path = std::env::join_paths(self.plugin_dirs).unwrap_or_default();
        let mut command = Command::new(executable);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", self.id.as_str())
            .env("CNI_IFNAME", interface)
            .env("CNI_PATH", path)
            .env("CNI_ARGS", pod_arguments(self.id, self.pod))
            .env("CNI_NETNS", self.netns.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        let is_name = !name.is_empty() && !name.contains('/');
        self.plugin_dirs.iter().filter(|_| is_name).map(|dir| dir.join(name)).find(|path| path.is_file())
    }
}
