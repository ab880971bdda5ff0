//! Every controller of the system, and the one list of them.
//!
//! A controller compares what should be with what is and writes what is missing; it talks to nobody but the API. Most are
//! planners: a pure function from a world to a plan. Start reading at [`all`] and [`run`], then [`workload`].
#![deny(missing_docs)]

pub mod custom_resource;
pub mod garbage;
mod kinds;
pub mod namespace;
pub mod node_lifecycle;
pub mod pod_gc;
pub mod scheduler;
pub mod service_account;
pub mod workload;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use orch_api::{Client, Clock, Resource};
use orch_controller_runtime::{Caches, Context, Recorder};
use orch_ontology::Event;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use scheduler::{Decision, Decisions};

/// A controller: runs until cancelled.
pub type Run = Box<dyn FnOnce(Context, CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// Every controller with its name. The scheduler's decisions can be read from `decisions`.
pub fn all(decisions: Decisions) -> Vec<(&'static str, Run)> {
    vec![
        ("namespace", Box::new(|context, cancel| namespace::run(context, cancel).boxed())),
        ("service-account", Box::new(|context, cancel| service_account::run(context, cancel).boxed())),
        ("workload", Box::new(|context, cancel| workload::run(context, cancel).boxed())),
        ("scheduler", Box::new(|context, cancel| scheduler::run(context, decisions, cancel).boxed())),
        ("node-lifecycle", Box::new(|context, cancel| node_lifecycle::run(context, cancel).boxed())),
        ("pod-gc", Box::new(|context, cancel| pod_gc::run(context, cancel).boxed())),
        ("garbage", Box::new(|context, cancel| garbage::run(context, cancel).boxed())),
        ("custom-resource", Box::new(|context, cancel| custom_resource::run(context, cancel).boxed())),
    ]
}

/// Runs every controller over one set of caches until cancelled; then waits for what is under way. The client's identity must
/// be allowed to read and write all kinds.
pub async fn run(
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    decisions: Decisions,
    cancel: CancellationToken,
) {
    let caches = Arc::new(Caches::new(client.clone(), clock.clone(), cancel.clone()));
    let (recorder, events) = Recorder::new(client.clone(), clock.clone(), Event::KIND, "controllers");
    let context = Context { client, caches, clock, recorder };
    let mut running = JoinSet::new();
    running.spawn(events.run(cancel.clone()));
    for (_, controller) in all(decisions) {
        running.spawn(controller(context.clone(), cancel.clone()));
    }
    drop(context);
    running.join_all().await;
}
