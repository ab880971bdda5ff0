//! Certificates for keys that others made: the authority signs what a PKCS#10 request asks for.
//!
//! The subject and the key are taken over byte by byte, so that every organization and every sort of key is kept.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::SigningKey as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509CertificationRequest};
use yasna::models::{GeneralizedTime, ObjectIdentifier, UTCTime};
use yasna::{DERWriter, DERWriterSeq, Tag, construct_der};

use crate::TransportError;
use crate::authority::{Authority, CLOCK_SKEW};

const ED25519: [u64; 4] = [1, 3, 101, 112];
const AUTHORITY_KEY_IDENTIFIER: [u64; 4] = [2, 5, 29, 35];
const BASIC_CONSTRAINTS: [u64; 4] = [2, 5, 29, 19];
const EXTENDED_KEY_USAGE: [u64; 4] = [2, 5, 29, 37];
const KEY_USAGE: [u64; 4] = [2, 5, 29, 15];
const SUBJECT_ALT_NAME: [u64; 4] = [2, 5, 29, 17];
const SERVER_AUTH: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 2];
/// A serial number is positive and, with this many bytes, nobody's guess.
const SERIAL_BYTES: usize = 16;
/// Times from here on (2050-01-01) are written with four digits of the year (RFC 5280, section 4.1.2.5).
const GENERALIZED_FROM: Duration = Duration::from_secs(2_524_608_000);
const LINE: usize = 64;

/// What a certificate is to be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Signing with the key, as every TLS handshake does.
    DigitalSignature,
    /// Encrypting keys for the key's owner.
    KeyEncipherment,
    /// Being a client.
    ClientAuth,
    /// Being a server.
    ServerAuth,
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unsignable(&'static str);

/// What of a request stands in the certificate, as it is written there.
struct Requested<'a> {
    subject: &'a [u8],
    key: &'a [u8],
    alternative_names: Option<&'a [u8]>,
}

impl Authority {
    /// The certificate, in PEM, for a PKCS#10 request in PEM: its subject, its key and its alternative names, for these usages
    /// and this long, but no longer than the authority's own.
    ///
    /// # Errors
    /// If the request is malformed, or not signed with the key that it is for.
    pub fn sign(
        &self,
        request_pem: &[u8],
        usages: &[Usage],
        lifetime: Duration,
    ) -> Result<String, TransportError> {
        let refused = |why| TransportError::certificate("the request for a certificate", Unsignable(why));
        let (_, pem) = x509_parser::pem::parse_x509_pem(request_pem).map_err(|_| refused("it is not PEM"))?;
        let (_, request) = X509CertificationRequest::from_der(&pem.contents)
            .map_err(|_| refused("it is not a PKCS#10 request"))?;
        request.verify_signature().map_err(|_| refused("it is not signed with its own key"))?;
        let info = &request.certification_request_info;
        let attributes = info.attributes().iter().map(|attribute| attribute.parsed_attribute());
        let extensions = attributes.filter_map(|attribute| match attribute {
            ParsedCriAttribute::ExtensionRequest(asked) => Some(&asked.extensions),
            _ => None,
        });
        let names = extensions.flatten().find(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
        let requested = Requested {
            subject: info.subject.as_raw(),
            key: info.subject_pki.raw,
            alternative_names: names.map(|extension| extension.value),
        };
        self.certify(&requested, usages, lifetime)
    }

    fn certify(
        &self,
        requested: &Requested<'_>,
        usages: &[Usage],
        lifetime: Duration,
    ) -> Result<String, TransportError> {
        let unusable =
            || TransportError::certificate("the authority", Unsignable("its certificate cannot be read"));
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(self.certificate_pem().as_bytes()).map_err(|_| unusable())?;
        let (_, authority) = X509Certificate::from_der(&pem.contents).map_err(|_| unusable())?;
        let now = SystemTime::now();
        let own_end = u64::try_from(authority.validity().not_after.timestamp()).map_err(|_| unusable())?;
        let end = (now + lifetime).min(SystemTime::UNIX_EPOCH + Duration::from_secs(own_end));
        let serial = serial()?;
        let extensions = extensions(requested, usages, &authority);
        let body = construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_tagged(Tag::context(0), |writer| writer.write_i8(2));
                writer.next().write_bigint_bytes(&serial, true);
                algorithm(writer.next());
                writer.next().write_der(authority.subject().as_raw());
                writer.next().write_sequence(|writer| {
                    time(writer.next(), now - CLOCK_SKEW);
                    time(writer.next(), end);
                });
                writer.next().write_der(requested.subject);
                writer.next().write_der(requested.key);
                writer.next().write_tagged(Tag::context(3), |writer| writer.write_der(&extensions));
            });
        });
        let signature = self.key().sign(&body);
        let signature = signature.map_err(|e| TransportError::certificate("a new certificate", e))?;
        let certificate = construct_der(|writer| signed(writer, &body, &signature));
        Ok(pem_of("CERTIFICATE", &certificate))
    }
}

fn serial() -> Result<[u8; SERIAL_BYTES], TransportError> {
    let mut serial = [0; SERIAL_BYTES];
    let filled = SystemRandom::new().fill(&mut serial);
    filled.map_err(|_| {
        TransportError::certificate("a new certificate", Unsignable("there are no random numbers"))
    })?;
    // Positive, and never short of its first byte.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    Ok(serial)
}

/// Ed25519: the authority's own, and that of the keys that it makes.
pub(crate) fn algorithm(writer: DERWriter<'_>) {
    writer.write_sequence(|writer| writer.next().write_oid(&oid(&ED25519)));
}

fn oid(components: &[u64]) -> ObjectIdentifier {
    ObjectIdentifier::from_slice(components)
}

fn time(writer: DERWriter<'_>, at: SystemTime) {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    if seconds < GENERALIZED_FROM.as_secs() {
        writer.write_utctime(&UTCTime::from_datetime(whole.into()));
    } else {
        writer.write_generalized_time(&GeneralizedTime::from_datetime(whole.into()));
    }
}

fn extensions(requested: &Requested<'_>, usages: &[Usage], authority: &X509Certificate<'_>) -> Vec<u8> {
    let key_identifier =
        authority.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0),
            _ => None,
        });
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            extension(writer, &KEY_USAGE, true, &key_usage(usages));
            extension(writer, &EXTENDED_KEY_USAGE, false, &extended_key_usage(usages));
            extension(
                writer,
                &BASIC_CONSTRAINTS,
                true,
                &construct_der(|writer| writer.write_sequence(|_| ())),
            );
            if let Some(identifier) = key_identifier {
                let identified = construct_der(|writer| {
                    writer.write_sequence(|writer| {
                        let tag = Tag::context(0);
                        writer.next().write_tagged_implicit(tag, |writer| writer.write_bytes(identifier));
                    });
                });
                extension(writer, &AUTHORITY_KEY_IDENTIFIER, false, &identified);
            }
            if let Some(names) = requested.alternative_names {
                extension(writer, &SUBJECT_ALT_NAME, false, names);
            }
        });
    })
}

fn extension(writer: &mut DERWriterSeq<'_>, of: &[u64], critical: bool, value: &[u8]) {
    writer.next().write_sequence(|writer| {
        writer.next().write_oid(&oid(of));
        if critical {
            writer.next().write_bool(true);
        }
        writer.next().write_bytes(value);
    });
}

/// The first bit says that the key signs, the third that it encrypts keys.
fn key_usage(usages: &[Usage]) -> Vec<u8> {
    let (byte, bits) = match usages.contains(&Usage::KeyEncipherment) {
        true => (0b1010_0000, 3),
        false => (0b1000_0000, 1),
    };
    construct_der(|writer| writer.write_bitvec_bytes(&[byte], bits))
}

fn extended_key_usage(usages: &[Usage]) -> Vec<u8> {
    let purposes = [(Usage::ClientAuth, CLIENT_AUTH), (Usage::ServerAuth, SERVER_AUTH)];
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            for (_, purpose) in purposes.iter().filter(|(usage, _)| usages.contains(usage)) {
                writer.next().write_oid(&oid(purpose));
            }
        });
    })
}

/// What is signed, how, and the signature.
pub(crate) fn signed(writer: DERWriter<'_>, what: &[u8], signature: &[u8]) {
    writer.write_sequence(|writer| {
        writer.next().write_der(what);
        algorithm(writer.next());
        writer.next().write_bitvec_bytes(signature, signature.len() * 8);
    });
}

pub(crate) fn pem_of(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(LINE).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    use super::*;
    use crate::{CertificateRequest, Credentials, PeerCertificate, client_config};

    const CLIENT: [Usage; 2] = [Usage::DigitalSignature, Usage::ClientAuth];

    fn server_request() -> String {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let params = CertificateParams::new(vec!["web.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    fn authority() -> (tempfile::TempDir, Authority) {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(directory.path()).unwrap();
        (directory, authority)
    }

    fn der_of(pem: &str) -> Vec<u8> {
        x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
    }

    #[test]
    fn what_is_asked_for_is_certified_for_the_time_and_the_purpose_given() {
        let (_directory, authority) = authority();
        let groups = ["developers", "testers", "operators"];
        let CertificateRequest { request_pem, key_pem } = CertificateRequest::new("jane", &groups).unwrap();
        let pem = authority.sign(request_pem.as_bytes(), &CLIENT, Duration::from_secs(3_600)).unwrap();
        let der = CertificateDer::from(der_of(&pem));
        let peer = PeerCertificate::parse(&der).unwrap();
        assert_eq!(peer.common_name, "jane");
        assert_eq!(peer.organizations, groups);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let own = der_of(authority.certificate_pem());
        let (_, own) = X509Certificate::from_der(&own).unwrap();
        certificate.verify_signature(Some(own.public_key())).unwrap();
        let validity = certificate.validity();
        let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
        assert_eq!(seconds, 2 * 3_600, "an hour, and an hour for clocks that differ");
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !certificate.is_ca());
        let credentials = Credentials { certificate_pem: pem, key_pem };
        client_config(authority.certificate_pem(), Some(&credentials)).unwrap();
    }

    #[test]
    fn a_servers_names_are_kept_whatever_sort_of_key_it_has() {
        let (_directory, authority) = authority();
        let usages = [Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ServerAuth];
        let pem = authority.sign(server_request().as_bytes(), &usages, Duration::from_secs(60)).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(names.general_names.len(), 2);
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
    }

    #[test]
    fn no_certificate_outlives_the_authority() {
        let (_directory, authority) = authority();
        let century = Duration::from_secs(100 * 365 * 86_400);
        let pem = authority.sign(server_request().as_bytes(), &CLIENT, century).unwrap();
        let end =
            |pem: &str| X509Certificate::from_der(&der_of(pem)).unwrap().1.validity().not_after.timestamp();
        assert_eq!(end(&pem), end(authority.certificate_pem()));
    }

    #[test]
    fn a_request_that_is_not_signed_with_its_own_key_is_refused() {
        let (_directory, authority) = authority();
        let key_of = |der: &[u8]| {
            let (_, request) = X509CertificationRequest::from_der(der).unwrap();
            request.certification_request_info.subject_pki.subject_public_key.data.to_vec()
        };
        let [mut forged, foreign] = ["jane", "root"]
            .map(|name| der_of(&CertificateRequest::new::<&str>(name, &[]).unwrap().request_pem));
        let (own, other) = (key_of(&forged), key_of(&foreign));
        let at = forged.windows(own.len()).position(|window| window == own).unwrap();
        forged[at..at + other.len()].copy_from_slice(&other);
        let pem = pem_of("CERTIFICATE REQUEST", &forged);
        let hour = Duration::from_secs(3_600);
        let error = authority.sign(pem.as_bytes(), &CLIENT, hour).unwrap_err();
        assert_eq!(error.to_string(), "the request for a certificate is not usable");
        assert!(authority.sign(b"hello", &CLIENT, hour).is_err());
    }
}
