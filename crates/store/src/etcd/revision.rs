//! Revisions of the store in etcd: every commit has one of its own, although etcd gives all commits of a transaction
//! the same.
//!
//! A [`Revision`] is 128 times etcd's, plus the *place* of the commit in its transaction. The last commit of a
//! transaction, and so every commit that was sent alone, has the last place, 127; whoever has seen it has seen all of
//! etcd's revision. Reads of etcd as a whole are at that place too.
//!
//! What must be known of an entry later, but not of etcd's revision, is its place. A value with another place than the
//! last carries it as its *seal*: four whitespace characters at its end, so that JSON stays JSON to whoever reads
//! etcd. Deletions leave no value: a commit that deletes is the last of its transaction.

use crate::Revision;

/// How many places there are in a transaction.
pub(super) const PLACES: usize = 128;
/// The place of the last commit of a transaction.
pub(super) const LAST: u8 = 127;

/// The digits of a seal, to the base of four.
const DIGITS: [u8; 4] = *b" \t\n\r";
/// How many digits a seal has.
const SEAL_BYTES: usize = 4;

/// The revision of the commit with this place in the transaction that made etcd's revision.
pub(super) fn at(etcd: i64, place: u8) -> Revision {
    let etcd = u64::try_from(etcd).unwrap_or(0);
    Revision(etcd.saturating_mul(PLACES as u64).saturating_add(u64::from(place)))
}

/// The revision that contains the whole of etcd's.
pub(super) fn whole(etcd: i64) -> Revision {
    at(etcd, LAST)
}

/// The revision of etcd that a revision is part of.
pub(super) fn etcd_revision(revision: Revision) -> i64 {
    i64::try_from(revision.0 / PLACES as u64).unwrap_or(i64::MAX)
}

/// Whether the revision contains the whole of etcd's.
pub(super) fn is_whole(revision: Revision) -> bool {
    revision.0 % PLACES as u64 == u64::from(LAST)
}

/// The last revision of etcd that the revision contains as a whole; 0 if it contains none.
pub(super) fn contained(revision: Revision) -> i64 {
    let etcd = etcd_revision(revision);
    if is_whole(revision) { etcd } else { (etcd - 1).max(0) }
}

/// The value as it is put into etcd by a commit with this place.
pub(super) fn seal(value: &[u8], place: u8) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len() + SEAL_BYTES);
    sealed.extend_from_slice(value);
    // A value that ends as if it were sealed is sealed in any case, so that it can be told.
    if place != LAST || place_in(value).is_some() {
        sealed.extend([6, 4, 2, 0].map(|shift| DIGITS[usize::from(place >> shift & 3)]));
    }
    sealed
}

/// A value as it was put, and the place of the commit that put it.
pub(super) fn unseal(mut sealed: Vec<u8>) -> (Vec<u8>, u8) {
    let Some(place) = place_in(&sealed) else { return (sealed, LAST) };
    sealed.truncate(sealed.len() - SEAL_BYTES);
    (sealed, place)
}

/// The place of the commit that put a value.
pub(super) fn place_of(sealed: &[u8]) -> u8 {
    place_in(sealed).unwrap_or(LAST)
}

/// What the seal says, if there is one.
fn place_in(value: &[u8]) -> Option<u8> {
    let place = value.last_chunk::<SEAL_BYTES>()?.iter().try_fold(0_u8, |place, byte| {
        let digit = DIGITS.iter().position(|digit| digit == byte)?;
        Some(place << 2 | u8::try_from(digit).ok()?)
    })?;
    (place <= LAST).then_some(place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_between_revisions_of_etcd() {
        let revisions = [at(4, LAST), at(5, 0), at(5, 1), at(5, 126), whole(5), at(6, 0)];
        assert!(revisions.is_sorted_by(|a, b| a < b));
        assert_eq!(revisions.map(etcd_revision), [4, 5, 5, 5, 5, 6]);
        assert_eq!(revisions.map(contained), [4, 4, 4, 4, 5, 5]);
        assert_eq!([Revision(0), Revision(1), whole(0)].map(contained), [0, 0, 0]);
        assert_eq!(etcd_revision(Revision(u64::MAX)), i64::MAX / 64);
    }

    #[test]
    fn what_is_sent_alone_is_stored_as_it_is() {
        assert_eq!(seal(b"{}", LAST), b"{}");
        assert_eq!(unseal(b"{}\n".to_vec()), (b"{}\n".to_vec(), LAST));
        assert_eq!(seal(b"{}", 27), b"{} \t\n\r");
    }

    proptest! {
        #[test]
        fn every_value_comes_back_with_its_place(value in "[a \t\r\n]{0,12}", place in 0..=LAST) {
            let value = value.into_bytes();
            prop_assert_eq!(unseal(seal(&value, place)), (value, place));
        }
    }
}
