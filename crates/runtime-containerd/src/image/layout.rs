//! Images from OCI layouts: directories or tar files, without any registry.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use futures::TryStreamExt as _;
use oci_spec::image::{Descriptor, ImageIndex};
use orch_runtime::{ImageStatus, RuntimeError};
use tokio_util::io::ReaderStream;

use super::{
    Images,
    content::Blob,
    ingest::{BlobError, BlobSource, Root, digest_of},
    parse,
};

/// Why a layout cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what the OCI image layout specification describes.
    #[error("{} is not an OCI layout: {reason}", path.display())]
    Invalid {
        /// What.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// containerd did not take it.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

struct LayoutDir(PathBuf);

impl LayoutDir {
    fn blob(&self, digest: &str) -> PathBuf {
        self.0.join("blobs").join(digest.replacen(':', "/", 1))
    }
}

#[async_trait::async_trait]
impl BlobSource for LayoutDir {
    async fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        let path = self.blob(descriptor.digest().as_ref());
        let file = tokio::fs::File::open(&path).await.map_err(|error| BlobError {
            retryable: false,
            message: format!("{}: {error}", path.display()),
        })?;
        const PART_BYTES: usize = 256 << 10;
        Ok(Box::pin(ReaderStream::with_capacity(file, PART_BYTES).map_ok(Into::into)))
    }
}

impl Images {
    /// Imports every image that the layout's index names; see [`ContainerdRuntime::import_oci_layout`](crate::ContainerdRuntime::import_oci_layout).
    pub(crate) async fn import(&self, path: &Path) -> Result<Vec<ImageStatus>, LayoutError> {
        let unpacked;
        let dir = if path.is_dir() {
            path.to_owned()
        } else {
            unpacked = untar(path).await?;
            unpacked.path.clone()
        };
        self.import_dir(LayoutDir(dir)).await
    }

    async fn import_dir(&self, layout: LayoutDir) -> Result<Vec<ImageStatus>, LayoutError> {
        let path = layout.0.join("index.json");
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| LayoutError::Read { path: path.clone(), source })
        };
        let invalid = |reason: String| LayoutError::Invalid { path: layout.0.clone(), reason };
        let index: ImageIndex =
            serde_json::from_slice(&read(&path)?).map_err(|error| invalid(error.to_string()))?;
        let mut images = Vec::new();
        for descriptor in index.manifests() {
            let Some(name) = name(descriptor) else { continue };
            let reference = parse(&name)?;
            let bytes = read(&layout.blob(descriptor.digest().as_ref()))?;
            if digest_of(&bytes) != descriptor.digest().to_string() {
                return Err(invalid(format!("{} has another digest", descriptor.digest())));
            }
            let root = Root { bytes: bytes.into(), descriptor: descriptor.clone() };
            let _pulling = self.pulls.lock(&reference.whole()).await;
            let info = self.ingest(&reference.whole(), &name, root, &layout).await?;
            images.push(info.status(reference.whole()));
        }
        if images.is_empty() {
            return Err(invalid("its index names no image (annotation io.containerd.image.name)".into()));
        }
        Ok(images)
    }
}

/// containerd's annotation has the full name; the specification's may be only a tag, which is no use here.
fn name(descriptor: &Descriptor) -> Option<String> {
    let annotations = descriptor.annotations().as_ref()?;
    let full = annotations.get("io.containerd.image.name");
    full.or_else(|| annotations.get("org.opencontainers.image.ref.name").filter(|name| name.contains('/')))
        .cloned()
}

/// A directory that goes when this is dropped.
struct Unpacked {
    path: PathBuf,
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "an unpacked layout is left");
        }
    }
}

/// Unpacks next to the tar file, where there is space for it.
async fn untar(path: &Path) -> Result<Unpacked, LayoutError> {
    let path = path.to_owned();
    let task = tokio::task::spawn_blocking(move || {
        let read = |source| LayoutError::Read { path: path.clone(), source };
        let mut file = File::open(&path).map_err(read)?;
        let mut magic = [0; 2];
        file.read_exact(&mut magic).map_err(read)?;
        let file = File::open(&path).map_err(read)?;
        let mut dir = path.clone().into_os_string();
        dir.push(format!(".unpacked-{}", std::process::id()));
        let unpacked = Unpacked { path: dir.into() };
        std::fs::create_dir_all(&unpacked.path).map_err(read)?;
        // `unpack` refuses entries that would end up outside.
        match magic {
            [0x1f, 0x8b] => tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(&unpacked.path),
            _ => tar::Archive::new(file).unpack(&unpacked.path),
        }
        .map_err(read)?;
        Ok(unpacked)
    });
    task.await.map_err(|error| LayoutError::Runtime(RuntimeError::failed("unpack layout", error)))?
}
