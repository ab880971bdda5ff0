//! Compact JSON web signatures (RFC 7515): read, verified, made. The cryptography is ring's.
//!
//! The algorithm belongs to the key, never to the token: a token that names another algorithm than its key's, `none`
//! among them, is not verified by anything.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, Ed25519KeyPair, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Value, json};

/// Longer tokens are not looked at. Kubernetes' own are about 1 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token whose signature has not been verified yet.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    algorithm: String,
    /// Which key is said to have signed it; may be empty.
    pub(crate) key_id: String,
    payload: Vec<u8>,
    signed: &'a [u8],
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    /// Extensions that must be understood (section 4.1.11): none is.
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Issued {
    #[serde(default)]
    iss: String,
}

impl<'a> Jws<'a> {
    /// Takes a token apart. `None` if it is not a compact signature of JSON.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        if header.crit.is_some() {
            return None;
        }
        Some(Self {
            algorithm: header.alg,
            key_id: header.kid,
            payload: decode(payload)?,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
        })
    }

    /// Who says to have issued the token. Not verified: good for choosing who is to verify it, and for nothing else.
    pub(crate) fn claimed_issuer(&self) -> String {
        serde_json::from_slice::<Issued>(&self.payload).map(|claims| claims.iss).unwrap_or_default()
    }

    /// The payload, if the key has signed it.
    pub(crate) fn verify(&self, key: &PublicKey) -> Option<&[u8]> {
        let (message, signature) = (self.signed, self.signature.as_slice());
        let verified = self.algorithm == key.algorithm()
            && match key {
                PublicKey::Ed25519(key) => {
                    UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature).is_ok()
                }
                PublicKey::P256(key) => {
                    let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key);
                    key.verify(message, signature).is_ok()
                }
                PublicKey::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                    .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
                    .is_ok(),
            };
        verified.then_some(self.payload.as_slice())
    }
}

/// Makes a token of claims.
pub(crate) fn sign(key: &Ed25519KeyPair, key_id: &str, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "kid": key_id});
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed =
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

/// A key that verifies, of one of the three kinds that issuers use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// `EdDSA`
    Ed25519(Vec<u8>),
    /// `ES256`: an uncompressed point.
    P256(Vec<u8>),
    /// `RS256`
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// A key as issuers publish it (RFC 7517).
#[derive(Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    #[serde(default)]
    pub(crate) kid: String,
    #[serde(default, rename = "use")]
    usage: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

impl PublicKey {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
            Self::Rsa { .. } => "RS256",
        }
    }

    /// Reads a published key. `None` for keys of other kinds, and for those that do not sign.
    pub(crate) fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty());
        match (jwk.kty.as_str(), jwk.crv.as_str()) {
            _ if !matches!(jwk.usage.as_str(), "" | "sig") => None,
            ("OKP", "Ed25519") => Some(Self::Ed25519(decode(&jwk.x)?)),
            ("EC", "P-256") => Some(Self::P256([vec![4], decode(&jwk.x)?, decode(&jwk.y)?].concat())),
            ("RSA", _) => Some(Self::Rsa { n: decode(&jwk.n)?, e: decode(&jwk.e)? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    fn ed25519() -> (Ed25519KeyPair, PublicKey) {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public = PublicKey::Ed25519(key.public_key().as_ref().to_vec());
        (key, public)
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    #[test]
    fn what_was_signed_is_verified_and_nothing_else() {
        let (key, public) = ed25519();
        let token = sign(&key, "k1", &json!({"iss": "me"}));
        let jws = Jws::parse(&token).unwrap();
        assert_eq!((jws.key_id.as_str(), jws.claimed_issuer().as_str()), ("k1", "me"));
        assert_eq!(jws.verify(&public), Some(&br#"{"iss":"me"}"#[..]));

        let parts: Vec<&str> = token.split('.').collect();
        let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
        let foreign = sign(&other, "k1", &json!({"iss": "me"}));
        let changed = [parts[0], &part(&json!({"iss": "you"})), parts[2]].join(".");
        let headless = [&part(&json!({"alg": "EdDSA", "kid": "k2"})), parts[1], parts[2]].join(".");
        for token in [foreign, changed, headless] {
            assert_eq!(Jws::parse(&token).unwrap().verify(&public), None, "{token}");
        }
    }

    #[test]
    fn the_key_chooses_the_algorithm() {
        let (_, public) = ed25519();
        let claims = part(&json!({"iss": "me"}));
        for algorithm in ["none", "None", "", "HS256", "ES256", "RS256"] {
            for signature in ["", "AAAA"] {
                let token = [&part(&json!({"alg": algorithm})), &claims, signature].join(".");
                assert_eq!(Jws::parse(&token).unwrap().verify(&public), None, "{token}");
            }
        }
        let critical = [&part(&json!({"alg": "EdDSA", "crit": ["b64"]})), &claims, ""].join(".");
        for token in ["", ".", "..", "a.b", "a.b.c", &critical, &"a".repeat(MAX_TOKEN_BYTES + 1)] {
            assert!(Jws::parse(token).is_none(), "{token}");
        }
    }

    #[test]
    fn published_elliptic_keys_verify() {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let point = key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        let jwk: Jwk = serde_json::from_value(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})).unwrap();
        let signed = format!("{}.{}", part(&json!({"alg": "ES256"})), part(&json!({"iss": "me"})));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(&random, signed.as_bytes()).unwrap());
        let token = format!("{signed}.{signature}");
        assert!(Jws::parse(&token).unwrap().verify(&PublicKey::from_jwk(&jwk).unwrap()).is_some());
    }

    /// The example of RFC 7515, appendix A.2.
    #[test]
    fn published_rsa_keys_verify() {
        let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs\
                 D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV\
                 MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                     cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4\
                     BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv\
                     hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let jwk: Jwk = serde_json::from_value(json!({"kty": "RSA", "n": n, "e": "AQAB"})).unwrap();
        assert!(Jws::parse(token).unwrap().verify(&PublicKey::from_jwk(&jwk).unwrap()).is_some());
        let encryption: Jwk =
            serde_json::from_value(json!({"kty": "RSA", "n": n, "e": "AQAB", "use": "enc"})).unwrap();
        assert_eq!(PublicKey::from_jwk(&encryption), None);
    }
}
