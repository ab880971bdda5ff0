//! How to reach etcd.

use std::fmt;
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::Limits;

/// Where etcd is and how to speak with it.
#[derive(Debug, Clone)]
pub struct EtcdConfig {
    /// The client URLs of the members. Requests are spread over those that answer.
    pub endpoints: Vec<String>,
    /// Put before every key, so that several stores can share one etcd. Empty by default.
    pub prefix: String,
    /// For `https` endpoints.
    pub tls: Option<EtcdTls>,
    /// For an etcd with authentication. The user needs to read and write all keys below `prefix`; on etcd before
    /// 3.4.25 and 3.5.8, to read all keys.
    pub user: Option<EtcdUser>,
    /// How many connections to each member reads and commits are spread over. Watches have one of their own.
    pub connections: usize,
    /// How many transactions with commits are on their way at a time. Commits that wait meanwhile go together in the
    /// next. At least 1.
    pub transactions: usize,
    /// How long a request may take, all attempts together.
    pub request_timeout: Duration,
    /// How much one commit may hold. More than the default needs an etcd started with `--max-txn-ops` or
    /// `--max-request-bytes`.
    pub limits: Limits,
    /// How to learn that a quiet watch has missed nothing. By default the version of etcd decides.
    pub progress: Option<Progress>,
}

impl EtcdConfig {
    /// The defaults, for these endpoints.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            prefix: String::new(),
            tls: None,
            user: None,
            connections: 1,
            transactions: 2,
            request_timeout: Duration::from_secs(5),
            limits: Limits::OF_ETCD,
            progress: None,
        }
    }

    pub(super) fn connect_options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .with_connect_timeout((self.request_timeout / 3).min(Duration::from_secs(1)))
            .with_keep_alive(Duration::from_secs(10), Duration::from_secs(3))
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some(tls) = &self.tls {
            options = options.with_tls(tls.options());
        }
        if let Some(user) = &self.user {
            options = options.with_user(&user.name, &user.password);
        }
        options
    }
}

/// Certificates, in PEM.
#[derive(Clone)]
pub struct EtcdTls {
    /// Who signed the servers' certificates.
    pub ca: Vec<u8>,
    /// Our certificate and key, for an etcd that asks for them.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name to expect in the servers' certificates, if not the host of the endpoint.
    pub domain: Option<String>,
}

impl EtcdTls {
    fn options(&self) -> TlsOptions {
        let mut options = TlsOptions::new().ca_certificate(Certificate::from_pem(&self.ca));
        if let Some((certificate, key)) = &self.identity {
            options = options.identity(Identity::from_pem(certificate, key));
        }
        match &self.domain {
            Some(domain) => options.domain_name(domain),
            None => options,
        }
    }
}

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// Name and password.
#[derive(Clone)]
pub struct EtcdUser {
    /// The user's name.
    pub name: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for EtcdUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdUser").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a watch learns that it has reached a revision although nothing changed below its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It asks. Right from etcd 3.4.25 and 3.5.8 on; before, the answer may overtake changes.
    Requested,
    /// It watches every key, and passes over what is not its concern. Right on every etcd; costs the traffic of all
    /// who write to it.
    SeenInAllKeys,
}

impl Progress {
    /// What is right for this version of etcd.
    pub(super) fn of_version(version: &str) -> Self {
        let mut numbers = version.split(['.', '-', '+']).map_while(|number| number.parse::<u32>().ok());
        let mut next = || numbers.next().unwrap_or(0);
        match (next(), next(), next()) {
            (3, 4, 25..) | (3, 5, 8..) | (3, 6.., _) | (4.., _, _) => Self::Requested,
            _ => Self::SeenInAllKeys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_requested_where_the_answer_can_be_trusted() {
        for version in ["3.4.25", "3.4.31", "3.5.8", "3.5.16", "3.6.0", "3.6.0-rc.1", "4.0.0"] {
            assert_eq!(Progress::of_version(version), Progress::Requested, "{version}");
        }
        for version in ["3.4.23", "3.4.24", "3.5.0", "3.5.7", "3.3.27", "", "unknown"] {
            assert_eq!(Progress::of_version(version), Progress::SeenInAllKeys, "{version}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let user = EtcdUser { name: "orch".into(), password: "hidden".into() };
        let identity = Some((b"hidden".to_vec(), b"hidden".to_vec()));
        let tls = EtcdTls { ca: Vec::new(), identity, domain: None };
        let config = EtcdConfig { user: Some(user), tls: Some(tls), ..EtcdConfig::new(["http://etcd:2379"]) };
        let printed = format!("{config:?}");
        assert!(printed.contains("orch") && !printed.contains("hidden") && !printed.contains("104"));
    }
}
