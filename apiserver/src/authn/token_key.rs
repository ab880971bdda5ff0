//! [`TokenKey`]: the ed25519 key that signs service accounts' tokens, in a file.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// The key that signs service accounts' tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenKey(Arc<Inner>);

struct Inner {
    pair: Ed25519KeyPair,
    public: PublicKey,
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
    #[error("{} is not an ed25519 private key (PKCS#8, PEM)", .0.display())]
    Malformed(PathBuf),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// Reads the key, or makes one if there is no file (mode 0600).
    ///
    /// # Errors
    /// If the file can be neither read nor made, or is no ed25519 key.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self, TokenKeyError> {
        let path = path.as_ref();
        let failed = |source| TokenKeyError::File { path: path.into(), source };
        let pem = match std::fs::read_to_string(path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pem = new_pem()?;
                write(path, &pem).map_err(failed)?;
                pem
            }
            Err(error) => return Err(failed(error)),
        };
        Self::from_pem(&pem).ok_or_else(|| TokenKeyError::Malformed(path.into()))
    }

    fn from_pem(pem: &str) -> Option<Self> {
        let (_, rest) = pem.split_once(HEAD)?;
        let (body, _) = rest.split_once(TAIL)?;
        let body: String = body.split_ascii_whitespace().collect();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&STANDARD.decode(body).ok()?).ok()?;
        let public = pair.public_key().as_ref();
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest([&SPKI, public].concat()));
        Some(Self(Arc::new(Inner { public: PublicKey::Ed25519(public.to_vec()), id, pair })))
    }

    /// Signs claims as they are; what they should say is the caller's business.
    pub fn sign(&self, claims: &Value) -> String {
        jws::sign(&self.0.pair, &self.0.id, claims)
    }

    /// The payload of a token that this key has signed.
    pub(super) fn verify<'t>(&self, token: &'t Jws<'_>) -> Option<&'t [u8]> {
        if token.key_id == self.0.id { token.verify(&self.0.public) } else { None }
    }

    /// The public key, as `/openid/v1/jwks` shows it.
    pub(super) fn jwks(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.pair.public_key().as_ref());
        json!({"keys": [
            {"use": "sig", "kty": "OKP", "kid": self.0.id, "crv": "Ed25519", "alg": "EdDSA", "x": x},
        ]})
    }
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
        let other = TokenKey::open_or_create(directory.path().join("other.key")).unwrap();
        assert!(other.verify(&Jws::parse(&token).unwrap()).is_none());
        assert_eq!(key.jwks()["keys"][0]["kid"], Jws::parse(&token).unwrap().key_id.as_str());
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
