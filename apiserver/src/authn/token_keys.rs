//! [`TokenKeys`]: the key that signs service accounts' tokens, and those before it, which still verify.
//!
//! On disk: the key in a file such as `sa.key`, and beside it the public half of each that it has replaced, `sa-ID.pub`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::{Value, json};

use super::jws::Jws;
use super::token_key::{RetiredKey, TokenKey, TokenKeyError};

/// The keys of service accounts' tokens: one signs, and those before it still verify. Cheap to clone; all clones see a
/// [`reload`](Self::reload).
#[derive(Clone)]
pub struct TokenKeys(Arc<Inner>);

struct Inner {
    path: PathBuf,
    keys: RwLock<Arc<Keys>>,
}

struct Keys {
    signing: TokenKey,
    retired: Vec<RetiredKey>,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.now();
        f.debug_struct("TokenKeys")
            .field("signing", &keys.signing)
            .field("retired", &keys.retired.len())
            .finish()
    }
}

impl TokenKeys {
    /// Reads the keys, or makes one if there is none (mode 0600).
    ///
    /// # Errors
    /// If a file can be neither read nor made, or is no ed25519 key.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self, TokenKeyError> {
        let path = path.as_ref();
        let keys = RwLock::new(Arc::new(Keys::read(path)?));
        Ok(Self(Arc::new(Inner { path: path.into(), keys })))
    }

    /// Replaces the key by a new one; the old one verifies from then on what it has signed. Whoever has the keys open sees it
    /// once they [`reload`](Self::reload). Killed half way, the old key goes on signing.
    ///
    /// # Errors
    /// As [`open_or_create`](Self::open_or_create).
    pub fn rotate(path: impl AsRef<Path>) -> Result<(), TokenKeyError> {
        let path = path.as_ref();
        let old = TokenKey::open_or_create(path)?;
        RetiredKey::of(&old).write(&retired_path(path, old.id()))?;
        TokenKey::replace(path)
    }

    /// Forgets all keys but the one that signs: tokens of the others are worth nothing once this is
    /// [`reload`](Self::reload)ed. Answers how many there were.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn forget(path: impl AsRef<Path>) -> Result<usize, TokenKeyError> {
        let files = retired_files(path.as_ref())?;
        for file in &files {
            std::fs::remove_file(file)
                .map_err(|source| TokenKeyError::File { path: file.clone(), source })?;
        }
        Ok(files.len())
    }

    /// Reads the keys again. What cannot be read changes nothing.
    ///
    /// # Errors
    /// As [`open_or_create`](Self::open_or_create).
    pub fn reload(&self) -> Result<(), TokenKeyError> {
        let keys = Arc::new(Keys::read(&self.0.path)?);
        *self.0.keys.write() = keys;
        Ok(())
    }

    /// Signs claims as they are; what they should say is the caller's business.
    pub fn sign(&self, claims: &Value) -> String {
        self.now().signing.sign(claims)
    }

    /// The payload of a token that one of the keys has signed.
    pub(super) fn verify(&self, token: &Jws<'_>) -> Option<Vec<u8>> {
        let keys = self.now();
        let signed = keys.signing.verify(token);
        signed.or_else(|| keys.retired.iter().find_map(|key| key.verify(token))).map(<[u8]>::to_vec)
    }

    /// Whether a key of this id is one of them.
    pub(super) fn knows(&self, id: &str) -> bool {
        let keys = self.now();
        keys.signing.id() == id || keys.retired.iter().any(|key| key.id() == id)
    }

    /// The public keys, as `/openid/v1/jwks` shows them; the one that signs is the first.
    pub(super) fn jwks(&self) -> Value {
        let keys = self.now();
        let retired = keys.retired.iter().map(RetiredKey::jwk);
        let all: Vec<Value> = [keys.signing.jwk()].into_iter().chain(retired).collect();
        json!({"keys": all})
    }

    fn now(&self) -> Arc<Keys> {
        self.0.keys.read().clone()
    }
}

impl Keys {
    fn read(path: &Path) -> Result<Self, TokenKeyError> {
        let signing = TokenKey::open_or_create(path)?;
        let files = retired_files(path)?;
        let mut retired = files.iter().map(|file| RetiredKey::read(file)).collect::<Result<Vec<_>, _>>()?;
        // Of a rotation that was killed half way.
        retired.retain(|key| key.id() != signing.id());
        Ok(Self { signing, retired })
    }
}

fn retired_prefix(path: &Path) -> String {
    format!("{}-", path.file_stem().unwrap_or_default().to_string_lossy())
}

fn retired_path(path: &Path, id: &str) -> PathBuf {
    path.with_file_name(format!("{}{id}.pub", retired_prefix(path)))
}

fn retired_files(path: &Path) -> Result<Vec<PathBuf>, TokenKeyError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(TokenKeyError::File { path: directory.into(), source }),
    };
    let prefix = retired_prefix(path);
    let is_retired = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&prefix) && name.ends_with(".pub")
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_retired).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifies(keys: &TokenKeys, token: &str) -> bool {
        keys.verify(&Jws::parse(token).unwrap()).is_some()
    }

    #[test]
    fn a_key_that_was_replaced_verifies_until_it_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sa.key");
        let keys = TokenKeys::open_or_create(&path).unwrap();
        let old = keys.sign(&json!({"iss": "me"}));
        TokenKeys::rotate(&path).unwrap();
        keys.reload().unwrap();
        let new = keys.sign(&json!({"iss": "me"}));
        assert!(verifies(&keys, &old) && verifies(&keys, &new));
        let ids: Vec<Value> =
            keys.jwks()["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
        let id_of = |token: &str| Value::from(Jws::parse(token).unwrap().key_id);
        assert_eq!(ids, [id_of(&new), id_of(&old)]);

        // Another process, or the same after a restart.
        let again = TokenKeys::open_or_create(&path).unwrap();
        assert!(verifies(&again, &old) && verifies(&again, &new));
        assert_eq!(TokenKeys::forget(&path).unwrap(), 1);
        keys.reload().unwrap();
        assert!(!verifies(&keys, &old) && verifies(&keys, &new));
        assert!(!keys.knows(&Jws::parse(&old).unwrap().key_id));
    }

    #[test]
    fn a_rotation_killed_half_way_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sa.key");
        let key = TokenKey::open_or_create(&path).unwrap();
        RetiredKey::of(&key).write(&retired_path(&path, key.id())).unwrap();
        let keys = TokenKeys::open_or_create(&path).unwrap();
        assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), 1);
        std::fs::write(directory.path().join("sa-x.pub"), "hello").unwrap();
        assert!(matches!(keys.reload(), Err(TokenKeyError::Malformed(_))));
        assert!(verifies(&keys, &key.sign(&json!({}))), "what was read before goes on");
    }
}
