//! kube-apiserver in a process of its own, on an etcd: what `hack/kube-apiserver` builds.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use orch_client::Connection;
use orch_transport::Authority;

use super::server::Server;
use super::wire::Wire;

const DEADLINE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(2);

/// What it calls itself: `Kubernetes v1.20.2`.
pub(crate) fn version(binary: &Path) -> Result<String> {
    let output = Command::new(binary).arg("--version").output();
    let output = output.with_context(|| format!("{} does not run", binary.display()))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Starts one with its defaults, RBAC and TLS, and waits until it is ready and has its first namespace. `like` is a
/// connection whose other settings are kept.
pub(crate) async fn start(binary: &Path, etcd: &str, like: &Connection) -> Result<Server> {
    let directory = tempfile::Builder::new().prefix("kube-bench-").tempdir()?;
    let authority = Authority::open_or_create(directory.path())?;
    let serving = authority.issue_server(&["127.0.0.1"])?;
    let admin = authority.issue_client("admin", &["system:masters"])?;
    let file = |name: &str| directory.path().join(name).display().to_string();
    fs::write(file("tls.crt"), &serving.certificate_pem)?;
    fs::write(file("tls.key"), &serving.key_pem)?;
    // It wants RSA or ECDSA for service accounts' tokens, of which none are made here.
    let key = Command::new("openssl").args(["genrsa", "-out", &file("sa.key"), "2048"]).output()?;
    ensure!(key.status.success(), "openssl makes no key: {}", String::from_utf8_lossy(&key.stderr));
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let log = fs::File::create(file("log"))?;
    let start = Instant::now();
    let mut process = Command::new(binary)
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--insecure-port=0"])
        .args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24"])
        .args(["--authorization-mode=Node,RBAC", "--service-account-issuer=https://kubernetes.default.svc"])
        .args([format!("--secure-port={port}"), format!("--etcd-servers={etcd}")])
        .args([format!("--tls-cert-file={}", file("tls.crt")), format!("--cert-dir={}", file(""))])
        .args([format!("--tls-private-key-file={}", file("tls.key"))])
        .args([format!("--client-ca-file={}", file("ca.crt"))])
        .args(["signing-key", "key"].map(|key| format!("--service-account-{key}-file={}", file("sa.key"))))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let mut connection = like.clone();
    connection.server = format!("https://127.0.0.1:{port}");
    connection.tls.authority = Some(authority.certificate_pem().into());
    connection.tls.identity = Some((admin.certificate_pem.into(), admin.key_pem.into()));
    let ready = until_ready(&mut process, &connection).await;
    if let Err(error) = ready {
        drop(process.kill());
        drop(process.wait());
        bail!("kube-apiserver is not ready: {error}: {}", fs::read_to_string(file("log"))?);
    }
    Ok(Server::other(process, directory, connection, start.elapsed()))
}

async fn until_ready(process: &mut Child, connection: &Connection) -> Result<()> {
    let start = Instant::now();
    loop {
        let answered = async {
            let wire = Wire::connect(connection).await?;
            wire.send(Method::GET, "/readyz", "").await?;
            wire.send(Method::GET, "/api/v1/namespaces/default", "").await
        };
        let Err(error) = answered.await else { return Ok(()) };
        if let Some(status) = process.try_wait()? {
            bail!("it ended: {status}");
        }
        ensure!(start.elapsed() < DEADLINE, error);
        tokio::time::sleep(GLANCE).await;
    }
}
