//! [`Finding`]: one cause with its evidence and what to do about it, and how findings are ranked.

use std::collections::BTreeMap;

use orch_api::Object as _;
use serde::Serialize;
use serde_json::Value;

use crate::World;

/// A cause. The words are part of the interface: programs may branch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A node does not answer.
    NodeDown,
    /// A node runs short of something and says so.
    NodePressure,
    /// The image's name is malformed, or its registry has no such image.
    WrongImage,
    /// The registry refuses to hand out the image.
    PullRefused,
    /// The registry cannot be reached, has trouble of its own, or has had enough of being asked.
    RegistryUnreachable,
    /// The image is not there for a reason that is not known.
    PullFailed,
    /// A ConfigMap, Secret or key that a container needs is not there.
    MissingReference,
    /// A container used more memory than its limit.
    OutOfMemory,
    /// A container ends again and again.
    CrashLoop,
    /// A container has failed that is run once.
    RunFailed,
    /// A container, or the sandbox of a pod, cannot be started.
    StartFailed,
    /// A pod has failed as a whole: its node has refused or evicted it, or it took too long.
    PodFailed,
    /// No node has the labels that are asked for.
    SelectorMatchesNothing,
    /// The nodes that would do have taints that are not tolerated.
    Taint,
    /// The nodes that would do take no new pods.
    Cordoned,
    /// Too little of something is left on the nodes that would do.
    NoCapacity,
    /// There is another reason why a pod is placed nowhere.
    Unplaceable,
    /// An object waits for a finalizer to be removed.
    StuckFinalizer,
    /// A volume cannot be mounted.
    MountFailed,
    /// A probe fails.
    ProbeFailed,
    /// An owner's pods are refused when they are made.
    PodsRefused,
    /// A pod that is being deleted is not ended by its node.
    KillFailed,
    /// A Service sends to no pod: there is none that it selects.
    SelectsNoPods,
    /// It says of itself that it is not as it should be, and nothing more is known.
    NotReady,
}

/// What speaks for a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Where it is written: a kind, a name, and a field or an event's reason.
    pub at: String,
    /// What it says.
    pub says: String,
}

/// What to do about a cause.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Fix {
    /// As a sentence.
    pub say: String,
    /// As the changes of a Plan (`spec.changes`), where a machine can know them. They are a proposal: look before applying.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Value>,
}

/// A cause, why it is believed, whom it affects, and what to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// The cause in a sentence, with names and numbers.
    pub says: String,
    /// How likely it is the root of what is wrong: 0 to 100.
    pub confidence: u8,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
    /// The objects that suffer from it.
    pub affects: Vec<String>,
    /// What to do.
    pub fix: Fix,
    /// What makes two findings the same: the image, the node, the ConfigMap.
    #[serde(skip)]
    pub(crate) key: String,
}

/// The most evidence that one finding keeps.
const MOST_EVIDENCE: usize = 5;
/// The most objects that one finding names.
const MOST_AFFECTED: usize = 20;

impl Finding {
    pub(crate) fn new(cause: Cause, key: impl Into<String>, says: impl Into<String>) -> Self {
        let (says, key) = (says.into(), key.into());
        Self {
            cause,
            says,
            confidence: cause.confidence(),
            evidence: vec![],
            affects: vec![],
            fix: Fix::default(),
            key,
        }
    }

    pub(crate) fn because(mut self, at: impl Into<String>, says: impl Into<String>) -> Self {
        let evidence = Evidence { at: at.into(), says: says.into() };
        if !evidence.says.is_empty() && !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
        self
    }

    pub(crate) fn affecting(mut self, object: impl Into<String>) -> Self {
        self.affects.push(object.into());
        self
    }

    pub(crate) fn fix(self, say: impl Into<String>, changes: Vec<Value>) -> Self {
        Self { fix: Fix { say: say.into(), changes }, ..self }
    }

    /// Surer than its cause is of itself, because of what was said.
    pub(crate) fn surely(self, confidence: u8) -> Self {
        Self { confidence, ..self }
    }

    fn join(&mut self, other: Self) {
        self.confidence = self.confidence.max(other.confidence);
        for evidence in other.evidence {
            if self.evidence.len() < MOST_EVIDENCE && !self.evidence.contains(&evidence) {
                self.evidence.push(evidence);
            }
        }
        for object in other.affects {
            if self.affects.len() < MOST_AFFECTED && !self.affects.contains(&object) {
                self.affects.push(object);
            }
        }
    }
}

impl Cause {
    /// How sure one can be that this is the root rather than what follows from it.
    fn confidence(self) -> u8 {
        match self {
            Self::NodeDown => 95,
            Self::OutOfMemory => 92,
            Self::MissingReference => 91,
            Self::WrongImage | Self::PullRefused => 90,
            Self::StuckFinalizer => 89,
            Self::RegistryUnreachable | Self::SelectorMatchesNothing => 88,
            Self::Taint | Self::Cordoned | Self::NoCapacity => 86,
            Self::PodsRefused => 84,
            Self::StartFailed | Self::KillFailed => 80,
            Self::SelectsNoPods => 78,
            Self::CrashLoop | Self::RunFailed => 75,
            Self::PodFailed | Self::MountFailed => 70,
            Self::NodePressure => 60,
            Self::ProbeFailed => 55,
            Self::Unplaceable | Self::PullFailed => 50,
            Self::NotReady => 30,
        }
    }
}

/// Findings that are the same joined, the likeliest first, and of those the one that affects most.
pub(crate) fn ranked(found: Vec<Finding>, world: &World) -> Vec<Finding> {
    let mut joined: BTreeMap<(Cause, String), Finding> = BTreeMap::new();
    for finding in found {
        let key = (finding.cause, finding.key.clone());
        match joined.get_mut(&key) {
            Some(known) => known.join(finding),
            None => drop(joined.insert(key, finding)),
        }
    }
    let mut all: Vec<Finding> = joined.into_values().collect();
    // Of the cluster's nodes only those count that have to do with what was asked about.
    if let Some(subject) = &world.subject {
        let is_asked_about = |finding: &Finding| subject.kind() == "Node" && subject.name() == finding.key;
        all.retain(|finding| {
            finding.cause.is_about_pods() || !finding.affects.is_empty() || is_asked_about(finding)
        });
    }
    all.sort_by_key(|finding| std::cmp::Reverse((finding.confidence, finding.affects.len())));
    all
}

impl Cause {
    fn is_about_pods(self) -> bool {
        !matches!(self, Self::NodeDown | Self::NodePressure)
    }
}
