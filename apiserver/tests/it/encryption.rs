//! Secrets at rest.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orch_apiserver::{EncryptedStore, Keyring};
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::{Key, ReadAt, Store, StoreError};
use serde_json::json;

use crate::host::{Host, MAPS, map};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
/// "hunter2", as JSON holds it.
const CONTENT: &str = "aHVudGVyMg==";

fn keys(lines: &[(&str, u8)]) -> Keyring {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let text: String =
        lines.iter().map(|(name, byte)| format!("{name}:{}\n", STANDARD.encode([*byte; 32]))).collect();
    std::fs::write(&path, text).unwrap();
    Keyring::read(path).unwrap()
}

fn encrypted(inner: Arc<dyn Store>, keys: Keyring) -> EncryptedStore {
    EncryptedStore::new(inner, keys, &orch_ontology::KINDS).unwrap()
}

fn embedded(directory: &Path) -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::open(EmbeddedConfig::new(directory.join("store"))).unwrap())
}

/// Whether any file below a directory holds a text.
fn holds(directory: &Path, text: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds(&path, text),
            false => std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()),
        }
    })
}

async fn host(store: EncryptedStore) -> Host {
    let host = Host::start_on(tempfile::tempdir().unwrap(), Arc::new(store)).await;
    host.post("/api/v1/namespaces", json!({"metadata": {"name": "default"}})).await;
    host
}

fn secret(name: &str) -> serde_json::Value {
    json!({"metadata": {"name": name}, "stringData": {"password": "hunter2"}})
}

#[tokio::test]
async fn secrets_are_not_on_the_disk_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(encrypted(embedded(directory.path()), keys(&[("a", 1)]))).await;
    let mut watch = host.watch(&format!("{SECRETS}?watch=true")).await;
    host.post(SECRETS, secret("s")).await.is(201);
    let event = watch.next().await.unwrap();
    assert_eq!(event["object"]["data"]["password"], CONTENT, "watchers see it plain");
    host.merge(&format!("{SECRETS}/s"), json!({"metadata": {"labels": {"a": "b"}}})).await.is(200);
    assert_eq!(host.get(&format!("{SECRETS}/s")).await.is(200)["data"]["password"], CONTENT);
    let past = host
        .get(&format!(
            "{SECRETS}?limit=1&resourceVersionMatch=Exact&resourceVersion={}",
            event["object"]["metadata"]["resourceVersion"].as_str().unwrap()
        ))
        .await
        .is(200);
    assert_eq!(past["items"][0]["data"]["password"], CONTENT, "lists of the past too");
    host.post(MAPS, map("open", json!({"k": "not-a-secret"}))).await.is(201);
    host.post(SECRETS, secret("s")).await.fails(409, "AlreadyExists", "");
    assert!(!holds(directory.path(), CONTENT) && !holds(directory.path(), "hunter2"));
    assert!(holds(directory.path(), "not-a-secret"), "the files that are looked at are the store's");
}

#[tokio::test]
async fn keys_are_rotated_by_rewriting() {
    let directory = tempfile::tempdir().unwrap();
    let inner = embedded(directory.path());
    host(encrypted(inner.clone(), Keyring::default())).await.post(SECRETS, secret("s")).await.is(201);
    assert!(holds(directory.path(), CONTENT), "without keys nothing is sealed");
    // Encrypting what was plain, then retiring the first key.
    for (ring, rewritten) in [
        (keys(&[("a", 1)]), 1),
        (keys(&[("a", 1)]), 0),
        (keys(&[("b", 2), ("a", 1)]), 1),
        (keys(&[("b", 2)]), 0),
    ] {
        assert_eq!(encrypted(inner.clone(), ring).rewrite().await.unwrap(), rewritten);
    }
    let host = host(encrypted(inner, keys(&[("b", 2)]))).await;
    assert_eq!(host.get(&format!("{SECRETS}/s")).await.is(200)["data"]["password"], CONTENT);
}

#[tokio::test]
async fn a_wrong_or_missing_key_names_the_object() {
    let directory = tempfile::tempdir().unwrap();
    let inner = embedded(directory.path());
    host(encrypted(inner.clone(), keys(&[("a", 1)]))).await.post(SECRETS, secret("s")).await.is(201);
    for ring in [Keyring::default(), keys(&[("b", 1)]), keys(&[("a", 2)])] {
        let error = encrypted(inner.clone(), ring).rewrite().await.unwrap_err();
        assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains("/registry/core/secrets/default/s") && error.contains("\"a\""), "{error}");
    }
}

#[tokio::test]
async fn a_value_that_was_moved_to_another_key_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    let inner = embedded(directory.path());
    let store = encrypted(inner.clone(), keys(&[("a", 1)]));
    host(store.clone()).await.post(SECRETS, secret("s")).await.is(201);
    let key = |name: &str| Key::new(format!("/registry/core/secrets/default/{name}")).unwrap();
    let sealed = inner.get(&key("s"), ReadAt::Latest).await.unwrap().unwrap().value;
    assert!(sealed.starts_with(b"orch:aes256gcm:v1:a:"));
    inner.commit(&[orch_store::Write::create(key("mine"), sealed)]).await.unwrap();
    store.get(&key("s"), ReadAt::Latest).await.unwrap().unwrap();
    let moved = store.get(&key("mine"), ReadAt::Latest).await.unwrap_err();
    assert!(
        matches!(&moved, StoreError::Unreadable { key, .. } if key.as_str().ends_with("/mine")),
        "{moved}"
    );
}
