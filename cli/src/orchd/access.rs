//! Who may come in, what is recorded of them, and what is encrypted, as the configuration says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use orch_apiserver::{
    Audit, AuditFile, AuditLog, AuditPolicy, AuditRule, EncryptedStore, History, HistoryConfig,
    HistoryRetention, Keyring, Oidc, OidcConfig, TokenIssuer, TokenKeys,
};
use orch_client::TlsSettings;
use orch_ontology::KINDS;
use orch_store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::Signal;
use tracing::{error, info};

use super::config::{Config, HistoryOptions};
use super::data_dir::DataDir;

/// What is recorded of requests that change something, one line of JSON (`audit.k8s.io/v1`) each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Whether anything is recorded.
    pub enabled: bool,
    /// The file; `audit.log` in the data directory if absent.
    pub path: Option<PathBuf>,
    /// The size at which the file is put aside and another begun.
    pub max_megabytes: u64,
    /// How many files that were put aside are kept.
    pub keep: u32,
    /// The first rule that matches a request says how much of it is recorded; nothing is if none does. If absent: what changes
    /// something and what runs in containers, as metadata.
    pub rules: Option<Vec<AuditRule>>,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { enabled: true, path: None, max_megabytes: 100, keep: 5, rules: None }
    }
}

/// An OpenID Connect issuer, by whose tokens people are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcOptions {
    /// The issuer's `https` URL, exactly as its tokens name it.
    pub issuer_url: String,
    /// The audience that tokens for this server have.
    pub client_id: String,
    /// The claim that names the user. `sub` unless given.
    #[serde(default = "subject")]
    pub username_claim: String,
    /// What is put before the name; `-` is nothing. The issuer and `#` unless given, and nothing for the claim `email`.
    #[serde(default)]
    pub username_prefix: Option<String>,
    /// The claim that lists the user's groups.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// What is put before the groups.
    #[serde(default)]
    pub groups_prefix: String,
    /// The certificate authority of the issuer, in PEM; those that the machine trusts unless given.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn subject() -> String {
    "sub".to_owned()
}

/// The audit log, if one is wanted.
pub(crate) fn audit(config: &AuditConfig, data: &DataDir) -> Result<Option<Audit>> {
    if !config.enabled {
        return Ok(None);
    }
    let file = AuditFile {
        path: config.path.clone().unwrap_or_else(|| data.audit_log()),
        max_bytes: config.max_megabytes.saturating_mul(1 << 20),
        keep: config.keep,
    };
    let policy = config.rules.clone().map_or_else(AuditPolicy::default, |rules| AuditPolicy { rules });
    Ok(Some(Audit { log: AuditLog::open(file)?, policy }))
}

/// The issuer of people's tokens, if there is one.
pub(crate) fn oidc(options: Option<&OidcOptions>) -> Result<Option<Oidc>> {
    let Some(options) = options else { return Ok(None) };
    let read =
        |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let settings =
        TlsSettings { authority: options.ca_file.as_ref().map(read).transpose()?, ..TlsSettings::default() };
    let tls = settings.client_config(&[b"h2", b"http/1.1"]).map_err(anyhow::Error::msg)?;
    Ok(Some(Oidc::new(OidcConfig {
        issuer_url: options.issuer_url.clone(),
        client_id: options.client_id.clone(),
        username_claim: options.username_claim.clone(),
        username_prefix: options.username_prefix.clone(),
        groups_claim: options.groups_claim.clone(),
        groups_prefix: options.groups_prefix.clone(),
        tls,
    })?))
}

/// The keys that secrets are encrypted with, if there are any.
pub(crate) fn keyring(config: &Config) -> Result<Keyring> {
    Ok(config.encryption_keys.as_deref().map(Keyring::read).transpose()?.unwrap_or_default())
}

/// Where changes are recorded, if they are to be.
pub(crate) fn history(options: &HistoryOptions, data: &DataDir, keys: Keyring) -> Result<Option<History>> {
    if options.keep_days == 0 {
        return Ok(None);
    }
    let retention = HistoryRetention {
        age: Duration::from_secs(u64::from(options.keep_days) * 24 * 3600),
        bytes: u64::from(options.max_megabytes.max(1)) << 20,
        ..HistoryRetention::default()
    };
    Ok(Some(History::open(HistoryConfig { directory: data.history(), retention, keys })?))
}

/// The store, with secrets encrypted. Those that are not encrypted with the first key are encrypted anew.
///
/// # Errors
/// If the keys cannot be read, or none of them opens one of the secrets, which is named.
pub(crate) async fn encrypted(store: Arc<dyn Store>, keys: Keyring) -> Result<Arc<dyn Store>> {
    let store = EncryptedStore::new(store, keys, &KINDS)?;
    let hint =
        "secrets cannot be read\nhint: --encryption-keys must name every key that they were encrypted with";
    let rewritten = store.rewrite().await.context(hint)?;
    if rewritten > 0 {
        info!(rewritten, "secrets have been encrypted with the first of the encryption keys");
    }
    Ok(Arc::new(store))
}

/// Who service accounts' tokens say that they come from. The name is Kubernetes' own, and the same whatever the address.
pub(crate) fn token_issuer(data: &DataDir, address: SocketAddr) -> Result<TokenIssuer> {
    Ok(TokenIssuer {
        keys: TokenKeys::open_or_create(data.token_key())?,
        issuer: "https://kubernetes.default.svc".into(),
        jwks_uri: format!("https://{address}/openid/v1/jwks"),
    })
}

/// Reads the keys of tokens again at every SIGHUP, for ever.
pub(crate) async fn reload_at(mut hangups: Signal, keys: TokenKeys) {
    while hangups.recv().await.is_some() {
        match keys.reload() {
            Ok(()) => info!("the keys of service accounts' tokens have been read again"),
            Err(error) => error!(%error, "the keys of service accounts' tokens stay as they were"),
        }
    }
}
