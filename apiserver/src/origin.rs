//! [`Origin`]: who made a change, on whose behalf, by what and why. It is stored with the change, in the same commit.
//!
//! What the store keeps of an object is its JSON, a line feed, and the origin of the write as one line of JSON. Neither
//! holds a line feed itself, so that the object is a slice of what is stored. Objects without a second line, stored before there
//! were origins, read as they did.
//!
//! A deletion leaves no value. Who deletes puts, in the same commit, one record with the origin of the commit's deletions
//! under a key below [`RECORDS`]; the records go a minute later (`expiry.rs`). Whoever follows the store has seen them then.

use bytes::Bytes;
use jiff::Timestamp;
use orch_store::{InvalidKey, Key, Write};
use serde::{Deserialize, Serialize};

/// Where the records of deletions are. Their names begin with the time, so that they are in its order.
pub(crate) const RECORDS: &str = "/deletions";
/// How an origin's line begins.
const MARK: &[u8] = b"{\"at\":";
/// What the server itself does, it does as this user.
const SERVER: &str = "system:apiserver";
/// How the names of controllers and of nodes begin.
const COMPONENTS: [&str; 2] = ["system:orch:", "system:node:"];

/// Who made a change, and why. What is empty is not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// When, in milliseconds since 1970. First: lines are known by it.
    pub(crate) at: i64,
    /// In whose name.
    pub(crate) user: String,
    /// Who really asked, if it was in the name of another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) impersonator: String,
    /// With which program, if that is called otherwise than the user.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) agent: String,
    /// The plan that was applied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) plan: String,
    /// Why, in the words of who asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
}

impl Origin {
    /// A change that the server makes by itself.
    pub(crate) fn server(now: Timestamp, reason: &str) -> Self {
        Self { at: now.as_millisecond(), user: SERVER.into(), reason: reason.into(), ..Self::default() }
    }

    /// Whether a component of the cluster made the change, and nobody who works with it.
    pub(crate) fn is_of_the_cluster(&self) -> bool {
        self.user == SERVER || COMPONENTS.iter().any(|component| self.user.starts_with(component))
    }

    /// Appends the origin to an object that is about to be stored.
    pub(crate) fn append(&self, stored: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        stored.push(b'\n');
        serde_json::to_writer(stored, self)
    }

    /// The record of the deletions of a commit.
    pub(crate) fn record(&self) -> Result<Write, InvalidKey> {
        let name = format!("{:013}-{:016x}", self.at.max(0), rand::random::<u64>());
        let value = serde_json::to_vec(self).unwrap_or_default();
        Ok(Write::create(Key::new(format!("{RECORDS}/{name}"))?, value))
    }
}

/// Whether a key is that of a record of deletions.
pub(crate) fn is_record(key: &Key) -> bool {
    key.as_str().strip_prefix(RECORDS).is_some_and(|rest| rest.starts_with('/'))
}

/// When a record of deletions was made, as its key says.
pub(crate) fn recorded_at(key: &Key) -> Option<Timestamp> {
    let name = key.as_str().strip_prefix(RECORDS)?.strip_prefix('/')?;
    Timestamp::from_millisecond(name.split('-').next()?.parse().ok()?).ok()
}

/// An object's JSON, of what is stored of it. Cost: a look at its end; nothing is copied.
pub(crate) fn object_in(stored: &Bytes) -> Bytes {
    split(stored).map_or_else(|| stored.clone(), |(end, _)| stored.slice(..end))
}

/// The origin that is stored with an object, if there is one.
pub(crate) fn origin_in(stored: &[u8]) -> Option<Origin> {
    serde_json::from_slice(split(stored)?.1).ok()
}

/// Where the object ends, and the line of the origin.
fn split(stored: &[u8]) -> Option<(usize, &[u8])> {
    let end = memchr::memrchr(b'\n', stored)?;
    let line = &stored[end + 1..];
    line.starts_with(MARK).then_some((end, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            at: 1_767_225_600_123,
            user: "alice".into(),
            reason: "two\nlines".into(),
            ..Origin::default()
        }
    }

    #[test]
    fn an_object_and_its_origin_are_told_apart() {
        let mut stored = b"{\"a\":\"b\\n\"}".to_vec();
        let object = stored.clone();
        origin().append(&mut stored).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&stored[object.len()..]),
            "\n{\"at\":1767225600123,\"user\":\"alice\",\"reason\":\"two\\nlines\"}"
        );
        assert_eq!(object_in(&stored.clone().into()), object);
        assert_eq!(origin_in(&stored), Some(origin()));
    }

    #[test]
    fn what_has_no_origin_is_all_object() {
        for stored in ["{}", "{\n  \"a\": 1\n}", "{}\n", "{\"at\":1}"] {
            assert_eq!(object_in(&stored.into()), stored);
            assert_eq!(origin_in(stored.as_bytes()), None);
        }
    }

    #[test]
    fn records_of_deletions_are_in_the_order_of_time() {
        let [early, late] = [5, 1_767_225_600_123].map(|at| Origin { at, ..origin() }.record().unwrap().key);
        assert!(early < late, "{early} {late}");
        assert_eq!(recorded_at(&late).map(Timestamp::as_millisecond), Some(1_767_225_600_123));
    }
}
