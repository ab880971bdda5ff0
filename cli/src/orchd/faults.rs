//! What goes wrong on simulated nodes, as a file says.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use orch_node::NodeAgent;
use orch_runtime::Script;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// The faults of all simulated nodes of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Faults {
    /// What goes wrong in the runtime of every node.
    pub(crate) runtime: Script,
    /// The agents that stop.
    pub(crate) agents: Vec<StoppedAgent>,
}

/// An agent that stops, as if its machine had lost power: nothing is told of the node from then on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StoppedAgent {
    /// The node's name.
    node: String,
    /// How long after its start.
    stops_after_millis: u64,
}

impl Faults {
    /// Reads a file; no file is no faults.
    ///
    /// # Errors
    /// If it cannot be read, or says what is not known.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read the faults in {}", path.display()))?;
        serde_saphyr::from_str(&text)
            .with_context(|| format!("the faults in {} are malformed", path.display()))
    }

    /// How long the agent of a node runs; none until it is told to stop.
    fn life(&self, node: &str) -> Option<Duration> {
        let stopped = self.agents.iter().find(|agent| agent.node == node)?;
        Some(Duration::from_millis(stopped.stops_after_millis))
    }
}

/// The agent of a node, and how long it runs.
pub(crate) struct Agent {
    agent: NodeAgent,
    life: Option<Duration>,
}

impl Agent {
    /// An agent that runs until it is told to stop.
    pub(crate) fn new(agent: NodeAgent) -> Self {
        Self { agent, life: None }
    }

    /// The agent of a simulated node.
    pub(crate) fn simulated(agent: NodeAgent, node: &str, faults: &Faults) -> Self {
        Self { agent, life: faults.life(node) }
    }

    /// Runs it until cancelled, the agent itself perhaps not that long.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        match self.life {
            None => self.agent.run(cancel).await,
            Some(life) => {
                let stop = cancel.child_token();
                let running = tokio::time::timeout(life, self.agent.run(stop));
                if running.await.is_err() {
                    cancel.cancelled().await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_goes_wrong() {
        let text = "runtime:\n  faults: [{verb: PullImage, matching: gone, failure: ImageNotFound}]\n\
                    agents: [{node: sim-0001, stopsAfterMillis: 20}]\n";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("faults.yaml");
        std::fs::write(&path, text).unwrap();
        let faults = Faults::read(Some(&path)).unwrap();
        assert_eq!(faults.runtime.faults.len(), 1);
        assert_eq!(
            [faults.life("sim-0001"), faults.life("sim-0002")],
            [Some(Duration::from_millis(20)), None]
        );
        std::fs::write(&path, "agent: []").unwrap();
        let error = format!("{:#}", Faults::read(Some(&path)).unwrap_err());
        assert!(error.contains("malformed") && error.contains("agent"), "{error}");
        assert_eq!(Faults::read(None).unwrap(), Faults::default());
    }
}
