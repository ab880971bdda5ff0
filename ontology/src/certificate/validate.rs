//! What is wrong with a request for a certificate: Kubernetes' rules, in its words.

use std::collections::HashSet;

use orch_api::{ConditionStatus, FieldError, FieldPath, names};

use super::{CertificateRequest, CertificateSigningRequest, CertificateSigningRequestSpec};

const SHORTEST_SECONDS: i32 = 600;
/// As `k8s.io/api/certificates/v1` names them.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

impl CertificateSigningRequest {
    /// Everything wrong with the request, or with the change from `old`.
    pub(super) fn problems(&self, old: Option<&Self>) -> Vec<FieldError> {
        let mut errors = match old {
            // What cannot change has been looked at before.
            Some(_) => Vec::new(),
            None => self.spec.problems(&FieldPath::new("spec")),
        };
        errors.extend(self.condition_problems(&FieldPath::new("status").child("conditions")));
        if let Some(old) = old {
            errors.extend(self.change_problems(old, &FieldPath::new("status")));
        }
        errors
    }

    fn condition_problems(&self, path: &FieldPath) -> Vec<FieldError> {
        let (mut errors, mut seen) = (Vec::new(), HashSet::new());
        for (index, condition) in self.status.conditions.iter().enumerate() {
            let path = path.index(index);
            if condition.condition_type.is_empty() {
                errors.push(FieldError::required(path.child("type"), ""));
            }
            let is_final =
                [Self::APPROVED, Self::DENIED, Self::FAILED].contains(&condition.condition_type.as_str());
            if is_final && condition.status != ConditionStatus::True {
                let given = match condition.status {
                    ConditionStatus::False => "False",
                    _ => "Unknown",
                };
                errors.push(FieldError::not_supported(path.child("status"), given, &["True"]));
            }
            if !seen.insert(&condition.condition_type) {
                errors.push(FieldError::duplicate(path.child("type"), condition.condition_type.as_str()));
            }
        }
        if self.is(Self::APPROVED) && self.is(Self::DENIED) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(path, Self::DENIED, detail));
        }
        errors
    }

    fn change_problems(&self, old: &Self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for condition in [Self::APPROVED, Self::DENIED, Self::FAILED] {
            if old.is(condition) && !self.is(condition) {
                let detail = format!("updates may not remove a condition of type {condition:?}");
                errors.push(FieldError::forbidden(path.child("conditions"), detail));
            }
        }
        let (before, after) = (&old.status.certificate, &self.status.certificate);
        if before.as_ref().is_some_and(|pem| !pem.is_empty()) && before != after {
            errors.push(FieldError::forbidden(
                path.child("certificate"),
                "updates may not set certificate content if existing certificate content is present",
            ));
        }
        let is_new = after.as_ref().is_some_and(|pem| !pem.is_empty()) && before != after;
        let is_certificate = |pem: &[u8]| {
            x509_parser::pem::parse_x509_pem(pem).is_ok_and(|(_, pem)| pem.label == "CERTIFICATE")
        };
        if is_new && !after.as_ref().is_some_and(|pem| is_certificate(pem)) {
            let detail = "must contain at least one CERTIFICATE PEM block";
            errors.push(FieldError::invalid(path.child("certificate"), "<certificate data>", detail));
        }
        errors
    }
}

impl CertificateSigningRequestSpec {
    fn problems(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Err(error) = CertificateRequest::parse(&self.request) {
            errors.push(FieldError::invalid(path.child("request"), "<request data>", error.to_string()));
        }
        let usages = path.child("usages");
        if self.usages.is_empty() {
            errors.push(FieldError::required(&usages, "usages must be provided"));
        }
        let mut seen = HashSet::new();
        for (index, usage) in self.usages.iter().enumerate() {
            if !USAGES.contains(&usage.as_str()) {
                errors.push(FieldError::not_supported(usages.index(index), usage.as_str(), &USAGES));
            } else if !seen.insert(usage) {
                errors.push(FieldError::duplicate(usages.index(index), usage.as_str()));
            }
        }
        errors.extend(signer_problem(&path.child("signerName"), &self.signer_name));
        if let Some(seconds) = self.expiration_seconds.filter(|seconds| *seconds < SHORTEST_SECONDS) {
            let detail = "may not specify a duration less than 600 seconds (10 minutes)";
            errors.push(FieldError::invalid(path.child("expirationSeconds"), seconds, detail));
        }
        errors
    }
}

fn signer_problem(path: &FieldPath, signer: &str) -> Option<FieldError> {
    if signer.is_empty() {
        return Some(FieldError::required(path, ""));
    }
    let is_valid = signer.split_once('/').is_some_and(|(domain, name)| {
        domain.contains('.')
            && names::dns_subdomain(domain).is_empty()
            && names::dns_subdomain(name).is_empty()
    });
    let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    (!is_valid).then(|| FieldError::invalid(path, signer, detail))
}
