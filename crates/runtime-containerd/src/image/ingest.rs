//! From a source of blobs to an image that containers can be made of.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use containerd_client::{
    services::v1::{CreateImageRequest, Image, UpdateImageRequest},
    types,
};
use futures::TryStreamExt as _;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};
use orch_runtime::RuntimeError;
use sha2::{Digest as _, Sha256};

use super::{
    ImageInfo, Images, as_index,
    content::{Blob, LARGEST_DOCUMENT_BYTES, Lease},
    for_this_machine,
};
use crate::connection::Answer;

/// Where blobs come from.
#[async_trait::async_trait]
pub(super) trait BlobSource: Send + Sync {
    async fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError>;
}

/// Why a blob did not come.
pub(super) struct BlobError {
    pub(super) retryable: bool,
    pub(super) message: String,
}

/// What a name points to: its bytes, whose digest was checked, and its descriptor.
pub(super) struct Root {
    pub(super) bytes: Bytes,
    pub(super) descriptor: Descriptor,
}

/// One run: what it is for, and under which lease.
struct Ingest<'a> {
    images: &'a Images,
    source: &'a dyn BlobSource,
    /// The image as the caller named it.
    image: &'a str,
    lease: &'a Lease,
}

impl Images {
    /// Brings and unpacks what is missing, then names it. Nothing is named that is not complete.
    pub(super) async fn ingest(
        &self,
        name: &str,
        image: &str,
        root: Root,
        source: &dyn BlobSource,
    ) -> Result<Arc<ImageInfo>, RuntimeError> {
        let lease = self.content.lease().await?;
        let ingest = Ingest { images: self, source, image, lease: &lease };
        let outcome = match ingest.run(&root).await {
            Ok(info) => self.name(name, &root.descriptor).await.map(|()| info),
            Err(error) => Err(error),
        };
        self.content.end(lease).await;
        let info = Arc::new(outcome?);
        self.known.lock().insert(info.digest.clone(), info.clone());
        Ok(info)
    }

    async fn name(&self, name: &str, target: &Descriptor) -> Result<(), RuntimeError> {
        let image = Image { name: name.to_owned(), target: Some(descriptor(target)), ..Image::default() };
        let create = CreateImageRequest { image: Some(image.clone()), source_date_epoch: None };
        let created =
            self.connection.images().create(self.connection.request(create)).await.fresh("name image")?;
        if created.is_none() {
            let update_mask = Some(prost_types::FieldMask { paths: vec!["target".into()] });
            let update = UpdateImageRequest { image: Some(image), update_mask, source_date_epoch: None };
            self.connection.images().update(self.connection.request(update)).await.done("name image")?;
        }
        Ok(())
    }
}

impl Ingest<'_> {
    async fn run(&self, root: &Root) -> Result<ImageInfo, RuntimeError> {
        let index = as_index(&root.bytes);
        let manifest = match &index {
            None => Root { bytes: root.bytes.clone(), descriptor: root.descriptor.clone() },
            Some(index) => {
                let none = || self.refused("it has no manifest for this machine's architecture");
                let descriptor = for_this_machine(index).ok_or_else(none)?.clone();
                Root { bytes: self.document(&descriptor).await?, descriptor }
            }
        };
        let parsed: ImageManifest = serde_json::from_slice(&manifest.bytes)
            .map_err(|error| self.refused(format!("its manifest: {error}")))?;
        let config = self.document(parsed.config()).await?;
        let configuration: ImageConfiguration = serde_json::from_slice(&config)
            .map_err(|error| self.refused(format!("its configuration: {error}")))?;
        let layers = parsed.layers();
        let diff_ids = configuration.rootfs().diff_ids();
        if layers.len() != diff_ids.len() {
            return Err(self.refused(format!("{} layers and {} diff ids", layers.len(), diff_ids.len())));
        }
        self.layers(layers).await?;
        let chain_id = self.images.unpack(layers, diff_ids, self.lease).await?;
        // Bottom up, so that whatever is there holds what it points to.
        let snapshot = format!("containerd.io/gc.ref.snapshot.{}", self.images.snapshotter);
        self.store(parsed.config(), config, HashMap::from([(snapshot, chain_id)])).await?;
        let held = layers.iter().map(|layer| layer.digest().to_string()).enumerate();
        let mut labels: HashMap<String, String> =
            held.map(|(n, digest)| (format!("containerd.io/gc.ref.content.l.{n}"), digest)).collect();
        labels.insert("containerd.io/gc.ref.content.config".into(), parsed.config().digest().to_string());
        self.store(&manifest.descriptor, manifest.bytes.clone(), labels).await?;
        if index.is_some() {
            let held = ("containerd.io/gc.ref.content.m.0".into(), manifest.descriptor.digest().to_string());
            self.store(&root.descriptor, root.bytes.clone(), HashMap::from([held])).await?;
        }
        let digest = root.descriptor.digest().to_string();
        Ok(ImageInfo::new(digest, &parsed, &configuration, manifest.bytes.len() as u64))
    }

    /// Brings the layers that are not here, a few at a time.
    async fn layers(&self, layers: &[Descriptor]) -> Result<(), RuntimeError> {
        const AT_ONCE: usize = 3;
        futures::stream::iter(layers.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |layer| self.layer(layer))
            .await
    }

    async fn layer(&self, layer: &Descriptor) -> Result<(), RuntimeError> {
        if self.images.content.has(layer.digest().as_ref(), self.lease).await? {
            return Ok(());
        }
        let blob = self.source.open(layer).await.map_err(|error| self.pull_failed(error))?;
        let written = self.images.content.write(layer, blob, HashMap::new(), self.lease).await?;
        written.map_err(|problem| self.unfinished(layer, problem))
    }

    /// A small blob, checked.
    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, RuntimeError> {
        let digest = descriptor.digest().to_string();
        if self.images.content.has(&digest, self.lease).await?
            && let Some(bytes) = self.images.content.read(&digest).await?
        {
            return Ok(bytes.into());
        }
        if descriptor.size() > LARGEST_DOCUMENT_BYTES {
            return Err(self.refused(format!("{digest} is larger than {LARGEST_DOCUMENT_BYTES} bytes")));
        }
        let mut blob = self.source.open(descriptor).await.map_err(|error| self.pull_failed(error))?;
        let mut bytes = Vec::new();
        while let Some(part) =
            blob.try_next().await.map_err(|problem| self.unfinished(descriptor, problem.to_string()))?
        {
            bytes.extend_from_slice(&part);
            if bytes.len() as u64 > descriptor.size() {
                break;
            }
        }
        if digest_of(&bytes) != digest {
            return Err(self.refused(format!("the content of {digest} has another digest")));
        }
        Ok(bytes.into())
    }

    async fn store(
        &self,
        descriptor: &Descriptor,
        bytes: Bytes,
        labels: HashMap<String, String>,
    ) -> Result<(), RuntimeError> {
        let blob = Box::pin(futures::stream::iter([Ok(bytes)]));
        let written = self.images.content.write(descriptor, blob, labels, self.lease).await?;
        written.map_err(|problem| self.unfinished(descriptor, problem))
    }

    /// What the content is does not allow it; another attempt finds the same.
    fn refused(&self, message: impl Into<String>) -> RuntimeError {
        self.pull_failed(BlobError { retryable: false, message: message.into() })
    }

    /// A blob did not come through; a digest that differs differs again.
    fn unfinished(&self, descriptor: &Descriptor, problem: String) -> RuntimeError {
        let wrong = problem.contains("digest") || problem.contains("size");
        let message = format!("{}: {problem}", descriptor.digest());
        self.pull_failed(BlobError { retryable: !wrong, message })
    }

    fn pull_failed(&self, error: BlobError) -> RuntimeError {
        let BlobError { retryable, message } = error;
        RuntimeError::PullFailed { image: self.image.to_owned(), retryable, message }
    }
}

/// containerd's form of a descriptor.
pub(super) fn descriptor(descriptor: &Descriptor) -> types::Descriptor {
    types::Descriptor {
        media_type: descriptor.media_type().to_string(),
        digest: descriptor.digest().to_string(),
        size: i64::try_from(descriptor.size()).unwrap_or(i64::MAX),
        annotations: HashMap::new(),
    }
}

/// As in `sha256:0123…`.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
