//! HTTP and HTTPS: who the server is, and who asks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use orch_gitops::source::{Fetch, Reason};

use crate::asking::{Asking, pairs};
use crate::repository::Repository;
use crate::server::{Authority, HttpServer};

const MANIFEST: (&str, &str) = ("a.yaml", "a");

fn password(name: &str, password: &str) -> impl FnOnce(&mut Fetch) {
    move |fetch| {
        fetch.credentials.username = name.to_owned();
        fetch.credentials.password = password.to_owned();
    }
}

fn token(token: &str) -> impl FnOnce(&mut Fetch) {
    move |fetch| fetch.credentials.bearer_token = token.to_owned()
}

#[tokio::test]
async fn a_password_opens_what_asks_for_one() {
    let (repository, _) = Repository::with(&[MANIFEST]);
    let wanted = format!("Basic {}", BASE64_STANDARD.encode("ada:secret"));
    let server = HttpServer::with_authorization(&repository.root(), &wanted).await;
    let url = server.url("127.0.0.1");
    // A Secret's value often ends with the end of a line.
    let right = Asking::at(&url).with(password("ada\n", "secret\n"));
    assert_eq!(right.files().await, pairs(&[MANIFEST]));
    let wrong = Asking::at(&url).with(password("ada", "guessed"));
    let said = wrong.refused(Reason::Unauthorized, "does not accept the credentials").await;
    assert!(!said.contains("guessed"), "{said}");
    Asking::at(&url).refused(Reason::Unauthorized, "asks for credentials").await;
    Asking::at(&url).with(token("secret")).refused(Reason::Unauthorized, "bearerToken").await;
}

#[tokio::test]
async fn a_bearer_token_opens_what_asks_for_one() {
    let (repository, _) = Repository::with(&[MANIFEST]);
    let server = HttpServer::with_authorization(&repository.root(), "Bearer t0ken").await;
    let url = server.url("127.0.0.1");
    assert_eq!(Asking::at(&url).with(token("t0ken\n")).files().await, pairs(&[MANIFEST]));
    Asking::at(&url).with(token("other")).refused(Reason::Unauthorized, "bearerToken").await;
    Asking::at(&url).with(token("a\r\nX: y")).refused(Reason::InvalidSecret, "more than one word").await;
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_host() {
    let (repository, _) = Repository::with(&[MANIFEST]);
    let wanted = format!("Basic {}", BASE64_STANDARD.encode("ada:secret"));
    for (credentials, wanted) in [("token", "Bearer t0ken"), ("password", wanted.as_str())] {
        let elsewhere = HttpServer::with_authorization(&repository.root(), wanted).await;
        let to = format!("http://localhost:{}", elsewhere.port);
        let server = HttpServer::redirecting(&to).await;
        let asking = Asking::at(&server.url("127.0.0.1"));
        let asking = match credentials {
            "token" => asking.with(token("t0ken")),
            _ => asking.with(password("ada", "secret")),
        };
        asking.refused(Reason::Unreachable, "cannot redirect").await;
        assert!(elsewhere.seen().is_empty(), "{:?}", elsewhere.seen());
    }
    let elsewhere = HttpServer::start(&repository.root()).await;
    let server = HttpServer::redirecting(&format!("http://localhost:{}", elsewhere.port)).await;
    let open = Asking::at(&server.url("127.0.0.1"));
    assert_eq!(open.files().await, pairs(&[MANIFEST]), "who has none is led on");
    assert!(elsewhere.seen().iter().all(|one| one.authorization.is_none()));
}

#[tokio::test]
async fn a_server_proves_who_it_is_by_an_authority_that_is_trusted() {
    let (repository, _) = Repository::with(&[MANIFEST]);
    let (authority, another) = (Authority::named("ours"), Authority::named("theirs"));
    let server = HttpServer::with_tls(&repository.root(), &authority, "localhost").await;
    let elsewhere = HttpServer::with_tls(&repository.root(), &authority, "git.example.com").await;
    let asking = |server: &HttpServer, ca: &str| {
        let ca = ca.to_owned();
        Asking::at(&server.url("localhost")).with(|fetch| fetch.credentials.ca = ca)
    };
    assert_eq!(asking(&server, &authority.pem).files().await, pairs(&[MANIFEST]));
    let both = format!("{}{}", another.pem, authority.pem);
    assert_eq!(asking(&server, &both).files().await, pairs(&[MANIFEST]));
    for (server, ca) in [
        (&server, ""),
        (&server, another.pem.as_str()),
        (&server, "no certificate at all"),
        (&elsewhere, authority.pem.as_str()),
    ] {
        asking(server, ca).refused(Reason::HostUntrusted, "ca.crt").await;
    }
    assert!(elsewhere.seen().is_empty(), "nothing is asked of who is not trusted");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let (repository, _) = Repository::with(&[MANIFEST]);
    let server = HttpServer::start(&repository.root()).await;
    let url = server.url("127.0.0.1").replace("/repository", "/none");
    Asking::at(&url).refused(Reason::NotFound, "404").await;
    let closed = format!("http://127.0.0.1:{}/r", free_port());
    Asking::at(&closed).refused(Reason::Unreachable, "failed to connect").await;
    Asking::at("http://no-such-host.invalid/r").refused(Reason::Unreachable, "no-such-host.invalid").await;
    let named = Asking::at(&closed.replace("//", "//ada:secret@"));
    let said = named.refused(Reason::Unreachable, "ada@127.0.0.1").await;
    assert!(!said.contains("secret"), "{said}");
}

/// A port that nothing listens on: it was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
