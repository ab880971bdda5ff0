//! Planners run over a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use orch_api::{Api, Metadata, Params, Resource};
use orch_controller_runtime::{Cache, Context, Controller, Note, ObjectKey, Plan, Planner, Write};
use orch_ontology::{ConfigMap, Event, Secret};
use serde::Serialize;
use support::{Faulty, Server, context, soon};
use tokio_util::sync::CancellationToken;

/// Makes as many secrets as a config map says, under names of its own choice: made twice, there would be too many.
struct Copies {
    configs: Arc<Cache<ConfigMap>>,
    secrets: Arc<Cache<Secret>>,
    plans: Arc<AtomicUsize>,
}

#[derive(Serialize)]
struct World {
    config: ConfigMap,
    present: usize,
    plan_number: usize,
}

impl Planner for Copies {
    type World = World;

    const NAME: &'static str = "copies";

    fn observe(&self, key: &ObjectKey) -> Option<World> {
        let config = (*self.configs.get(key)?).clone();
        let owned = |secret: &&Arc<Secret>| secret.metadata.labels.get("of") == Some(&config.metadata.name);
        let present = self.secrets.in_namespace(&key.namespace).iter().filter(owned).count();
        Some(World { config, present, plan_number: self.plans.fetch_add(1, Ordering::SeqCst) })
    }

    fn plan(world: &World, _: Timestamp) -> Plan {
        let config = &world.config;
        let wanted: usize =
            config.data.get("copies").and_then(|copies| copies.parse().ok()).unwrap_or_default();
        assert_ne!(config.metadata.name, "poison", "a planner that panics");
        let make = |number: usize| {
            let name = format!("{}-{}-{number}", config.metadata.name, world.plan_number);
            let mut metadata = Metadata::named(config.metadata.namespace.clone(), name);
            metadata.labels.insert("of".into(), config.metadata.name.clone());
            let made = Note::normal(config, "Made", "Made a copy");
            Write::create(&Secret { metadata, ..Secret::default() }).on_success(made)
        };
        Plan { writes: (0..wanted.saturating_sub(world.present)).map(make).collect(), ..Plan::nothing() }
    }
}

fn config(name: &str, copies: usize) -> ConfigMap {
    let data = [("copies".to_owned(), copies.to_string())].into();
    ConfigMap { metadata: Metadata::named("default".to_owned(), name), data, ..ConfigMap::default() }
}

struct Setup {
    _server: Server,
    context: Context,
    client: Arc<Faulty>,
    plans: Arc<AtomicUsize>,
    _cancel: tokio_util::sync::DropGuard,
}

async fn setup() -> Setup {
    let server = Server::start().await;
    let client = Faulty::new(server.client());
    let cancel = CancellationToken::new();
    let context = context(client.clone(), &cancel);
    let plans = Arc::new(AtomicUsize::new(0));
    let planner = Copies { configs: context.caches.of(), secrets: context.caches.of(), plans: plans.clone() };
    let of = |secret: &Secret| match secret.metadata.labels.get("of") {
        Some(name) => vec![ObjectKey::new(secret.metadata.namespace(), name.clone())],
        None => Vec::new(),
    };
    let controller = Controller::<ConfigMap>::new(&context).watches::<Secret>(of);
    tokio::spawn(controller.run(planner, cancel.clone()));
    Setup { _server: server, context, client, plans, _cancel: cancel.drop_guard() }
}

async fn until_copies(context: &Context, count: usize) {
    until(context, "as many copies as wanted", |secrets| secrets.len() == count).await;
}

/// Waits for copies that fit. What is only so for a moment may be missed.
async fn until(context: &Context, what: &str, fits: impl Fn(&Cache<Secret>) -> bool) {
    let secrets = context.caches.of::<Secret>();
    let mut changes = secrets.changes();
    soon(what, async {
        while !fits(&secrets) {
            assert!(changes.changed().await);
        }
    })
    .await;
}

#[tokio::test]
async fn a_planner_never_repeats_its_writes_even_when_its_watches_break() {
    let setup = &setup().await;
    let configs = Api::<ConfigMap>::all(setup.context.client.clone());
    for number in 0..10 {
        configs.create(&config(&format!("config-{number}"), 20)).await.unwrap();
        setup.client.cut_watches();
    }
    until_copies(&setup.context, 200).await;
    // Whatever is planned from now on, is planned on a cache that shows all 200.
    let plans = setup.plans.load(Ordering::SeqCst);
    configs.create(&config("last", 1)).await.unwrap();
    until_copies(&setup.context, 201).await;
    assert!(setup.plans.load(Ordering::SeqCst) > plans);
    let stored = Api::<Secret>::all(setup.context.client.clone()).list(Params::default()).await.unwrap();
    assert_eq!(stored.items.len(), 201);
}

#[tokio::test]
async fn what_is_missing_is_made_again() {
    let setup = &setup().await;
    Api::<ConfigMap>::all(setup.context.client.clone()).create(&config("config", 3)).await.unwrap();
    until_copies(&setup.context, 3).await;
    let secrets = Api::<Secret>::namespaced(setup.context.client.clone(), "default");
    let first = secrets.list(Params::default()).await.unwrap().items.remove(0);
    secrets.delete(&first.metadata.name, Params::default()).await.unwrap();
    let is_first = |secret: &Secret| secret.metadata.uid == first.metadata.uid;
    until(&setup.context, "another in its place", |secrets| {
        secrets.len() == 3 && !secrets.list().iter().any(|secret| is_first(secret))
    })
    .await;
}

#[tokio::test]
async fn a_panic_in_one_plan_does_not_touch_the_others() {
    let setup = &setup().await;
    let configs = Api::<ConfigMap>::all(setup.context.client.clone());
    configs.create(&config("poison", 1)).await.unwrap();
    configs.create(&config("healthy", 2)).await.unwrap();
    until_copies(&setup.context, 2).await;
}

#[tokio::test]
async fn what_happens_again_counts_up_one_event() {
    let setup = &setup().await;
    Api::<ConfigMap>::all(setup.context.client.clone()).create(&config("config", 3)).await.unwrap();
    let events = setup.context.caches.of::<Event>();
    let mut changes = events.changes();
    soon("one event, three times", async {
        while !events.list().iter().any(|event| event.count == Some(3)) {
            assert!(changes.changed().await);
        }
    })
    .await;
    assert_eq!(events.len(), 1);
    let event = &events.list()[0];
    assert_eq!((event.involved_object.kind.as_str(), event.reason.as_str()), (ConfigMap::KIND.name, "Made"));
    assert_eq!((event.event_type.as_str(), event.source.component.as_str()), ("Normal", "copies"));
    let series = event.series.as_ref().expect("what is repeated is a series");
    assert_eq!((series.count, series.last_observed_time.is_some()), (Some(3), true));
}

#[tokio::test]
async fn cancelling_ends_the_controller_although_a_write_will_never_be_seen() {
    let server = Server::start().await;
    let cancel = CancellationToken::new();
    let context = context(server.client(), &cancel);
    let planner =
        Copies { configs: context.caches.of(), secrets: context.caches.of(), plans: Arc::default() };
    let running = tokio::spawn(Controller::<ConfigMap>::new(&context).run(planner, cancel.clone()));
    Api::<ConfigMap>::all(server.client()).create(&config("config", 500)).await.unwrap();
    let secrets = context.caches.of::<Secret>();
    soon("some copies", async {
        let mut changes = secrets.changes();
        while secrets.is_empty() {
            assert!(changes.changed().await);
        }
    })
    .await;
    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("it ends").unwrap();
}
