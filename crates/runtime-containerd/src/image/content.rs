//! Blobs in containerd's content store.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use containerd_client::services::v1::{
    AbortRequest, AddResourceRequest, CreateRequest, DeleteRequest, Info, InfoRequest, ReadContentRequest,
    Resource, UpdateRequest, WriteAction, WriteContentRequest,
};
use futures::{StreamExt as _, stream::BoxStream};
use oci_spec::image::Descriptor;
use orch_runtime::RuntimeError;
use parking_lot::Mutex;
use std::sync::Arc;
use tonic::{Code, Request};

use crate::connection::{Answer, Connection, error, is_local};

/// Longest manifest, index or configuration.
pub(super) const LARGEST_DOCUMENT_BYTES: u64 = 8 << 20;
/// A lease that nobody ends, ends so long after its start.
const LEASE: Duration = Duration::from_secs(24 * 3600);
const RESUME: &str = "containerd.io/gc.expire";

/// The bytes of a blob, in order.
pub(super) type Blob = BoxStream<'static, std::io::Result<Bytes>>;

#[derive(Clone)]
pub(super) struct Content {
    connection: Connection,
    writes: Arc<AtomicU64>,
}

/// Keeps what is being written from garbage collection until it is [`end`](Content::end)ed.
pub(super) struct Lease {
    pub(super) id: String,
}

impl Content {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, writes: Arc::default() }
    }

    /// A whole small blob, or `None` if it is not there or too large to be a document.
    pub(super) async fn read(&self, digest: &str) -> Result<Option<Vec<u8>>, RuntimeError> {
        let message = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
        let mut content = self.connection.content();
        let Some(mut stream) = content.read(self.connection.request(message)).await.found("read content")?
        else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(part)) => bytes.extend_from_slice(&part.data),
                Ok(None) => return Ok(Some(bytes)),
                Err(status) if status.code() == Code::NotFound && !is_local(&status) => return Ok(None),
                Err(status) => return Err(error("read content", status)),
            }
            if bytes.len() as u64 > LARGEST_DOCUMENT_BYTES {
                return Ok(None);
            }
        }
    }

    pub(super) async fn lease(&self) -> Result<Lease, RuntimeError> {
        let expiry = jiff::Timestamp::now() + LEASE;
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let id = format!("orch-pull-{nanos}-{}", self.writes.fetch_add(1, Ordering::Relaxed));
        let labels = HashMap::from([(RESUME.to_owned(), format!("{expiry:.0}"))]);
        let request = self.connection.request(CreateRequest { id: id.clone(), labels });
        self.connection.leases().create(request).await.done("create lease")?;
        Ok(Lease { id })
    }

    pub(super) async fn end(&self, lease: Lease) {
        let request = self.connection.request(DeleteRequest { id: lease.id, sync: false });
        if let Err(error) = self.connection.leases().delete(request).await.found("end lease") {
            tracing::warn!(%error, "a lease is left to expire");
        }
    }

    /// Whether the blob is there; if so it is kept as long as the lease.
    pub(super) async fn has(&self, digest: &str, lease: &Lease) -> Result<bool, RuntimeError> {
        let resource = Resource { id: digest.to_owned(), r#type: "content".into() };
        let message = AddResourceRequest { id: lease.id.clone(), resource: Some(resource) };
        self.connection
            .leases()
            .add_resource(self.connection.request(message))
            .await
            .found("lease content")?;
        let info = self.connection.request(InfoRequest { digest: digest.to_owned() });
        Ok(self.connection.content().info(info).await.found("find content")?.is_some())
    }

    /// Stores a blob; containerd checks size and digest. The labels are set in any case.
    ///
    /// The outer error is containerd's, the inner one the source's or that the content is not what was promised.
    pub(super) async fn write(
        &self,
        descriptor: &Descriptor,
        blob: Blob,
        labels: HashMap<String, String>,
        lease: &Lease,
    ) -> Result<Result<(), String>, RuntimeError> {
        let writing = format!("{}-{}", lease.id, self.writes.fetch_add(1, Ordering::Relaxed));
        let broken = Arc::new(Mutex::new(None));
        let messages = messages(writing.clone(), descriptor, blob, labels.clone(), broken.clone());
        let mut request = self.connection.waiting(messages);
        add_lease(&mut request, lease);
        let outcome = self.follow(request).await;
        let problem = broken.lock().take();
        if let Some(problem) = problem {
            self.abort(writing).await;
            return Ok(Err(problem));
        }
        match outcome {
            Ok(()) => Ok(Ok(())),
            Err(status) if status.code() == Code::AlreadyExists => {
                self.label(descriptor.digest().as_ref(), labels).await?;
                Ok(Ok(()))
            }
            Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument) => {
                self.abort(writing).await;
                Ok(Err(status.message().to_owned()))
            }
            Err(status) => Err(error("write content", status)),
        }
    }

    async fn follow(
        &self,
        request: Request<impl futures::Stream<Item = WriteContentRequest> + Send + 'static>,
    ) -> Result<(), tonic::Status> {
        let mut answers = self.connection.content().write(request).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok(())
    }

    async fn abort(&self, writing: String) {
        let request = self.connection.request(AbortRequest { r#ref: writing });
        if let Err(error) = self.connection.content().abort(request).await.found("abort write") {
            tracing::debug!(%error, "an unfinished write is left to garbage collection");
        }
    }

    async fn label(&self, digest: &str, labels: HashMap<String, String>) -> Result<(), RuntimeError> {
        if labels.is_empty() {
            return Ok(());
        }
        let mut paths: Vec<String> = labels.keys().map(|key| format!("labels.{key}")).collect();
        paths.sort();
        let info = Info { digest: digest.to_owned(), labels, ..Info::default() };
        let update_mask = Some(prost_types::FieldMask { paths });
        let request = self.connection.request(UpdateRequest { info: Some(info), update_mask });
        self.connection.content().update(request).await.done("label content").map(drop)
    }
}

pub(super) fn add_lease<T>(request: &mut Request<T>, lease: &Lease) {
    if let Ok(id) = lease.id.parse() {
        request.metadata_mut().insert("containerd-lease", id);
    }
}

/// One write: the parts with their offsets, then the commit. What the source cannot deliver is left in `broken`.
fn messages(
    writing: String,
    descriptor: &Descriptor,
    blob: Blob,
    labels: HashMap<String, String>,
    broken: Arc<Mutex<Option<String>>>,
) -> impl futures::Stream<Item = WriteContentRequest> + Send + 'static {
    let template = WriteContentRequest {
        action: WriteAction::Write.into(),
        r#ref: writing,
        total: i64::try_from(descriptor.size()).unwrap_or(i64::MAX),
        expected: descriptor.digest().to_string(),
        offset: 0,
        data: Vec::new(),
        labels: HashMap::new(),
    };
    let commit = Some(WriteContentRequest { action: WriteAction::Commit.into(), labels, ..template.clone() });
    futures::stream::unfold((blob, 0, commit), move |(mut blob, offset, mut commit)| {
        let (template, broken) = (template.clone(), broken.clone());
        async move {
            let end = commit.as_ref()?.clone();
            match blob.next().await {
                Some(Ok(data)) => {
                    let next = offset + i64::try_from(data.len()).unwrap_or(0);
                    let message = WriteContentRequest { offset, data: data.into(), ..template };
                    Some((message, (blob, next, commit)))
                }
                Some(Err(problem)) => {
                    *broken.lock() = Some(problem.to_string());
                    None
                }
                None => {
                    commit = None;
                    Some((WriteContentRequest { offset, ..end }, (blob, offset, commit)))
                }
            }
        }
    })
}
