//! What gpg made (`testdata/`): a key with a subkey for signing, which lasts two years, and signatures with it; a key of RSA. And the
//! key of RFC 9580, A.4.

mod said;

use std::io::{Cursor, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgp::armor::Dearmor;
use pgp::composed::{ArmorOptions, Deserializable as _, DetachedSignature, SignedSecretKey};
use pgp::packet::{SignatureConfig, Subpacket, SubpacketData};
use pgp::types::{KeyDetails as _, Password};

use super::*;

const KEY: &str = include_str!("../testdata/key.asc");
const COMMIT: &[u8] = include_bytes!("../testdata/commit");
const SIGNATURE: &str = include_str!("../testdata/commit.asc");
/// The same for a week.
const FOR_A_WEEK: &str = include_str!("../testdata/commit-week.asc");
const SIGNED_AT: &str = "2026-01-31T12:00:00Z";

fn certificates(armour: &str) -> Result<Vec<Certificate>, String> {
    let mut certificates = Vec::new();
    add(&mut certificates, armour)?;
    Ok(certificates)
}

fn verified(key: &str, signature: &str, now: &str) -> Result<(), String> {
    verify(&certificates(key)?, signature.as_bytes(), COMMIT, now.parse().unwrap())
}

fn bytes(armour: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    Dearmor::new(Cursor::new(armour)).read_to_end(&mut bytes).unwrap();
    bytes
}

fn armour(kind: &str, bytes: &[u8]) -> String {
    format!("-----BEGIN PGP {kind}-----\n\n{}\n-----END PGP {kind}-----\n", STANDARD.encode(bytes))
}

fn armoured_key(secret: &SignedSecretKey) -> String {
    secret.to_public_key().to_armored_string(ArmorOptions::default()).unwrap()
}

fn armoured(signature: Signature) -> String {
    DetachedSignature::new(signature).to_armored_string(ArmorOptions::default()).unwrap()
}

/// All that is made of something by turning one bit over.
fn flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|at| {
        let mut flipped = bytes.to_vec();
        flipped[at / 8] ^= 1 << (at % 8);
        flipped
    })
}

#[test]
fn a_signature_counts_while_it_is_good() {
    assert_eq!(verified(KEY, SIGNATURE, SIGNED_AT), Ok(()));
    assert_eq!(verified(KEY, SIGNATURE, "2036-01-01T00:00:00Z"), Ok(()), "the key has expired since");
    assert_eq!(verified(KEY, SIGNATURE, "2026-01-30T12:00:00Z"), Ok(()), "clocks differ");
    let early = verified(KEY, SIGNATURE, "2026-01-30T11:59:59Z").unwrap_err();
    assert!(early.contains("which is in the future"), "{early}");
    assert_eq!(verified(KEY, FOR_A_WEEK, "2026-02-07T11:59:59Z"), Ok(()));
    let late = verified(KEY, FOR_A_WEEK, "2026-02-07T12:00:00Z").unwrap_err();
    assert_eq!(late, "has a signature that was good until 2026-02-07T12:00:00Z: sign it again");
}

#[test]
fn a_subkey_that_does_not_say_itself_whose_it_is_does_not_count() {
    let mut certificates = certificates(KEY).unwrap();
    let verify = |certificates: &[Certificate]| {
        verify(certificates, SIGNATURE.as_bytes(), COMMIT, SIGNED_AT.parse().unwrap())
    };
    assert_eq!(verify(&certificates), Ok(()));
    let bindings = certificates[0].signatures.iter_mut();
    let mut bindings = bindings.filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding));
    let removed = bindings.next().unwrap().unhashed_subpacket_remove(1).unwrap();
    assert!(matches!(removed.data, SubpacketData::EmbeddedSignature(_)));
    assert!(verify(&certificates).unwrap_err().contains("does not say in the Secret of spec.verify"));
}

#[test]
fn keys_of_the_newest_version_count() {
    let text = include_str!("../testdata/v6-secret.asc");
    let (secret, _) = SignedSecretKey::from_string(text).unwrap();
    let key = armoured_key(&secret);
    let salt = vec![7; 16];
    let (kind, hash) = (SignatureType::Binary, HashAlgorithm::Sha256);
    let mut config = SignatureConfig::v6_with_salt(kind, secret.primary_key.algorithm(), hash, salt);
    let at: Timestamp = SIGNED_AT.parse().unwrap();
    let at = pgp::types::Timestamp::from_secs(u32::try_from(at.as_second()).unwrap());
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(at)).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(secret.fingerprint())).unwrap(),
    ];
    let signature = config.sign(&secret.primary_key, &Password::empty(), COMMIT).unwrap();
    let signature = armoured(signature);
    assert_eq!(verified(&key, &signature, SIGNED_AT), Ok(()));
    assert!(verified(KEY, &signature, SIGNED_AT).unwrap_err().contains("which is none of the keys"));
}

/// Whether two signatures say the same, in what they are signatures of.
fn same(one: &Signature, other: &Signature) -> bool {
    let said = |signature: &Signature| {
        let config = signature.config().unwrap().clone();
        (config.typ, config.hash_alg, config.hashed_subpackets, signature.signature().cloned())
    };
    said(one) == said(other)
}

#[test]
fn signatures_that_are_changed_do_not_count() {
    let original = bytes(SIGNATURE);
    let [first] = certificates(KEY).unwrap().try_into().unwrap_or_else(|_| panic!("one key"));
    let certificates = [first];
    let now = SIGNED_AT.parse().unwrap();
    let verified = |armour: &str| verify(&certificates, armour.as_bytes(), COMMIT, now);
    assert_eq!(verified(&armour("SIGNATURE", &original)), Ok(()), "as it is");
    for end in 0..original.len() {
        verified(&armour("SIGNATURE", &original[..end])).unwrap_err();
    }
    for end in 0..SIGNATURE.trim_end().len() {
        verified(&SIGNATURE[..end]).unwrap_err();
    }
    let texts = flipped(SIGNATURE.as_bytes()).filter_map(|text| String::from_utf8(text).ok());
    let changed = flipped(&original).map(|bytes| armour("SIGNATURE", &bytes)).chain(texts);
    let (mut refused, untouched) = (0, read(SIGNATURE.as_bytes()).unwrap());
    for armour in changed {
        match verified(&armour) {
            Ok(()) => assert!(same(&read(armour.as_bytes()).unwrap(), &untouched), "{armour}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 200, "most bits matter: {refused}");
}

#[test]
fn keys_that_are_changed_are_others_or_none() {
    let original = bytes(KEY);
    let now = SIGNED_AT.parse().unwrap();
    let signers = |certificates: &[Certificate]| -> Vec<String> {
        let signature = read(SIGNATURE.as_bytes()).unwrap();
        let signers = certificates.iter().flat_map(|certificate| certificate.signers(&signature));
        signers.map(|signer| signer.fingerprint()).collect()
    };
    let ours = signers(&certificates(KEY).unwrap());
    let cut = (0..original.len()).map(|end| original[..end].to_vec());
    let changed = flipped(&original).chain(cut).map(|bytes| armour("PUBLIC KEY BLOCK", &bytes));
    let texts = flipped(KEY.as_bytes()).filter_map(|text| String::from_utf8(text).ok());
    let mut refused = 0;
    for armour in changed.chain(texts) {
        let Ok(certificates) = certificates(&armour) else {
            refused += 1;
            continue;
        };
        match verify(&certificates, SIGNATURE.as_bytes(), COMMIT, now) {
            Ok(()) => assert_eq!(signers(&certificates), ours, "{armour}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 1000, "most bits matter: {refused}");
}

#[test]
fn more_packets_than_anybody_has_are_not_read() {
    let user = [0xb4, 0];
    let with = |count| [bytes(KEY), user.repeat(count)].concat();
    let fits = certificates(&armour("PUBLIC KEY BLOCK", &with(9_995)));
    assert!(fits.is_ok(), "with the five of the key");
    let refused = certificates(&armour("PUBLIC KEY BLOCK", &with(9_996))).err().unwrap();
    assert!(refused.contains("it has more than 10000 packets"), "{refused}");
    let twice = bytes(SIGNATURE).repeat(2);
    let refused = verified(KEY, &armour("SIGNATURE", &twice), SIGNED_AT).unwrap_err();
    assert_eq!(refused, "has more than one signature: sign it with one key");
}
