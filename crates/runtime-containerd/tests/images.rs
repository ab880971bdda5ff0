//! Pulling from a real registry, and importing layouts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod host;

use std::fs;

use host::{IMAGE, Node, registry::Registry};
use orch_runtime::{PullOptions, RegistryAuth, Runtime, RuntimeError, conformance};
use orch_runtime_containerd::{LayoutError, testing::build_busybox_layout};
use serde_json::{Value, json};

/// `agent:s3cret`, bcrypt as docker-registry wants it.
const HTPASSWD: &str = "agent:$2b$04$H.NPTUhdJ7xvCtUMhFfmDubQ3MZOx5d36u2tkCdhyKS6XzywM8vZm\n";

fn failure(error: RuntimeError) -> (bool, String) {
    match error {
        RuntimeError::PullFailed { retryable, message, .. } => (retryable, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_by_digest() {
    let (registry, node) = (Registry::start(), Node::empty().await);
    let digest = registry.push("team/busybox:1.36", None);
    let (runtime, none) = (node.runtime(), PullOptions::default());
    let by_tag = runtime.pull_image(&format!("{}/team/busybox:1.36", registry.address), &none).await.unwrap();
    assert_eq!(by_tag.digest, digest);
    let reference = format!("{}/team/busybox@{digest}", registry.address);
    let by_digest = runtime.pull_image(&reference, &none).await.unwrap();
    assert_eq!((&by_digest.id, &by_digest.reference), (&by_tag.id, &reference));
    assert_eq!(runtime.list_images().await.unwrap().len(), 2);
    let pod = conformance::sandbox("by-digest");
    runtime.ensure_sandbox(&pod).await.unwrap();
    let container = conformance::container(&pod, &reference, &["true"]);
    runtime.create_container(&container).await.unwrap();
    runtime.start_container(&container.id).await.unwrap();
    assert_eq!(conformance::exit_of(&*runtime, &container.id).await.code, 0);
}

#[tokio::test]
async fn content_that_is_not_what_its_digest_says_is_refused() {
    let (registry, node) = (Registry::start(), Node::empty().await);
    let digest = registry.push("busybox:1", None);
    let manifest: Value = serde_json::from_slice(&fs::read(registry.blob(&digest)).unwrap()).unwrap();
    let layer = registry.blob(manifest["layers"][0]["digest"].as_str().unwrap());
    let mut bytes = fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&layer, bytes).unwrap();
    let image = format!("{}/busybox:1", registry.address);
    let (runtime, none) = (node.runtime(), PullOptions::default());
    let (retryable, message) = failure(runtime.pull_image(&image, &none).await.unwrap_err());
    assert!(!retryable && message.to_lowercase().contains("digest"), "{message}");
    assert_eq!(runtime.image_status(&image).await.unwrap(), None);
    let wrong = format!("{}/busybox@sha256:{}", registry.address, "0".repeat(64));
    match runtime.pull_image(&wrong, &none).await.unwrap_err() {
        RuntimeError::ImageNotFound { image } => assert_eq!(image, wrong),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_registry_that_wants_credentials_gets_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("htpasswd");
    fs::write(&file, HTPASSWD).unwrap();
    let auth = format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
    let (registry, node) = (Registry::with(&auth), Node::empty().await);
    registry.push("private:1", Some("agent:s3cret"));
    let (runtime, image) = (node.runtime(), format!("{}/private:1", registry.address));
    for auth in [None, Some(RegistryAuth { username: "agent".into(), password: "wrong".into() })] {
        let (retryable, message) =
            failure(runtime.pull_image(&image, &PullOptions { auth }).await.unwrap_err());
        assert!(!retryable, "{message}");
        assert!(!message.contains("wrong"), "{message}");
    }
    let auth = Some(RegistryAuth { username: "agent".into(), password: "s3cret".into() });
    runtime.pull_image(&image, &PullOptions { auth }).await.unwrap();
    let (retryable, _) = failure(runtime.pull_image(&image, &PullOptions::default()).await.unwrap_err());
    assert!(!retryable, "credentials of one pull are not used for another");
}

#[tokio::test]
async fn a_registry_that_is_down_may_be_up_later() {
    let node = Node::empty().await;
    let address = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let pulled = node.runtime().pull_image(&format!("{address}/busybox:1"), &PullOptions::default()).await;
    let (retryable, message) = failure(pulled.unwrap_err());
    assert!(retryable && message.contains("refused"), "{message}");
}

#[tokio::test]
async fn an_index_is_resolved_to_this_machines_architecture() {
    let node = Node::empty().await;
    let layout = node.dir.path().join("layout");
    build_busybox_layout(&layout, IMAGE).unwrap();
    let mut top: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let ours = top["manifests"][0].clone();
    let other = json!({
        "mediaType": ours["mediaType"], "size": 2, "digest": format!("sha256:{}", "1".repeat(64)),
        "platform": { "architecture": "s390x", "os": "linux" },
    });
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index =
        json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": [other, ours] }).to_string();
    let file = node.dir.path().join("index");
    fs::write(&file, &index).unwrap();
    let sum = std::process::Command::new("sha256sum").arg(&file).output().unwrap().stdout;
    let hex = String::from_utf8(sum).unwrap()[..64].to_owned();
    fs::rename(&file, layout.join("blobs/sha256").join(&hex)).unwrap();
    let digest = format!("sha256:{hex}");
    top["manifests"] = json!([{
        "mediaType": media_type, "size": index.len(), "digest": digest,
        "annotations": { "io.containerd.image.name": IMAGE },
    }]);
    fs::write(layout.join("index.json"), top.to_string()).unwrap();
    let images = node.runtime().import_oci_layout(&layout).await.unwrap();
    assert_eq!((images.len(), &images[0].digest), (1, &digest));
    // Another client has only what containerd has.
    let mut node = node;
    let again = node.connect().await.image_status(IMAGE).await.unwrap();
    assert_eq!(again.as_ref(), Some(&images[0]));
}

#[tokio::test]
async fn a_directory_that_is_no_layout_is_refused() {
    let node = Node::empty().await;
    let runtime = node.runtime();
    let missing = runtime.import_oci_layout(node.dir.path().join("nothing")).await.unwrap_err();
    assert!(matches!(missing, LayoutError::Read { .. }), "{missing:?}");
    let layout = node.dir.path().join("layout");
    build_busybox_layout(&layout, IMAGE).unwrap();
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    blobs.for_each(|blob| fs::write(blob.unwrap().path(), "{}").unwrap());
    let altered = runtime.import_oci_layout(&layout).await.unwrap_err();
    assert!(matches!(altered, LayoutError::Invalid { .. }), "{altered:?}");
    assert_eq!(runtime.list_images().await.unwrap(), []);
}
