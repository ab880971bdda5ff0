//! [`Rollout`]: how many pods to make, and which to delete.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orch_controller_runtime::later;
use orch_ontology::{PodPhase, Workload, labels};

use super::World;
use super::pods::{PodView, template_hash};

/// Pods made by one plan, as by the ReplicaSet controller; the next plan makes more. A plan is held in memory as a whole, and
/// how far the workload has come is reported in between.
pub(super) const MADE_AT_ONCE: usize = 500;
/// How long an ended pod is left until it is replaced; doubles with every attempt.
const REPLACE_FIRST: SignedDuration = SignedDuration::from_secs(10);
const REPLACE_LIMIT: SignedDuration = SignedDuration::from_secs(300);
/// A pod that ran for so long has not failed at once: counting begins anew.
const STABLE: SignedDuration = SignedDuration::from_secs(600);

/// A workload's pods in numbers, and the next step of bringing them where they should be.
pub(super) struct Rollout<'a> {
    pub(super) hash: String,
    pub(super) revision: i64,
    pub(super) desired: usize,
    pub(super) max_unavailable: usize,
    /// Pods that have not ended and are not terminating.
    pub(super) total: usize,
    pub(super) updated: usize,
    pub(super) ready: usize,
    pub(super) available: usize,
    /// Pods to make.
    pub(super) create: usize,
    /// What the new pods are to carry as [`PodView::attempt`].
    pub(super) attempt: u32,
    /// Pods to delete.
    pub(super) delete: Vec<&'a PodView>,
    /// When something changes by mere passing of time.
    pub(super) next_change: Option<Duration>,
}

impl<'a> Rollout<'a> {
    pub(super) fn new(world: &'a World, now: Timestamp) -> Self {
        let (workload, update) = (&world.workload, &world.workload.spec.update);
        let hash = template_hash(&workload.spec.template);
        let min_ready = SignedDuration::from_secs(update.min_ready_seconds.unwrap_or(0).into());
        let census = Census::take(&world.pods, &hash, min_ready, now);
        let desired = count(workload.spec.replicas.unwrap_or(1));
        let max_surge = count(update.max_surge.unwrap_or(1));
        let max_unavailable = count(update.max_unavailable.unwrap_or(0));
        // With neither, nothing could ever be replaced.
        let max_unavailable = if max_surge == 0 { max_unavailable.max(1) } else { max_unavailable };
        let failed = census.due.iter().filter(|pod| pod.template_hash == hash);
        let mut rollout = Self {
            attempt: failed.map(|pod| next_attempt(pod)).max().unwrap_or_default(),
            revision: revision(workload, &world.pods, &hash),
            hash,
            desired,
            max_unavailable,
            total: census.new.len() + census.old.len(),
            updated: census.new.len(),
            ready: census.ready,
            available: census.available(),
            create: census.to_create(desired, max_surge).min(MADE_AT_ONCE),
            delete: Vec::new(),
            next_change: census.next_change,
        };
        rollout.delete = census.to_delete(desired, max_unavailable);
        rollout
    }

    /// Whether every pod is of the present template, available, and there are as many as wanted.
    pub(super) fn is_complete(&self) -> bool {
        self.updated == self.desired && self.total == self.desired && self.available >= self.desired
    }
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or_default()
}

/// The number of the present template: one more than the last if it is new.
fn revision(workload: &Workload, pods: &[PodView], hash: &str) -> i64 {
    let annotations = &workload.metadata.annotations;
    let recorded = annotations.get(labels::REVISION).and_then(|revision| revision.parse::<i64>().ok());
    let recorded = recorded.filter(|revision| *revision > 0);
    let is_new = annotations.get(labels::TEMPLATE_HASH).is_none_or(|recorded| recorded != hash);
    if let Some(recorded) = recorded.filter(|_| !is_new) {
        return recorded;
    }
    let of_pods = pods.iter().filter(|pod| pod.template_hash == hash).map(|pod| pod.revision).max();
    let last = recorded.max(workload.status.revision).unwrap_or(0).max(0);
    let next = if is_new { last.saturating_add(1) } else { last.max(1) };
    of_pods.filter(|revision| *revision >= last && *revision > 0).unwrap_or(next)
}

/// The pods by what is to become of them.
struct Census<'a> {
    /// Of the present template; neither ended nor terminating.
    new: Vec<Member<'a>>,
    /// The same, of other templates.
    old: Vec<Member<'a>>,
    ready: usize,
    /// Ended, and to be replaced now.
    due: Vec<&'a PodView>,
    /// Ended, and to be replaced later.
    waiting: Vec<&'a PodView>,
    next_change: Option<Duration>,
}

#[derive(Clone, Copy)]
struct Member<'a> {
    pod: &'a PodView,
    available: bool,
}

impl<'a> Census<'a> {
    fn take(pods: &'a [PodView], hash: &str, min_ready: SignedDuration, now: Timestamp) -> Self {
        let mut census =
            Self { new: vec![], old: vec![], ready: 0, due: vec![], waiting: vec![], next_change: None };
        for pod in pods.iter().filter(|pod| !pod.terminating) {
            if pod.has_ended() {
                census.count_ended(pod, hash, now);
                continue;
            }
            census.ready += usize::from(pod.ready_since.is_some());
            let available_at = pod.ready_since.map(|since| later(since, min_ready));
            let available = available_at.is_some_and(|at| at <= now);
            available_at.filter(|_| !available).into_iter().for_each(|at| census.wake_at(at, now));
            let members = if pod.template_hash == hash { &mut census.new } else { &mut census.old };
            members.push(Member { pod, available });
        }
        census
    }

    fn count_ended(&mut self, pod: &'a PodView, hash: &str, now: Timestamp) {
        let at = replace_at(pod);
        // A pod of an old template has nothing to wait for: the new template may well be the repair.
        if at <= now || pod.template_hash != hash {
            self.due.push(pod);
        } else {
            self.waiting.push(pod);
            self.wake_at(at, now);
        }
    }

    fn wake_at(&mut self, at: Timestamp, now: Timestamp) {
        let delay = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        self.next_change = Some(self.next_change.map_or(delay, |sooner| sooner.min(delay)));
    }

    fn available(&self) -> usize {
        self.new.iter().chain(&self.old).filter(|member| member.available).count()
    }

    fn to_create(&self, desired: usize, max_surge: usize) -> usize {
        let missing = desired.saturating_sub(self.new.len() + self.waiting.len());
        if self.old.is_empty() {
            return missing;
        }
        let total = self.new.len() + self.old.len() + self.waiting.len();
        missing.min((desired + max_surge).saturating_sub(total))
    }

    /// Ended pods whose time has come, pods too many, and as many old ones as availability allows: those that serve nobody
    /// first. The arithmetic is the Deployment controller's.
    fn to_delete(&self, desired: usize, max_unavailable: usize) -> Vec<&'a PodView> {
        let mut delete = self.due.clone();
        let surplus = (self.new.len() + self.waiting.len()).saturating_sub(desired);
        delete.extend(self.waiting.iter().copied().chain(self.expendable(&self.new)).take(surplus));
        if self.old.is_empty() {
            return delete;
        }
        if desired == 0 {
            delete.extend(self.expendable(&self.old));
            return delete;
        }
        let min_available = desired.saturating_sub(max_unavailable);
        let new_unavailable = self.new.iter().filter(|member| !member.available).count();
        let total = self.new.len() + self.old.len();
        let spare = total.saturating_sub(min_available + new_unavailable);
        let unavailable: Vec<_> = self.old.iter().copied().filter(|member| !member.available).collect();
        let broken: Vec<_> = self.expendable(&unavailable).take(spare).collect();
        let serving: Vec<_> = self.old.iter().copied().filter(|member| member.available).collect();
        let replaceable = self.available().saturating_sub(min_available).min(spare - broken.len());
        delete.extend(broken);
        delete.extend(self.expendable(&serving).take(replaceable));
        delete
    }

    /// Pods in the order in which they can be spared, as a ReplicaSet's: not placed, not running, not ready, many on one
    /// node, ready for the shortest time, most restarts, youngest.
    fn expendable(&self, members: &[Member<'a>]) -> impl Iterator<Item = &'a PodView> + use<'a> {
        let mut on_node = BTreeMap::<&str, usize>::new();
        for member in self.new.iter().chain(&self.old) {
            *on_node.entry(&member.pod.node).or_default() += 1;
        }
        let mut pods: Vec<_> = members.iter().map(|member| member.pod).collect();
        pods.sort_by_key(|pod| {
            let neighbours = on_node.get(pod.node.as_str()).copied().unwrap_or_default();
            let running = pod.phase == PodPhase::Running;
            let placed = !pod.node.is_empty();
            let ready = (pod.ready_since.is_some(), Reverse(neighbours), Reverse(pod.ready_since));
            (placed, running, ready, Reverse(pod.restarts), Reverse(pod.created_at), &pod.name)
        });
        pods.into_iter()
    }
}

fn replace_at(pod: &PodView) -> Timestamp {
    let doubled = REPLACE_FIRST.saturating_mul(1 << pod.attempt.min(10));
    later(pod.ended_at.unwrap_or(pod.created_at), doubled.min(REPLACE_LIMIT))
}

fn next_attempt(pod: &PodView) -> u32 {
    let lived = pod.ended_at.unwrap_or(pod.created_at).duration_since(pod.created_at);
    if lived >= STABLE { 1 } else { pod.attempt.saturating_add(1) }
}
