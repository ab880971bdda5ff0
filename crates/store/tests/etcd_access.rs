//! The etcd backend where etcd asks who is there: TLS with client certificates, users with passwords.

#![expect(clippy::unwrap_used, reason = "tests")]

use etcd_client::{Client, Permission, PermissionType};
use futures::StreamExt as _;
use orch_store::etcd::{EtcdConfig, EtcdStore, EtcdTls, EtcdUser, Progress};
use orch_store::testing::EtcdServer;
use orch_store::{Key, Prefix, ReadAt, Store, StoreError, Write};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Writes, reads back and watches.
async fn use_store(store: &EtcdStore) {
    let key = Key::new("/a").unwrap();
    let start = store.revision().await.unwrap();
    let mut watch = store.watch(&Prefix::all(), start).await.unwrap();
    let created = store.commit(&[Write::create(key.clone(), "1")]).await.unwrap();
    assert_eq!(store.get(&key, ReadAt::Latest).await.unwrap().unwrap().modified, created);
    assert_eq!(watch.next().await.unwrap().unwrap().revision, created);
    store.commit(&[Write::delete(key, created)]).await.unwrap();
}

/// What the error does not say itself.
fn cause(error: &StoreError) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

struct Certificates {
    directory: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { directory: tempfile::tempdir().unwrap(), ca }
    }

    fn sign(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.ca).unwrap();
        (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn certificates_are_checked_on_both_sides() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let certificates = Certificates::new();
    let ca = certificates.ca.pem().into_bytes();
    let (server, server_key) = certificates.sign("etcd.test");
    let files = [("ca", &ca), ("server", &server), ("key", &server_key)];
    let [ca_file, server_file, key_file] = files.map(|(name, content)| certificates.file(name, content));
    let arguments = ["--client-cert-auth", "--trusted-ca-file", &ca_file];
    let arguments = [&arguments[..], &["--cert-file", &server_file, "--key-file", &key_file]].concat();
    let tls =
        EtcdTls { ca, identity: Some(certificates.sign("orch.test")), domain: Some("etcd.test".into()) };
    let etcd = EtcdServer::start_tls(tls.clone(), &arguments).await;
    use_store(&etcd.store().await).await;

    let stranger = Certificates::new();
    for tls in [
        EtcdTls { identity: None, ..tls.clone() },
        EtcdTls { identity: Some(stranger.sign("orch.test")), ..tls.clone() },
        EtcdTls { ca: stranger.ca.pem().into_bytes(), ..tls.clone() },
        EtcdTls { domain: Some("other.test".into()), ..tls },
    ] {
        let request_timeout = std::time::Duration::from_millis(500);
        let config = EtcdConfig { tls: Some(tls), request_timeout, ..etcd.config() };
        let error = EtcdStore::connect(config).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_user_needs_no_more_than_the_prefix() {
    let etcd = EtcdServer::start_fast().await;
    let admin = Client::connect([etcd.endpoint()], None).await.unwrap();
    let mut auth = admin.auth_client();
    auth.role_add("mine").await.unwrap();
    let permission = Permission::new(PermissionType::Readwrite, "/mine/").with_prefix();
    auth.role_grant_permission("mine", permission).await.unwrap();
    for (user, role) in [("root", "root"), ("orch", "mine")] {
        auth.user_add(user, "secret", None).await.unwrap();
        if role == "root" {
            auth.role_add("root").await.unwrap();
        }
        auth.user_grant_role(user, role).await.unwrap();
    }
    auth.auth_enable().await.unwrap();

    let user = |name: &str, password: &str| Some(EtcdUser { name: name.into(), password: password.into() });
    let config = EtcdConfig { prefix: "/mine".into(), user: user("orch", "secret"), ..etcd.config() };
    let config = EtcdConfig { progress: Some(Progress::Requested), ..config };
    use_store(&EtcdStore::connect(config.clone()).await.unwrap()).await;

    // This etcd cannot be asked for progress reliably, so that by default all keys must be watched.
    let store = EtcdStore::connect(EtcdConfig { progress: None, ..config.clone() }).await.unwrap();
    let Err(error) = store.watch(&Prefix::all(), store.revision().await.unwrap()).await else { panic!() };
    assert!(error.to_string().contains("permission denied"), "{error}");
    use_store(
        &EtcdStore::connect(EtcdConfig { user: user("root", "secret"), ..config.clone() }).await.unwrap(),
    )
    .await;

    for stranger in [None, user("orch", "wrong")] {
        let request_timeout = std::time::Duration::from_millis(500);
        let config = EtcdConfig { user: stranger, request_timeout, ..config.clone() };
        let error = EtcdStore::connect(config).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { ambiguous: false, .. }), "{error}");
    }
    let elsewhere = EtcdStore::connect(EtcdConfig { prefix: "/theirs".into(), ..config }).await.unwrap_err();
    assert!(cause(&elsewhere).contains("permission denied"), "{elsewhere}");
}
