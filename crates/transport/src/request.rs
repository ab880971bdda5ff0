//! Asking for a certificate: a new key, and the PKCS#10 request (RFC 2986) for it.

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriterSeq, Tag, construct_der};

use crate::TransportError;
use crate::authority::{NoRandomness, PKCS8_ED25519};
use crate::signing::{algorithm, pem_of, signed};

const COMMON_NAME: [u64; 4] = [2, 5, 4, 3];
const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];
const SEED_BYTES: usize = 32;

/// A new key, and what an authority is asked to certify.
#[derive(Clone)]
pub struct CertificateRequest {
    /// The PKCS#10 request, in PEM.
    pub request_pem: String,
    /// The private key, PKCS#8, in PEM.
    pub key_pem: String,
}

impl std::fmt::Debug for CertificateRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateRequest").finish_non_exhaustive()
    }
}

impl CertificateRequest {
    /// A new ed25519 key, and a request for a certificate of it: the common name is the user, the organizations are the user's
    /// groups.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new<S: AsRef<str>>(common_name: &str, organizations: &[S]) -> Result<Self, TransportError> {
        let failed = || TransportError::certificate("a new key", NoRandomness);
        let mut seed = [0; SEED_BYTES];
        SystemRandom::new().fill(&mut seed).map_err(|_| failed())?;
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| failed())?;
        let info = construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_i8(0);
                writer.next().write_sequence(|writer| {
                    for organization in organizations {
                        attribute(writer, &ORGANIZATION, organization.as_ref());
                    }
                    attribute(writer, &COMMON_NAME, common_name);
                });
                writer.next().write_sequence(|writer| {
                    algorithm(writer.next());
                    let public = key.public_key().as_ref();
                    writer.next().write_bitvec_bytes(public, public.len() * 8);
                });
                let tag = Tag::context(0);
                writer.next().write_tagged_implicit(tag, |writer| writer.write_sequence(|_| ()));
            });
        });
        let request = construct_der(|writer| signed(writer, &info, key.sign(&info).as_ref()));
        let private = [PKCS8_ED25519.as_slice(), &seed].concat();
        Ok(Self {
            request_pem: pem_of("CERTIFICATE REQUEST", &request),
            key_pem: pem_of("PRIVATE KEY", &private),
        })
    }
}

/// One part of a name.
fn attribute(writer: &mut DERWriterSeq<'_>, of: &[u64], value: &str) {
    writer.next().write_set(|writer| {
        writer.next().write_sequence(|writer| {
            writer.next().write_oid(&ObjectIdentifier::from_slice(of));
            writer.next().write_utf8_string(value);
        });
    });
}
