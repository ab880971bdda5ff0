//! A client that does next to nothing: ready-made requests over HTTP/2 and TLS, answers counted and dropped. The load shares
//! its cores with what it measures.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use orch_client::Connection;
use orch_transport::Credentials;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// As wide as that of `orch_client`: no answer waits for window updates.
const WINDOW_BYTES: u32 = 16 << 20;

/// One connection; its clones share it.
#[derive(Clone)]
pub(crate) struct Wire {
    sender: SendRequest<Full<Bytes>>,
    server: Arc<str>,
}

impl Wire {
    /// Connects as whom the kubeconfig says.
    pub(crate) async fn connect(connection: &Connection) -> Result<Self> {
        Self::connect_with(connection, WINDOW_BYTES).await
    }

    /// Connects; what is not read of an answer waits at the server once there is so much of it.
    pub(crate) async fn connect_with(connection: &Connection, stream_window: u32) -> Result<Self> {
        let tls = &connection.tls;
        let authority = String::from_utf8(tls.authority.clone().context("no authority")?)?;
        let (certificate, key) = tls.identity.clone().context("no client certificate")?;
        let credentials = Credentials {
            certificate_pem: String::from_utf8(certificate)?,
            key_pem: String::from_utf8(key)?,
        };
        let mut config = orch_transport::client_config(&authority, Some(&credentials))?;
        config.alpn_protocols = vec![b"h2".to_vec()];

        let address = connection.server.strip_prefix("https://").context("not https")?;
        let (host, _) = address.rsplit_once(':').context("no port")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned())?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (sender, driver) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(driver);
        Ok(Self { sender, server: connection.server.as_str().into() })
    }

    /// Sends a request, and gives back the answer when it begins.
    ///
    /// # Errors
    /// If the answer is not a success, or there is none.
    pub(crate) async fn begin(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>> {
        self.begin_with(method, path, &[("content-type", "application/json")], body).await
    }

    /// The same with other headers.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(crate) async fn begin_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.server));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Full::new(body.into()))?;
        let mut sender = self.sender.clone();
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        ensure!(answer.status().is_success(), "{path} was answered {}", answer.status());
        Ok(answer)
    }

    /// Sends a request, reads the whole answer, and tells its size.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Result<usize> {
        let mut answer = self.begin(method, path, body).await?.into_body();
        let mut size = 0;
        while let Some(frame) = answer.frame().await {
            size += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(size)
    }
}
