//! Who is calling: verified client certificates and static bearer tokens.

mod identity;
mod static_tokens;

use http::{HeaderMap, header};
use orch_api::Status;
use orch_transport::Peer;

pub use identity::{AUTHENTICATED, Identity};
pub use static_tokens::{Tokens, TokensError};

/// Who sent a request: the verified certificate speaks first, then the bearer token; with neither, the caller is
/// anonymous.
///
/// # Errors
/// 401 for a token that nobody has: a caller who shows credentials does not mean to be anonymous.
pub(crate) fn authenticate(
    peer: Option<&Peer>,
    headers: &HeaderMap,
    tokens: &Tokens,
) -> Result<Identity, Status> {
    if let Some(certificate) = peer.and_then(|peer| peer.certificate.as_deref()) {
        return Ok(Identity::new(certificate.common_name.clone(), certificate.organizations.iter().cloned()));
    }
    let Some(authorization) = headers.get(header::AUTHORIZATION) else { return Ok(Identity::anonymous()) };
    let token = authorization.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.and_then(|token| tokens.find(token)).cloned().ok_or_else(Status::unauthorized)
}
