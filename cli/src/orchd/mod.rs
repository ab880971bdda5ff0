//! `orchd`: the process that everything runs in.

mod access;
mod callers;
mod certificates;
mod config;
#[cfg(test)]
mod config_docs;
mod containerd;
mod data_dir;
mod faults;
mod git;
mod image;
mod logging;
mod mcp;
mod members;
mod nodes;
mod pod_network;
mod reset;
mod store;
mod token_key;
mod up;
mod webhook;

pub use access::{AuditConfig, OidcOptions};
pub use config::{Config, LogFormat, RuntimeKind, StoreBackend};
pub use mcp::McpConfig;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// Orch's server: API, controllers, scheduler and node agent in one process.
#[derive(Parser)]
#[command(name = "orchd", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Orchd {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  # Run everything on this machine (needs root and containerd's binaries)
  orchd up

  # Try it without root: 100 simulated nodes
  orchd up --data-dir /tmp/orch --runtime simulated --simulate-nodes 100

  # Keep objects in etcd
  orchd up --store etcd --etcd-endpoints http://127.0.0.1:2379

  # A second server over the same etcd, without a node; first copy the pki directory of the first
  # into its data directory
  orchd up --store etcd --etcd-endpoints http://127.0.0.1:2379 --runtime none

  # Then, from another terminal
  orchctl --kubeconfig /var/lib/orch/admin.kubeconfig get nodes";

#[derive(Subcommand)]
enum Command {
    /// Run the API server, the controllers, the scheduler and a node on this machine.
    Up(Box<Up>),
    /// Remove everything that `orchd up` has made on this machine: containers, networks, objects, keys.
    Reset {
        #[command(flatten)]
        data_dir: DataDirArg,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Images on this machine, for when there is no registry.
    #[command(subcommand)]
    Image(Image),
    /// The key that signs service accounts' tokens.
    #[command(subcommand)]
    TokenKey(TokenKey),
    /// Write a container's log; started by containerd for each container.
    #[command(name = containerd::LOGGER, hide = true)]
    ContainerLog {
        /// What the log is about, as the runtime wrote it down.
        config: String,
    },
}

#[derive(Subcommand)]
enum Image {
    /// Import an OCI image layout: a directory or a tar file.
    Import {
        #[command(flatten)]
        data_dir: DataDirArg,
        /// The layout
        layout: PathBuf,
    },
    /// List the images.
    Ls {
        #[command(flatten)]
        data_dir: DataDirArg,
    },
}

#[derive(Subcommand)]
enum TokenKey {
    /// Make a new key. Tokens of the old one stay good until it is forgotten.
    Rotate {
        #[command(flatten)]
        data_dir: DataDirArg,
    },
    /// Forget the old keys: their tokens are worth nothing from then on.
    Forget {
        #[command(flatten)]
        data_dir: DataDirArg,
    },
}

#[derive(Args)]
struct DataDirArg {
    /// The data directory of `orchd up`
    #[arg(long, value_name = "DIR", default_value = "/var/lib/orch")]
    data_dir: PathBuf,
}

impl Orchd {
    /// Carries out the command line.
    ///
    /// # Errors
    /// Whatever could not be done, with a hint where there is one.
    pub fn run(self) -> Result<()> {
        match self.command {
            // Small and without threads: one of these runs for every container.
            Command::ContainerLog { config } => Ok(orch_runtime_containerd::logger::run(&config)?),
            Command::Up(up) => {
                let config = up.config()?;
                block_on(up::run(config))
            }
            Command::Reset { data_dir, yes } => block_on(reset::run(&data_dir.data_dir, yes)),
            Command::TokenKey(TokenKey::Rotate { data_dir }) => token_key::rotate(&data_dir.data_dir),
            Command::TokenKey(TokenKey::Forget { data_dir }) => token_key::forget(&data_dir.data_dir),
            Command::Image(Image::Import { data_dir, layout }) => {
                block_on(image::import(&data_dir.data_dir, &layout))
            }
            Command::Image(Image::Ls { data_dir }) => block_on(image::list(&data_dir.data_dir)),
        }
    }
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Flags of `orchd up`. What is not given comes from the configuration file, and else is the default.
#[derive(Args)]
struct Up {
    /// A configuration file; flags win over what it says. See docs/config.md.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the store, keys, logs and volumes live [default: /var/lib/orch]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address that the API is served on [default: 127.0.0.1:7443]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where objects are kept [default: embedded]
    #[arg(long, value_enum)]
    store: Option<StoreBackend>,
    /// URLs of the etcd members, separated by commas
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    etcd_endpoints: Vec<String>,
    /// What runs the containers [default: containerd]
    #[arg(long, value_enum)]
    runtime: Option<RuntimeKind>,
    /// `auto`, `private`, or the socket of the containerd to use [default: auto]
    #[arg(long, value_name = "SOCKET")]
    containerd: Option<String>,
    /// Whether to run the controllers and the scheduler; of those that share an etcd, one does at a time [default: true]
    #[arg(long, value_name = "BOOL")]
    controllers: Option<bool>,
    /// How many nodes to simulate, with `--runtime simulated` [default: 1]
    #[arg(long, value_name = "N")]
    simulate_nodes: Option<u32>,
    /// What goes wrong on simulated nodes: a YAML file, as docs/simulation.md says
    #[arg(long, value_name = "FILE")]
    simulate_faults: Option<PathBuf>,
    /// The range that pods on this machine get their addresses from [default: 10.85.0.0/24]
    #[arg(long, value_name = "CIDR")]
    pod_cidr: Option<String>,
    /// Static bearer tokens, as CSV: token,user,uid,"group1,group2"
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Another issuer, by whose tokens people are known: its https URL
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    oidc_issuer_url: Option<String>,
    /// The audience that the issuer's tokens for this server have
    #[arg(long, value_name = "ID", requires = "oidc_issuer_url")]
    oidc_client_id: Option<String>,
    /// The claim that names the user [default: sub]
    #[arg(long, value_name = "CLAIM", requires = "oidc_issuer_url")]
    oidc_username_claim: Option<String>,
    /// What is put before the user's name [default: the issuer and `#`]
    #[arg(long, value_name = "PREFIX", requires = "oidc_issuer_url")]
    oidc_username_prefix: Option<String>,
    /// The claim that lists the user's groups
    #[arg(long, value_name = "CLAIM", requires = "oidc_issuer_url")]
    oidc_groups_claim: Option<String>,
    /// What is put before the user's groups
    #[arg(long, value_name = "PREFIX", requires = "oidc_issuer_url")]
    oidc_groups_prefix: Option<String>,
    /// The certificate authority of the issuer, in PEM [default: those that the machine trusts]
    #[arg(long, value_name = "FILE", requires = "oidc_issuer_url")]
    oidc_ca_file: Option<PathBuf>,
    /// Where requests that change something are recorded; `none`: nowhere [default: audit.log in the data directory]
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,
    /// The keys that secrets are encrypted with: lines of NAME:BASE64 (32 bytes), of which the first encrypts
    #[arg(long, value_name = "FILE")]
    encryption_keys: Option<PathBuf>,
    /// Let AI agents run commands in containers through /mcp, if their roles let them
    #[arg(long)]
    mcp_exec: bool,
    /// A directory below which GitSyncs may read repositories of this machine (file://); may be given several times
    #[arg(long, value_name = "DIR")]
    git_local_root: Vec<PathBuf>,
    /// How log lines are written [default: human]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// What to log, such as `debug` or `info,orch_node=debug` [default: info]
    #[arg(long, value_name = "FILTER", env = "ORCH_LOG")]
    log: Option<String>,
}

impl Up {
    fn oidc(&self) -> Option<OidcOptions> {
        Some(OidcOptions {
            issuer_url: self.oidc_issuer_url.clone()?,
            client_id: self.oidc_client_id.clone()?,
            username_claim: self.oidc_username_claim.clone().unwrap_or_else(|| "sub".to_owned()),
            username_prefix: self.oidc_username_prefix.clone(),
            groups_claim: self.oidc_groups_claim.clone(),
            groups_prefix: self.oidc_groups_prefix.clone().unwrap_or_default(),
            ca_file: self.oidc_ca_file.clone(),
        })
    }

    fn config(self) -> Result<Config> {
        let oidc = self.oidc();
        let mut config = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        give(&mut config.data_dir, self.data_dir);
        give(&mut config.listen, self.listen);
        give(&mut config.store.backend, self.store);
        if !self.etcd_endpoints.is_empty() {
            config.store.etcd.endpoints = self.etcd_endpoints;
        }
        give(&mut config.runtime.kind, self.runtime);
        give(&mut config.controllers, self.controllers);
        give(&mut config.runtime.containerd, self.containerd);
        give(&mut config.runtime.simulate_nodes, self.simulate_nodes);
        config.runtime.simulate_faults = self.simulate_faults.or(config.runtime.simulate_faults);
        give(&mut config.node.pod_cidr, self.pod_cidr);
        config.token_file = self.token_file.or(config.token_file);
        config.oidc = oidc.or(config.oidc);
        if let Some(path) = self.audit_log {
            config.audit.enabled = path.as_os_str() != "none";
            config.audit.path = Some(path);
        }
        config.encryption_keys = self.encryption_keys.or(config.encryption_keys);
        config.mcp.exec |= self.mcp_exec;
        config.git.local_roots.extend(self.git_local_root);
        give(&mut config.log.format, self.log_format);
        give(&mut config.log.filter, self.log);
        config.validate()?;
        Ok(config)
    }
}

fn give<T>(field: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *field = value;
    }
}
