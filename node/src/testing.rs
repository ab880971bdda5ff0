//! Worlds for tests, written as text.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orch_ontology::Pod;
use orch_runtime::{
    ContainerId, ContainerState, ContainerStatus, Exit, Network, PodIdentity, SandboxId, SandboxState,
    SandboxStatus, reason,
};
use serde_json::{Value, json};

use crate::{
    Layout,
    plan::{Action, Memory, Plan, Seen, Slot, World},
    spec::{NodeFacts, Sources, all_containers, label},
};

/// A pod of the namespace `default` with one container `main`, as the API gives it.
pub(crate) fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{name}"), "resourceVersion": "1",
            "creationTimestamp": "2026-01-31T12:00:00Z",
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "busybox"}]},
    }))
    .expect("a pod")
}

pub(crate) fn facts() -> NodeFacts {
    NodeFacts {
        name: "node-1".into(),
        host_ips: vec!["192.0.2.1".parse().expect("an address"), "2001:db8::1".parse().expect("an address")],
        layout: Some(Layout::new("/data")),
        api_server: None,
        cluster_dns: Vec::new(),
        cluster_domain: "cluster.local".into(),
        memory_bytes: 1 << 30,
        runtime_name: "simulated".into(),
    }
}

/// So many seconds after noon.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let noon: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a time");
    noon + jiff::SignedDuration::from_secs(seconds)
}

/// Everything a decision about the pod `web` depends on.
pub(crate) struct Scene {
    pub(crate) pod: Option<Pod>,
    pub(crate) seen: Seen,
    pub(crate) memory: Memory,
    pub(crate) sources: Sources,
    pub(crate) facts: NodeFacts,
    pub(crate) is_runtime_there: bool,
}

impl Scene {
    /// A pod whose volumes are set up and whose images are known to be present, with this on the machine: parts separated by `;`, each
    /// `sandbox`, `sandbox lost`, `sandbox anew SECONDS`, or `NAME#ATTEMPT` with `created`, `running` or `exited CODE START END`, and
    /// optionally `delay SECONDS`, `image NAME` (the pod's if it is not said) or `in SECONDS` (when its sandbox was made).
    pub(crate) fn new(seen: &str) -> Self {
        let memory = Memory { volumes: Some(BTreeMap::new()), admission: Some(Ok(())), ..Memory::default() };
        let (sources, facts) = (Sources::default(), facts());
        Self { pod: Some(pod("web")), seen: parse(seen), memory, sources, facts, is_runtime_there: true }
    }

    /// Changes the pod as a JSON merge patch would, one level deep. What runs has the image that it asks for.
    pub(crate) fn pod(mut self, part: &str, patch: Value) -> Self {
        let before = self.pod.take().expect("a pod");
        let mut value = serde_json::to_value(&before).expect("JSON");
        for (key, new) in patch.as_object().expect("an object") {
            value[part][key] = new.clone();
        }
        let after: Pod = serde_json::from_value(value).expect("a pod");
        for run in &mut self.seen.runs {
            let image =
                |pod: &Pod| all_containers(&pod.spec).find(|c| c.name == run.name).map(|c| c.image.clone());
            if image(&before).is_none_or(|image| image == run.image) {
                run.image = image(&after).unwrap_or_default();
            }
        }
        self.pod = Some(after);
        self
    }

    pub(crate) fn memory(mut self, change: impl FnOnce(&mut Memory)) -> Self {
        change(&mut self.memory);
        self
    }

    pub(crate) fn world(&self) -> World<'_> {
        let (seen, memory, sources, facts) = (&self.seen, &self.memory, &self.sources, &self.facts);
        let is_runtime_there = self.is_runtime_there;
        World { pod: self.pod.as_ref(), seen, memory, sources, facts, is_runtime_there }
    }

    pub(crate) fn plan(&self, seconds: i64) -> Plan {
        crate::plan::plan(&self.world(), at(seconds))
    }

    /// The plan in words.
    pub(crate) fn decide(&self, seconds: i64) -> String {
        words(&self.plan(seconds)).join("; ")
    }
}

fn words(plan: &Plan) -> Vec<String> {
    let mut words: Vec<String> =
        plan.cancel.iter().map(|slot| format!("cancel {}", slot_words(slot))).collect();
    words.extend(plan.actions.iter().map(action_words));
    words.extend(plan.waiting.iter().map(|(name, waiting)| format!("{name} waits: {}", waiting.reason)));
    words.extend(plan.wake_at.map(|wake| format!("wake at {}", wake.duration_since(at(0)).as_secs())));
    words.extend(plan.finished.then(|| "finished".to_owned()));
    words
}

fn slot_words(slot: &Slot) -> String {
    match slot {
        Slot::Pod => "pod".into(),
        Slot::Container(name) => name.clone(),
        Slot::Stop(id, _) => format!("stop {id}"),
    }
}

fn action_words(action: &Action) -> String {
    match action {
        Action::SetUpVolumes { .. } => "volumes".into(),
        Action::EnsureSandbox(_) => "sandbox".into(),
        Action::EnsureImage { container, attempt, .. } => format!("image for {container}#{attempt}"),
        Action::StartContainer(spec) => {
            let delay = &spec.annotations[label::RESTART_DELAY_SECONDS];
            format!("start {}#{} (next after {delay}s)", spec.name, spec.attempt)
        }
        Action::StopContainer { container, grace_seconds, .. } => {
            format!("stop {container} in {grace_seconds}s")
        }
        Action::RemoveContainer { container, attempt, .. } => format!("remove {container}#{attempt}"),
        Action::RemoveSandbox(_) => "remove sandbox".into(),
        Action::TearDown { logs: false } => "tear down".into(),
        Action::TearDown { logs: true } => "tear down with logs".into(),
        Action::DeletePod => "delete pod".into(),
    }
}

fn parse(text: &str) -> Seen {
    let mut seen = Seen::default();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let words: Vec<&str> = part.split_whitespace().collect();
        match words.as_slice() {
            ["sandbox"] => seen.sandboxes.push(sandbox(SandboxState::Ready)),
            ["sandbox", "lost"] => seen.sandboxes.push(sandbox(SandboxState::NotReady)),
            ["sandbox", "anew", at_seconds] => {
                let created_at = at(number(at_seconds));
                seen.sandboxes.push(SandboxStatus { created_at, ..sandbox(SandboxState::Ready) });
            }
            [run, rest @ ..] => seen.runs.push(parse_run(run, rest)),
            [] => {}
        }
    }
    seen
}

fn number(word: &str) -> i64 {
    word.parse().expect("a number")
}

pub(crate) fn sandbox(state: SandboxState) -> SandboxStatus {
    let is_ready = state == SandboxState::Ready;
    SandboxStatus {
        id: SandboxId::of_pod("uid-web", 0),
        pod: PodIdentity { uid: "uid-web".into(), name: "web".into(), namespace: "default".into() },
        attempt: 0,
        labels: BTreeMap::new(),
        annotations: [(label::GRACE_SECONDS.to_owned(), "7".to_owned())].into(),
        network: Network::Pod,
        state,
        ips: is_ready.then(|| "10.1.0.2".parse().expect("an address")).into_iter().collect(),
        created_at: at(0),
    }
}

fn parse_run(name: &str, words: &[&str]) -> ContainerStatus {
    let (name, attempt) = name.split_once('#').expect("NAME#ATTEMPT");
    let attempt = attempt.parse().expect("an attempt");
    let (state, created_at, rest) = match words {
        ["created", rest @ ..] => (ContainerState::Created, at(0), rest),
        ["running", rest @ ..] => (ContainerState::Running { started_at: at(1) }, at(0), rest),
        ["exited", code, start, end, rest @ ..] => {
            let code = i32::try_from(number(code)).expect("a code");
            let exit = Exit {
                started_at: Some(at(number(start))),
                finished_at: at(number(end)),
                code,
                reason: if code == 0 { reason::COMPLETED } else { reason::ERROR }.into(),
                message: String::new(),
            };
            (ContainerState::Exited(exit), at(number(start)), rest)
        }
        other => panic!("{other:?}"),
    };
    let (mut delay_seconds, mut image, mut sandbox_at) = (0, "busybox", 0);
    for option in rest.chunks(2) {
        match option {
            ["delay", seconds] => delay_seconds = number(seconds),
            ["image", name] => image = name,
            ["in", seconds] => sandbox_at = number(seconds),
            other => panic!("{other:?}"),
        }
    }
    let annotations = [
        (label::RESTART_DELAY_SECONDS.to_owned(), delay_seconds.to_string()),
        (label::SANDBOX_CREATED_AT.to_owned(), at(sandbox_at).to_string()),
    ];
    ContainerStatus {
        id: ContainerId::of_pod("uid-web", name, attempt),
        sandbox: SandboxId::of_pod("uid-web", 0),
        name: name.into(),
        attempt,
        labels: BTreeMap::new(),
        annotations: annotations.into(),
        image: image.into(),
        image_digest: "sha256:00".into(),
        image_id: "sha256:11".into(),
        log_path: None,
        created_at,
        state,
    }
}
