//! Who is calling: verified client certificates, then bearer tokens: static ones, those of service accounts, and those of
//! another issuer.
//!
//! - `identity.rs`: what every way to prove it ends in.
//! - `static_tokens.rs`: tokens in a file. `service_accounts.rs`: tokens that this server signs with one of `token_keys.rs`.
//!   `oidc.rs`: tokens that somebody else signs.
//! - `jws.rs`: signed tokens as such. `impersonation.rs`: callers who act as somebody else.
//!
//! What a caller may do is decided elsewhere.

mod identity;
mod impersonation;
mod jws;
mod oidc;
mod service_accounts;
mod static_tokens;
mod token_key;
mod token_keys;

use http::{HeaderMap, header};
use orch_api::Status;
use orch_transport::Peer;
use tracing::debug;

pub(crate) use identity::UserInfo;
pub use identity::{AUTHENTICATED, Identity};
pub(crate) use impersonation::{act_as, impersonate};
pub use oidc::{Oidc, OidcConfig, OidcError};
pub use service_accounts::TokenIssuer;
pub(crate) use service_accounts::{Grant, ObjectId, ServiceAccounts};
pub use static_tokens::{Tokens, TokensError};
pub use token_key::TokenKeyError;
pub use token_keys::TokenKeys;

use crate::server::Server;
use jws::Jws;

/// Why a token is worth nothing. Told to those who may review tokens; whoever shows one learns only that it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is not known")]
    Unknown,
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is not signed by a key of its issuer")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token audiences {of:?} are none of those asked for")]
    Audience { of: Vec<String> },
    #[error("{kind} {name:?} of the token does not exist any more")]
    Gone { kind: String, name: String },
    #[error("{0}")]
    Claim(String),
    #[error("the token cannot be verified now: {0}")]
    Unavailable(String),
}

/// Who sent a request: the verified certificate speaks first, then the bearer token; with neither, the caller is
/// anonymous.
///
/// # Errors
/// 401 for a token that proves nothing: a caller who shows credentials does not mean to be anonymous.
pub(crate) async fn authenticate(
    server: &Server,
    peer: Option<&Peer>,
    headers: &HeaderMap,
) -> Result<Identity, Status> {
    if let Some(certificate) = peer.and_then(|peer| peer.certificate.as_deref()) {
        return Ok(Identity::new(certificate.common_name.clone(), certificate.organizations.iter().cloned()));
    }
    let Some(authorization) = headers.get(header::AUTHORIZATION) else { return Ok(Identity::anonymous()) };
    let token = authorization.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = token.ok_or_else(Status::unauthorized)?;
    match bearer(server, token, &[]).await {
        Ok((identity, _)) => Ok(identity),
        Err(TokenError::Unavailable(why)) => Err(Status::unavailable(why)),
        Err(error) => {
            debug!(%error, "a token was refused");
            Err(Status::unauthorized())
        }
    }
}

/// Whose token it is, and for which of `audiences`; none means this server.
///
/// # Errors
/// Why the token is worth nothing.
pub(crate) async fn bearer(
    server: &Server,
    token: &str,
    audiences: &[String],
) -> Result<(Identity, Vec<String>), TokenError> {
    let accounts = server.registry.accounts.as_ref();
    if let Some(identity) = server.tokens.find(token) {
        return Ok((identity.clone(), for_this_server(server, audiences)?));
    }
    let jws = Jws::parse(token).ok_or(TokenError::Unknown)?;
    let issuer = jws.claimed_issuer();
    if let Some(accounts) = accounts.filter(|accounts| issuer == accounts.issuer()) {
        return accounts.authenticate(&server.registry, token, audiences).await;
    }
    match server.oidc.as_ref().filter(|oidc| issuer == oidc.issuer()) {
        Some(oidc) => {
            let identity = oidc.authenticate(&jws, server.registry.clock.now()).await?;
            Ok((identity, for_this_server(server, audiences)?))
        }
        None => Err(TokenError::Unknown),
    }
}

/// The audience of credentials that are meant for this server.
fn for_this_server(server: &Server, audiences: &[String]) -> Result<Vec<String>, TokenError> {
    let own = server.registry.accounts.as_ref().map(|accounts| accounts.issuer().to_owned());
    match own.filter(|own| audiences.is_empty() || audiences.contains(own)) {
        None if !audiences.is_empty() => Err(TokenError::Audience { of: Vec::new() }),
        own => Ok(own.into_iter().collect()),
    }
}
