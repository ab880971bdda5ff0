//! Requests for certificates: approved where Kubernetes approves by itself, signed for the three signers of the cluster's
//! authority, and removed when they are old.
//!
//! `approve.rs` is who is approved, `sign.rs` what is signed, `clean.rs` what is old. What a signer may sign is
//! `terms.rs`, pure.

mod approve;
mod clean;
mod sign;
mod terms;

use jiff::Timestamp;
use orch_api::{ConditionStatus, Time};
use orch_ontology::CertificateSigningRequestCondition;

pub use approve::run as run_approving;
pub use clean::run as run_cleaning;
pub use sign::{Signer, run as run_signing};
pub use terms::{Certify, KeyUsage};

/// A decision made now.
fn condition(of: &str, reason: &str, message: &str, now: Timestamp) -> CertificateSigningRequestCondition {
    CertificateSigningRequestCondition {
        condition_type: of.to_owned(),
        status: ConditionStatus::True,
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_update_time: Some(Time::new(now)),
        last_transition_time: Some(Time::new(now)),
    }
}
