//! [`Config`]: how `orchd up` runs. A YAML file and flags say the same things; flags win.
//!
//! The file is checked like every object: against the schema of this type, with the line of what is wrong.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use orch_api::{FieldError, Schema};
use orch_client::manifest::Manifest;
use orch_store::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::{AuditConfig, OidcOptions};
use super::git::GitConfig;
use super::mcp::McpConfig;

/// A request deletes, records that and reads what it depends on in one transaction.
const MIN_TXN_OPS: usize = 16;

/// The configuration of one `orchd` process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Where everything that Orch keeps on this machine lives: the store, keys, logs, volumes.
    pub data_dir: PathBuf,
    /// The address and port that the API is served on.
    pub listen: SocketAddr,
    /// Where objects are kept.
    pub store: StoreConfig,
    /// What runs the containers.
    pub runtime: RuntimeConfig,
    /// This machine as a node of the cluster.
    pub node: NodeConfig,
    /// Whether this process runs the controllers and the scheduler. Of those that share an etcd, one does at a time.
    pub controllers: bool,
    /// Static bearer tokens: a CSV file of `token,user,uid,"group1,group2"`.
    pub token_file: Option<PathBuf>,
    /// Another issuer, by whose tokens people are known (OpenID Connect).
    pub oidc: Option<OidcOptions>,
    /// What is recorded of requests that change something.
    pub audit: AuditConfig,
    /// What is kept of the changes of all objects.
    pub history: HistoryOptions,
    /// The keys that secrets are encrypted with where they are kept: a file of lines `NAME:BASE64`, each the base64 of 32
    /// random bytes. The first encrypts, all decrypt. Secrets are not encrypted unless given.
    pub encryption_keys: Option<PathBuf>,
    /// The Model Context Protocol, for AI agents.
    pub mcp: McpConfig,
    /// Git repositories, for `GitSync`s.
    pub git: GitConfig,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// Where objects are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `embedded`: in the data directory, for one machine. `etcd`: in an etcd cluster.
    pub backend: StoreBackend,
    /// The etcd cluster, for the backend `etcd`.
    pub etcd: EtcdOptions,
}

/// Where objects are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StoreBackend {
    /// In the data directory, for one machine.
    #[default]
    Embedded,
    /// In an etcd cluster.
    Etcd,
}

/// An etcd cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EtcdOptions {
    /// URLs of the members, such as `https://10.0.0.1:2379`.
    pub endpoints: Vec<String>,
    /// What all keys begin with, for a cluster that others use too. Empty, or beginning with a slash.
    pub prefix: String,
    /// The certificate authority of the members, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The client certificate, in PEM.
    pub cert_file: Option<PathBuf>,
    /// The client certificate's key, in PEM.
    pub key_file: Option<PathBuf>,
    /// How many operations a transaction may have: what the members were started with as `--max-txn-ops`. Plans may be as large.
    pub max_txn_ops: usize,
}

impl Default for EtcdOptions {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            prefix: String::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            max_txn_ops: Limits::OF_ETCD.writes,
        }
    }
}

/// What runs the containers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RuntimeConfig {
    /// `containerd`: real containers. `simulated`: none; nodes and containers are simulated, which needs no root. `none`:
    /// this process is no node.
    pub kind: RuntimeKind,
    /// `auto` uses the machine's containerd if it is running and otherwise starts a private one; `private` always starts
    /// one; a path is the socket of the containerd to use.
    pub containerd: String,
    /// How many nodes to simulate, for the runtime `simulated`.
    pub simulate_nodes: u32,
    /// A file of what goes wrong on simulated nodes; nothing unless given. See `docs/simulation.md`.
    pub simulate_faults: Option<PathBuf>,
    /// Registries that are reached over plain HTTP, as `host:port`. Loopback addresses always may be.
    pub insecure_registries: Vec<String>,
}

/// What runs the containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// Real containers.
    #[default]
    Containerd,
    /// Simulated nodes and containers, without root.
    Simulated,
    /// No node: an API server, and controllers unless told otherwise.
    None,
}

/// This machine as a node of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeConfig {
    /// The node's name; the machine's host name if absent.
    pub name: Option<String>,
    /// The range that pods on this machine get their addresses from.
    pub pod_cidr: String,
    /// Where the CNI plugins are.
    pub cni_plugin_dirs: Vec<PathBuf>,
}

/// What is kept of the changes of all objects: who made them, why, and the objects before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HistoryOptions {
    /// How many days a change is kept. 0: none is, and there is no history.
    pub keep_days: u32,
    /// The most megabytes that changes take on disk; the oldest go when there are more.
    pub max_megabytes: u32,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogConfig {
    /// `human` for people, `json` for machines.
    pub format: LogFormat,
    /// What to log: a level (`error`, `warn`, `info`, `debug`, `trace`), or directives such as `info,orch_node=debug`.
    pub filter: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Human,
    /// One JSON object an event.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/orch".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7443)),
            store: StoreConfig::default(),
            runtime: RuntimeConfig::default(),
            node: NodeConfig::default(),
            controllers: true,
            token_file: None,
            oidc: None,
            audit: AuditConfig::default(),
            history: HistoryOptions::default(),
            encryption_keys: None,
            mcp: McpConfig::default(),
            git: GitConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            kind: RuntimeKind::default(),
            containerd: "auto".into(),
            simulate_nodes: 0,
            simulate_faults: None,
            insecure_registries: Vec::new(),
        }
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: None,
            pod_cidr: "10.85.0.0/24".into(),
            cni_plugin_dirs: vec!["/usr/lib/cni".into(), "/opt/cni/bin".into()],
        }
    }
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self { keep_days: 7, max_megabytes: 256 }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".into() }
    }
}

impl Config {
    /// Reads a configuration file: one document of `apiVersion: orch.dev/v1, kind: Config`.
    ///
    /// # Errors
    /// If the file cannot be read, is not YAML, or says something that the configuration does not know; each field that
    /// is wrong is named with its line, and with a suggestion where one is near.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&path.display().to_string(), &text)
    }

    fn parse(source: &str, text: &str) -> Result<Self> {
        let documents = Manifest::parse(source, text).into_iter().collect::<Result<Vec<_>, _>>()?;
        let [mut manifest] = <[Manifest; 1]>::try_from(documents)
            .map_err(|documents| anyhow!("{source} must hold one document, not {}", documents.len()))?;
        let Value::Object(mut fields) = manifest.object.take() else { bail!("{source} is not an object") };
        let (version, kind) = (fields.remove("apiVersion"), fields.remove("kind"));
        if version != Some("orch.dev/v1".into()) || kind != Some("Config".into()) {
            bail!(
                "{source} is not a configuration\nhint: it begins with `apiVersion: orch.dev/v1` and `kind: Config`"
            );
        }
        let value = Value::Object(fields);
        let errors = Self::schema()?.check(&value);
        if !errors.is_empty() {
            let lines: Vec<String> = errors.iter().map(|error| describe(&manifest, error)).collect();
            bail!("{}", lines.join("\n"));
        }
        serde_json::from_value(value).with_context(|| format!("{source}: a value does not fit"))
    }

    /// The schema of the file, as published in `docs/config.md`.
    ///
    /// # Errors
    /// Never, unless the type's own definition is broken.
    pub fn schema() -> Result<std::sync::Arc<Schema>> {
        Ok(Schema::compile(&schemars::schema_for!(Self).to_value())?)
    }

    /// Says what cannot work before anything is started.
    ///
    /// # Errors
    /// If options contradict each other or one is missing.
    pub fn validate(&self) -> Result<()> {
        if self.store.backend == StoreBackend::Etcd && self.store.etcd.endpoints.is_empty() {
            bail!("the store `etcd` needs endpoints\nhint: give --etcd-endpoints http://127.0.0.1:2379");
        }
        let EtcdOptions { ca_file, cert_file, key_file, .. } = &self.store.etcd;
        if cert_file.is_some() != key_file.is_some() {
            let missing = if key_file.is_some() { "certFile" } else { "keyFile" };
            bail!(
                "store.etcd.{missing} is missing: a client certificate and its key are given together, or neither"
            );
        }
        if cert_file.is_some() && ca_file.is_none() {
            bail!("store.etcd.caFile is missing: without it, the client certificate is never shown");
        }
        if self.store.etcd.max_txn_ops < MIN_TXN_OPS {
            bail!(
                "store.etcd.maxTxnOps is {}, and must be at least {MIN_TXN_OPS}",
                self.store.etcd.max_txn_ops
            );
        }
        if self.store.backend == StoreBackend::Embedded && !self.store.etcd.endpoints.is_empty() {
            bail!("etcd endpoints are given, but the store is `embedded`\nhint: add --store etcd");
        }
        if self.runtime.kind != RuntimeKind::Simulated && self.runtime.simulate_nodes > 0 {
            bail!("nodes can only be simulated with the simulated runtime\nhint: add --runtime simulated");
        }
        if self.runtime.kind != RuntimeKind::Simulated && self.runtime.simulate_faults.is_some() {
            bail!("faults can only be simulated with the simulated runtime\nhint: add --runtime simulated");
        }
        Ok(())
    }
}

/// `file:line:column: what is wrong`, and what was probably meant.
fn describe(manifest: &Manifest, error: &FieldError) -> String {
    let place = match manifest.locate(error.path.as_str()) {
        Some(position) => format!("{}:{}:{}", manifest.source(), position.line, position.column),
        None => manifest.source().to_owned(),
    };
    let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("{place}: {error}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: orch.dev/v1\nkind: Config\n";

    fn parse(text: &str) -> Result<Config> {
        Config::parse("orchd.yaml", &format!("{HEAD}{text}"))
    }

    #[test]
    fn an_empty_configuration_is_the_default() {
        assert_eq!(parse("").unwrap(), Config::default());
        assert!(Config::parse("orchd.yaml", "listen: 0.0.0.0:1").is_err());
    }

    #[test]
    fn what_is_given_replaces_the_default() {
        let config = parse("listen: 0.0.0.0:6443\nruntime: {kind: simulated, simulateNodes: 100}\n").unwrap();
        assert_eq!(config.listen.port(), 6443);
        assert_eq!(config.runtime.simulate_nodes, 100);
        assert_eq!(config.node, NodeConfig::default());
    }

    #[test]
    fn a_misspelt_field_is_refused_with_its_line_and_a_suggestion() {
        let error = parse("runtime:\n  simulateNode: 3\n").unwrap_err().to_string();
        assert!(error.starts_with("orchd.yaml:4:3: "), "{error}");
        assert!(
            error.contains("runtime.simulateNode") && error.contains("did you mean `simulateNodes`"),
            "{error}"
        );
    }

    #[test]
    fn contradictions_are_refused_with_a_hint() {
        let config = parse("runtime: {simulateNodes: 3}").unwrap();
        assert!(config.validate().unwrap_err().to_string().contains("--runtime simulated"));
    }

    #[test]
    fn a_client_certificate_for_etcd_is_whole_or_not_given() {
        let refused = |etcd: &str| {
            let config = parse(&format!("store: {{etcd: {{{etcd}}}}}")).unwrap();
            config.validate().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(refused("caFile: a, certFile: b").starts_with("store.etcd.keyFile is missing"));
        assert!(refused("caFile: a, keyFile: c").starts_with("store.etcd.certFile is missing"));
        assert!(refused("certFile: b, keyFile: c").starts_with("store.etcd.caFile is missing"));
        for fine in ["caFile: a, certFile: b, keyFile: c", "caFile: a", "prefix: ''"] {
            assert_eq!(refused(fine), "", "{fine}");
        }
    }

    #[test]
    fn documents_are_counted() {
        for (text, count) in [("", 0), (&*format!("{HEAD}---\n{HEAD}"), 2)] {
            let error = Config::parse("orchd.yaml", text).unwrap_err().to_string();
            assert_eq!(error, format!("orchd.yaml must hold one document, not {count}"));
        }
    }
}
