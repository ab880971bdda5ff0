//! Images: names, content, snapshots.
//!
//! An image is a record in containerd (name → descriptor) that holds its content by garbage collection labels: the index holds the
//! manifest, that holds configuration and layers, the configuration holds the unpacked snapshot.

mod content;
mod ingest;
mod layout;
mod registry;
mod unpack;

use std::{collections::HashMap, sync::Arc};

use containerd_client::services::v1::{DeleteImageRequest, GetImageRequest, Image, ListImagesRequest};
use oci_client::Reference;
use oci_spec::image::{Arch, Config, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Os};
use orch_runtime::{ImageStatus, PullOptions, RuntimeError};
use parking_lot::Mutex;

use self::content::Content;
pub(crate) use self::ingest::digest_of;
pub use self::layout::LayoutError;
pub(crate) use self::unpack::{mount_temporarily, unmount_leftovers};
use crate::{
    config::Registries,
    connection::{Answer, Connection},
    keyed::Keyed,
};

/// The images of one containerd namespace.
pub(crate) struct Images {
    connection: Connection,
    content: Content,
    snapshotter: String,
    registries: registry::RegistryClients,
    /// By the digest of what a name points to; content never changes, so neither does this.
    known: Mutex<HashMap<String, Arc<ImageInfo>>>,
    pulls: Keyed<String>,
}

/// What an image is, apart from its name.
#[derive(Debug)]
pub(crate) struct ImageInfo {
    /// Of the index if there is one, else of the manifest.
    pub(crate) digest: String,
    /// Of the configuration.
    pub(crate) id: String,
    size_bytes: u64,
    /// Name of the unpacked snapshot.
    pub(crate) chain_id: String,
    pub(crate) config: Config,
}

impl ImageInfo {
    fn new(
        digest: String,
        manifest: &ImageManifest,
        configuration: &ImageConfiguration,
        manifest_bytes: u64,
    ) -> Self {
        let blobs: u64 = manifest.layers().iter().chain([manifest.config()]).map(Descriptor::size).sum();
        Self {
            digest,
            id: manifest.config().digest().to_string(),
            size_bytes: blobs + manifest_bytes,
            chain_id: unpack::chain_ids(configuration.rootfs().diff_ids()).pop().unwrap_or_default(),
            config: configuration.config().clone().unwrap_or_default(),
        }
    }

    fn status(&self, reference: String) -> ImageStatus {
        let user = self.config.user().clone().filter(|user| !user.is_empty());
        let (digest, id) = (self.digest.clone(), self.id.clone());
        ImageStatus { reference, digest, id, size_bytes: self.size_bytes, user }
    }
}

impl Images {
    pub(crate) fn new(connection: Connection, snapshotter: String, registries: Registries) -> Self {
        Self {
            content: Content::new(connection.clone()),
            connection,
            snapshotter,
            registries: registry::RegistryClients::new(registries),
            known: Mutex::new(HashMap::new()),
            pulls: Keyed::new(),
        }
    }

    pub(crate) async fn status(&self, image: &str) -> Result<Option<ImageStatus>, RuntimeError> {
        let Ok(reference) = parse(image) else { return Ok(None) };
        let info = self.find(&reference.whole()).await?;
        Ok(info.map(|info| info.status(reference.whole())))
    }

    /// The image of a reference as in a container's spec.
    pub(crate) async fn info(&self, image: &str) -> Result<Arc<ImageInfo>, RuntimeError> {
        let info = self.find(&parse(image)?.whole()).await?;
        info.ok_or_else(|| RuntimeError::ImageNotFound { image: image.to_owned() })
    }

    pub(crate) async fn list(&self) -> Result<Vec<ImageStatus>, RuntimeError> {
        let request = self.connection.request(ListImagesRequest { filters: Vec::new() });
        let images = self.connection.images().list(request).await.done("list images")?.images;
        let mut statuses = Vec::with_capacity(images.len());
        for image in images {
            let name = image.name.clone();
            // What someone else put into our namespace half way is no image of ours.
            if let Some(info) = self.describe(image).await? {
                statuses.push(info.status(name));
            }
        }
        statuses.sort();
        Ok(statuses)
    }

    pub(crate) async fn remove(&self, image: &str) -> Result<(), RuntimeError> {
        let Ok(reference) = parse(image) else { return Ok(()) };
        // Not synchronous: that would collect all garbage of containerd before it answers.
        let request = DeleteImageRequest { name: reference.whole(), sync: false, target: None };
        self.connection.images().delete(self.connection.request(request)).await.found("remove image")?;
        Ok(())
    }

    pub(crate) async fn pull(&self, image: &str, options: &PullOptions) -> Result<ImageStatus, RuntimeError> {
        let reference = parse(image)?;
        // A second pull of the same name waits, and then finds the blobs of the first.
        let _pulling = self.pulls.lock(&reference.whole()).await;
        let (root, source) = self.registries.resolve(image, &reference, options).await?;
        let info = self.ingest(&reference.whole(), image, root, &source).await?;
        Ok(info.status(reference.whole()))
    }

    async fn find(&self, name: &str) -> Result<Option<Arc<ImageInfo>>, RuntimeError> {
        let request = self.connection.request(GetImageRequest { name: name.to_owned() });
        match self.connection.images().get(request).await.found("get image")?.and_then(|answer| answer.image)
        {
            Some(image) => self.describe(image).await,
            None => Ok(None),
        }
    }

    /// `None` if its content is not complete or not for this machine.
    async fn describe(&self, image: Image) -> Result<Option<Arc<ImageInfo>>, RuntimeError> {
        let Some(target) = image.target else { return Ok(None) };
        if let Some(known) = self.known.lock().get(&target.digest) {
            return Ok(Some(known.clone()));
        }
        let Some(mut bytes) = self.content.read(&target.digest).await? else { return Ok(None) };
        if let Some(index) = as_index(&bytes) {
            let Some(manifest) = for_this_machine(&index) else { return Ok(None) };
            let Some(read) = self.content.read(manifest.digest().as_ref()).await? else { return Ok(None) };
            bytes = read;
        }
        let Ok(manifest) = serde_json::from_slice::<ImageManifest>(&bytes) else { return Ok(None) };
        let Some(config) = self.content.read(manifest.config().digest().as_ref()).await? else {
            return Ok(None);
        };
        let Ok(configuration) = serde_json::from_slice(&config) else { return Ok(None) };
        let info =
            Arc::new(ImageInfo::new(target.digest.clone(), &manifest, &configuration, bytes.len() as u64));
        self.known.lock().insert(target.digest, info.clone());
        Ok(Some(info))
    }
}

fn parse(image: &str) -> Result<Reference, RuntimeError> {
    image.parse().map_err(|error: oci_client::ParseError| {
        RuntimeError::invalid("image", format!("{image:?}: {error}"))
    })
}

/// The bytes as an image index, or Docker's manifest list, if they are one.
fn as_index(bytes: &[u8]) -> Option<ImageIndex> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    value.get("manifests")?;
    serde_json::from_value(value).ok()
}

/// The manifest for this machine's architecture; the only one if it names none.
fn for_this_machine(index: &ImageIndex) -> Option<&Descriptor> {
    let (os, arch) = (Os::Linux, Arch::default());
    let fits = |descriptor: &&Descriptor| {
        descriptor
            .platform()
            .as_ref()
            .is_some_and(|platform| *platform.os() == os && *platform.architecture() == arch)
    };
    index.manifests().iter().find(fits).or(match index.manifests().as_slice() {
        [only] if only.platform().is_none() => Some(only),
        _ => None,
    })
}
