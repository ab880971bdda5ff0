//! [`Keyring`]: the keys that values are sealed with, and how.
//!
//! A sealed value is `orch:aes256gcm:v1:NAME:`, a random salt, and the AES-256-GCM ciphertext. Key and nonce are derived
//! (HKDF-SHA256) from the named key and the salt, so that no two values share them, however many are written; the key of the
//! store is authenticated with the value.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use orch_store::{Key, StoreError};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

const MARK: &[u8] = b"orch:aes256gcm:v1:";
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 32;

/// The keys that values are sealed with: the first seals, all of them open. Cheap to clone.
#[derive(Clone, Default)]
pub struct Keyring(Arc<[Named]>);

struct Named {
    name: String,
    secret: Prk,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file cannot be read.
    #[error("cannot read the encryption keys {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A line is not a key.
    #[error("encryption keys {}, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong with it. Never quotes the line: it holds a secret.
        problem: &'static str,
    },
    /// There is no key in the file.
    #[error("{} holds no encryption key", .0.display())]
    Empty(PathBuf),
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

impl Keyring {
    /// Reads a file with one key a line: `NAME:BASE64`, where the base64 is that of 32 random bytes. Empty lines and those
    /// that begin with `#` are skipped.
    ///
    /// # Errors
    /// If it cannot be read, a line is malformed, or there is no key in it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyringError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| KeyringError::File { path: path.into(), source })?;
        let mut keys: Vec<Named> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let failed = |problem| KeyringError::Line { path: path.into(), line: index + 1, problem };
            let key = parse(line).map_err(failed)?;
            if keys.iter().any(|known| known.name == key.name) {
                return Err(failed("the name has been used before"));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyringError::Empty(path.into())) } else { Ok(Self(keys.into())) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value is stored as this keyring would store it.
    pub(super) fn is_current(&self, value: &[u8]) -> bool {
        self.0.first().map(|key| key.name.as_str()) == sealed(value).map(|(name, _)| name)
    }

    /// Seals a value for a key of the store, with the first key.
    pub(crate) fn seal(&self, key: &Key, value: &[u8]) -> Result<Bytes, StoreError> {
        let Some(with) = self.0.first() else { return Ok(Bytes::copy_from_slice(value)) };
        let failed = || unreadable(key, "it cannot be encrypted: the system gives no random numbers");
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).map_err(|_| failed())?;
        let (cipher, nonce) = with.derive(&salt).ok_or_else(failed)?;
        let mut text = value.to_vec();
        let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(key.as_bytes()), &mut text);
        let tag = tag.map_err(|_| failed())?;
        Ok([MARK, with.name.as_bytes(), b":", &salt, &text, tag.as_ref()].concat().into())
    }

    /// Opens what was sealed for a key of the store; a value that is not sealed is as it is.
    pub(crate) fn open(&self, key: &Key, value: &Bytes) -> Result<Bytes, StoreError> {
        if !value.starts_with(MARK) {
            return Ok(value.clone());
        }
        let (name, rest) = sealed(value).ok_or_else(|| unreadable(key, "its encryption is damaged"))?;
        let Some(with) = self.0.iter().find(|known| known.name == name) else {
            return Err(unreadable(
                key,
                &format!("it is encrypted with the key {name:?}, which is not among the encryption keys"),
            ));
        };
        let failed = || {
            unreadable(
                key,
                &format!(
                    "the encryption key {name:?} does not open it: it is another key, or the value was changed"
                ),
            )
        };
        let (salt, text) = rest.split_at_checked(SALT_BYTES).ok_or_else(failed)?;
        let (cipher, nonce) = with.derive(salt).ok_or_else(failed)?;
        let mut text = text.to_vec();
        let length =
            cipher.open_in_place(nonce, Aad::from(key.as_bytes()), &mut text).map_err(|_| failed())?.len();
        text.truncate(length);
        Ok(text.into())
    }
}

impl Named {
    /// The key and the nonce of one value.
    fn derive(&self, salt: &[u8]) -> Option<(LessSafeKey, Nonce)> {
        let mut bytes = [0; KEY_BYTES + NONCE_LEN];
        self.secret.expand(&[b"value", salt], Length).ok()?.fill(&mut bytes).ok()?;
        let (key, nonce) = bytes.split_at(KEY_BYTES);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        Some((key, Nonce::try_assume_unique_for_key(nonce).ok()?))
    }
}

/// How much is derived for a value.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_BYTES + NONCE_LEN
    }
}

fn parse(line: &str) -> Result<Named, &'static str> {
    let (name, secret) = line.split_once(':').ok_or("not NAME:BASE64")?;
    let (name, secret) = (name.trim(), secret.trim());
    let is_word =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if name.is_empty() || !is_word(name) {
        return Err("the name is not made of letters, digits, '-', '_' and '.'");
    }
    let secret = STANDARD.decode(secret).map_err(|_| "the key is not base64")?;
    if secret.len() != KEY_BYTES {
        return Err("the key is not 32 bytes long");
    }
    let secret = Salt::new(HKDF_SHA256, b"orch encryption at rest").extract(&secret);
    Ok(Named { name: name.to_owned(), secret })
}

/// The name of the key of a sealed value, and what follows it.
fn sealed(value: &[u8]) -> Option<(&str, &[u8])> {
    let rest = value.strip_prefix(MARK)?;
    let end = rest.iter().position(|byte| *byte == b':')?;
    Some((std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 1..]))
}

fn unreadable(key: &Key, reason: &str) -> StoreError {
    StoreError::Unreadable { key: key.clone(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(text: &str) -> Result<Keyring, KeyringError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        std::fs::write(&path, text).unwrap();
        Keyring::read(path)
    }

    fn line(name: &str, byte: u8) -> String {
        format!("{name}:{}\n", STANDARD.encode([byte; KEY_BYTES]))
    }

    fn key(name: &str) -> Key {
        Key::new(format!("/registry/core/secrets/default/{name}")).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_key_only() {
        let keys = keyring(&line("a", 1)).unwrap();
        let plain = Bytes::from_static(b"{\"data\":\"hunter2\"}");
        let sealed = keys.seal(&key("one"), &plain).unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(keys.open(&key("one"), &sealed).unwrap(), plain);
        assert_ne!(keys.seal(&key("one"), &plain).unwrap(), sealed, "no two are sealed alike");
        let moved = keys.open(&key("two"), &sealed).unwrap_err().to_string();
        assert!(moved.contains("/secrets/default/two"), "{moved}");
        for index in [MARK.len() + 3, sealed.len() - 1] {
            let mut changed = sealed.to_vec();
            changed[index] ^= 1;
            keys.open(&key("one"), &changed.into()).unwrap_err();
        }
        keys.open(&key("one"), &sealed.slice(..MARK.len() + 4)).unwrap_err();
    }

    #[test]
    fn keys_are_rotated_by_putting_another_first() {
        let old = keyring(&line("a", 1)).unwrap();
        let both = keyring(&format!("# the new one\n{}\n{}", line("b", 2), line("a", 1))).unwrap();
        let new = keyring(&line("b", 2)).unwrap();
        let plain = Bytes::from_static(b"{}");
        let sealed = old.seal(&key("one"), &plain).unwrap();
        assert!(old.is_current(&sealed) && !both.is_current(&sealed) && !both.is_current(&plain));
        assert_eq!(both.open(&key("one"), &sealed).unwrap(), plain);
        let again = both.seal(&key("one"), &plain).unwrap();
        assert_eq!(new.open(&key("one"), &again).unwrap(), plain);
        for keys in [new, Keyring::default(), keyring(&line("a", 9)).unwrap()] {
            let error = keys.open(&key("one"), &sealed).unwrap_err().to_string();
            assert!(error.contains("/secrets/default/one") && error.contains("\"a\""), "{error}");
        }
    }

    #[test]
    fn malformed_keys_are_named_by_line_and_not_quoted() {
        let twice = line("a", 1) + &line("a", 2);
        for text in ["hunter2", "a:hunter2", "a b:AAAA", "a:AAAA", twice.as_str()] {
            let error = keyring(text).unwrap_err().to_string();
            assert!(error.contains("line") && !error.contains("hunter2"), "{error}");
        }
        assert!(matches!(keyring("# none\n"), Err(KeyringError::Empty(_))));
    }
}
