//! `tls-server-name`: a server that is reached at one address and asked for by another name, as it is where one address leads to
//! several servers.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::Connection;

/// The name to ask for, if it is not the one in the address. An address of the network is no name that can be asked for.
pub(crate) fn other_name(connection: &Connection) -> Option<String> {
    let is_tls = connection.server.starts_with("https://");
    connection.tls.server_name.clone().filter(|name| is_tls && name.parse::<IpAddr>().is_err())
}

/// The address with that name for its host, and what leads from the name to where the server is.
pub(crate) fn address(
    server: &str,
    other_name: Option<&str>,
) -> Result<(String, Option<Arc<dyn Resolve>>), String> {
    let Some(name) = other_name else { return Ok((server.to_owned(), None)) };
    let mut url = Url::parse(server).map_err(|error| format!("{server} is not an address: {error}"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    url.set_host(Some(name)).map_err(|error| format!("tls-server-name {name:?} is not a name: {error}"))?;
    let base = url.as_str().trim_end_matches('/').to_owned();
    Ok((base, Some(Arc::new(At(host)))))
}

/// Every name leads to this host.
struct At(String);

impl Resolve for At {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
