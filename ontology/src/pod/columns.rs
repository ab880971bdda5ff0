//! What `get pods` shows: a pod's containers, state and restarts in a few words, as kube-apiserver puts them.

use jiff::Timestamp;
use orch_api::{Column, Conditions, Time, age};
use serde::Deserialize;
use serde_json::Value;

use super::{ContainerStateTerminated, ContainerStatus, Pod, PodPhase};

pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::object_name(),
        Column::new(
            "Ready",
            "Containers that are ready, of all that there are.",
            summarized(|s, _| s.ready.clone()),
        ),
        Column::new("Status", "What the pod is doing, in a word.", summarized(|s, _| s.state.clone())),
        Column::new(
            "Restarts",
            "How often containers have been started again, and when last.",
            summarized(restarts),
        ),
        Column::age(),
        Column::new("IP", "The pod's address.", text_at("/status/podIP")).wide(),
        Column::new("Node", "The node that the pod runs on.", text_at("/spec/nodeName")).wide(),
        Column::new("Nominated Node", "The node that is being cleared for the pod.", |_, _| NONE.into())
            .wide(),
        Column::new("Readiness Gates", "Conditions that count for readiness.", |_, _| NONE.into()).wide(),
    ]
}

const NONE: &str = "<none>";

fn text_at(pointer: &'static str) -> impl Fn(&Value, Timestamp) -> Value {
    move |object, _| object.pointer(pointer).cloned().unwrap_or_else(|| NONE.into())
}

fn summarized(cell: fn(&PodSummary, Timestamp) -> String) -> impl Fn(&Value, Timestamp) -> Value {
    move |object, now| Pod::deserialize(object).map_or(Value::Null, |pod| cell(&pod.summary(), now).into())
}

fn restarts(summary: &PodSummary, now: Timestamp) -> String {
    match summary.last_restart {
        Some(last) if summary.restarts > 0 => {
            format!("{} ({} ago)", summary.restarts, age(last.timestamp(), now))
        }
        _ => summary.restarts.to_string(),
    }
}

/// A pod in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSummary {
    /// Ready containers of all, such as `1/2`.
    pub ready: String,
    /// What the pod is doing: its phase, or why a container does not run, such as `CrashLoopBackOff` or `Init:1/2`.
    pub state: String,
    /// How often containers have been started again.
    pub restarts: i64,
    /// When a container that was started again last ended.
    pub last_restart: Option<Time>,
}

impl Pod {
    /// The pod in a few words.
    pub fn summary(&self) -> PodSummary {
        let total = self.spec.containers.len();
        let status = &self.status;
        let phase =
            if status.reason.is_empty() { format!("{:?}", self.phase()) } else { status.reason.clone() };
        let initializing = self.initializing();
        let started = initializing.is_none() || status.conditions.is_true(Self::INITIALIZED);
        let (counted, ready, state) = if started {
            let (ready, state) = self.running(initializing.unwrap_or(phase));
            (&status.container_statuses, ready, state)
        } else {
            (&status.init_container_statuses, 0, initializing.unwrap_or(phase))
        };
        PodSummary {
            ready: format!("{ready}/{total}"),
            state: self.ending().unwrap_or(state),
            restarts: counted.iter().map(|container| i64::from(container.restart_count)).sum(),
            last_restart: counted
                .iter()
                .filter_map(|container| container.last_state.terminated.as_ref()?.finished_at)
                .max(),
        }
    }

    /// The state of the first init container that has not succeeded.
    fn initializing(&self) -> Option<String> {
        let total = self.spec.init_containers.len();
        let succeeded = |container: &ContainerStatus| {
            container.state.terminated.as_ref().is_some_and(|end| end.exit_code == 0)
        };
        let containers = self.status.init_container_statuses.iter().enumerate();
        let (index, container) = containers.into_iter().find(|(_, container)| !succeeded(container))?;
        let waits = container.state.waiting.as_ref().map(|waiting| waiting.reason.as_str());
        Some(match (&container.state.terminated, waits) {
            (Some(end), _) => format!("Init:{}", ended(end)),
            (None, Some(reason)) if !matches!(reason, "" | "PodInitializing") => format!("Init:{reason}"),
            _ => format!("Init:{index}/{total}"),
        })
    }

    /// How many containers are ready, and the state of the first that does not run.
    fn running(&self, phase: String) -> (usize, String) {
        let (mut ready, mut state) = (0, phase);
        for container in self.status.container_statuses.iter().rev() {
            let now = &container.state;
            match (&now.waiting, &now.terminated) {
                (Some(waiting), _) if !waiting.reason.is_empty() => state.clone_from(&waiting.reason),
                (_, Some(end)) => state = ended(end),
                _ if container.ready && now.running.is_some() => ready += 1,
                _ => {}
            }
        }
        if state == "Completed" && ready > 0 {
            state = if self.is_ready() { "Running" } else { "NotReady" }.to_owned();
        }
        (ready, state)
    }

    fn ending(&self) -> Option<String> {
        let ends = self.is_terminating();
        if ends && self.status.reason == "NodeLost" {
            return Some(format!("{:?}", PodPhase::Unknown));
        }
        (ends && !self.is_terminal()).then(|| "Terminating".to_owned())
    }
}

fn ended(end: &ContainerStateTerminated) -> String {
    match (end.reason.as_str(), end.signal) {
        ("", Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        ("", _) => format!("ExitCode:{}", end.exit_code),
        (reason, _) => reason.to_owned(),
    }
}
