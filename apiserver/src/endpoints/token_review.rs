//! `TokenReview`: whether a token is good, and whose it is, for servers that are shown tokens of this one.

use orch_api::{Object as _, Status};
use serde_json::{Value, json};

use crate::authn::{self, TokenError};
use crate::server::Server;

/// The status of a review, whose token is taken out: it is never answered.
///
/// # Errors
/// 400 for a review without a token, 503 if the token cannot be verified now.
pub(super) async fn status(server: &Server, review: &mut Value) -> Result<Value, Status> {
    let token = review.text(&["spec", "token"]).to_owned();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = review.pointer("/spec/audiences").filter(|audiences| !audiences.is_null());
    let audiences: Vec<String> = audiences
        .map(|audiences| serde_json::from_value(audiences.clone()))
        .transpose()
        .map_err(|_| Status::bad_request("spec.audiences: must be a list of strings"))?
        .unwrap_or_default();
    if let Some(spec) = review["spec"].as_object_mut() {
        spec.remove("token");
    }
    match authn::bearer(server, &token, &audiences).await {
        Ok((identity, audiences)) => {
            let mut status = json!({"authenticated": true, "user": identity.user_info()});
            if !audiences.is_empty() {
                status["audiences"] = json!(audiences);
            }
            Ok(status)
        }
        Err(TokenError::Unavailable(why)) => Err(Status::unavailable(why)),
        Err(error) => Ok(json!({"user": {}, "error": error.to_string()})),
    }
}
