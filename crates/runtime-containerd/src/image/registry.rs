//! Blobs from a registry.

use std::{str::FromStr as _, sync::OnceLock, time::Duration};

use bytes::Bytes;
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol, SizedStream},
    errors::{OciDistributionError as Error, OciErrorCode},
    secrets::RegistryAuth as Secret,
};
use oci_spec::image::{Descriptor, Digest, MediaType};
use orch_runtime::{PullOptions, RuntimeError};

use super::{
    content::Blob,
    ingest::{BlobError, BlobSource, Root, digest_of},
};
use crate::config::Registries;

/// Longest that a registry may say nothing.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(15);

const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

pub(super) struct RegistryClients {
    registries: Registries,
    /// For pulls without credentials; connections are kept between them. One for HTTPS, one for HTTP.
    anonymous: [OnceLock<Client>; 2],
}

/// One repository of a registry, with what it takes to read it.
pub(super) struct Repository {
    client: Client,
    reference: Reference,
}

impl RegistryClients {
    pub(super) fn new(registries: Registries) -> Self {
        Self { registries, anonymous: [OnceLock::new(), OnceLock::new()] }
    }

    /// Asks the registry what the reference points to.
    pub(super) async fn resolve(
        &self,
        image: &str,
        reference: &Reference,
        options: &PullOptions,
    ) -> Result<(Root, Repository), RuntimeError> {
        let client = self.client(reference, options);
        let secret = secret(options);
        let failed = |error: Error| pull_error(image, &error);
        client.auth(reference, &secret, RegistryOperation::Pull).await.map_err(failed)?;
        let (bytes, digest) =
            client.pull_manifest_raw(reference, &secret, &MANIFESTS).await.map_err(failed)?;
        let root = root(image, reference, bytes, &digest)?;
        Ok((root, Repository { client, reference: reference.clone() }))
    }

    /// With credentials it is a client of its own: what one pod may pull another may not.
    fn client(&self, reference: &Reference, options: &PullOptions) -> Client {
        let insecure = self.registries.is_insecure(reference.resolve_registry());
        let make = || {
            let protocol = if insecure { ClientProtocol::Http } else { ClientProtocol::Https };
            let read_timeout = Some(SILENCE);
            Client::new(ClientConfig {
                protocol,
                read_timeout,
                connect_timeout: Some(CONNECT),
                ..Default::default()
            })
        };
        match (&options.auth, &self.anonymous) {
            (Some(_), _) => make(),
            (None, [secure, plain]) => if insecure { plain } else { secure }.get_or_init(make).clone(),
        }
    }
}

fn secret(options: &PullOptions) -> Secret {
    match &options.auth {
        Some(auth) => Secret::Basic(auth.username.clone(), auth.password.clone()),
        None => Secret::Anonymous,
    }
}

/// Checks the manifest against the digest that was asked for, whatever the registry says.
fn root(image: &str, reference: &Reference, bytes: Bytes, digest: &str) -> Result<Root, RuntimeError> {
    let refused =
        |message: String| RuntimeError::PullFailed { image: image.to_owned(), retryable: false, message };
    let actual = digest_of(&bytes);
    for wanted in reference.digest().into_iter().chain([digest]) {
        if wanted != actual {
            return Err(refused(format!("the registry sent {actual} for {wanted}")));
        }
    }
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| refused(format!("its manifest: {error}")))?;
    // Optional in OCI, where only an index has manifests.
    let fallback = if value.get("manifests").is_some() { MANIFESTS[0] } else { MANIFESTS[1] };
    let media_type = MediaType::from(value["mediaType"].as_str().unwrap_or(fallback));
    let digest = Digest::from_str(&actual).map_err(|error| refused(error.to_string()))?;
    let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest);
    Ok(Root { bytes, descriptor })
}

#[async_trait::async_trait]
impl BlobSource for Repository {
    async fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        let digest = descriptor.digest().to_string();
        // A manifest that an index names is not among the blobs.
        if MANIFESTS.contains(&descriptor.media_type().to_string().as_str()) {
            let manifest = self.reference.clone_with_digest(digest);
            let (bytes, _) = self
                .client
                .pull_manifest_raw(&manifest, &Secret::Anonymous, &MANIFESTS)
                .await
                .map_err(|error| blob_error(&error))?;
            return Ok(Box::pin(futures::stream::iter([Ok(bytes)])));
        }
        let SizedStream { stream, .. } = self
            .client
            .pull_blob_stream(&self.reference, digest.as_str())
            .await
            .map_err(|error| blob_error(&error))?;
        Ok(stream)
    }
}

fn blob_error(error: &Error) -> BlobError {
    BlobError { retryable: is_retryable(error), message: chain(error) }
}

fn pull_error(image: &str, error: &Error) -> RuntimeError {
    let image = image.to_owned();
    let missing = match error {
        Error::ImageManifestNotFoundError(_) => true,
        Error::ServerError { code, .. } => *code == 404,
        Error::RegistryError { envelope, .. } => envelope.errors.iter().any(|error| {
            matches!(
                error.code,
                OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound
            )
        }),
        _ => false,
    };
    match missing {
        true => RuntimeError::ImageNotFound { image },
        false => RuntimeError::PullFailed { image, retryable: is_retryable(error), message: chain(error) },
    }
}

/// Trouble with the network or the server, rather than with what was asked.
fn is_retryable(error: &Error) -> bool {
    match error {
        Error::RequestError(_) | Error::IoError(_) => true,
        Error::ServerError { code, .. } => *code >= 500 || *code == 429 || *code == 408,
        Error::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| matches!(error.code, OciErrorCode::Toomanyrequests))
        }
        _ => false,
    }
}

/// The error with its causes: reqwest says only "error sending request" by itself.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
