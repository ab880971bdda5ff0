//! [`CertificateRequest`]: what a PKCS#10 request asks for.

use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

const LABEL: &str = "CERTIFICATE REQUEST";

/// What a PKCS#10 request asks for. Its signature has been verified: whoever made it has the key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The subject's common name: the user, of a client's certificate.
    pub common_name: String,
    /// The subject's organizations: the user's groups.
    pub organizations: Vec<String>,
    /// Names that a server is to be known by.
    pub dns_names: Vec<String>,
    /// Addresses that a server is to be known by.
    pub addresses: Vec<IpAddr>,
    /// Other alternative names are asked for: mail addresses, URIs.
    pub has_other_names: bool,
}

/// Why something is no PKCS#10 request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRequestError {
    /// It is no PEM, or PEM of something else.
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Label,
    /// What the PEM holds cannot be read.
    #[error("malformed PKCS#10 request: {0}")]
    Malformed(String),
    /// It is not signed with the key that it is for.
    #[error("the signature is not that of the request's own key")]
    Signature,
}

impl CertificateRequest {
    /// Reads a request and verifies its signature.
    ///
    /// # Errors
    /// If it is malformed, or not signed with the key that it is for (RSA, ECDSA on P-256 and P-384, and ed25519 are known).
    pub fn parse(pem: &[u8]) -> Result<Self, CertificateRequestError> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| CertificateRequestError::Label)?;
        if pem.label != LABEL {
            return Err(CertificateRequestError::Label);
        }
        let malformed = |why: &dyn std::fmt::Display| CertificateRequestError::Malformed(why.to_string());
        let (rest, request) =
            X509CertificationRequest::from_der(&pem.contents).map_err(|error| malformed(&error))?;
        if !rest.is_empty() {
            return Err(malformed(&"something follows it"));
        }
        request.verify_signature().map_err(|_| CertificateRequestError::Signature)?;
        let subject = &request.certification_request_info.subject;
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().map(str::to_owned);
        let mut asked = Self {
            common_name: subject
                .iter_common_name()
                .next()
                .map_or(Ok(String::new()), text)
                .map_err(|e| malformed(&e))?,
            organizations: subject
                .iter_organization()
                .map(text)
                .collect::<Result<_, _>>()
                .map_err(|e| malformed(&e))?,
            ..Self::default()
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                names.general_names.iter().for_each(|name| asked.add(name));
            }
        }
        Ok(asked)
    }

    fn add(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match address(bytes) {
                Some(address) => self.addresses.push(address),
                None => self.has_other_names = true,
            },
            _ => self.has_other_names = true,
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
