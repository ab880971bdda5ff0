//! Reaching the API from another process: [`HttpClient`], which implements [`orch_api::Client`] over HTTP/2 and TLS, and
//! what people bring to it: [`Kubeconfig`] and manifests.
//!
//! It is deliberately not a cache, not a retry loop and not a controller: a call is one request, and what fails is said
//! as the [`orch_api::Status`] that the server answered, or as one with reason `ServiceUnavailable` when no server
//! answered at all. It names no kind: what the server serves is learned by [`Discovery`].
//!
//! Invariants: a request is sent at most once; a watch never hides a gap (a stream that is cut off ends with an error,
//! one that the server ended just ends); secrets (tokens, keys) appear in no error and no debug output.
//!
//! Start reading at [`Kubeconfig::load`], then [`HttpClient::new`].
#![warn(missing_docs)]

mod applied;
mod discovery;
mod document;
mod error;
mod exec;
mod forward;
mod http;
mod kubeconfig;
pub mod manifest;
mod sni;
mod socket;
mod stream;
mod tls;
mod unreachable;
mod yaml;

pub use applied::Applied;
pub use discovery::{ApiResource, Discovery, KnownDiscovery, UnknownResource};
pub use document::Document;
pub use error::ConfigError;
pub use exec::{Exec, ExecOptions, Streams, TerminalSize};
pub use forward::{ForwardError, PortForward};
pub use http::{Accept, HttpClient, Local, OnWarning};
pub use kubeconfig::{Connection, Credentials, Kubeconfig, KubeconfigPaths, Overrides};
pub use tls::TlsSettings;
