//! Names of sandboxes and containers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::RuntimeError;

/// What containerd accepts as an identifier.
const LONGEST_BYTES: usize = 76;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        ///
        /// Invariant: 1 to 76 characters, runs of ASCII letters and digits separated by single `.`, `_` or `-`; so it is
        /// also a safe file name.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes any text that satisfies the invariant; fails with `InvalidSpec` otherwise.
            pub fn new(id: impl Into<String>) -> Result<Self, RuntimeError> {
                let id = id.into();
                if is_valid(&id) { Ok(Self(id)) } else { Err(RuntimeError::invalid($field, format!("{id:?} is not an id"))) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = RuntimeError;
            fn try_from(id: String) -> Result<Self, RuntimeError> {
                Self::new(id)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id! {
    /// Names a sandbox, uniquely on its node for all time.
    SandboxId, "sandbox.id"
}

id! {
    /// Names one run of one container, uniquely on its node for all time.
    ContainerId, "container.id"
}

impl SandboxId {
    /// The id of a pod's sandbox: readable, and the same for the same arguments in every process and version.
    pub fn of_pod(pod_uid: &str, attempt: u32) -> Self {
        Self(derive(&format!("{pod_uid}-{attempt}")))
    }
}

impl ContainerId {
    /// The id of a pod's container: readable, and the same for the same arguments in every process and version.
    pub fn of_pod(pod_uid: &str, container: &str, attempt: u32) -> Self {
        Self(derive(&format!("{pod_uid}-{container}-{attempt}")))
    }
}

fn is_valid(id: &str) -> bool {
    id.len() <= LONGEST_BYTES
        && id
            .split(['.', '_', '-'])
            .all(|run| !run.is_empty() && run.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// `readable` itself when it is an id; else as much of it as fits, and a hash of all of it.
fn derive(readable: &str) -> String {
    if is_valid(readable) {
        return readable.to_owned();
    }
    let hash = format!("{:016x}", fnv1a(readable.as_bytes()));
    let mut id: Vec<&str> =
        readable.split(|c: char| !c.is_ascii_alphanumeric()).filter(|run| !run.is_empty()).collect();
    id.push(&hash);
    let joined = id.join("-");
    let cut = joined.len().saturating_sub(LONGEST_BYTES);
    // The hash, at the end, is what makes it unique; a cut may leave a separator in front.
    joined[cut..].trim_start_matches('-').to_owned()
}

/// FNV-1a, because it must never change: the ids of running containers depend on it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_ordinary_pods_are_readable() {
        let uid = "0198c1a2-7b1c-7000-8000-3f2a9c1d5e6f";
        assert_eq!(ContainerId::of_pod(uid, "web", 3).as_str(), format!("{uid}-web-3"));
        assert_eq!(SandboxId::of_pod(uid, 0).as_str(), format!("{uid}-0"));
    }

    #[test]
    fn long_and_odd_names_still_give_valid_distinct_ids() {
        let uid = "0198c1a2-7b1c-7000-8000-3f2a9c1d5e6f";
        let long = "x".repeat(63);
        let ids = [
            ContainerId::of_pod(uid, &long, 1),
            ContainerId::of_pod(uid, &long, 2),
            ContainerId::of_pod(uid, "a--b", 1),
            ContainerId::of_pod(uid, "a-b", 1),
            ContainerId::of_pod("", "ä/../b", 0),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert!(ids.iter().all(|id| is_valid(id.as_str())), "{ids:?}");
    }

    #[test]
    fn a_path_is_not_an_id() {
        for bad in ["", "..", "a/b", "a--b", "-a", "a.", &"x".repeat(77)] {
            assert!(ContainerId::new(bad).is_err(), "{bad:?}");
        }
    }
}
