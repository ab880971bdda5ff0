//! kube-rs as a client, unmodified: what operators in Rust are built of, and an operator.
//!
//! [`objects`] are typed and dynamic objects, [`operator`] a kind derived from a Rust type and its controller.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails it")]

mod objects;
mod operator;

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config, CustomResource, CustomResourceExt as _};
use orch_tests::Orchd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::block_in_place;

const DEADLINE: Duration = Duration::from_secs(60);

/// What is asked of a boat.
#[derive(CustomResource, Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "rs.example.dev",
    version = "v1",
    kind = "Boat",
    namespaced,
    status = "BoatStatus",
    shortname = "bt"
)]
#[kube(scale(spec_replicas_path = ".spec.crew", status_replicas_path = ".status.crew"))]
pub(crate) struct BoatSpec {
    /// How many sail it.
    #[schemars(range(min = 1))]
    crew: i32,
    flag: Option<String>,
}

/// What is known of a boat.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct BoatStatus {
    crew: i32,
}

fn start() -> Orchd {
    block_in_place(|| Orchd::simulated(1))
}

async fn connect(orch: &Orchd) -> Client {
    // The first test to get here installs it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let kubeconfig = kube::config::Kubeconfig::read_from(orch.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

/// Applies the definition of boats and waits until they are served.
async fn define(client: &Client) -> Api<Boat> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let apply = PatchParams::apply("operator").force();
    definitions.patch(Boat::crd_name(), &apply, &Patch::Apply(Boat::crd())).await.unwrap();
    let established = await_condition(definitions, Boat::crd_name(), conditions::is_crd_established());
    within("the definition", established).await.unwrap();
    Api::default_namespaced(client.clone())
}

fn boat(name: &str, crew: i32) -> Boat {
    Boat::new(name, BoatSpec { crew, flag: None })
}
