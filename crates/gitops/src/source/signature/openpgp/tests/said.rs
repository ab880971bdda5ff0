//! What a key says of itself and of its subkeys, and what others say of them.

use std::slice;

use pgp::composed::{Deserializable as _, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PublicKey, PublicSubkey, SecretKey, SecretSubkey, Signature, SignatureConfig, SignatureType,
    Subpacket, SubpacketData,
};
use pgp::types::{Duration, KeyDetails as _, Password, SigningKey, Tag, Timestamp};

use super::super::{Certificate, verify};
use super::{COMMIT, armoured, armoured_key, certificates};

const BEGIN: u32 = 1_767_225_600; // 2026-01-01
const DAY: u32 = 24 * 60 * 60;
/// When the commit is signed.
const SIGNED: u32 = 30;

/// A key of RSA that certifies only, with a subkey that signs. What gpg made it say is replaced by what a test has it say.
struct Key(SignedSecretKey);

impl Key {
    fn read() -> Self {
        let (secret, _) = SignedSecretKey::from_string(include_str!("../testdata/rsa-secret.asc")).unwrap();
        Self(secret)
    }

    fn primary(&self) -> (&SecretKey, &PublicKey) {
        (&self.0.primary_key, self.0.primary_key.public_key())
    }

    fn subkey(&self) -> (&SecretSubkey, &PublicSubkey) {
        let subkey = &self.0.secret_subkeys[0].key;
        (subkey, subkey.public_key())
    }

    fn certificate(&self, said: Vec<Signature>) -> Certificate {
        let mut certificates = certificates(&armoured_key(&self.0)).unwrap();
        certificates[0].signatures = said;
        certificates.remove(0)
    }

    /// Whether a commit counts that the subkey signed, if this is all that is said.
    fn counts(&self, said: &[&Signature]) -> Result<(), String> {
        let said = said.iter().map(|&said| said.clone()).collect();
        let mut commit = says(SignatureType::Binary, SIGNED, vec![]);
        let issuer = SubpacketData::IssuerFingerprint(self.subkey().1.fingerprint());
        commit.hashed_subpackets.push(Subpacket::regular(issuer).unwrap());
        let signature = commit.sign(self.subkey().0, &Password::empty(), COMMIT).unwrap();
        let now = jiff::Timestamp::from_second(i64::from(BEGIN + SIGNED * DAY)).unwrap();
        let signature = armoured(signature);
        verify(slice::from_ref(&self.certificate(said)), signature.as_bytes(), COMMIT, now)
    }

    /// A certification of its user, by some key.
    fn user(&self, by: &impl SigningKey, config: SignatureConfig) -> Signature {
        let user = &self.0.details.users[0].id;
        config.sign_certification(by, self.primary().1, &Password::empty(), Tag::UserId, user).unwrap()
    }

    fn own(&self) -> Signature {
        let config = says(SignatureType::CertPositive, 0, vec![flags(KeyFlags::set_certify)]);
        self.user(self.primary().0, config)
    }

    fn back(&self, config: SignatureConfig) -> Signature {
        let ((subkey, public), (_, primary)) = (self.subkey(), self.primary());
        config.sign_primary_key_binding(subkey, public, &Password::empty(), primary).unwrap()
    }

    /// A binding of the subkey, which says that back.
    fn binding(&self, mut config: SignatureConfig, back: Option<Signature>) -> Signature {
        let back = back.map(|back| SubpacketData::EmbeddedSignature(Box::new(back)));
        config.unhashed_subpackets.extend(back.map(|back| Subpacket::regular(back).unwrap()));
        let (secret, primary) = self.primary();
        config.sign_subkey_binding(secret, primary, &Password::empty(), self.subkey().1).unwrap()
    }
}

/// What is said a number of days after the key was made.
fn says(kind: SignatureType, day: u32, what: Vec<SubpacketData>) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, PublicKeyAlgorithm::RSA, HashAlgorithm::Sha256);
    let at = SubpacketData::SignatureCreationTime(Timestamp::from_secs(BEGIN + day * DAY));
    let all = [at].into_iter().chain(what);
    config.hashed_subpackets = all.map(|what| Subpacket::regular(what).unwrap()).collect();
    config
}

fn with_sha1(config: SignatureConfig) -> SignatureConfig {
    SignatureConfig { hash_alg: HashAlgorithm::Sha1, ..config }
}

fn flags(set: impl Fn(&mut KeyFlags, bool)) -> SubpacketData {
    let mut flags = KeyFlags::default();
    set(&mut flags, true);
    SubpacketData::KeyFlags(flags)
}

fn lasts(days: u32) -> Duration {
    Duration::from_secs(days * DAY)
}

#[test]
fn a_subkey_counts_as_its_newest_binding_says() {
    let key = Key::read();
    let own = key.own();
    let back = || key.back(says(SignatureType::KeyBinding, 0, vec![]));
    let bound = |day, what| says(SignatureType::SubkeyBinding, day, what);
    let signs = || flags(KeyFlags::set_sign);
    let sound = key.binding(bound(1, vec![signs()]), Some(back()));
    assert_eq!(key.counts(&[&own, &sound]), Ok(()));
    assert_eq!(key.counts(&[&sound, &own]), Ok(()), "in any order");

    let encrypts = bound(2, vec![flags(KeyFlags::set_encrypt_comms)]);
    let ended = SubpacketData::SignatureExpirationTime(lasts(SIGNED - 2));
    // Somebody who owns a primary key cannot say it for the subkey.
    let claimed = says(SignatureType::KeyBinding, 0, vec![]);
    let (secret, primary) = key.primary();
    let claimed =
        claimed.sign_primary_key_binding(secret, key.subkey().1, &Password::empty(), primary).unwrap();
    let weak_back = key.back(with_sha1(says(SignatureType::KeyBinding, 0, vec![])));
    for (binding, says) in [
        (key.binding(encrypts, Some(back())), "which is not for signing"),
        (key.binding(with_sha1(bound(2, vec![signs()])), Some(back())), "which is bound by way of SHA1"),
        (key.binding(bound(2, vec![signs()]), Some(weak_back)), "which is bound by way of SHA1"),
        (key.binding(bound(2, vec![signs()]), Some(claimed)), "its owner does not say"),
        (key.binding(bound(2, vec![signs()]), None), "its owner does not say"),
        (
            key.binding(
                bound(2, vec![signs(), SubpacketData::KeyExpirationTime(lasts(SIGNED))]),
                Some(back()),
            ),
            "which had expired at 2026-01-31T00:00:00Z",
        ),
    ] {
        for said in [[&own, &sound, &binding], [&own, &binding, &sound]] {
            let refused = key.counts(&said).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }
    let over = key.binding(bound(2, vec![flags(KeyFlags::set_encrypt_comms), ended]), Some(back()));
    assert_eq!(key.counts(&[&own, &sound, &over]), Ok(()), "what has expired is not said any more");
    let over =
        key.binding(bound(2, vec![signs(), SubpacketData::SignatureExpirationTime(lasts(28))]), Some(back()));
    assert!(key.counts(&[&own, &over]).unwrap_err().contains("its owner does not say"));
}

#[test]
fn a_key_is_believed_of_itself_and_nobody_else_is() {
    let key = Key::read();
    let back = key.back(says(SignatureType::KeyBinding, 0, vec![]));
    let binding = says(SignatureType::SubkeyBinding, 1, vec![flags(KeyFlags::set_sign)]);
    let binding = key.binding(binding, Some(back));
    let refused = |said: &[&Signature], says: &str| {
        let refused = key.counts(said).unwrap_err();
        assert!(refused.contains(says), "{refused}");
    };
    let ends = |day| vec![flags(KeyFlags::set_certify), SubpacketData::KeyExpirationTime(lasts(day))];
    let direct =
        |by: &dyn Fn(SignatureConfig) -> Signature, day, what| by(says(SignatureType::Key, day, what));
    let primary = |config: SignatureConfig| {
        config.sign_key(key.primary().0, &Password::empty(), key.primary().1).unwrap()
    };
    let subkey = |config: SignatureConfig| {
        config.sign_key(key.subkey().0, &Password::empty(), key.primary().1).unwrap()
    };
    let certifies = || vec![flags(KeyFlags::set_certify)];
    let (own, direct_own) = (key.own(), direct(&primary, 0, certifies()));
    assert_eq!(key.counts(&[&own, &binding]), Ok(()));
    assert_eq!(key.counts(&[&direct_own, &binding]), Ok(()));

    // By the subkey, which is not who says such things.
    let forged = key.user(key.subkey().0, says(SignatureType::CertPositive, 2, certifies()));
    let direct_forged = direct(&subkey, 2, certifies());
    refused(&[&binding], "its owner does not say");
    refused(&[&forged, &direct_forged, &binding], "its owner does not say");

    // Expiry is taken from what is said last, of what says what the key is for.
    let ended = direct(&primary, 2, ends(SIGNED));
    refused(&[&own, &ended, &binding], "which had expired at 2026-01-31T00:00:00Z");
    let extended = key.user(key.primary().0, says(SignatureType::CertGeneric, 3, ends(SIGNED + 1)));
    assert_eq!(key.counts(&[&extended, &own, &ended, &binding]), Ok(()));
    let silent = direct(&primary, 4, vec![SubpacketData::KeyExpirationTime(lasts(1))]);
    assert_eq!(key.counts(&[&extended, &silent, &binding]), Ok(()));
    let weak = key.user(key.primary().0, with_sha1(says(SignatureType::CertPositive, 5, certifies())));
    refused(&[&own, &weak, &binding], "which is bound by way of SHA1");
}

#[test]
fn only_signatures_of_documents_are_ones_of_commits() {
    let key = Key::read();
    let (secret, subkey) = key.subkey();
    let config = says(SignatureType::Binary, SIGNED, vec![]);
    let signed = config.clone().sign(secret, &Password::empty(), COMMIT).unwrap();
    let of_kind = |typ| SignatureConfig { typ, ..config.clone() };
    let (alg, at) = (PublicKeyAlgorithm::RSA, Timestamp::from_secs(BEGIN));
    let issuer = subkey.legacy_key_id();
    let old = SignatureConfig::v3(SignatureType::Binary, alg, HashAlgorithm::Sha256, at, issuer);
    for (config, says) in [
        (of_kind(SignatureType::Standalone), "is not for documents"),
        (of_kind(SignatureType::Timestamp), "is not for documents"),
        (of_kind(SignatureType::Other(0x60)), "is not for documents"),
        (old, "has a signature of an old kind"),
    ] {
        let (hash, bytes) = (signed.signed_hash_value().unwrap(), signed.signature().unwrap().clone());
        let signature = armoured(Signature::from_config(config, hash, bytes).unwrap());
        let now = jiff::Timestamp::from_second(i64::from(BEGIN + SIGNED * DAY)).unwrap();
        let refused = verify(&[key.certificate(vec![])], signature.as_bytes(), COMMIT, now).unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
}
