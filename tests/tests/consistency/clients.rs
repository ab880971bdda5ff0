//! Clients that do whatever comes to mind to a few objects, and note what they did and saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use orch_api::{Body, Client as _, EventType, Params, Request, Resource as _, Status, Target, Verb};
use orch_client::{Accept, HttpClient};
use orch_ontology::ConfigMap;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde_json::{Value as Json, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::register::{Answer, Ask, Operation, Value};
use crate::stream::{Change, Objects, Sight};

/// What the names of the clients' objects begin with.
pub(crate) const PREFIX: &str = "key-";
const KEYS: u32 = 3;
/// A client that has heard nothing for so long will never know.
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(20);

/// What all clients note, together.
pub(crate) struct Notes {
    clock: AtomicU64,
    values: AtomicU32,
    answered: watch::Sender<usize>,
    pub(crate) operations: Mutex<BTreeMap<String, Vec<Operation>>>,
    pub(crate) acknowledged: Mutex<Vec<Acknowledged>>,
    pub(crate) lists: Mutex<Vec<(u64, Objects)>>,
}

/// A write that was acknowledged, and when it was under way.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) change: Change,
    pub(crate) invoked: u64,
    pub(crate) returned: u64,
}

impl Notes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: AtomicU64::new(1),
            values: AtomicU32::new(1),
            answered: watch::Sender::new(0),
            operations: Mutex::default(),
            acknowledged: Mutex::default(),
            lists: Mutex::default(),
        })
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn value(&self) -> Value {
        self.values.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn note(&self, key: &str, operation: Operation) {
        self.operations.lock().unwrap().entry(key.to_owned()).or_default().push(operation);
        if operation.answer != Answer::Lost {
            self.answered.send_modify(|answered| *answered += 1);
        }
    }

    /// Completes once so many more operations have been answered.
    pub(crate) async fn answered(&self, more: usize, within: Duration) {
        let mut answered = self.answered.subscribe();
        let wanted = *answered.borrow() + more;
        let waited = timeout(within, answered.wait_for(|answered| *answered >= wanted)).await;
        assert!(waited.is_ok(), "only {} of {wanted} operations answered", *self.answered.borrow());
    }
}

/// One client, of any of the servers.
pub(crate) struct Client {
    pub(crate) servers: Arc<[HttpClient]>,
    pub(crate) notes: Arc<Notes>,
    random: StdRng,
    /// The values and resourceVersions last read.
    known: BTreeMap<String, (Value, String)>,
}

impl Client {
    pub(crate) fn new(servers: Arc<[HttpClient]>, notes: Arc<Notes>, seed: u64) -> Self {
        Self { servers, notes, random: StdRng::seed_from_u64(seed), known: BTreeMap::new() }
    }

    /// Works until told to stop.
    pub(crate) async fn work(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let server = pick(&mut self.random, &self.servers);
            let key = format!("{PREFIX}{}", self.random.random_range(0..KEYS));
            let heard = match (self.random.random_range(0..10), self.known.get(&key).cloned()) {
                (0, _) => self.list(&server).await,
                (1..=2, _) | (_, None) if self.random.random_bool(0.5) => self.create(&server, &key).await,
                (3..=6, Some(known)) => self.update(&server, &key, known).await,
                (7, Some(known)) => self.delete(&server, &key, known).await,
                _ => self.read(&server, &key).await,
            };
            if !heard {
                until_ready(&mut self.random, &self.servers).await;
            }
        }
    }

    /// Reads an object, at whatever revision if `query` says so.
    pub(crate) async fn read_at(&mut self, server: &HttpClient, key: &str, revision: Option<&str>) -> bool {
        let params = Params { resource_version: revision.map(str::to_owned), ..Params::default() };
        let invoked = self.notes.now();
        let outcome = ask(server, Verb::Get, Some(key), params, None).await;
        let answer = match outcome {
            Ok(object) => {
                self.known.insert(key.to_owned(), (value_of(&object), version(&object)));
                Answer::Saw(Some(value_of(&object)))
            }
            Err(status) if status.code == 404 => Answer::Saw(None),
            Err(_) => return false,
        };
        self.note(key, Ask::Read, answer, invoked)
    }

    pub(crate) async fn read(&mut self, server: &HttpClient, key: &str) -> bool {
        self.read_at(server, key, None).await
    }

    pub(crate) async fn create(&mut self, server: &HttpClient, key: &str) -> bool {
        let value = self.notes.value();
        self.write(server, key, Ask::Create(value), Verb::Create, object(key, value, None)).await
    }

    pub(crate) async fn update(&mut self, server: &HttpClient, key: &str, known: (Value, String)) -> bool {
        let value = self.notes.value();
        let body = object(key, value, Some(&known.1));
        self.write(server, key, Ask::Update(known.0, value), Verb::Update, body).await
    }

    async fn delete(&mut self, server: &HttpClient, key: &str, known: (Value, String)) -> bool {
        let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"resourceVersion": known.1}});
        self.write(server, key, Ask::Delete(known.0), Verb::Delete, body).await
    }

    async fn list(&mut self, server: &HttpClient) -> bool {
        let invoked = self.notes.now();
        let Ok(list) = ask(server, Verb::List, None, Params::default(), None).await else { return false };
        let (revision, objects) = listed(&list);
        for number in 0..KEYS {
            let key = format!("{PREFIX}{number}");
            let seen = objects.get(&key).map(|(value, _)| *value);
            self.note(&key, Ask::Read, Answer::Saw(seen), invoked);
        }
        self.notes.lists.lock().unwrap().push((revision, objects));
        true
    }

    async fn write(&mut self, server: &HttpClient, key: &str, what: Ask, verb: Verb, body: Json) -> bool {
        let name = (verb != Verb::Create).then_some(key);
        let invoked = self.notes.now();
        let outcome = ask(server, verb, name, Params::default(), Some(body)).await;
        let answer = match &outcome {
            Ok(_) => Answer::Done,
            Err(status) if status.code == 404 => Answer::Absent,
            Err(status) if status.code == 409 => Answer::Other,
            Err(_) => Answer::Lost,
        };
        self.note(key, what, answer, invoked);
        if let (Ok(written), Ask::Create(value) | Ask::Update(_, value)) = (outcome, what) {
            self.known.insert(key.to_owned(), (value, version(&written)));
            let change = Change { revision: revision_of(&written), key: key.to_owned(), value: Some(value) };
            let acknowledged = Acknowledged { change, invoked, returned: self.notes.now() };
            self.notes.acknowledged.lock().unwrap().push(acknowledged);
        }
        answer != Answer::Lost
    }

    fn note(&self, key: &str, ask: Ask, answer: Answer, invoked: u64) -> bool {
        self.notes.note(key, Operation { ask, answer, invoked, returned: self.notes.now() });
        true
    }
}

/// Follows all objects by watches, which it takes up again wherever they end, until it has seen everything up to the revision
/// that `until` says at last.
pub(crate) async fn follow(
    servers: Arc<[HttpClient]>,
    seed: u64,
    mut until: watch::Receiver<Option<u64>>,
) -> Vec<Sight> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut sights, mut reached) = (Vec::new(), None);
    loop {
        let server = pick(&mut random, &servers);
        let Some(from) = reached else {
            match ask(&server, Verb::List, None, Params::default(), None).await {
                Ok(list) => {
                    let (revision, objects) = listed(&list);
                    sights.push(Sight::List(revision, objects));
                    reached = Some(revision);
                }
                Err(_) => until_ready(&mut random, &servers).await,
            }
            continue;
        };
        if until.borrow().is_some_and(|until| from >= until) {
            return sights;
        }
        let params = Params {
            resource_version: Some(from.to_string()),
            allow_watch_bookmarks: true,
            ..Params::default()
        };
        let Ok(Ok(mut events)) =
            timeout(PATIENCE, server.watch(request(Verb::Watch, None, params, None))).await
        else {
            until_ready(&mut random, &servers).await;
            continue;
        };
        // It also goes elsewhere by itself now and then.
        for _ in 0..random.random_range(5..60) {
            let event = tokio::select! {
                event = events.next() => event,
                // A server that is cut off from the others says nothing: that is no reason to wait for it for ever.
                _ = until.changed() => break,
            };
            let Some(Ok(event)) = event else { break };
            let object: Json = serde_json::from_slice(&event.object).unwrap();
            let (revision, name) =
                (revision_of(&object), object["metadata"]["name"].as_str().unwrap_or_default());
            match event.event_type {
                EventType::Error => {
                    assert_eq!(object["code"], 410, "{object}");
                    reached = None;
                    break;
                }
                EventType::Bookmark => sights.push(Sight::Bookmark(revision)),
                _ if !name.starts_with(PREFIX) => {}
                event_type => {
                    let value = (event_type != EventType::Deleted).then(|| value_of(&object));
                    sights.push(Sight::Event(event_type, Change { revision, key: name.to_owned(), value }));
                }
            }
            reached = Some(revision);
            if until.borrow().is_some_and(|until| revision >= until) {
                break;
            }
        }
    }
}

/// Waits until any of the servers says that it is ready.
async fn until_ready(random: &mut StdRng, servers: &[HttpClient]) {
    loop {
        let asked = timeout(PATIENCE, pick(random, servers).get_raw("/readyz", Accept::Any)).await;
        if asked.is_ok_and(|answer| answer.is_ok()) {
            return;
        }
        sleep(PAUSE).await;
    }
}

fn pick(random: &mut StdRng, servers: &[HttpClient]) -> HttpClient {
    servers[random.next_u32() as usize % servers.len()].clone()
}

fn request(verb: Verb, name: Option<&str>, params: Params, body: Option<Json>) -> Request {
    let all = Target::in_namespace(&ConfigMap::KIND, "default");
    let target = match name {
        Some(name) => all.named(name),
        None => all,
    };
    Request { verb, target, params, body: body.map(|body| Body::json(&body).unwrap()) }
}

pub(crate) async fn ask(
    server: &HttpClient,
    verb: Verb,
    name: Option<&str>,
    params: Params,
    body: Option<Json>,
) -> Result<Json, Status> {
    let answer = timeout(PATIENCE, server.send(request(verb, name, params, body))).await;
    let bytes = answer.unwrap_or_else(|_| Err(Status::unavailable("no answer in time")))?;
    Ok(serde_json::from_slice(&bytes).unwrap())
}

fn object(key: &str, value: Value, version: Option<&str>) -> Json {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": key, "resourceVersion": version.unwrap_or_default()},
        "data": {"value": value.to_string()},
    })
}

/// The value in an object.
pub(crate) fn value_of(object: &Json) -> Value {
    object["data"]["value"].as_str().unwrap().parse().unwrap()
}

fn version(object: &Json) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn revision_of(object: &Json) -> u64 {
    version(object).parse().unwrap_or_default()
}

/// The revision of a list and the clients' objects in it.
pub(crate) fn listed(list: &Json) -> (u64, Objects) {
    let items = list["items"].as_array().unwrap().iter();
    let named = items.map(|object| (object["metadata"]["name"].as_str().unwrap().to_owned(), object));
    let ours = named.filter(|(name, _)| name.starts_with(PREFIX));
    (revision_of(list), ours.map(|(name, object)| (name, (value_of(object), revision_of(object)))).collect())
}
