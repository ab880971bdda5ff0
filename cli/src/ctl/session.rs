//! [`Session`]: the server, user and namespace that a command is about.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use orch_api::{Client as _, Params, Request, Target, Verb};
use orch_client::{Accept, Connection, Discovery, HttpClient, Kubeconfig, KubeconfigPaths, Overrides};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::Failure;
use super::failure::WARNING;
use super::output::plain;

/// Where `orchd up` puts the administrator's kubeconfig unless told otherwise.
const LOCAL_KUBECONFIG: &str = "/var/lib/orch/admin.kubeconfig";
const PAGE: u64 = 500;

/// Options of every verb: which server, as whom, and in which namespace.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub(super) struct SessionArgs {
    /// Work in this namespace, not in the context's
    #[arg(short, long, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// Use this kubeconfig, not $KUBECONFIG, ~/.kube/config or the local server's
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Use this context of the kubeconfig, not its current one
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Talk to the server at this address, not to the context's
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// Say why: it is kept in the history of what is changed
    #[arg(long, global = true, value_name = "TEXT")]
    reason: Option<String>,
    /// Say what is asked of the server on standard error
    #[arg(short, long, global = true)]
    verbose: bool,
}

/// Connects when something is asked for the first time, so that verbs that need no server need no kubeconfig.
pub(super) struct Session {
    args: SessionArgs,
    connected: OnceCell<(Connection, HttpClient)>,
    discovery: OnceCell<Discovery>,
}

impl Session {
    pub(super) fn new(args: SessionArgs) -> Self {
        Self { args, connected: OnceCell::new(), discovery: OnceCell::new() }
    }

    /// The merged kubeconfig.
    pub(super) fn kubeconfig(&self) -> Result<Kubeconfig, Failure> {
        let paths =
            KubeconfigPaths::from_environment(self.args.kubeconfig.clone(), Some(LOCAL_KUBECONFIG.into()));
        Ok(Kubeconfig::load(&paths)?)
    }

    async fn connected(&self) -> Result<&(Connection, HttpClient), Failure> {
        self.connected.get_or_try_init(|| async { self.connect() }).await
    }

    fn connect(&self) -> Result<(Connection, HttpClient), Failure> {
        let overrides = Overrides {
            context: self.args.context.clone(),
            server: self.args.server.clone(),
            namespace: self.args.namespace.clone(),
        };
        let connection = self.kubeconfig()?.connection(&overrides)?;
        let client = HttpClient::new(&connection)?.on_warning(Arc::new(|warning| {
            anstream::eprintln!("{WARNING}warning:{WARNING:#} {}", plain(warning));
        }));
        Ok((connection, client))
    }

    /// The client.
    pub(super) async fn client(&self) -> Result<&HttpClient, Failure> {
        Ok(&self.connected().await?.1)
    }

    /// Which server, and how it is trusted.
    pub(super) async fn connection(&self) -> Result<&Connection, Failure> {
        Ok(&self.connected().await?.0)
    }

    /// The namespace that is meant where none is given.
    pub(super) async fn namespace(&self) -> Result<&str, Failure> {
        Ok(&self.connected().await?.0.namespace)
    }

    /// The namespace given by `-n`, which manifests must not contradict.
    pub(super) fn explicit_namespace(&self) -> Option<&str> {
        self.args.namespace.as_deref()
    }

    /// What the server serves; asked once.
    pub(super) async fn discovery(&self) -> Result<&Discovery, Failure> {
        let client = self.client().await?;
        Ok(self.discovery.get_or_try_init(|| client.discovery()).await?)
    }

    /// Carries out a request and reads the answer.
    pub(super) async fn call(&self, request: Request) -> Result<Value, Failure> {
        self.call_as(request, Accept::Json).await
    }

    /// Carries out a request and reads the answer, in the form that is wanted.
    pub(super) async fn call_as(&self, request: Request, accept: Accept) -> Result<Value, Failure> {
        let request = self.explained(request);
        self.log(&request);
        let answer = self.client().await?.send_as(request, accept).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Reads one object.
    pub(super) async fn get(&self, target: Target) -> Result<Value, Failure> {
        self.call(Request { verb: Verb::Get, target, params: Params::default(), body: None }).await
    }

    /// Reads one object, or nothing if there is none.
    pub(super) async fn find(&self, target: Target) -> Result<Option<Value>, Failure> {
        let request = Request { verb: Verb::Get, target, params: Params::default(), body: None };
        self.log(&request);
        match self.client().await?.send(request).await {
            Ok(answer) => Ok(Some(serde_json::from_slice(&answer)?)),
            Err(status) if status.code == 404 => Ok(None),
            Err(status) => Err(status.into()),
        }
    }

    /// Reads all objects of a collection, page by page. Answers with them and the list's revision.
    pub(super) async fn list(&self, target: Target, params: Params) -> Result<(Vec<Value>, String), Failure> {
        let mut items = Vec::new();
        let mut cont = None;
        loop {
            let params = Params { limit: Some(PAGE), cont: cont.take(), ..params.clone() };
            let mut page =
                self.call(Request { verb: Verb::List, target: target.clone(), params, body: None }).await?;
            if let Value::Array(page) = page["items"].take() {
                items.extend(page);
            }
            let text = |name: &str| page["metadata"][name].as_str().unwrap_or_default().to_owned();
            cont = Some(text("continue")).filter(|cont| !cont.is_empty());
            if cont.is_none() {
                return Ok((items, text("resourceVersion")));
            }
        }
    }

    /// The reason that was given for what is to be changed.
    pub(super) fn reason(&self) -> Option<&str> {
        self.args.reason.as_deref()
    }

    /// The request with the reason that was given, if it changes something.
    pub(super) fn explained(&self, mut request: Request) -> Request {
        if !matches!(request.verb, Verb::Get | Verb::List | Verb::Watch) {
            request.params.reason = request.params.reason.or_else(|| self.args.reason.clone());
        }
        request
    }

    pub(super) fn log(&self, request: &Request) {
        if self.args.verbose {
            let query: Vec<_> =
                request.params.pairs().iter().map(|(name, value)| format!("{name}={value}")).collect();
            let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            anstream::eprintln!("{} {}{query}", request.verb, request.target);
        }
    }
}
