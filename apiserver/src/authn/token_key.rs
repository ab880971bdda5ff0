//! [`TokenKey`]: an ed25519 key that signs service accounts' tokens, in a file; [`RetiredKey`]: what is left of one that did.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::jws::{self, Jws, PublicKey};

/// What comes before the seed in PKCS#8 (RFC 8410, section 7), and before the key in a `SubjectPublicKeyInfo`.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 32];
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
const SEED_BYTES: usize = 32;
const HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const TAIL: &str = "-----END PRIVATE KEY-----";

const PUBLIC_HEAD: &str = "-----BEGIN PUBLIC KEY-----";
const PUBLIC_TAIL: &str = "-----END PUBLIC KEY-----";

/// The key that signs service accounts' tokens.
pub(super) struct TokenKey {
    pair: Ed25519KeyPair,
    public: RetiredKey,
}

/// The public half of a key, which verifies what the key has signed.
#[derive(Debug, Clone)]
pub(super) struct RetiredKey {
    public: Vec<u8>,
    verifier: PublicKey,
    /// As Kubernetes derives it: the hash of the public key.
    id: String,
}

/// Why the key that signs tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The file cannot be read or written.
    #[error("cannot use the key of service accounts' tokens, {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{} is not an ed25519 key (PKCS#8 or SubjectPublicKeyInfo, PEM)", .0.display())]
    Malformed(PathBuf),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// Reads the key, or makes one if there is no file (mode 0600).
    ///
    /// # Errors
    /// If the file can be neither read nor made, or is no ed25519 key.
    pub(super) fn open_or_create(path: &Path) -> Result<Self, TokenKeyError> {
        let pem = match std::fs::read_to_string(path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Self::replace(path)?;
                return Self::open_or_create(path);
            }
            Err(source) => return Err(TokenKeyError::File { path: path.into(), source }),
        };
        Self::from_pem(&pem).ok_or_else(|| TokenKeyError::Malformed(path.into()))
    }

    /// Puts a new key into the file (mode 0600), whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn replace(path: &Path) -> Result<(), TokenKeyError> {
        write(path, &new_pem()?).map_err(|source| TokenKeyError::File { path: path.into(), source })
    }

    fn from_pem(pem: &str) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&body(pem, HEAD, TAIL)?).ok()?;
        let public = RetiredKey::new(pair.public_key().as_ref().to_vec());
        Some(Self { pair, public })
    }

    /// Which key it is.
    pub(super) fn id(&self) -> &str {
        &self.public.id
    }

    /// Signs claims as they are; what they should say is the caller's business.
    pub(super) fn sign(&self, claims: &Value) -> String {
        jws::sign(&self.pair, self.id(), claims)
    }

    /// The payload of a token that this key has signed.
    pub(super) fn verify<'t>(&self, token: &'t Jws<'_>) -> Option<&'t [u8]> {
        self.public.verify(token)
    }

    /// The public key, as `/openid/v1/jwks` shows it.
    pub(super) fn jwk(&self) -> Value {
        self.public.jwk()
    }
}

impl RetiredKey {
    fn new(public: Vec<u8>) -> Self {
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest([SPKI.as_slice(), &public].concat()));
        Self { verifier: PublicKey::Ed25519(public.clone()), id, public }
    }

    /// What stays of a key that signs no longer.
    pub(super) fn of(key: &TokenKey) -> Self {
        key.public.clone()
    }

    /// Reads a public key.
    ///
    /// # Errors
    /// If the file cannot be read or is no ed25519 public key.
    pub(super) fn read(path: &Path) -> Result<Self, TokenKeyError> {
        let pem = std::fs::read_to_string(path);
        let pem = pem.map_err(|source| TokenKeyError::File { path: path.into(), source })?;
        let der = body(&pem, PUBLIC_HEAD, PUBLIC_TAIL);
        let public = der.and_then(|der| der.strip_prefix(SPKI.as_slice()).map(<[u8]>::to_vec));
        let public = public.filter(|public| public.len() == SEED_BYTES);
        public.map(Self::new).ok_or_else(|| TokenKeyError::Malformed(path.into()))
    }

    /// Writes the public key.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), TokenKeyError> {
        let der = [SPKI.as_slice(), &self.public].concat();
        let pem = format!("{PUBLIC_HEAD}\n{}\n{PUBLIC_TAIL}\n", STANDARD.encode(der));
        write(path, &pem).map_err(|source| TokenKeyError::File { path: path.into(), source })
    }

    /// Which key it is.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The payload of a token that the key has signed.
    pub(super) fn verify<'t>(&self, token: &'t Jws<'_>) -> Option<&'t [u8]> {
        if token.key_id == self.id { token.verify(&self.verifier) } else { None }
    }

    /// As `/openid/v1/jwks` shows it.
    pub(super) fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(&self.public);
        json!({"use": "sig", "kty": "OKP", "kid": self.id, "crv": "Ed25519", "alg": "EdDSA", "x": x})
    }
}

/// What stands between the lines of a PEM.
fn body(pem: &str, head: &str, tail: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(head)?;
    let (body, _) = rest.split_once(tail)?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

fn new_pem() -> Result<String, TokenKeyError> {
    let mut der = [PKCS8.as_slice(), &[0; SEED_BYTES]].concat();
    let (_, seed) = der.split_at_mut(PKCS8.len());
    SystemRandom::new().fill(seed).map_err(|_| TokenKeyError::NoRandomness)?;
    Ok(format!("{HEAD}\n{}\n{TAIL}\n", STANDARD.encode(der)))
}

/// Writes the file whole or not at all.
fn write(path: &Path, pem: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_kept_private_and_verifies_what_it_signed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sa.key");
        let key = TokenKey::open_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let token = key.sign(&json!({"iss": "me"}));
        let again = TokenKey::open_or_create(&path).unwrap();
        assert!(again.verify(&Jws::parse(&token).unwrap()).is_some());
        let other = TokenKey::open_or_create(&directory.path().join("other.key")).unwrap();
        assert!(other.verify(&Jws::parse(&token).unwrap()).is_none());
        assert_eq!(key.jwk()["kid"], Jws::parse(&token).unwrap().key_id.as_str());
    }

    #[test]
    fn what_is_no_key_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sa.key");
        std::fs::write(&path, "hello").unwrap();
        assert!(matches!(TokenKey::open_or_create(&path), Err(TokenKeyError::Malformed(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hello");
    }
}
