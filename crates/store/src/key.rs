//! Keys and prefixes: paths of non-empty segments.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A path such as `/registry/core/pods/default/web-0`: it starts with `/`, has at least one segment, and none is
/// empty. Cheap to clone. Ordered by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a string is not a [`Key`] or [`Prefix`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid key {key:?}: {reason}")]
pub struct InvalidKey {
    /// What was given.
    pub key: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl Key {
    /// The longest key, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Checks `key`. Fails if it breaks a rule of the type, is longer than [`Self::MAX_BYTES`], or has a control
    /// character.
    pub fn new(key: impl AsRef<str>) -> Result<Self, InvalidKey> {
        let key = key.as_ref();
        check(key)?;
        Ok(Self(key.into()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn check(key: &str) -> Result<(), InvalidKey> {
    let reason = if !key.starts_with('/') {
        "it must start with '/'"
    } else if key.len() > Key::MAX_BYTES {
        "it is longer than 1024 bytes"
    } else if key[1..].split('/').any(str::is_empty) {
        "a segment is empty"
    } else if key.chars().any(char::is_control) {
        "it has a control character"
    } else {
        return Ok(());
    };
    Err(InvalidKey { key: key.to_owned(), reason })
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(key: &str) -> Result<Self, InvalidKey> {
        Self::new(key)
    }
}

impl TryFrom<&str> for Key {
    type Error = InvalidKey;

    fn try_from(key: &str) -> Result<Self, InvalidKey> {
        Self::new(key)
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// All keys below a path. It always ends with `/`, so `/registry/pods` does not contain `/registry/podsx/a` (nor
/// the key `/registry/pods` itself). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Checks `path`, and adds the final `/` where it is missing. Fails as [`Key::new`] does.
    pub fn new(path: impl AsRef<str>) -> Result<Self, InvalidKey> {
        let path = path.as_ref();
        if path == "/" {
            return Ok(Self::all());
        }
        let bare = path.strip_suffix('/').unwrap_or(path);
        check(bare)?;
        Ok(Self(format!("{bare}/").into()))
    }

    /// Every key.
    pub fn all() -> Self {
        Self("/".into())
    }

    /// The prefix as text, with its final `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` is below this path.
    pub fn contains(&self, key: &Key) -> bool {
        key.as_str().starts_with(self.as_str())
    }

    /// The first string after all keys below this path. `0` follows `/` in byte order.
    pub(crate) fn end(&self) -> String {
        format!("{}0", &self.0[..self.0.len() - 1])
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for Prefix {
    type Err = InvalidKey;

    fn from_str(path: &str) -> Result<Self, InvalidKey> {
        Self::new(path)
    }
}

impl TryFrom<&str> for Prefix {
    type Error = InvalidKey;

    fn try_from(path: &str) -> Result<Self, InvalidKey> {
        Self::new(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_path_of_segments() {
        for good in ["/a", "/registry/core/pods/default/web-0", "/ü/b"] {
            assert_eq!(Key::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "/", "a", "a/b", "/a/", "//a", "/a//b", "/a\0", "/a\n"] {
            assert_eq!(Key::new(bad).unwrap_err().key, bad);
        }
        assert!(Key::new(format!("/{}", "x".repeat(Key::MAX_BYTES))).is_err());
    }

    #[test]
    fn a_prefix_contains_what_is_below_it_only() {
        let pods = Prefix::new("/registry/pods").unwrap();
        assert_eq!(pods, Prefix::new("/registry/pods/").unwrap());
        for (key, inside) in [
            ("/registry/pods/a", true),
            ("/registry/podsx/a", false),
            ("/registry/pods", false),
            ("/a", false),
        ] {
            let key = Key::new(key).unwrap();
            assert_eq!(pods.contains(&key), inside, "{key}");
            let range = key.as_str() >= pods.as_str() && key.as_str() < pods.end().as_str();
            assert_eq!(range, inside, "{key}");
        }
        assert!(Prefix::all().contains(&Key::new("/a").unwrap()));
    }
}
