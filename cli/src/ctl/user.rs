//! `user`: certificates and kubeconfigs for people and programs.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Parser, Subcommand};
use futures::StreamExt as _;
use jiff::Timestamp;
use orch_api::{Body, Client as _, FieldQuery, Kind, Object as _, Params, Request, Target, Time, Verb};
use orch_client::Connection;
use orch_transport::{CertificateRequest, Credentials};
use serde_json::{Value, json};

use super::output::{GOOD, paint, print, yaml};
use super::wait::parse_duration;
use super::{Failure, Session};

const FIELD_MANAGER: &str = "orchctl-user";
const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// How long to wait for the certificate of a request that has been approved.
const PATIENCE: Duration = Duration::from_secs(30);

/// Make certificates by which people and programs are known
#[derive(Parser, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Create(Create),
}

/// Make a key and a certificate for a user, and write a kubeconfig with both
///
/// The key is made here and never sent. What the user may do is said by roles: see `kubectl create rolebinding`.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # Jane, of the group dev, for 30 days; the kubeconfig is jane.kubeconfig
  orchctl user create jane --group dev --valid-for 30d")]
struct Create {
    /// The user's name
    name: String,
    /// A group that the user belongs to; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// For how long the certificate is valid: at least 10 minutes, at most a year
    #[arg(long, value_name = "DURATION", default_value = "365d", value_parser = parse_duration)]
    valid_for: Duration,
    /// The kubeconfig to write [default: NAME.kubeconfig]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let Action::Create(create) = args.action;
    let default = || PathBuf::from(format!("{}.kubeconfig", create.name.replace(['/', ':'], "_")));
    let file = create.output.clone().unwrap_or_else(default);
    if file.exists() {
        return Err(Failure::new(format!("{} exists already", file.display()))
            .hint("name another file with --output".to_owned()));
    }
    let request =
        CertificateRequest::new(&create.name, &create.groups).map_err(|e| Failure::new(e.to_string()))?;
    let asked = ask(session, &create, &request).await?;
    let approved = approve(session, asked).await?;
    let certificate_pem =
        tokio::time::timeout(PATIENCE, certificate(session, &approved)).await.map_err(|_| {
            Failure::new(format!("{} has been approved but not signed in time", approved.name()))
                .hint("`kubectl describe csr` shows how it stands".to_owned())
        })??;
    let credentials = Credentials { certificate_pem, key_pem: request.key_pem };
    let kubeconfig = kubeconfig(session.connection().await?, &create.name, &credentials);
    write(&file, &yaml::to_yaml(&kubeconfig)?)?;
    print(&format!("user {:?} {}: {}\n", create.name, paint(Some(GOOD), "created"), file.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A kubeconfig of one context: the server that is talked to here, trusted as it is here, and the new user.
fn kubeconfig(connection: &Connection, user: &str, credentials: &Credentials) -> Value {
    let tls = &connection.tls;
    let mut cluster = json!({"server": connection.server});
    if let Some(authority) = &tls.authority {
        cluster["certificate-authority-data"] = STANDARD.encode(authority).into();
    }
    if let Some(name) = &tls.server_name {
        cluster["tls-server-name"] = name.as_str().into();
    }
    if tls.insecure {
        cluster["insecure-skip-tls-verify"] = true.into();
    }
    let keys = json!({
        "client-certificate-data": STANDARD.encode(&credentials.certificate_pem),
        "client-key-data": STANDARD.encode(&credentials.key_pem),
    });
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "orch",
        "clusters": [{"name": "orch", "cluster": cluster}],
        "users": [{"name": user, "user": keys}],
        "contexts": [{"name": "orch", "context": {"cluster": "orch", "user": user}}],
    })
}

fn requests() -> Target {
    Target::all(&Kind::cluster(
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "certificatesigningrequest",
    ))
}

fn writing() -> Params {
    Params { field_manager: Some(FIELD_MANAGER.into()), ..Params::default() }
}

async fn ask(session: &Session, create: &Create, request: &CertificateRequest) -> Result<Value, Failure> {
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "orchctl-user-"},
        "spec": {
            "request": STANDARD.encode(&request.request_pem),
            "signerName": SIGNER,
            "expirationSeconds": create.valid_for.as_secs(),
            "usages": ["digital signature", "client auth"],
        },
    });
    let (verb, body) = (Verb::Create, Some(Body::json(&object)?));
    session.call(Request { verb, target: requests(), params: writing(), body }).await
}

async fn approve(session: &Session, mut asked: Value) -> Result<Value, Failure> {
    let name = asked.name().to_owned();
    asked["status"]["conditions"] = json!([{
        "type": "Approved", "status": "True", "reason": "OrchctlApprove",
        "message": "This CSR was approved by orchctl user create.",
        "lastUpdateTime": Time::new(Timestamp::now()),
    }]);
    let target = requests().named(name.clone()).subresource("approval");
    let (verb, body) = (Verb::Update, Some(Body::json(&asked)?));
    let approved = session.call(Request { verb, target, params: writing(), body }).await;
    approved.map_err(|failure| {
        failure.hint(format!("somebody who may approve can do so: kubectl certificate approve {name}"))
    })
}

/// Waits for the certificate, or for the reason why there is none.
async fn certificate(session: &Session, approved: &Value) -> Result<String, Failure> {
    let params = Params {
        field_selector: Some(FieldQuery::equals("metadata.name", approved.name()).to_string()),
        resource_version: Some(approved.resource_version().to_owned()),
        ..Params::default()
    };
    let request = Request { verb: Verb::Watch, target: requests(), params, body: None };
    session.log(&request);
    let mut events = session.client().await?.watch(request).await?;
    while let Some(event) = events.next().await {
        let object: Value = serde_json::from_slice(&event?.object)?;
        let pem = object.text(&["status", "certificate"]);
        if !pem.is_empty() {
            let bytes = STANDARD.decode(pem).map_err(|error| Failure::new(error.to_string()))?;
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        if let Some(refusal) =
            conditions.into_iter().find(|c| matches!(c.text(&["type"]), "Failed" | "Denied"))
        {
            let why = format!("{}: {}", refusal.text(&["reason"]), refusal.text(&["message"]));
            return Err(Failure::new(format!("the certificate was refused: {why}")));
        }
    }
    Err(Failure::new("the server has ended the watch before there was a certificate"))
}

/// Writes the file for its owner only. What is there already is left alone.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    written
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use orch_client::{Kubeconfig, Overrides, TlsSettings};

    use super::*;

    #[test]
    fn a_new_user_trusts_the_server_as_its_maker_does() {
        let secure = TlsSettings {
            authority: Some(b"CA".to_vec()),
            server_name: Some("orch.example".into()),
            ..TlsSettings::default()
        };
        for tls in [secure, TlsSettings { insecure: true, ..TlsSettings::default() }, TlsSettings::default()]
        {
            let connection = Connection {
                server: "https://10.0.0.1:7443".into(),
                tls,
                credentials: orch_client::Credentials::None,
                namespace: "default".into(),
            };
            let credentials = Credentials { certificate_pem: "CERT".into(), key_pem: "KEY".into() };
            let text = yaml::to_yaml(&kubeconfig(&connection, "ja: ne", &credentials)).unwrap();
            let read =
                Kubeconfig::parse(&text, Path::new("k")).unwrap().connection(&Overrides::default()).unwrap();
            let expected =
                TlsSettings { identity: Some((b"CERT".to_vec(), b"KEY".to_vec())), ..connection.tls };
            assert_eq!(read.server, connection.server);
            assert_eq!(
                (read.tls.authority, read.tls.server_name, read.tls.insecure, read.tls.identity),
                (expected.authority, expected.server_name, expected.insecure, expected.identity)
            );
        }
    }
}
