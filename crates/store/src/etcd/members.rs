//! The members of the cluster and the connections to them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Client, Error, KvClient, WatchClient};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::call::Failure;
use super::config::{EtcdConfig, Progress};
use crate::StoreError;

/// How long a member that failed is passed over, while another is left.
const DOWN_FOR: Duration = Duration::from_secs(1);
/// etcd cuts what it sends to a watch into fragments, but not the answer to a read.
const MAX_RESPONSE_BYTES: usize = 1 << 30;

/// All members, used in turn.
pub(super) struct Members {
    members: Vec<Member>,
    turn: AtomicUsize,
    pub(super) progress: Progress,
    pub(super) request_timeout: Duration,
}

/// One member, with a connection for watches, which carry much, and others for the rest.
pub(super) struct Member {
    kv: Vec<KvClient>,
    watch: WatchClient,
    turn: AtomicUsize,
    down_until: Mutex<Option<Instant>>,
}

impl Members {
    /// Prepares the connections, and asks every member for its version. One that does not answer is used once it
    /// does, except with a user: logging in needs an answer.
    pub(super) async fn open(config: &EtcdConfig) -> Result<Self, StoreError> {
        let mut members = Vec::new();
        let mut progress = Some(Progress::Requested);
        let mut failure = None;
        for endpoint in &config.endpoints {
            let opened = tokio::time::timeout(config.request_timeout, Member::open(config, endpoint)).await;
            match opened.map_or(Err(Failure::TimedOut), |opened| opened.map_err(Failure::Etcd)) {
                Ok((member, version)) => {
                    let of_member = version.map(|version| Progress::of_version(&version));
                    progress = progress.filter(|progress| of_member == Some(*progress));
                    members.push(member);
                }
                Err(error) => {
                    let error = error.unavailable("cannot connect to etcd");
                    tracing::warn!(
                        endpoint,
                        error = &error as &dyn std::error::Error,
                        "cannot use a member of etcd"
                    );
                    failure = Some(error);
                }
            }
        }
        if members.is_empty() {
            let none = || StoreError::Invalid { reason: "no endpoints of etcd are given".into() };
            return Err(failure.unwrap_or_else(none));
        }
        // A member whose version is not known may be old.
        let progress = config.progress.or(progress).unwrap_or(Progress::SeenInAllKeys);
        let request_timeout = config.request_timeout;
        Ok(Self { members, turn: AtomicUsize::new(0), progress, request_timeout })
    }

    /// The next member that is not known to be down, or any.
    pub(super) fn pick(&self) -> &Member {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (before, from) = self.members.split_at(turn % self.members.len());
        let up = from.iter().chain(before).find(|member| !member.is_down());
        up.unwrap_or(&from[0])
    }
}

impl Member {
    /// Prepares the connections, and asks for the version, which may fail.
    async fn open(config: &EtcdConfig, endpoint: &str) -> Result<(Self, Option<String>), Error> {
        let connect = || Client::connect([endpoint], Some(config.connect_options()));
        let mut clients = Vec::new();
        for _ in 0..config.connections.max(1) {
            clients.push(connect().await?);
        }
        let watch = connect().await?.watch_client().max_decoding_message_size(MAX_RESPONSE_BYTES);
        let version = clients[0].status().await;
        if let Err(error) = &version {
            tracing::warn!(endpoint, %error, "a member of etcd does not answer");
        }
        let kv = clients.into_iter().map(|client| {
            let client = client.kv_client().max_decoding_message_size(MAX_RESPONSE_BYTES);
            client.max_encoding_message_size(MAX_RESPONSE_BYTES)
        });
        let member =
            Self { kv: kv.collect(), watch, turn: AtomicUsize::new(0), down_until: Mutex::default() };
        Ok((member, version.ok().map(|status| status.version().to_owned())))
    }

    pub(super) fn kv(&self) -> KvClient {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.kv[turn % self.kv.len()].clone()
    }

    pub(super) fn watch(&self) -> WatchClient {
        self.watch.clone()
    }

    /// Passes it over for a while.
    pub(super) fn set_down(&self) {
        *self.down_until.lock() = Some(Instant::now() + DOWN_FOR);
    }

    fn is_down(&self) -> bool {
        self.down_until.lock().is_some_and(|until| Instant::now() < until)
    }
}
