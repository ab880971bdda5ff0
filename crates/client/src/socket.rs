//! WebSockets to a subresource.

use http::header::AUTHORIZATION;
use orch_api::{Status, Target};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;

use crate::http::failure;
use crate::{HttpClient, unreachable};

/// A byte stream, with or without TLS.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Socket = WebSocketStream<Box<dyn Io>>;

impl HttpClient {
    /// A WebSocket that speaks this sub-protocol.
    pub(crate) async fn websocket(
        &self,
        target: &Target,
        query: &[(&'static str, &str)],
        protocol: &str,
    ) -> Result<Socket, Status> {
        let url = reqwest::Url::parse_with_params(&self.url(target), query)
            .map_err(|error| Status::bad_request(format!("{} is not an address: {error}", self.server())))?;
        let stream = self.dial(&url).await?;
        let mut request = ClientRequestBuilder::new(websocket_uri(&url)?).with_sub_protocol(protocol);
        if let Some(authorization) = self.authorization().await?
            && let Ok(value) = authorization.to_str()
        {
            request = request.with_header(AUTHORIZATION.as_str(), value);
        }
        let (socket, response) = tokio_tungstenite::client_async(request, stream)
            .await
            .map_err(|error| refused(self.server(), error))?;
        match response.headers().get("sec-websocket-protocol").map(|chosen| chosen.as_bytes()) {
            Some(chosen) if chosen == protocol.as_bytes() => Ok(socket),
            _ => Err(Status::internal(format!("the server does not speak {protocol}"))),
        }
    }

    async fn dial(&self, url: &reqwest::Url) -> Result<Box<dyn Io>, Status> {
        let failed = |error: std::io::Error| unreachable::status(self.server(), &error);
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tcp = TcpStream::connect((host.as_str(), url.port_or_known_default().unwrap_or(443)))
            .await
            .map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        if url.scheme() == "http" {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(host).map_err(|error| Status::bad_request(error.to_string()))?;
        Ok(Box::new(TlsConnector::from(self.tls.clone()).connect(name, tcp).await.map_err(failed)?))
    }
}

fn websocket_uri(url: &reqwest::Url) -> Result<http::Uri, Status> {
    let text = url.as_str().replacen("http", "ws", 1);
    text.parse().map_err(|error| Status::bad_request(format!("{text} is not an address: {error}")))
}

fn refused(server: &str, error: Error) -> Status {
    match error {
        Error::Http(response) => {
            let code = response.status().as_u16();
            failure(code, response.into_body().unwrap_or_default().as_slice())
        }
        error => unreachable::status(server, &error),
    }
}
