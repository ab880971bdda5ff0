//! TLS and connections: who may talk to whom, and how bytes arrive.
//!
//! Here are Orch's own certificate [`Authority`], rustls configurations for servers and clients, [`serve`] (the accept
//! loop: handshake, peer identity, HTTP/1.1 with upgrades and HTTP/2, limits, graceful drain), and the text of a
//! [`kubeconfig()`]. The API server and the node agent listen through it.
//!
//! It deliberately knows nothing of the API, of paths, or of what an identity may do.
//!
//! # Invariants
//!
//! - All keys are ed25519; private keys are written with mode 0600 and never logged.
//! - A client certificate is optional, but one that is offered and does not verify ends the connection.
//! - Connections, headers, handshakes and idle times are bounded ([`Limits`]).
//!
//! Start reading at [`Authority`], then [`serve`].
#![deny(missing_docs)]

mod authority;
mod corked;
mod error;
mod kubeconfig;
mod peer;
mod request;
mod server;
mod signing;
mod tls;

pub use authority::{Authority, Credentials};
pub use error::TransportError;
pub use kubeconfig::kubeconfig;
pub use peer::{Peer, PeerCertificate};
pub use request::CertificateRequest;
pub use server::{Limits, serve};
pub use signing::Usage;
pub use tls::{client_config, server_config};
