//! What a failure below the API means to a client.

use orch_api::{Reason, Status};
use orch_store::StoreError;

/// A store's failure as an answer. [`StoreError::Conflict`] is decided by the verb that committed; here it is an error of
/// the server.
pub(crate) fn from_store(error: StoreError) -> Status {
    match error {
        StoreError::Compacted { .. } => Status::expired(
            "The provided continue parameter is too old to display a \
            consistent list result. You can start a new list without the continue parameter.",
        ),
        StoreError::TooLarge { unit, size, limit } => Status::failure(
            Reason::RequestEntityTooLarge,
            format!("Request entity too large: limit is {limit} {unit}, the object has {size}"),
        ),
        StoreError::Unavailable { reason, ambiguous: true, .. } => Status::failure(
            Reason::Timeout,
            format!("the store did not answer in time, and the write may or may not have happened: {reason}"),
        ),
        StoreError::Unavailable { reason, .. } => {
            Status::unavailable(format!("the store is unavailable: {reason}"))
        }
        other => Status::internal(other),
    }
}
