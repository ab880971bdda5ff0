//! How changes lie in a segment: frames, each with the heads of some changes, and their values compressed together. Pure.
//!
//! A frame is `magic, revision reached, length of the heads, length of the values, checksum of the heads, checksum of the
//! values, checksum of all before`, then the heads, then the values. Heads are read when the log is opened, values when somebody
//! asks for them. A frame without changes says only how far the log is.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::binary::{Reader, put_number};
use super::record::{Head, Lengths, Record};

const MAGIC: [u8; 4] = [0xF5, b'c', b'h', 0xC4];
/// What stands before the heads.
pub(super) const HEADER_BYTES: usize = 32;
/// Longer lengths are damage.
const LONGEST_BYTES: u32 = 256 << 20;

/// What stands before the heads of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Everything up to this revision is in the log, this frame included.
    pub(super) reached: u64,
    pub(super) heads: u32,
    pub(super) values: u32,
    heads_checksum: u32,
    values_checksum: u32,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.reached.to_le_bytes());
        for number in [self.heads, self.values, self.heads_checksum, self.values_checksum] {
            put_number(&mut out, number);
        }
        let checksum = crc32fast::hash(&out);
        put_number(&mut out, checksum);
        out.try_into().unwrap_or([0; HEADER_BYTES])
    }

    /// Reads a header; none if it is not sound.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let mut reader = Reader(bytes.strip_prefix(&MAGIC)?);
        let header = Self {
            reached: reader.long()?,
            heads: reader.number()?,
            values: reader.number()?,
            heads_checksum: reader.number()?,
            values_checksum: reader.number()?,
        };
        let is_sound = header.encode() == *bytes && header.heads.max(header.values) <= LONGEST_BYTES;
        is_sound.then_some(header)
    }

    /// How long the whole frame is.
    pub(super) fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.heads) + u64::from(self.values)
    }

    /// The heads; none if they are not what was written.
    pub(super) fn heads(&self, bytes: &[u8]) -> Option<Vec<(Head, Lengths)>> {
        if crc32fast::hash(bytes) != self.heads_checksum {
            return None;
        }
        let (mut reader, mut heads) = (Reader(bytes), Vec::new());
        while !reader.0.is_empty() {
            heads.push(Head::decode(&mut reader)?);
        }
        Some(heads)
    }

    /// Whether these bytes are the values as they were written.
    pub(super) fn has_values(&self, bytes: &[u8]) -> bool {
        crc32fast::hash(bytes) == self.values_checksum
    }

    /// The values, decompressed; none if they are not what was written.
    pub(super) fn values(&self, bytes: &[u8]) -> Option<Bytes> {
        let mut values = Vec::new();
        let limit = u64::from(LONGEST_BYTES);
        let read = DeflateDecoder::new(bytes).take(limit).read_to_end(&mut values);
        (self.has_values(bytes) && read.is_ok()).then(|| values.into())
    }
}

/// What compresses values: it is made once, since it is large.
#[derive(Debug)]
pub(super) struct Compressor(DeflateEncoder<Vec<u8>>);

impl Default for Compressor {
    fn default() -> Self {
        Self(DeflateEncoder::new(Vec::new(), Compression::fast()))
    }
}

/// A frame with these changes.
///
/// # Errors
/// If it would be too large.
pub(super) fn encode(
    Compressor(values): &mut Compressor,
    reached: u64,
    records: &[Record],
) -> std::io::Result<Vec<u8>> {
    // What a failure has left is not of this frame.
    values.reset(Vec::new())?;
    let mut heads = Vec::new();
    for record in records {
        let mut put = |value: &Option<Bytes>| -> std::io::Result<Option<u32>> {
            let Some(value) = value else { return Ok(None) };
            values.write_all(value)?;
            Ok(u32::try_from(value.len()).ok())
        };
        let lengths = Lengths { before: put(&record.before)?, after: put(&record.after)? };
        record.head.encode(lengths, &mut heads);
    }
    let values = values.reset(Vec::new())?;
    let header = Header {
        reached,
        heads: length(&heads)?,
        values: length(&values)?,
        heads_checksum: crc32fast::hash(&heads),
        values_checksum: crc32fast::hash(&values),
    };
    Ok([&header.encode()[..], &heads, &values].concat())
}

fn length(bytes: &[u8]) -> std::io::Result<u32> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= LONGEST_BYTES);
    length.ok_or_else(|| std::io::Error::other("a frame of the history is too large"))
}

#[cfg(test)]
pub(super) mod tests {
    use orch_store::Key;
    use proptest::prelude::*;

    use super::super::record::{Id, Verb};
    use super::*;
    use crate::origin::Origin;

    /// Any change.
    pub(in super::super) fn record() -> impl Strategy<Value = Record> {
        let values = (any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>());
        let verb = prop_oneof![Just(Verb::Created), Just(Verb::Updated), Just(Verb::Deleted)];
        let head =
            ((any::<u64>(), any::<u32>()), verb, "/[a-z]{1,3}/[a-z]{1,9}", "[a-z]{0,3}", any::<bool>());
        (head, values).prop_map(|(((revision, number), verb, key, user, is_sensitive), (before, after))| {
            let head = Head {
                id: Id { revision, number },
                verb,
                key: Key::new(key).unwrap(),
                api_version: "v1".into(),
                kind: "Note".into(),
                origin: Origin { at: 7, user, ..Origin::default() },
                is_sensitive,
            };
            Record { head, before: before.map(Bytes::from), after: after.map(Bytes::from) }
        })
    }

    /// The changes of a frame, as they are read.
    fn decode(frame: &[u8]) -> Option<(u64, Vec<Record>)> {
        let header = Header::decode(frame.first_chunk()?)?;
        let mut reader = Reader(&frame[HEADER_BYTES..]);
        let heads = header.heads(reader.take(header.heads as usize)?)?;
        let mut values = header.values(reader.take(header.values as usize)?)?;
        let mut value = |length: Option<u32>| length.map(|length| values.split_to(length as usize));
        let records = heads.into_iter().map(|(head, lengths)| {
            let (before, after) = (value(lengths.before), value(lengths.after));
            Record { head, before, after }
        });
        Some((header.reached, records.collect()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(records in prop::collection::vec(record(), 0..5), reached in any::<u64>()) {
            let frame = encode(&mut Compressor::default(), reached, &records).unwrap();
            prop_assert_eq!(decode(&frame), Some((reached, records)));
        }

        #[test]
        fn a_changed_byte_is_noticed(
            records in prop::collection::vec(record(), 0..5), at in any::<prop::sample::Index>(), flip in 1_u8..,
        ) {
            let mut frame = encode(&mut Compressor::default(), 9, &records).unwrap();
            let at = at.index(frame.len());
            frame[at] ^= flip;
            prop_assert_eq!(decode(&frame), None);
        }
    }
}
