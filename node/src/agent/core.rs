//! The agent's loop: one task that owns all state, decides, and starts effects; effects run beside it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use orch_api::{Api, Status};
use orch_controller_runtime::{Cache, ObjectKey};
use orch_ontology::{Node, Pod, PodPhase, PodStatus};
use orch_runtime::{RuntimeError, RuntimeEvent, Version};
use tokio::{
    sync::watch,
    task::{AbortHandle, Id, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{
    Health, Shared,
    execute::{chain, execute},
    observe::observe,
    sources::SourceWatches,
    tracked::{NodeLabels, Pods, Tracked, uids_of},
    wakes::{Wake, Wakes},
};
use crate::{
    plan::{self, Action, Failure, Offer, Outcome, Plan, Rejection, Seen, Slot, World, admit},
    status::pod_status,
};

/// How often to look at a runtime whose events cannot be followed.
const WITHOUT_EVENTS: Duration = Duration::from_secs(120);
/// After so many failures to tell the last status, a pod is removed without.
const REPORTS_TRIED: u32 = 5;

pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) cache: Arc<Cache<Pod>>,
    wakes: Arc<Wakes>,
    sources: SourceWatches,
    offer: Offer,
    pub(super) pods: Pods,
    pub(super) effects: JoinSet<Done>,
    /// What each effect is about, so that one that panicked is known too.
    pub(super) subjects: HashMap<Id, (String, Subject)>,
    pub(super) pulls: BTreeMap<(String, Slot), AbortHandle>,
    pub(super) observation: Observation,
    pub(super) health: watch::Sender<Health>,
    pub(super) version: Version,
    /// Published for readers of logs.
    pub(super) seen: watch::Sender<Arc<BTreeMap<String, Seen>>>,
}

/// Where looking at the runtime stands.
#[derive(Default)]
pub(super) struct Observation {
    pub(super) begun: u64,
    pub(super) complete: u64,
    pub(super) is_under_way: bool,
    pub(super) is_wanted: bool,
    pub(super) failure: Option<Failure>,
}

/// How an effect ended.
pub(super) enum Done {
    Acted(Outcome),
    Observed(Result<BTreeMap<String, Seen>, RuntimeError>),
    Told { told: Box<PodStatus>, answer: Box<Result<Pod, Status>> },
    LabelsRead(Result<BTreeMap<String, String>, Status>),
}

/// What an effect is about.
#[derive(Clone)]
pub(super) enum Subject {
    Action(Arc<Action>),
    Observation,
    Report,
    NodeLabels,
}

impl Core {
    pub(super) fn new(
        shared: Arc<Shared>,
        cache: Arc<Cache<Pod>>,
        offer: Offer,
        version: Version,
        health: watch::Sender<Health>,
        seen: watch::Sender<Arc<BTreeMap<String, Seen>>>,
    ) -> Self {
        let wakes = Arc::new(Wakes::default());
        let sources = SourceWatches::new(shared.clone(), wakes.clone());
        let (pods, effects, subjects, pulls) = Default::default();
        let observation = Observation { is_wanted: true, ..Observation::default() };
        Self {
            shared,
            cache,
            wakes,
            sources,
            offer,
            pods,
            effects,
            subjects,
            pulls,
            observation,
            version,
            health,
            seen,
        }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) {
        self.follow_pods(&cancel);
        let mut events = self.shared.runtime.events();
        while !cancel.is_cancelled() {
            self.decide();
            let timer = self.timer();
            tokio::select! {
                () = cancel.cancelled() => {}
                event = events.next() => self.heard(event, &mut events),
                () = self.wakes.ready() => self.take_wakes(),
                Some(done) = self.effects.join_next_with_id() => self.finish(done),
                () = timer => self.wake_sleepers(),
            }
        }
    }

    fn follow_pods(&self, cancel: &CancellationToken) {
        let wakes = self.wakes.clone();
        self.cache.subscribe(move |change| wakes.add(Wake::Pod(change.key.clone())));
        let (wakes, cache, cancel) = (self.wakes.clone(), self.cache.clone(), cancel.clone());
        tokio::spawn(async move {
            if cancel.run_until_cancelled(cache.synced()).await.is_some() {
                wakes.add(Wake::Synced);
            }
        });
    }

    /// Whether enough is known to decide anything: before, what is missing means nothing.
    fn is_ready(&self) -> bool {
        self.cache.has_synced() && self.observation.complete > 0
    }

    fn decide(&mut self) {
        if self.is_ready() {
            let complete = self.observation.complete;
            let is_due = |tracked: &Tracked| tracked.is_dirty && tracked.needs_observation <= complete;
            let due: Vec<String> =
                self.pods.iter().filter(|(_, tracked)| is_due(tracked)).map(|(uid, _)| uid.clone()).collect();
            due.iter().for_each(|uid| self.decide_for(uid));
        }
        self.observe_if_wanted();
    }

    fn decide_for(&mut self, uid: &str) {
        let now = self.shared.clock.now();
        self.pods.entry(uid.to_owned()).and_modify(|tracked| tracked.is_dirty = false);
        if !self.admit(uid) {
            return;
        }
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        let pod = tracked.pod.clone();
        let sources = pod.as_ref().map(|pod| self.sources.of(pod)).unwrap_or_default();
        let (seen, memory, facts) = (&tracked.seen, &tracked.memory, &self.shared.facts);
        let is_runtime_there = self.observation.failure.is_none();
        let world = World { pod: pod.as_deref(), seen, memory, sources: &sources, facts, is_runtime_there };
        let mut plan = plan::plan(&world, now);
        let status = pod.as_deref().map(|pod| pod_status(&world, pod, &plan, now));
        tracked.wake_at = plan.wake_at;
        if let Some(status) = status.filter(|status| tracked.must_tell(status)) {
            let tries = tracked.report.failure.as_ref().map_or(0, |failure| failure.failures);
            if tries < REPORTS_TRIED {
                plan.actions.retain(|action| !is_last(action));
            }
            self.report(uid, status, now);
        }
        self.carry_out(uid, plan);
    }

    /// Decides once whether the node takes a pod: false for as long as that is open. One that it was seen to run, or said
    /// to have started, was taken before.
    fn admit(&mut self, uid: &str) -> bool {
        let Some(tracked) = self.pods.get(uid) else { return false };
        let is_asking = |pod: &Arc<Pod>| {
            tracked.memory.admission.is_none() && !pod.metadata.is_terminating() && is_active(pod)
        };
        let Some(pod) = tracked.pod.clone().filter(is_asking) else { return true };
        let offer = match &tracked.node_labels {
            NodeLabels::Own => self.offer.clone(),
            NodeLabels::BeingRead => return false,
            NodeLabels::Read(labels) => Offer { labels: labels.clone(), ..self.offer.clone() },
        };
        let was_taken = !tracked.seen.is_empty() || pod.status.start_time.is_some();
        let is_taken = |other: &&Tracked| matches!(other.memory.admission, Some(Ok(())));
        let taken = self.pods.values().filter(is_taken).filter_map(|other| other.pod.as_deref());
        let taken = taken.filter(|other| is_active(other));
        let verdict = if was_taken { Ok(()) } else { admit(&pod, taken, &offer) };
        let is_about_labels = verdict.as_ref().is_err_and(Rejection::is_about_labels);
        if is_about_labels && matches!(tracked.node_labels, NodeLabels::Own) {
            self.read_labels(uid);
            return false;
        }
        if let Err(rejection) = &verdict {
            self.shared.warn(Some(&pod), &rejection.reason, rejection.message.clone());
        }
        if let Some(tracked) = self.pods.get_mut(uid) {
            tracked.memory.admission = Some(verdict);
        }
        self.sources.follow(&pod);
        true
    }

    /// Reads the node's labels before a pod is refused for them.
    fn read_labels(&mut self, uid: &str) {
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        tracked.node_labels = NodeLabels::BeingRead;
        let (client, node) = (self.shared.client.clone(), self.shared.facts.name.clone());
        let handle = self.effects.spawn(async move {
            let node = Api::<Node>::all(client).get(&node).await;
            Done::LabelsRead(node.map(|node| node.metadata.labels))
        });
        self.subjects.insert(handle.id(), (uid.to_owned(), Subject::NodeLabels));
    }

    fn carry_out(&mut self, uid: &str, plan: Plan) {
        for slot in plan.cancel {
            if let Some(pull) = self.pulls.remove(&(uid.to_owned(), slot)) {
                pull.abort();
            }
        }
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        for (key, note) in plan.notes {
            if tracked.memory.told.insert(key) {
                self.shared.recorder.record(note);
            }
        }
        if plan.finished {
            debug!(uid, "nothing is left of the pod");
            self.sources.forget(uid);
            self.pods.remove(uid);
            return;
        }
        plan.actions.into_iter().for_each(|action| self.start(uid, action));
    }

    fn start(&mut self, uid: &str, action: Action) {
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        tracked.memory.begin(&action);
        debug!(uid, slot = ?action.slot(), "acting");
        let (shared, pod, uid) = (self.shared.clone(), tracked.last.clone(), uid.to_owned());
        let (action, subject) = (Arc::new(action), uid.clone());
        let effect = action.clone();
        let handle = self
            .effects
            .spawn(async move { Done::Acted(execute(&shared, pod.as_deref(), &uid, &effect).await) });
        self.subjects.insert(handle.id(), (subject.clone(), Subject::Action(action.clone())));
        if action.can_be_cancelled() {
            self.pulls.insert((subject, action.slot()), handle);
        }
    }

    fn report(&mut self, uid: &str, status: PodStatus, now: Timestamp) {
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        let Some(pod) = tracked.pod.clone().filter(|_| !tracked.report.is_under_way) else { return };
        if let Some(later) = tracked.tell_later(&pod, &status, now) {
            tracked.wake_at = Some(tracked.wake_at.map_or(later, |at| at.min(later)));
            return;
        }
        tracked.report.is_under_way = true;
        let client = self.shared.client.clone();
        let handle = self.effects.spawn(async move {
            let api = Api::<Pod>::namespaced(client, pod.metadata.namespace()).manager("orch-node");
            let answer = api.update_status(&Pod { status: status.clone(), ..(*pod).clone() }).await;
            Done::Told { told: Box::new(status), answer: Box::new(answer) }
        });
        self.subjects.insert(handle.id(), (uid.to_owned(), Subject::Report));
    }

    fn observe_if_wanted(&mut self) {
        let now = self.shared.clock.now();
        let is_backing_off = self.observation.failure.as_ref().is_some_and(|failure| failure.retry_at > now);
        if !self.observation.is_wanted || self.observation.is_under_way || is_backing_off {
            return;
        }
        self.observation.is_wanted = false;
        self.observation.is_under_way = true;
        self.observation.begun += 1;
        let shared = self.shared.clone();
        let handle = self.effects.spawn(async move { Done::Observed(observe(&shared).await) });
        self.subjects.insert(handle.id(), (String::new(), Subject::Observation));
    }

    fn heard(&mut self, event: Option<RuntimeEvent>, events: &mut BoxStream<'static, RuntimeEvent>) {
        if event.is_none() {
            error!("the runtime's events ended; looking at it from time to time instead");
            let clock = self.shared.clock.clone();
            let ticks = futures::stream::unfold(clock, |clock| async move {
                clock.sleep(WITHOUT_EVENTS).await;
                Some((RuntimeEvent::Resync, clock))
            });
            *events = ticks.boxed();
        }
        self.observation.is_wanted = true;
    }

    pub(super) fn take_wakes(&mut self) {
        for wake in self.wakes.take() {
            match wake {
                Wake::Pod(key) => self.pod_changed(&key),
                Wake::Source(namespace, reference) => {
                    for uid in self.sources.users(namespace, reference) {
                        self.pods.entry(uid).and_modify(|tracked| tracked.is_dirty = true);
                    }
                }
                // What is on the machine and not among the pods belongs to nobody: find it.
                Wake::Synced => {
                    self.observation.is_wanted = true;
                    self.find_leftovers();
                }
            }
        }
    }

    fn pod_changed(&mut self, key: &ObjectKey) {
        let pod = self.cache.get(key);
        let uid = pod.as_ref().map(|pod| pod.metadata.uid.clone());
        for known in uids_of(&self.pods, key).into_iter().filter(|known| Some(known) != uid.as_ref()) {
            self.pods.entry(known).and_modify(Tracked::vanish);
        }
        if let (Some(pod), Some(uid)) = (pod, uid) {
            self.track(uid).update(pod);
        }
    }

    /// The pod of this uid; one that is new comes with what was seen of it last.
    pub(super) fn track(&mut self, uid: String) -> &mut Tracked {
        let seen = self.seen.borrow().get(&uid).cloned();
        let fresh = || Tracked { seen: seen.unwrap_or_default(), is_dirty: true, ..Tracked::default() };
        self.pods.entry(uid).or_insert_with(fresh)
    }

    /// Takes on what pods that are gone left on the disk.
    fn find_leftovers(&mut self) {
        let Some(layout) = &self.shared.facts.layout else { return };
        match crate::volumes::pods_on_disk(layout) {
            Err(error) => warn!(error = chain(&error), "cannot look for what pods left behind"),
            Ok(uids) => uids.into_iter().for_each(|uid| {
                self.track(uid);
            }),
        }
    }

    fn timer(&self) -> futures::future::BoxFuture<'static, ()> {
        let retry = self.observation.failure.as_ref().map(|failure| failure.retry_at);
        let retry = retry.filter(|_| self.observation.is_wanted && !self.observation.is_under_way);
        let Some(at) = self.pods.values().filter_map(|tracked| tracked.wake_at).chain(retry).min() else {
            return Box::pin(std::future::pending());
        };
        let wait = at.duration_since(self.shared.clock.now());
        self.shared.clock.sleep(Duration::try_from(wait).unwrap_or_default())
    }

    fn wake_sleepers(&mut self) {
        let now = self.shared.clock.now();
        for tracked in self.pods.values_mut().filter(|tracked| tracked.wake_at.is_some_and(|at| at <= now)) {
            tracked.wake_at = None;
            tracked.is_dirty = true;
        }
    }
}

fn is_active(pod: &Pod) -> bool {
    !matches!(pod.status.phase, Some(PodPhase::Succeeded | PodPhase::Failed))
}

/// Whether nobody can find out afterwards how the pod ended: the API has to know before.
fn is_last(action: &Action) -> bool {
    matches!(
        action,
        Action::RemoveSandbox(_)
            | Action::RemoveContainer { .. }
            | Action::TearDown { .. }
            | Action::DeletePod
    )
}
