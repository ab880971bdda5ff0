//! [`Connection`]: what a context of a kubeconfig comes down to.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::file::{Cluster, User};
use super::{Entry, Kubeconfig};
use crate::{ConfigError, TlsSettings};

/// What the command line says in place of the kubeconfig.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--context`
    pub context: Option<String>,
    /// `--server`
    pub server: Option<String>,
    /// `--namespace`
    pub namespace: Option<String>,
}

/// Everything needed to talk to one server as one user.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The server's address without a trailing slash: `https://127.0.0.1:7443`.
    pub server: String,
    /// Whom to trust, and the client certificate.
    pub tls: TlsSettings,
    /// What to send with each request.
    pub credentials: Credentials,
    /// The namespace that is meant where none is given.
    pub namespace: String,
}

/// How the caller proves who it is, beside a client certificate.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Not at all, or by certificate alone.
    #[default]
    None,
    /// By a bearer token.
    Token(String),
    /// By the bearer token in a file, which is read for each request because others renew it.
    TokenFile(PathBuf),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::TokenFile(file) => f.debug_tuple("TokenFile").field(file).finish(),
        }
    }
}

pub(super) fn resolve(config: &Kubeconfig, overrides: &Overrides) -> Result<Connection, ConfigError> {
    let chosen = overrides.context.as_ref().or(config.current_context.as_ref()).ok_or_else(|| {
        ConfigError::NoContext {
            files: config.files.clone(),
            known: config.contexts.iter().map(|entry| entry.name.clone()).collect(),
        }
    })?;
    let context = config.find("context", chosen, &config.contexts)?;
    let cluster = config.find("cluster", &context.value.cluster, &config.clusters)?;
    let user = match context.value.user.as_str() {
        "" => None,
        name => Some(config.find("user", name, &config.users)?),
    };
    let mut tls = trust(cluster)?;
    let mut credentials = Credentials::None;
    if let Some(user) = user {
        refuse_unsupported(user)?;
        identify(user, &mut tls)?;
        credentials = token(user);
    }
    let namespace = overrides.namespace.clone().or_else(|| non_empty(&context.value.namespace));
    Ok(Connection {
        server: server(cluster, overrides)?,
        tls,
        credentials,
        namespace: namespace.unwrap_or_else(|| "default".into()),
    })
}

fn server(cluster: &Entry<Cluster>, overrides: &Overrides) -> Result<String, ConfigError> {
    let server = overrides.server.as_ref().unwrap_or(&cluster.value.server).trim_end_matches('/');
    let problem = match server.split_once("://") {
        Some(("https" | "http", rest)) if !rest.is_empty() => return Ok(server.to_owned()),
        _ if server.is_empty() => {
            "is missing: it must be the server's address, such as https://127.0.0.1:7443".into()
        }
        _ => format!("{server:?} is not an address such as https://127.0.0.1:7443"),
    };
    Err(cluster.wrong("clusters", "cluster.server", problem))
}

fn trust(cluster: &Entry<Cluster>) -> Result<TlsSettings, ConfigError> {
    let Cluster { certificate_authority, certificate_authority_data, .. } = &cluster.value;
    if cluster.value.proxy_url.as_ref().is_some_and(|url| !url.is_empty()) {
        return Err(cluster.wrong(
            "clusters",
            "cluster.proxy-url",
            "proxies are not supported; reach the server directly",
        ));
    }
    let authority = cluster.pem(
        "clusters",
        ("cluster.certificate-authority", certificate_authority),
        ("cluster.certificate-authority-data", certificate_authority_data),
    )?;
    if cluster.value.insecure_skip_tls_verify && authority.is_some() {
        return Err(cluster.wrong(
            "clusters",
            "cluster.insecure-skip-tls-verify",
            "cannot be true beside a certificate-authority: leave one of them out",
        ));
    }
    Ok(TlsSettings {
        authority,
        insecure: cluster.value.insecure_skip_tls_verify,
        server_name: cluster.value.tls_server_name.clone().filter(|name| !name.is_empty()),
        identity: None,
    })
}

fn identify(user: &Entry<User>, tls: &mut TlsSettings) -> Result<(), ConfigError> {
    let User { client_certificate, client_certificate_data, client_key, client_key_data, .. } = &user.value;
    let certificate = user.pem(
        "users",
        ("user.client-certificate", client_certificate),
        ("user.client-certificate-data", client_certificate_data),
    )?;
    let key =
        user.pem("users", ("user.client-key", client_key), ("user.client-key-data", client_key_data))?;
    tls.identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(user.wrong("users", "user.client-key", "is missing beside client-certificate"));
        }
        (None, Some(_)) => {
            return Err(user.wrong("users", "user.client-certificate", "is missing beside client-key"));
        }
    };
    Ok(())
}

/// A file, which others may renew, wins over a token, as in kubectl.
fn token(user: &Entry<User>) -> Credentials {
    let User { token, token_file, .. } = &user.value;
    match (token_file.as_deref().and_then(non_empty), token.as_deref().and_then(non_empty)) {
        (Some(file), _) => Credentials::TokenFile(user.path(&file)),
        (None, Some(token)) => Credentials::Token(token),
        (None, None) => Credentials::None,
    }
}

fn refuse_unsupported(user: &Entry<User>) -> Result<(), ConfigError> {
    let User { exec, auth_provider, username, impersonate, .. } = &user.value;
    let problem = if exec.is_some() {
        ("user.exec", "credential plugins are not supported; use a client certificate, token or tokenFile")
    } else if auth_provider.is_some() {
        (
            "user.auth-provider",
            "auth providers are not supported; use a client certificate, token or tokenFile",
        )
    } else if username.as_ref().is_some_and(|name| !name.is_empty()) {
        ("user.username", "passwords are not supported; use a client certificate, token or tokenFile")
    } else if impersonate.as_ref().is_some_and(|name| !name.is_empty()) {
        ("user.as", "impersonation is not supported")
    } else {
        return Ok(());
    };
    Err(user.wrong("users", problem.0, problem.1))
}

impl<T> Entry<T> {
    /// The bytes of a field that exists as a path and as base64 data; data wins, as in kubectl.
    fn pem(
        &self,
        list: &str,
        path: (&str, &Option<String>),
        data: (&str, &Option<String>),
    ) -> Result<Option<Vec<u8>>, ConfigError> {
        if let Some(text) = data.1.as_ref().filter(|text| !text.is_empty()) {
            let compact: String = text.split_whitespace().collect();
            return match STANDARD.decode(compact) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) => Err(self.wrong(list, data.0, format!("is not base64: {error}"))),
            };
        }
        let Some(path_text) = path.1.as_ref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let file = self.path(path_text);
        match std::fs::read(&file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(source) => Err(ConfigError::Read { file, field: Some(self.field(list, path.0)), source }),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    fn field(&self, list: &str, field: &str) -> String {
        format!("{list}[{}].{field}", self.name)
    }

    fn wrong(&self, list: &str, field: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::Field {
            file: self.file.clone(),
            field: self.field(list, field),
            problem: problem.into(),
        }
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
