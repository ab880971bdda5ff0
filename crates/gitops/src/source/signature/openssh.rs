//! Keys and signatures of OpenSSH.

use super::TAMPERED;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey, SshSig};

/// What a signature begins with.
pub(super) const BEGIN: &[u8] = b"-----BEGIN SSH SIGNATURE-----";

/// What Git says that its signatures are for.
const NAMESPACE: &str = "git";

/// The key of a line as in `authorized_keys`, without options.
pub(super) fn key(line: &str) -> ssh_key::Result<KeyData> {
    Ok(PublicKey::from_openssh(line)?.key_data().clone())
}

/// Checks that the signature is one of this text, by one of these keys; or says of what is signed why it does not count.
pub(super) fn verify(keys: &[KeyData], signature: &[u8], signed: &[u8]) -> Result<(), String> {
    let signature = SshSig::from_pem(signature)
        .map_err(|error| format!("has a signature that cannot be read: {error}"))?;
    if signature.namespace() != NAMESPACE {
        return Err("has a signature that is not for commits".to_owned());
    }
    if !keys.contains(signature.public_key()) {
        let signer = signature.public_key().fingerprint(HashAlg::Sha256);
        return Err(format!("is signed with {signer}, which is none of the keys of spec.verify"));
    }
    match holds(&signature, signed) {
        Some(true) => Ok(()),
        Some(false) => Err(TAMPERED.to_owned()),
        None => {
            let algorithm = signature.algorithm();
            Err(format!("is signed by {algorithm}, which is not accepted: use an ed25519 key"))
        }
    }
}

/// Whether the signature is one of this text; none if it is of a kind that is not accepted.
fn holds(signature: &SshSig, signed: &[u8]) -> Option<bool> {
    let message = SshSig::signed_data(NAMESPACE, signature.hash_alg(), signed).ok()?;
    let bytes = signature.signature_bytes();
    let check = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8], bytes: &[u8]| {
        Some(UnparsedPublicKey::new(algorithm, key).verify(&message, bytes).is_ok())
    };
    match (signature.public_key(), signature.signature().algorithm()) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => check(&ED25519, &key.0, bytes),
        (KeyData::Ecdsa(key), Algorithm::Ecdsa { curve }) if key.curve() == curve => {
            let (algorithm, width): (&'static dyn VerificationAlgorithm, _) = match curve {
                EcdsaCurve::NistP256 => (&ECDSA_P256_SHA256_FIXED, 32),
                EcdsaCurve::NistP384 => (&ECDSA_P384_SHA384_FIXED, 48),
                EcdsaCurve::NistP521 => return None,
            };
            check(algorithm, key.as_ref(), &fixed(bytes, width)?)
        }
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => {
            let algorithm = match hash {
                HashAlg::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                HashAlg::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
                _ => return None,
            };
            let key = RsaPublicKeyComponents { n: key.n.as_positive_bytes()?, e: key.e.as_positive_bytes()? };
            Some(key.verify(algorithm, &message, bytes).is_ok())
        }
        _ => None,
    }
}

/// The two numbers of an ECDSA signature, from ssh's form (RFC 5656, 3.1.2) to one of a fixed width.
fn fixed(bytes: &[u8], width: usize) -> Option<Vec<u8>> {
    let (r, rest) = number(bytes, width)?;
    let (s, rest) = number(rest, width)?;
    rest.is_empty().then(|| [r, s].concat())
}

fn number(bytes: &[u8], width: usize) -> Option<(Vec<u8>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    let padding = width.checked_sub(number.len())?;
    Some(([&vec![0; padding], number].concat(), rest))
}
