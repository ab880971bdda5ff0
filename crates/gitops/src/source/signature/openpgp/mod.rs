//! Keys and signatures of OpenPGP (RFC 9580, and RFC 4880 before it).

mod certificate;
mod packets;
#[cfg(test)]
mod tests;

use super::TAMPERED;
use jiff::Timestamp;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, Signature, SignatureType, SignatureVersion};

pub(super) use certificate::{Certificate, add};
pub(super) use packets::{BEGIN, BEGIN_KEYS, block};

/// How far in the future signatures may be: clocks differ.
const MOST_AHEAD_SECONDS: i64 = 24 * 60 * 60;

/// Checks that the signature is one of this text, by one of these keys; or says of what is signed why it does not count.
pub(super) fn verify(
    certificates: &[Certificate],
    armour: &[u8],
    signed: &[u8],
    now: Timestamp,
) -> Result<(), String> {
    let signature = read(armour)?;
    let made = acceptable(&signature, now.as_second())?;
    let signers = certificates.iter().flat_map(|certificate| certificate.signers(&signature));
    // A subkey may be in several certificates, one of which lets it sign.
    let verified = signers.map(|signer| {
        let by = |why| format!("is signed with {}, {why}", signer.fingerprint());
        signer.is_accepted().map_err(by)?;
        // What it says of itself, such as when it was made, is to be believed from here on.
        signer.made(&signature, signed).map_err(|_| TAMPERED)?;
        signer.may_sign(made).map_err(by)
    });
    verified.reduce(Result::or).unwrap_or_else(|| {
        Err(format!("is signed with {}, which is none of the keys of spec.verify", named(&signature)))
    })
}

/// The one signature that an armour holds.
fn read(armour: &[u8]) -> Result<Signature, String> {
    let mut packets = packets::of_signature(armour)
        .map_err(|error| format!("has a signature that cannot be read: {error}"))?
        .into_iter();
    match (packets.next(), packets.next()) {
        (Some(Packet::Signature(signature)), None) => Ok(signature),
        (None, _) => Err("has a signature that is not known here".to_owned()),
        _ => Err("has more than one signature: sign it with one key".to_owned()),
    }
}

/// When a signature was made, in seconds, if it is one of a kind that counts now, whoever made it.
fn acceptable(signature: &Signature, now: i64) -> Result<i64, String> {
    let version = signature.version();
    if !matches!(version, SignatureVersion::V4 | SignatureVersion::V6) {
        return Err("has a signature of an old kind: sign it with a current version of gpg".to_owned());
    }
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err("has a signature that is not for documents, and so not for commits".to_owned());
    }
    strong(signature).map_err(|hash| {
        format!("is signed by way of {hash}, which is not accepted: put `digest-algo SHA512` into gpg.conf")
    })?;
    let made = created(signature).ok_or("has a signature that does not say when it was made")?;
    if made > now.saturating_add(MOST_AHEAD_SECONDS) {
        let date = date(made);
        return Err(format!("was signed at {date}, which is in the future: look at the clock there"));
    }
    match expiry(signature) {
        Some(expiry) if expiry <= now => {
            Err(format!("has a signature that was good until {}: sign it again", date(expiry)))
        }
        _ => Ok(made),
    }
}

/// Whether what a signature is made of cannot be exchanged for something else; the name of its hash if it can.
fn strong(signature: &Signature) -> Result<(), String> {
    use HashAlgorithm::{Md5, Ripemd160, Sha1, Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    match signature.hash_alg() {
        Some(Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512) => Ok(()),
        Some(hash @ (Md5 | Sha1 | Ripemd160)) => Err(format!("{hash}, a hash that is broken")),
        Some(hash) => Err(format!("the hash {hash}")),
        None => Err("a hash that is not known".to_owned()),
    }
}

/// When a signature was made, in seconds.
fn created(signature: &Signature) -> Option<i64> {
    signature.created().map(|created| i64::from(created.as_secs()))
}

/// Until when a signature is good, in seconds; none if it always is.
fn expiry(signature: &Signature) -> Option<i64> {
    let lasts = signature.signature_expiration_time().map(|lasts| i64::from(lasts.as_secs()));
    Some(created(signature)? + lasts.filter(|lasts| *lasts > 0)?)
}

/// What a signature says it is by.
fn named(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "a key that it does not name".to_owned())
}

fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|date| date.to_string()).unwrap_or_default()
}
