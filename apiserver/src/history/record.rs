//! [`Record`]: one change of one object, as the log keeps it. Pure.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use orch_store::Key;

use super::binary::{Reader, put_bytes, put_number};
use crate::origin::Origin;

/// Which change: the revision of its commit, and its number among the changes of the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    pub(crate) revision: u64,
    pub(crate) number: u32,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.revision, self.number)
    }
}

impl FromStr for Id {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (revision, number) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { revision: revision.parse()?, number: number.parse()? })
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Created,
    Updated,
    Deleted,
    /// Changes up to this revision are missing: the store had forgotten them, or a file was damaged.
    Missed,
}

impl Verb {
    const ALL: [Self; 4] = [Self::Created, Self::Updated, Self::Deleted, Self::Missed];

    /// The verb as it is served.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Missed => "missed",
        }
    }
}

/// Where the marks of gaps say that they are.
const NOWHERE: &str = "/missed";

/// What is known of a change without its values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) id: Id,
    pub(crate) verb: Verb,
    /// Where the object is kept; of a gap, nowhere.
    pub(crate) key: Key,
    /// As the object was stored.
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// Who did it and why; all empty if that was not stored.
    pub(crate) origin: Origin,
    /// The values are secret: sealed if there are keys, and never shown.
    pub(crate) is_sensitive: bool,
}

/// A change with the object before and after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) head: Head,
    /// None if there was no object, or if what it was is not known.
    pub(crate) before: Option<Bytes>,
    /// None if the object is gone.
    pub(crate) after: Option<Bytes>,
}

impl Record {
    /// The mark of a gap: changes after `after` and up to `until` are missing.
    pub(crate) fn missed(after: u64, until: u64, at: i64) -> Option<Self> {
        let reason = format!("the changes after revision {after} and up to {until} were not recorded");
        Some(Self::gap(Id { revision: until, number: 0 }, Key::new(NOWHERE).ok()?, reason, at))
    }

    /// The mark of a gap: changes after `after` and up to `until` were recorded, but are no longer to be found.
    pub(super) fn lost(after: u64, until: u64, at: i64) -> Option<Self> {
        let reason = format!(
            "the changes after revision {after} and up to {until} are lost: a file of the history was damaged"
        );
        Some(Self::gap(Id { revision: until, number: 0 }, Key::new(NOWHERE).ok()?, reason, at))
    }

    /// What stands for a change that cannot be read.
    pub(super) fn unreadable(id: Id, key: Key, at: i64) -> Self {
        Self::gap(id, key, "the change cannot be read: a file of the history is damaged".into(), at)
    }

    fn gap(id: Id, key: Key, reason: String, at: i64) -> Self {
        let head = Head {
            id,
            verb: Verb::Missed,
            key,
            api_version: String::new(),
            kind: String::new(),
            origin: Origin { at, reason, ..Origin::default() },
            is_sensitive: false,
        };
        Self { head, before: None, after: None }
    }
}

/// How long each value of a record is among the values of its frame; none for a value that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) before: Option<u32>,
    pub(super) after: Option<u32>,
}

const ABSENT: u32 = u32::MAX;
const SENSITIVE: u8 = 0x80;

impl Head {
    /// Appends the head and the lengths of its values.
    pub(super) fn encode(&self, lengths: Lengths, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.revision.to_le_bytes());
        put_number(out, self.id.number);
        let verb = Verb::ALL.iter().position(|verb| *verb == self.verb).unwrap_or_default();
        out.push(u8::try_from(verb).unwrap_or_default() | if self.is_sensitive { SENSITIVE } else { 0 });
        put_bytes(out, self.key.as_bytes());
        put_bytes(out, self.api_version.as_bytes());
        put_bytes(out, self.kind.as_bytes());
        put_bytes(out, &serde_json::to_vec(&self.origin).unwrap_or_default());
        put_number(out, lengths.before.unwrap_or(ABSENT));
        put_number(out, lengths.after.unwrap_or(ABSENT));
    }

    /// Reads what [`encode`](Self::encode) wrote; none if it is malformed.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<(Self, Lengths)> {
        let id = Id { revision: reader.long()?, number: reader.number()? };
        let flags = reader.byte()?;
        let head = Self {
            id,
            verb: *Verb::ALL.get(usize::from(flags & !SENSITIVE))?,
            is_sensitive: flags & SENSITIVE != 0,
            key: Key::new(reader.text()?).ok()?,
            api_version: reader.text()?.to_owned(),
            kind: reader.text()?.to_owned(),
            origin: serde_json::from_slice(reader.bytes()?).ok()?,
        };
        let mut length = || reader.number().map(|length| (length != ABSENT).then_some(length));
        Some((head, Lengths { before: length()?, after: length()? }))
    }
}
