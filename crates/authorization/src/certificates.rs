//! Requests for certificates: who may approve and sign for which signer, and what nobody may ask for.
//!
//! Kubernetes' admission plugins `CertificateSubjectRestriction`, `CertificateApproval` and `CertificateSigning`.

use orch_api::{
    Asked, Attributes, Authorizer, Change, MASTERS, Object as _, Resource as _, ResourceAttributes, Status,
};
use orch_ontology::{CERTIFICATES_GROUP, CertificateRequest, CertificateSigningRequest};
use serde_json::Value;

/// Refuses a request for a certificate by which its bearer could do everything, whoever makes it: nobody could take that
/// back.
pub(crate) fn restrict(change: &Change<'_>) -> Result<(), Status> {
    let (Some(new), None) = (requested(change), change.old) else { return Ok(()) };
    if new.text(&["spec", "signerName"]) != CertificateSigningRequest::CLIENT_SIGNER {
        return Ok(());
    }
    let asked = read(new)?;
    if asked.organizations.iter().any(|organization| organization == MASTERS) {
        let signer = CertificateSigningRequest::CLIENT_SIGNER;
        let why = format!("use of {signer} signer with {MASTERS} group is not allowed");
        return Err(Status::forbidden(change.kind, new.name(), why));
    }
    Ok(())
}

/// Refuses a decision, or a certificate, by somebody who may not give it for the request's signer.
pub(crate) fn admit(authorizer: &impl Authorizer, change: &Change<'_>) -> Result<(), Status> {
    let (Some(new), Some(old)) = (requested(change), change.old) else { return Ok(()) };
    let (verb, what) = match change.subresource {
        "approval" => ("approve", "approve requests with"),
        "status" if old["status"] != new["status"] => ("sign", "sign requests with"),
        _ => return Ok(()),
    };
    let signer = old.text(&["spec", "signerName"]);
    if may(authorizer, change, verb, signer) {
        return Ok(());
    }
    let why = format!("user not permitted to {what} signerName {signer:?}");
    Err(Status::forbidden(change.kind, old.name(), why))
}

/// What a request asks for.
pub(crate) fn read(object: &Value) -> Result<CertificateRequest, Status> {
    let request =
        serde_json::from_value::<CertificateSigningRequest>(object.clone()).map_err(Status::internal)?;
    CertificateRequest::parse(&request.spec.request).map_err(Status::internal)
}

fn requested<'a>(change: &Change<'a>) -> Option<&'a Value> {
    change.new.filter(|_| *change.kind == CertificateSigningRequest::KIND)
}

/// Rules name signers one by one, or all of a domain.
fn may(authorizer: &impl Authorizer, change: &Change<'_>, verb: &str, signer: &str) -> bool {
    let of_domain = signer.split_once('/').map(|(domain, _)| format!("{domain}/*"));
    [Some(signer.to_owned()), of_domain].into_iter().flatten().any(|name| {
        let asked = ResourceAttributes {
            group: CERTIFICATES_GROUP,
            version: "*",
            resource: "signers",
            name,
            ..ResourceAttributes::default()
        };
        let attributes =
            Attributes { subject: change.subject, verb, asked: Asked::Resource(Box::new(asked)) };
        authorizer.decide(&attributes).allowed
    })
}
