//! `orchd up`: every part of Orch, wired together in one process.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use orch_admission::Policies;
use orch_api::{Client, Clock, MASTERS};
use orch_apiserver::{ApiServer, Identity, Tokens};
use orch_authorization::{Authorization, bootstrap, granted};
use orch_controller_runtime::SystemClock;
use orch_controllers::{Asker, ControllersForesight, Means, Telemetry};
use orch_ontology::KINDS;
use orch_transport::{Limits, client_config, serve, server_config};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::certificates::Certificates;
use super::config::{Config, StoreBackend};
use super::data_dir::DataDir;
use super::{access, containerd, git, logging, mcp, members, nodes, pod_network, store, webhook};

/// How long the parts have, together, to end after a signal.
const STOP_WITHIN: Duration = Duration::from_secs(4);
/// How long changes can be followed from a revision on etcd, which forgets nothing by itself. The embedded store does.
const ETCD_HISTORY: Duration = Duration::from_secs(5 * 60);
/// How long open requests may go on meanwhile.
const DRAIN: Duration = Duration::from_secs(2);

/// What runs, once everything does.
struct Running {
    api: Arc<ApiServer>,
    parts: JoinSet<()>,
    cancel: CancellationToken,
    address: SocketAddr,
}

/// Starts everything, says so, and ends it in order at the first SIGTERM or SIGINT. Containers go on.
///
/// # Errors
/// If something does not start, or a part ends by itself: whoever started this process can start it again.
pub(crate) async fn run(config: Config) -> Result<()> {
    let begun = Instant::now();
    logging::init(&config.log)?;
    let data = DataDir::create(&config.data_dir)?;
    let _lock = data.lock()?;
    let mut stopped = stop_signals()?;
    let mut running = tokio::select! {
        started = start(&config, &data) => started?,
        signal = &mut stopped => {
            info!(signal = signal.unwrap_or("none"), "stopped before everything had started");
            return Ok(());
        }
    };
    announce(&data, running.address, begun);
    let outcome = until_stopped(stopped, &mut running.parts).await;
    stop(running).await;
    outcome
}

/// Waits for a signal. A part that ends before is an error: all of them are needed.
async fn until_stopped(stopped: oneshot::Receiver<&'static str>, parts: &mut JoinSet<()>) -> Result<()> {
    tokio::select! {
        signal = stopped => {
            info!(signal = signal.unwrap_or("none"), "stopping; containers go on");
            Ok(())
        }
        ended = parts.join_next() => {
            error!(?ended, "a part has ended by itself; stopping");
            bail!("a part of orchd has ended by itself; the log says more");
        }
    }
}

/// Starts everything, in order. What has been started ends when this is dropped.
async fn start(config: &Config, data: &DataDir) -> Result<Running> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = reachable(listener.local_addr()?);
    let for_pods = pod_network::address(config, address);
    let names: Vec<IpAddr> =
        [address].into_iter().chain(for_pods.map(|(at, _)| at)).map(|at| at.ip()).collect();
    let certificates = Certificates::open(data, &names)?;

    let issuer = access::token_issuer(data, address)?;
    let hangups = signal(SignalKind::hangup())?;
    tokio::spawn(access::reload_at(hangups, issuer.keys.clone()));
    let keys = access::keyring(config)?;
    let store = access::encrypted(store::open(config, data).await?, keys.clone()).await?;
    let cancel = CancellationToken::new();
    let (telemetry, mut metrics) = (Telemetry::default(), Registry::default());
    telemetry.register(&mut metrics);
    let api = Arc::new(ApiServer::start(orch_apiserver::Config {
        authorizer: Arc::new(Authorization::new()),
        admission: Arc::new(Policies::new()),
        foresight: Arc::new(ControllersForesight),
        tokens: config.token_file.as_deref().map_or_else(|| Ok(Tokens::default()), Tokens::read)?,
        token_issuer: Some(issuer),
        oidc: access::oidc(config.oidc.as_ref())?,
        audit: access::audit(&config.audit, data)?,
        history: access::history(&config.history, data, keys)?,
        compact_after: (config.store.backend == StoreBackend::Etcd).then_some(ETCD_HISTORY),
        backend: Some(Arc::new(client_config(certificates.authority(), Some(&certificates.api_server))?)),
        metrics,
        mounts: [mcp::mounts(&config.mcp, &names, &cancel)?, vec![webhook::mount(clock.clone())]].concat(),
        ..orch_apiserver::Config::new(store, KINDS.clone(), clock.clone())
    })?);
    let mut parts = JoinSet::new();
    parts.spawn(serve_api(listener, &certificates, &api, &cancel)?);
    if let Some((address, true)) = for_pods {
        parts.spawn(serve_api(pod_network::listen(address)?, &certificates, &api, &cancel)?);
    }
    api.ready().await;
    make_roles(&api).await?;
    if config.store.backend == StoreBackend::Etcd {
        members::join(own_client(&api), certificates.authority()).await?;
    }
    if config.controllers {
        let means =
            Means { authority: certificates.signing(), telemetry, git: git::settings(&config.git, data)? };
        parts.spawn(controllers(config, &api, clock.clone(), means, cancel.child_token()));
    }
    let made = orch_controllers::namespace::make_default(own_client(&api)).await;
    made.context("the namespace default cannot be made")?;
    let place = nodes::Place { address: address.ip(), api_server: for_pods.map(|(at, _)| at) };
    let nodes = nodes::agents(config, data, &certificates, place, |name| node_client(&api, name)).await?;
    if let Some(private) = nodes.containerd {
        parts.spawn(containerd::keep(private, data.clone(), cancel.child_token()));
    }
    for agent in nodes.agents {
        parts.spawn(agent.run(cancel.child_token()));
    }
    data.write_kubeconfig(&certificates.kubeconfig(address)?)?;
    Ok(Running { api, parts, cancel, address })
}

/// Says on standard output that everything runs, last of all in the line that begins with `ready`.
fn announce(data: &DataDir, address: SocketAddr, begun: Instant) {
    let (kubeconfig, millis) = (data.kubeconfig(), begun.elapsed().as_millis());
    let text = format!("kubeconfig: {}\nready in {millis} ms: https://{address}\n", kubeconfig.display());
    // Whoever started us may not listen.
    drop(std::io::stdout().write_all(text.as_bytes()));
    info!(%address, data_dir = %data.path().display(), "ready");
}

/// Tells every part to end, and waits for them.
async fn stop(Running { api, cancel, mut parts, .. }: Running) {
    cancel.cancel();
    api.stop();
    let all = async { while parts.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WITHIN, all).await.is_err() {
        warn!(seconds = STOP_WITHIN.as_secs(), "not everything has ended in time");
    }
    info!("stopped");
}

fn serve_api(
    listener: TcpListener,
    certificates: &Certificates,
    api: &Arc<ApiServer>,
    cancel: &CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static> {
    let tls = server_config(&certificates.server, certificates.authority())?;
    let (router, stop) = (api.router(), cancel.clone().cancelled_owned());
    let limits = Limits { drain: DRAIN, ..Limits::default() };
    Ok(serve(listener, tls, router, limits, stop))
}

/// Makes the roles that every cluster has, and those of the controllers and of the webhooks.
async fn make_roles(api: &ApiServer) -> Result<()> {
    let hook = (orch_gitops::webhook::USER.to_owned(), orch_gitops::webhook::permissions());
    let users = orch_controllers::users().into_iter().chain([hook]);
    let users = users.map(|(user, rules)| granted(&user, rules));
    let made = bootstrap(own_client(api), users.collect()).await;
    made.context("the default roles cannot be made")
}

/// The process itself, for what must be there before anybody has a role.
fn own_client(api: &ApiServer) -> Arc<dyn Client> {
    api.local_client(Identity::new("system:apiserver", [MASTERS]))
}

/// The controllers. Over a store that others share they run in one process at a time.
fn controllers(
    config: &Config,
    api: &Arc<ApiServer>,
    clock: Arc<dyn Clock>,
    means: Means,
    cancel: CancellationToken,
) -> BoxFuture<'static, ()> {
    let client = controllers_client(api);
    match config.store.backend {
        StoreBackend::Embedded => orch_controllers::run(client, clock, means, cancel).boxed(),
        StoreBackend::Etcd => {
            let identity = members::identity();
            orch_controllers::run_elected(client, clock, means, identity, cancel).boxed()
        }
    }
}

/// Each controller acts as a user of its own, with no more rights than it needs.
fn controllers_client(api: &Arc<ApiServer>) -> impl Fn(Asker<'_>) -> Arc<dyn Client> + Send + Sync + 'static {
    let api = api.clone();
    move |asker| match asker {
        Asker::User(user) => api.local_client(Identity::new(user, [""; 0])),
        Asker::Account { user, namespace, name } => {
            let account = format!("system:serviceaccount:{namespace}:{name}");
            api.local_client_as(Identity::new(user, [""; 0]), account)
        }
    }
}

fn node_client(api: &ApiServer, node: &str) -> Arc<dyn Client> {
    api.local_client(Identity::new(format!("system:node:{node}"), ["system:nodes"]))
}

/// The address that others reach a listener at: an unspecified one is replaced by this machine's.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = if listening.ip().is_unspecified() { own_address() } else { listening.ip() };
    SocketAddr::new(ip, listening.port())
}

/// The address that this machine sends from. Connecting a datagram socket picks one and sends nothing.
fn own_address() -> IpAddr {
    let documentation = SocketAddr::from(([192, 0, 2, 1], 9));
    let picked = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect(documentation)?;
        socket.local_addr()
    });
    picked.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

/// Completes with the name of the first signal to stop.
fn stop_signals() -> Result<oneshot::Receiver<&'static str>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        // The receiver lives as long as the process.
        let _ = sender.send(name);
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_by_itself_is_an_error() {
        let (signal, stopped) = oneshot::channel();
        let mut parts = JoinSet::new();
        parts.spawn(std::future::pending());
        parts.spawn(async {});
        let error = until_stopped(stopped, &mut parts).await.unwrap_err();
        assert!(error.to_string().contains("ended by itself"), "{error}");
        drop(signal);

        let (signal, stopped) = oneshot::channel();
        signal.send("SIGTERM").unwrap();
        until_stopped(stopped, &mut parts).await.unwrap();
    }
}
