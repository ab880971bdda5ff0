//! A key of OpenPGP, with its subkeys and what it says of itself and of them.

use pgp::errors::Result as Verified;
use pgp::packet::{Packet, PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData, UserId};
use pgp::ser::Serialize as _;
use pgp::types::{
    EcdsaPublicParams, EddsaLegacyPublicParams, Fingerprint, KeyDetails, KeyVersion, PublicParams,
    RsaPublicParams, Tag,
};

use super::{created, date, expiry, packets, strong};

/// How many bits a key of RSA must have: as of those of OpenSSH.
const LEAST_RSA_BITS: u16 = 2048;
/// How many keys there may be.
const MOST_CERTIFICATES: usize = 1_000;

/// A primary key with all that belongs to it. Nothing of it is to be believed before it is verified.
pub(in super::super) struct Certificate {
    primary: PublicKey,
    fingerprint: Fingerprint,
    subkeys: Vec<PublicSubkey>,
    users: Vec<UserId>,
    /// In any order: each says itself what it is of.
    pub(super) signatures: Vec<Signature>,
}

/// Adds the keys of an armour. What is said of a key in several places counts together: it may be of different age.
pub(in super::super) fn add(certificates: &mut Vec<Certificate>, armour: &str) -> Result<(), String> {
    let unreadable = |error| {
        format!(
            "cannot be read: {error}. Export it anew: gpg --armor --export-options export-minimal --export NAME"
        )
    };
    let packets = packets::of_keys(armour).map_err(unreadable)?;
    let mut at = None;
    for packet in packets {
        if let Packet::PublicKey(primary) = packet {
            at = Some(position(certificates, primary)?);
            continue;
        }
        let certificate = at.and_then(|at| certificates.get_mut(at));
        let certificate = certificate
            .ok_or("begins with something else than a key that is known here. Is it a revocation? Then put the key before it")?;
        certificate.extend(packet).map_err(unreadable)?;
    }
    match at {
        Some(_) => Ok(()),
        None => Err("is empty, or of a version that is not known here".to_owned()),
    }
}

/// Where the certificate of a key is, which is made if there is none.
fn position(certificates: &mut Vec<Certificate>, primary: PublicKey) -> Result<usize, String> {
    let fingerprint = primary.fingerprint();
    if let Some(at) = certificates.iter().position(|known| known.fingerprint == fingerprint) {
        return Ok(at);
    }
    if certificates.len() == MOST_CERTIFICATES {
        return Err(format!("is one too many: there may be {MOST_CERTIFICATES}"));
    }
    let (subkeys, users, signatures) = Default::default();
    certificates.push(Certificate { primary, fingerprint, subkeys, users, signatures });
    Ok(certificates.len() - 1)
}

impl Certificate {
    fn extend(&mut self, packet: Packet) -> Result<(), String> {
        match packet {
            Packet::PublicSubkey(subkey) => self.subkeys.push(subkey),
            Packet::UserId(user) => self.users.push(user),
            Packet::Signature(signature) => self.signatures.push(signature),
            // Pictures and the like.
            Packet::UserAttribute(_) => {}
            _ => return Err("it holds more than keys".to_owned()),
        }
        Ok(())
    }

    /// Those of its keys that a signature says it is by.
    pub(super) fn signers(&self, signature: &Signature) -> impl Iterator<Item = Signer<'_>> {
        let signer = |subkey| Signer { certificate: self, subkey };
        let primary = is_by(signature, &self.primary).then(|| signer(None));
        let subkeys = self.subkeys.iter().filter(|subkey| is_by(signature, *subkey));
        primary.into_iter().chain(subkeys.map(move |subkey| signer(Some(subkey))))
    }

    fn are_of(&self, kind: SignatureType) -> impl Iterator<Item = &Signature> {
        self.signatures.iter().filter(move |signature| signature.typ() == Some(kind))
    }

    /// Whether it says so itself. Those whom it once allowed to (RFC 9580, 5.2.3.23, deprecated) are not heard.
    fn is_revoked(&self) -> bool {
        let mut revocations = self.are_of(SignatureType::KeyRevocation);
        revocations.any(|revocation| revocation.verify_key(&self.primary).is_ok())
    }

    fn has_revoked(&self, subkey: &PublicSubkey) -> bool {
        let mut revocations = self.are_of(SignatureType::SubkeyRevocation);
        revocations.any(|revocation| revocation.verify_subkey_binding(&self.primary, subkey).is_ok())
    }

    /// What the primary key says last of what it is for.
    fn of_itself(&self, at: i64) -> Option<&Signature> {
        let said = self.signatures.iter().filter(|signature| match signature.typ() {
            Some(SignatureType::Key) => signature.verify_key(&self.primary).is_ok(),
            Some(
                SignatureType::CertGeneric
                | SignatureType::CertPersona
                | SignatureType::CertCasual
                | SignatureType::CertPositive,
            ) => {
                let of = |user| signature.verify_certification(&self.primary, Tag::UserId, user);
                self.users.iter().any(|user| of(user).is_ok())
            }
            _ => false,
        });
        newest(said.filter(|signature| says_what_for(signature)), at)
    }

    /// What the primary key says last of a subkey.
    fn of(&self, subkey: &PublicSubkey, at: i64) -> Option<&Signature> {
        let said = self.are_of(SignatureType::SubkeyBinding);
        newest(said.filter(|binding| binding.verify_subkey_binding(&self.primary, subkey).is_ok()), at)
    }
}

/// A key that a signature may be by.
pub(super) struct Signer<'a> {
    certificate: &'a Certificate,
    /// None: the primary key itself.
    subkey: Option<&'a PublicSubkey>,
}

impl Signer<'_> {
    pub(super) fn fingerprint(&self) -> String {
        let primary = || self.certificate.fingerprint.clone();
        format!("{:X}", self.subkey.map_or_else(primary, KeyDetails::fingerprint))
    }

    /// Whether this key, and the one that it belongs to, are of a kind that nobody else can sign with.
    pub(super) fn is_accepted(&self) -> Result<(), String> {
        is_accepted(&self.certificate.primary)?;
        self.subkey.map_or(Ok(()), is_accepted)
    }

    /// Whether this key has made a signature of this text.
    pub(super) fn made(&self, signature: &Signature, signed: &[u8]) -> Verified<()> {
        match self.subkey {
            Some(subkey) => signature.verify(subkey, signed),
            None => signature.verify(&self.certificate.primary, signed),
        }
    }

    /// Whether a signature counts that this key made at a time; or why not, as the end of a sentence about the key.
    pub(super) fn may_sign(&self, at: i64) -> Result<(), String> {
        let Self { certificate, subkey } = self;
        let Some(subkey) = subkey else {
            return self.primary_allows(at, true);
        };
        let of_primary = |why| format!("a subkey of {:X}, {why}", certificate.fingerprint);
        self.primary_allows(at, false).map_err(of_primary)?;
        if certificate.has_revoked(subkey) {
            return Err(REVOKED.to_owned());
        }
        let binding = certificate.of(subkey, at).ok_or(UNBOUND)?;
        is_sound(binding)?;
        is_alive(*subkey, binding, at)?;
        is_for_signing(binding)?;
        // Without it, anybody could call somebody else's key a subkey of their own.
        let back = binding.embedded_signature().ok_or(UNBOUND)?;
        back.verify_primary_key_binding(*subkey, &certificate.primary).map_err(|_| UNBOUND)?;
        is_sound(back)
    }

    fn primary_allows(&self, at: i64, signs: bool) -> Result<(), String> {
        let certificate = self.certificate;
        if certificate.is_revoked() {
            return Err(REVOKED.to_owned());
        }
        let own = certificate.of_itself(at).ok_or(UNBOUND)?;
        is_sound(own)?;
        is_alive(&certificate.primary, own, at)?;
        match signs {
            true => is_for_signing(own),
            false => Ok(()),
        }
    }
}

const REVOKED: &str = "which is revoked: sign it with another key";
const UNBOUND: &str = "of which its owner does not say in the Secret of spec.verify that it is for signing: export it anew, \
                       gpg --armor --export NAME";

/// Whether a signature says that it is by this key.
fn is_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    match fingerprints.is_empty() {
        true => signature.issuer_key_id().contains(&&key.legacy_key_id()),
        false => fingerprints.contains(&&key.fingerprint()),
    }
}

fn says_what_for(signature: &Signature) -> bool {
    let said = signature.config().map(|config| config.hashed_subpackets()).into_iter().flatten();
    said.into_iter().any(|said| matches!(said.data, SubpacketData::KeyFlags(_)))
}

/// The newest of what is said, of all that is still good.
fn newest<'a>(said: impl Iterator<Item = &'a Signature>, at: i64) -> Option<&'a Signature> {
    said.filter(|signature| expiry(signature).is_none_or(|expiry| expiry > at)).max_by_key(|one| created(one))
}

fn is_sound(said: &Signature) -> Result<(), String> {
    strong(said).map_err(|hash| {
        format!(
            "which is bound by way of {hash}, which is not accepted. Bind it anew, such as with \
             gpg --quick-set-expire, and put it into the Secret of spec.verify again"
        )
    })
}

fn is_for_signing(said: &Signature) -> Result<(), String> {
    match said.key_flags().sign() {
        true => Ok(()),
        false => Err("which is not for signing: sign it with another key".to_owned()),
    }
}

/// Whether a key was there at a time, and had not expired.
fn is_alive(key: &impl KeyDetails, said: &Signature, at: i64) -> Result<(), String> {
    let begin = i64::from(key.created_at().as_secs());
    let lasts = said.key_expiration_time().map(|lasts| i64::from(lasts.as_secs()));
    match lasts.filter(|lasts| *lasts > 0).map(|lasts| begin + lasts) {
        _ if begin > at => Err(format!("which was made later, at {}: look at the clock there", date(begin))),
        Some(end) if end <= at => Err(format!(
            "which had expired at {}. Extend it with gpg --quick-set-expire, and put it into the Secret of spec.verify again",
            date(end)
        )),
        _ => Ok(()),
    }
}

/// Whether a key is of a kind that nobody else can sign with.
fn is_accepted(key: &impl KeyDetails) -> Result<(), String> {
    let accepted = matches!(key.version(), KeyVersion::V4 | KeyVersion::V6)
        && match key.public_params() {
            PublicParams::RSA(rsa) => bits(rsa) >= Some(LEAST_RSA_BITS),
            // Not secp256k1: of its signatures by others, the library takes every other one only.
            PublicParams::ECDSA(ecdsa) => matches!(
                ecdsa,
                EcdsaPublicParams::P256 { .. }
                    | EcdsaPublicParams::P384 { .. }
                    | EcdsaPublicParams::P521 { .. }
            ),
            PublicParams::EdDSALegacy(eddsa) => matches!(eddsa, EddsaLegacyPublicParams::Ed25519 { .. }),
            PublicParams::Ed25519(_) | PublicParams::Ed448(_) => true,
            _ => false,
        };
    let algorithm = key.algorithm();
    match accepted {
        true => Ok(()),
        false => Err(format!(
            "a key of {algorithm:?}, which is not accepted: use one of ed25519, or of RSA with {LEAST_RSA_BITS} bits or more"
        )),
    }
}

/// How many bits a key of RSA has: the number that it is written down with begins with that (RFC 9580, 3.2).
fn bits(rsa: &RsaPublicParams) -> Option<u16> {
    rsa.to_bytes().ok()?.first_chunk().map(|bits| u16::from_be_bytes(*bits))
}
