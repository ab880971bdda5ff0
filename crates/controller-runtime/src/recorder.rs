//! [`Recorder`]: tells people what has happened, as `v1` Event objects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use orch_api::{Body, Client, Clock, Kind, MediaType, Params, Request, Status, Target, Time, Verb};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::correlation::{Budget, Correlation, REMEMBERED, Topic, WINDOW};
use crate::{Note, ObjectReference, Severity};

const QUEUE: usize = 4096;
/// Events that one writer may write at once, and how often one more: as kubelet and kube-scheduler, so that telling what
/// happens takes nothing from its happening. What comes faster is told later.
const WRITER_BURST: f64 = 100.0;
const WRITER_REFILL: Duration = Duration::from_millis(20);
const DEFAULT_NAMESPACE: &str = "default";

/// Where events go. Recording never waits and never fails: when too much happens at once, events are dropped and counted,
/// those that were to be expected first.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::Sender<Recorded>,
    component: &'static str,
    clock: Arc<dyn Clock>,
    dropped: Arc<AtomicU64>,
}

struct Recorded {
    component: &'static str,
    note: Note,
    at: Timestamp,
}

/// The other end of a [`Recorder`]: turns notes into objects.
pub struct EventWriter {
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    kind: Kind,
    notes: mpsc::Receiver<Recorded>,
    dropped: Arc<AtomicU64>,
    recent: BTreeMap<Topic, Recent>,
    correlation: Correlation,
    pace: Option<Budget>,
}

struct Recent {
    target: Target,
    count: u64,
    last: Timestamp,
}

impl Recorder {
    /// A recorder that writes objects of `kind` (which must have the shape of `v1`'s Event) on behalf of `component`.
    /// Nothing is written until the [`EventWriter`] runs.
    pub fn new(
        client: Arc<dyn Client>,
        clock: Arc<dyn Clock>,
        kind: Kind,
        component: &'static str,
    ) -> (Self, EventWriter) {
        let (sender, notes) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let (recent, correlation, pace) = Default::default();
        let recorder = Self { notes: sender, component, clock: clock.clone(), dropped: dropped.clone() };
        (recorder, EventWriter { client, clock, kind, notes, dropped, recent, correlation, pace })
    }

    /// The same recorder on behalf of another component.
    pub fn component(&self, component: &'static str) -> Self {
        Self { component, ..self.clone() }
    }

    /// Records an event.
    pub fn record(&self, note: Note) {
        // Half of the queue is kept for what people have to know.
        let has_room = note.severity > Severity::Normal || self.notes.capacity() > QUEUE / 2;
        let recorded = Recorded { component: self.component, note, at: self.clock.now() };
        if !has_room || self.notes.try_send(recorded).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events have been dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl EventWriter {
    /// Writes events until cancelled or the last recorder is gone. An event that the server does not take is dropped.
    pub async fn run(mut self, cancel: CancellationToken) {
        while let Some(Some(recorded)) = cancel.run_until_cancelled(self.notes.recv()).await {
            let Recorded { component, note, at } = recorded;
            let Some((topic, message)) = self.correlation.of(component, &note, at) else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            if cancel.run_until_cancelled(self.take_turn()).await.is_none() {
                return;
            }
            let told = Recorded { component, note: Note { message, ..note }, at };
            if let Err(status) = self.write(topic, told).await {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                debug!(%status, "an event was not recorded");
            }
        }
    }

    /// Waits until one more event may be written.
    async fn take_turn(&mut self) {
        let now = self.clock.now();
        let pace = self.pace.get_or_insert(Budget { left: WRITER_BURST, at: now });
        pace.refill(now, WRITER_REFILL, WRITER_BURST);
        pace.left -= 1.0;
        if pace.left < 0.0 {
            let wait = WRITER_REFILL.mul_f64(-pace.left);
            self.clock.sleep(wait).await;
        }
    }

    async fn write(
        &mut self,
        topic: Topic,
        Recorded { component, note, at: now }: Recorded,
    ) -> Result<(), Status> {
        self.forget_old(now);
        if let Some(recent) = self.recent.get_mut(&topic) {
            (recent.count, recent.last) = (recent.count + 1, now);
            // Both ways to count: readers of `events.k8s.io/v1` know only series.
            let series = json!({"count": recent.count, "lastObservedTime": format!("{now:.6}")});
            let patch = json!({
                "count": recent.count, "lastTimestamp": Time::new(now), "message": note.message, "series": series,
            });
            let body = Body { media_type: MediaType::MergePatch, ..Body::json(&patch)? };
            match send(&*self.client, Verb::Patch, recent.target.clone(), body, component).await {
                Err(status) if status.code == 404 => {}
                other => return other,
            }
        }
        let event = self.event(component, &note, now);
        let target = Target::in_namespace(&self.kind, namespace_of(&note.about));
        let named = target.clone().named(event["metadata"]["name"].as_str().unwrap_or_default());
        send(&*self.client, Verb::Create, target, Body::json(&event)?, component).await?;
        self.recent.insert(topic, Recent { target: named, count: 1, last: now });
        Ok(())
    }

    fn event(&self, component: &str, note: &Note, now: Timestamp) -> Value {
        let at = Time::new(now);
        let name =
            format!("{}.{:x}", note.about.name, now.as_nanosecond() as u64 ^ rand::random::<u16>() as u64);
        json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.name,
            "metadata": {"name": name, "namespace": namespace_of(&note.about)},
            "involvedObject": note.about,
            "reason": note.reason,
            "message": note.message,
            "type": note.severity,
            "source": {"component": component},
            "reportingComponent": component,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        })
    }

    /// Keeps memory bounded: forgets what can no longer be counted up.
    fn forget_old(&mut self, now: Timestamp) {
        if self.recent.len() >= REMEMBERED || self.recent.values().next().is_some_and(|r| is_old(r, now)) {
            self.recent.retain(|_, recent| !is_old(recent, now));
        }
        while self.recent.len() >= REMEMBERED {
            self.recent.pop_first();
        }
    }
}

fn is_old(recent: &Recent, now: Timestamp) -> bool {
    now.duration_since(recent.last) > WINDOW
}

async fn send(
    client: &dyn Client,
    verb: Verb,
    target: Target,
    body: Body,
    manager: &str,
) -> Result<(), Status> {
    let params = Params { field_manager: Some(manager.to_owned()), ..Params::default() };
    client.send(Request { verb, target, params, body: Some(body) }).await.map(drop)
}

/// Events about objects of the cluster live in `default`, as in Kubernetes.
fn namespace_of(about: &ObjectReference) -> &str {
    if about.namespace.is_empty() { DEFAULT_NAMESPACE } else { &about.namespace }
}
