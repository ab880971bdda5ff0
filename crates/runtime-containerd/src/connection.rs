//! Calls to containerd: namespace, deadline and lease on each request, errors by meaning.

use std::{error::Error as _, path::Path, time::Duration};

use containerd_client::services::v1::{
    containers_client::ContainersClient, content_client::ContentClient, diff_client::DiffClient,
    events_client::EventsClient, images_client::ImagesClient, introspection_client::IntrospectionClient,
    leases_client::LeasesClient, namespaces_client::NamespacesClient,
    snapshots::snapshots_client::SnapshotsClient, tasks_client::TasksClient, version_client::VersionClient,
};
use orch_runtime::RuntimeError;
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

/// Longest that containerd may take for anything but waiting for a process; a stopped containerd is noticed by it.
const DEADLINE: Duration = Duration::from_secs(120);
/// containerd's own limit on messages.
const LARGEST_MESSAGE_BYTES: usize = 16 << 20;

/// A connection that is made when first used, and again after containerd was restarted. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    channel: Channel,
    pub(crate) namespace: String,
    header: MetadataValue<Ascii>,
}

macro_rules! services {
    ($($service:ident: $client:ident),* $(,)?) => {$(
        pub(crate) fn $service(&self) -> $client<Channel> {
            $client::new(self.channel.clone()).max_decoding_message_size(LARGEST_MESSAGE_BYTES)
        }
    )*};
}

impl Connection {
    pub(crate) fn new(socket: &Path, namespace: &str) -> Result<Self, RuntimeError> {
        let invalid =
            || RuntimeError::invalid("containerd.namespace", format!("{namespace:?} is not a namespace"));
        let header = namespace.parse().map_err(|_| invalid())?;
        let socket = socket.to_owned();
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move {
                let stream = tokio::net::UnixStream::connect(socket).await?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
            }
        });
        // The address is never used: the connector knows the socket.
        let channel = Endpoint::from_static("http://containerd.sock").connect_with_connector_lazy(connect);
        Ok(Self { channel, namespace: namespace.to_owned(), header })
    }

    services! {
        containers: ContainersClient,
        content: ContentClient,
        diff: DiffClient,
        events: EventsClient,
        images: ImagesClient,
        introspection: IntrospectionClient,
        leases: LeasesClient,
        namespaces: NamespacesClient,
        snapshots: SnapshotsClient,
        tasks: TasksClient,
        version: VersionClient,
    }

    /// A request that must be answered soon.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.waiting(message);
        request.set_timeout(DEADLINE);
        request
    }

    /// A request that is answered when something happens.
    pub(crate) fn waiting<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", self.header.clone());
        request
    }
}

/// What an answer of containerd means.
pub(crate) trait Answer<T> {
    /// The message; anything else is an error.
    fn done(self, action: &str) -> Result<T, RuntimeError>;
    /// The message, or `None` if the object does not exist.
    fn found(self, action: &str) -> Result<Option<T>, RuntimeError>;
    /// The message, or `None` if the object exists already.
    fn fresh(self, action: &str) -> Result<Option<T>, RuntimeError>;
}

impl<T> Answer<T> for Result<Response<T>, Status> {
    fn done(self, action: &str) -> Result<T, RuntimeError> {
        self.map(Response::into_inner).map_err(|status| error(action, status))
    }

    fn found(self, action: &str) -> Result<Option<T>, RuntimeError> {
        unless(self, Code::NotFound, action)
    }

    fn fresh(self, action: &str) -> Result<Option<T>, RuntimeError> {
        unless(self, Code::AlreadyExists, action)
    }
}

fn unless<T>(
    answer: Result<Response<T>, Status>,
    code: Code,
    action: &str,
) -> Result<Option<T>, RuntimeError> {
    match answer {
        Ok(response) => Ok(Some(response.into_inner())),
        Err(status) if status.code() == code && !is_local(&status) => Ok(None),
        Err(status) => Err(error(action, status)),
    }
}

/// Whether the status was made on our side, because containerd could not be asked or did not answer.
pub(crate) fn is_local(status: &Status) -> bool {
    status.source().is_some()
}

pub(crate) fn error(action: &str, status: Status) -> RuntimeError {
    let unreachable =
        is_local(&status) || matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
    if unreachable {
        let message = format!("{action}: {}", status.message());
        return RuntimeError::Unavailable { message, source: Some(Box::new(status)) };
    }
    RuntimeError::failed(action, status.message())
}
