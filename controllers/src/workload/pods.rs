//! A workload's pods: what matters about those there are, and how new ones are made.

use jiff::Timestamp;
use orch_api::{ConditionStatus, Conditions, Metadata, Resource};
use orch_ontology::{Pod, PodPhase, PodTemplateSpec, Workload, labels};
use serde::{Deserialize, Serialize};

use super::rollout::Rollout;

/// Annotation of a pod that replaces one that has ended: how many in a row have.
pub(super) const ATTEMPT: &str = "orch.dev/attempt";

/// A pod's name is at most this long: it becomes the pod's host name.
const MAX_NAME: usize = 63;
/// Random parts of names have no vowels and no digits that look like letters, so that they spell nothing.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;

/// What matters about a pod to its workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The hash of the template that it was made of.
    pub template_hash: String,
    /// The revision of that template.
    pub revision: i64,
    /// How many pods in a row have ended before it, each replaced by the next.
    pub attempt: u32,
    /// The node that it is on, or the empty string.
    pub node: String,
    /// Where it is in its life.
    pub phase: PodPhase,
    /// Since when it is ready.
    pub ready_since: Option<Timestamp>,
    /// Restarts of all its containers.
    pub restarts: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended; as far as that is known.
    pub ended_at: Option<Timestamp>,
    /// Its deletion has been asked for.
    pub terminating: bool,
}

impl Default for PodView {
    fn default() -> Self {
        Self::of(&Pod::default())
    }
}

impl PodView {
    /// What matters about this pod.
    pub fn of(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let number = |name: &str| metadata.annotations.get(name)?.parse::<i64>().ok();
        Self {
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            template_hash: metadata.labels.get(labels::TEMPLATE_HASH).cloned().unwrap_or_default(),
            revision: number(labels::REVISION).unwrap_or_default(),
            attempt: number(ATTEMPT).and_then(|attempt| attempt.try_into().ok()).unwrap_or_default(),
            node: pod.spec.node_name.as_str().to_owned(),
            phase: pod.phase(),
            ready_since: ready_since(pod),
            restarts: pod.status.container_statuses.iter().map(|status| status.restart_count).sum(),
            created_at: metadata.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.timestamp()),
            ended_at: ended_at(pod),
            terminating: metadata.is_terminating(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// What identifies the pod for a delete.
    pub(super) fn metadata(&self, workload: &Workload) -> Metadata {
        let named = Metadata::named(workload.metadata.namespace.clone(), self.name.clone());
        Metadata { uid: self.uid.clone(), ..named }
    }
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready =
        pod.status.conditions.of_type(Pod::READY).filter(|ready| ready.status == ConditionStatus::True)?;
    Some(ready.last_transition_time.map_or(Timestamp::UNIX_EPOCH, |time| time.timestamp()))
}

fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let ends = pod.status.container_statuses.iter().filter_map(|status| status.state.terminated.as_ref());
    let last = ends.filter_map(|terminated| terminated.finished_at).max();
    let transitions = pod.status.conditions.iter().filter_map(|condition| condition.last_transition_time);
    last.or_else(|| transitions.max()).map(|time| time.timestamp())
}

/// A pod of the workload's present template.
pub(super) fn new_pod(workload: &Workload, name: String, rollout: &Rollout<'_>) -> Pod {
    let PodTemplateSpec { metadata: template, spec } = workload.spec.template.clone();
    let mut metadata = Metadata {
        labels: template.labels,
        annotations: template.annotations,
        finalizers: template.finalizers,
        owner_references: vec![workload.owner_reference()],
        ..Metadata::named(workload.metadata.namespace.clone(), name)
    };
    metadata.labels.insert(labels::WORKLOAD.to_owned(), workload.metadata.name.clone());
    metadata.labels.insert(labels::TEMPLATE_HASH.to_owned(), rollout.hash.clone());
    metadata.annotations.insert(labels::REVISION.to_owned(), rollout.revision.to_string());
    if rollout.attempt > 0 {
        metadata.annotations.insert(ATTEMPT.to_owned(), rollout.attempt.to_string());
    }
    Pod { metadata, spec, ..Pod::default() }
}

/// The name of a new pod: the workload's, and a suffix that depends on the workload, the time and a number.
pub(super) fn pod_name(workload: &Workload, now: Timestamp, number: u64) -> String {
    let prefix: String = workload.metadata.name.chars().take(MAX_NAME - SUFFIX - 1).collect();
    let seed = format!("{}/{}/{number}", workload.metadata.uid, now.as_nanosecond());
    format!("{}-{}", prefix.trim_end_matches(['-', '.']), &encode(hash(seed.as_bytes()))[..SUFFIX])
}

/// The hash by which pods of one template are told from those of another.
pub(crate) fn template_hash(template: &PodTemplateSpec) -> String {
    let mut template = template.clone();
    // Part of the template as it is written, but not of the pods made of it.
    template.metadata = Metadata {
        labels: template.metadata.labels,
        annotations: template.metadata.annotations,
        finalizers: template.metadata.finalizers,
        ..Metadata::default()
    };
    // Maps are ordered and fields have a fixed order, so equal templates are written alike.
    encode(hash(&serde_json::to_vec(&template).unwrap_or_default()))[..10].to_owned()
}

fn encode(mut hash: u64) -> String {
    let digits = ALPHABET.len() as u64;
    let digit = |_| {
        let digit = ALPHABET[(hash % digits) as usize];
        hash /= digits;
        char::from(digit)
    };
    (0..13).map(digit).collect()
}

/// FNV-1a with a finish that spreads every bit: the same in every process and version.
fn hash(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let x = bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 31)
}
