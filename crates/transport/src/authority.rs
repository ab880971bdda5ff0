//! Orch's own certificate authority: one ed25519 key in a directory.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::{CertificateRequest, TransportError, Usage};

const CERTIFICATE_FILE: &str = "ca.crt";
const KEY_FILE: &str = "ca.key";
/// What comes before the seed in a PKCS#8 version 1 file of an ed25519 key (RFC 8410, section 7).
pub(crate) const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 32];
const ED25519_SEED_BYTES: usize = 32;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIFETIME: Duration = DAY.saturating_mul(3650);
const LEAF_LIFETIME: Duration = DAY.saturating_mul(365);
/// Clocks differ: certificates are valid a little before they are made.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// A certificate authority that lives in a directory as `ca.crt` and `ca.key`.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, in PEM.
#[derive(Clone)]
pub struct Credentials {
    /// The certificate chain, leaf first.
    pub certificate_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the authority in `directory`, or makes one there (directory 0700, files 0600).
    ///
    /// # Errors
    /// If a file cannot be read or written, is not what it should be, or only one of the two exists.
    pub fn open_or_create(directory: impl AsRef<Path>) -> Result<Self, TransportError> {
        let directory = directory.as_ref();
        let (certificate, key) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
        match (certificate.exists(), key.exists()) {
            (true, true) => Self::open(&certificate, &key),
            (false, false) => Self::create(directory, &certificate, &key),
            (true, false) => Err(TransportError::Incomplete(key)),
            // The key is written first: a start that died in between left a key that signed nothing.
            (false, true) => Self::create(directory, &certificate, &key),
        }
    }

    /// The authority's certificate: what peers must trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub(crate) fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    /// What a node's agent shows, as a client and as a server, valid for a year: the user `system:node:NAME` of the group
    /// `system:nodes`, and its server's names and addresses.
    ///
    /// # Errors
    /// If a name is neither.
    pub fn issue_node<S: AsRef<str>>(&self, node: &str, names: &[S]) -> Result<Credentials, TransportError> {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        let mut params =
            CertificateParams::new(names).map_err(|e| TransportError::certificate("a server name", e))?;
        params.distinguished_name = distinguished_name(&format!("system:node:{node}"), Some("system:nodes"));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    /// A server certificate, valid for a year, for these DNS names and IP addresses.
    ///
    /// # Errors
    /// If a name is neither.
    pub fn issue_server<S: AsRef<str>>(&self, names: &[S]) -> Result<Credentials, TransportError> {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params =
            CertificateParams::new(names).map_err(|e| TransportError::certificate("a server name", e))?;
        params.distinguished_name = distinguished_name(&common_name, None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// A client certificate, valid for a year: the common name is the user, the organizations are the user's groups.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn issue_client<S: AsRef<str>>(
        &self,
        common_name: &str,
        organizations: &[S],
    ) -> Result<Credentials, TransportError> {
        let CertificateRequest { request_pem, key_pem } =
            CertificateRequest::new(common_name, organizations)?;
        let usages = [Usage::DigitalSignature, Usage::ClientAuth];
        let certificate_pem = self.sign(request_pem.as_bytes(), &usages, LEAF_LIFETIME)?;
        Ok(Credentials { certificate_pem, key_pem })
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Credentials, TransportError> {
        set_lifetime(&mut params, LEAF_LIFETIME);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|e| TransportError::certificate("a new certificate", e))?;
        Ok(Credentials { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    fn open(certificate: &Path, key: &Path) -> Result<Self, TransportError> {
        let certificate_pem = read(certificate)?;
        let shown = |path: &Path| path.display().to_string();
        let key_pair =
            KeyPair::from_pem(&read(key)?).map_err(|e| TransportError::certificate(shown(key), e))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key_pair)
            .map_err(|e| TransportError::certificate(shown(certificate), e))?;
        Ok(Self { certificate_pem, issuer })
    }

    fn create(directory: &Path, certificate: &Path, key: &Path) -> Result<Self, TransportError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name("orch-ca", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        set_lifetime(&mut params, AUTHORITY_LIFETIME);
        let key_pair = new_key()?;
        let made =
            params.self_signed(&key_pair).map_err(|e| TransportError::certificate("the authority", e))?;
        let builder = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        builder.map_err(|source| TransportError::File { action: "make", path: directory.into(), source })?;
        write(key, &key_pair.serialize_pem())?;
        write(certificate, &made.pem())?;
        Self::open(certificate, key)
    }
}

/// All that ring says when the system's random numbers cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandomness;

/// A new key, as RFC 8410 writes it. rcgen's own keys carry the public half too (PKCS#8 version 2), and whatever
/// reads a kubeconfig with OpenSSL (curl, Python) refuses those.
fn new_key() -> Result<KeyPair, TransportError> {
    let mut der = PKCS8_ED25519.to_vec();
    der.resize(PKCS8_ED25519.len() + ED25519_SEED_BYTES, 0);
    let (_, seed) = der.split_at_mut(PKCS8_ED25519.len());
    SystemRandom::new().fill(seed).map_err(|_| TransportError::certificate("a new key", NoRandomness))?;
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ED25519)
        .map_err(|e| TransportError::certificate("a new key", e))
}

fn distinguished_name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}

fn set_lifetime(params: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + lifetime).into();
}

fn read(path: &Path) -> Result<String, TransportError> {
    fs::read_to_string(path).map_err(|source| TransportError::File {
        action: "read",
        path: path.into(),
        source,
    })
}

/// Writes a file that only its owner may read, whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), TransportError> {
    let draft: PathBuf = path.with_extension("new");
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).and_then(
            |mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                fs::rename(&draft, path)
            },
        );
    written.map_err(|source| TransportError::File { action: "write", path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_authority_is_made_once_and_reused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pki");
        let first = Authority::open_or_create(&path).unwrap();
        let again = Authority::open_or_create(&path).unwrap();
        assert_eq!(first.certificate_pem(), again.certificate_pem());
        for file in [CERTIFICATE_FILE, KEY_FILE] {
            let mode = fs::metadata(path.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn keys_are_written_as_openssl_reads_them() {
        use rustls_pki_types::pem::PemObject as _;

        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(directory.path()).unwrap();
        let issued = authority.issue_client::<&str>("alice", &[]).unwrap();
        let stored = fs::read_to_string(directory.path().join(KEY_FILE)).unwrap();
        for pem in [stored, issued.key_pem] {
            let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
            let (head, seed) = der.secret_pkcs8_der().split_at(PKCS8_ED25519.len());
            assert_eq!((head, seed.len()), (PKCS8_ED25519.as_slice(), ED25519_SEED_BYTES));
            assert_ne!(seed, [0; ED25519_SEED_BYTES]);
        }
    }

    #[test]
    fn a_lost_key_is_reported_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        Authority::open_or_create(directory.path()).unwrap();
        fs::remove_file(directory.path().join(KEY_FILE)).unwrap();
        let error = Authority::open_or_create(directory.path()).err().unwrap();
        assert!(matches!(&error, TransportError::Incomplete(path) if path.ends_with(KEY_FILE)), "{error}");
    }
}
