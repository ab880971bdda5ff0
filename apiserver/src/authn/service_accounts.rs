//! Tokens of service accounts: made by `TokenRequest`, signed, expiring, for an audience, and worth nothing once what
//! they are bound to is gone.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use orch_api::{Action, TokenBinding};
use parking_lot::Mutex;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::jws::Jws;
use super::token_keys::TokenKeys;
use super::{Identity, TokenError};
use crate::cache::Cached;
use crate::kinds::{Kinds, Served};
use crate::registry::Registry;

/// Every service account belongs to this group, and to one of its namespace.
const GROUP: &str = "system:serviceaccounts";
const USER_PREFIX: &str = "system:serviceaccount:";
/// Clocks of servers that share a key differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);
/// What is being deleted ends soon; its tokens are good a little longer, as in Kubernetes.
const AFTER_DELETION: SignedDuration = SignedDuration::from_secs(60);
/// How many tokens' signatures are remembered as verified.
const REMEMBERED: usize = 4_096;

/// How service accounts' tokens are issued.
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    /// The keys: one signs, all verify.
    pub keys: TokenKeys,
    /// The issuer that they name, and their audience unless another is asked for.
    pub issuer: String,
    /// Where the public key is published, for others who verify tokens: `https://host:port/openid/v1/jwks`.
    pub jwks_uri: String,
}

/// Issues and verifies service accounts' tokens.
pub(crate) struct ServiceAccounts {
    issuer: TokenIssuer,
    /// Hashes of tokens whose signature has been verified, and by which key. What else a token says is checked each time.
    verified: Mutex<BTreeMap<[u8; 32], (String, Claims)>>,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claims {
    #[serde(deserialize_with = "one_or_many")]
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    nbf: i64,
    sub: String,
    #[serde(rename = "kubernetes.io")]
    about: About,
}

/// The account, and what the token is bound to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct About {
    namespace: String,
    serviceaccount: ObjectId,
    /// By the singular of the kind.
    #[serde(flatten)]
    bound: BTreeMap<String, ObjectId>,
}

/// One very object: another of its name is another object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ObjectId {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// What to issue a token for.
pub(crate) struct Grant {
    pub(crate) namespace: String,
    pub(crate) account: ObjectId,
    /// By the singular of the kind.
    pub(crate) bound: BTreeMap<String, ObjectId>,
    pub(crate) audiences: Vec<String>,
    pub(crate) seconds: i64,
}

impl ServiceAccounts {
    pub(crate) fn new(issuer: TokenIssuer) -> Self {
        Self { issuer, verified: Mutex::default() }
    }

    /// Who issues the tokens; also the audience of this server.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer.issuer
    }

    /// `/.well-known/openid-configuration`: how others verify tokens.
    pub(crate) fn configuration(&self) -> Value {
        json!({
            "issuer": self.issuer.issuer,
            "jwks_uri": self.issuer.jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
        })
    }

    /// `/openid/v1/jwks`: the public keys.
    pub(crate) fn jwks(&self) -> Value {
        self.issuer.keys.jwks()
    }

    /// A new token.
    pub(crate) fn issue(&self, grant: Grant, now: Timestamp) -> String {
        let (issued, audiences) = (now.as_second(), grant.audiences);
        let claims = Claims {
            aud: if audiences.is_empty() { vec![self.issuer().to_owned()] } else { audiences },
            exp: issued.saturating_add(grant.seconds),
            iat: issued,
            iss: self.issuer().to_owned(),
            jti: uuid::Uuid::new_v4().to_string(),
            nbf: issued,
            sub: format!("{USER_PREFIX}{}:{}", grant.namespace, grant.account.name),
            about: About { namespace: grant.namespace, serviceaccount: grant.account, bound: grant.bound },
        };
        self.issuer.keys.sign(&json!(claims))
    }

    /// Whose token it is, and for which of `audiences` (none: this server).
    ///
    /// Cost: a signature once, then a hash and two lookups.
    ///
    /// # Errors
    /// Why the token is worth nothing.
    pub(crate) async fn authenticate(
        &self,
        registry: &Registry,
        token: &str,
        audiences: &[String],
    ) -> Result<(Identity, Vec<String>), TokenError> {
        let claims = self.claims(token)?;
        let now = registry.clock.now();
        claims.check_time(now)?;
        let own = [self.issuer().to_owned()];
        let audiences = if audiences.is_empty() { &own } else { audiences };
        let audiences: Vec<_> = audiences.iter().filter(|a| claims.aud.contains(*a)).cloned().collect();
        if audiences.is_empty() {
            return Err(TokenError::Audience { of: claims.aud });
        }
        if claims.check_objects(&registry.kinds.now(), now).is_err() {
            // What it is bound to may have been made a moment ago.
            registry.cache.catch_up().await.map_err(|status| TokenError::Unavailable(status.message))?;
            claims.check_objects(&registry.kinds.now(), now)?;
        }
        Ok((claims.identity(&registry.kinds.now()), audiences))
    }

    /// What a token says that this server has signed.
    fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some((_, claims)) =
            self.verified.lock().get(&hash).filter(|(key, _)| self.issuer.keys.knows(key))
        {
            return Ok(claims.clone());
        }
        let jws = Jws::parse(token).ok_or(TokenError::Malformed)?;
        let payload = self.issuer.keys.verify(&jws).ok_or(TokenError::Signature)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| TokenError::Malformed)?;
        if claims.iss != self.issuer() || claims.sub != claims.user() {
            return Err(TokenError::Malformed);
        }
        let mut verified = self.verified.lock();
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(hash, (jws.key_id, claims.clone()));
        Ok(claims)
    }
}

impl Claims {
    fn user(&self) -> String {
        format!("{USER_PREFIX}{}:{}", self.about.namespace, self.about.serviceaccount.name)
    }

    fn check_time(&self, now: Timestamp) -> Result<(), TokenError> {
        if now.as_second() >= self.exp {
            return Err(TokenError::Expired);
        }
        if (now + CLOCK_SKEW).as_second() < self.nbf {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }

    /// Whether the account and what the token is bound to are still there.
    fn check_objects(&self, kinds: &Kinds, now: Timestamp) -> Result<(), TokenError> {
        let account = account_kind(kinds).ok_or(TokenError::Malformed)?;
        let namespace = self.about.namespace.as_str();
        is_there(account, namespace, &self.about.serviceaccount, now)?;
        for binding in bindings(account) {
            let Some(bound) = self.about.bound.get(binding.kind.singular) else { continue };
            // The node of a pod is told, not bound to: the pod may have been moved in a backup, never otherwise.
            let of_other = bindings(account).iter().any(|other| {
                other.host.is_some_and(|(_, host)| host == binding.kind)
                    && self.about.bound.contains_key(other.kind.singular)
            });
            if !of_other {
                let kind = kinds.of(&binding.kind).ok_or(TokenError::Malformed)?;
                is_there(kind, namespace, bound, now)?;
            }
        }
        Ok(())
    }

    fn identity(&self, kinds: &Kinds) -> Identity {
        let groups = account_groups(&self.about.namespace);
        let mut identity =
            Identity { uid: self.about.serviceaccount.uid.clone(), ..Identity::new(self.user(), groups) };
        let mut tell = |what: String, value: &str| identity.extra.insert(what, vec![value.to_owned()]);
        tell("authentication.kubernetes.io/credential-id".into(), &format!("JTI={}", self.jti));
        let bindings = account_kind(kinds).map(bindings).unwrap_or_default();
        for binding in bindings.iter().filter(|binding| binding.is_told) {
            let kind = binding.kind.singular;
            if let Some(bound) = self.about.bound.get(kind) {
                tell(format!("authentication.kubernetes.io/{kind}-name"), &bound.name);
                tell(format!("authentication.kubernetes.io/{kind}-uid"), &bound.uid);
            }
        }
        identity
    }
}

/// The groups of every service account of a namespace.
pub(super) fn account_groups(namespace: &str) -> [String; 2] {
    [GROUP.to_owned(), format!("{GROUP}:{namespace}")]
}

/// The namespace and the name of the service account that a user is.
pub(super) fn account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(USER_PREFIX)?.split_once(':').filter(|(_, name)| !name.contains(':'))
}

/// The kind whose objects tokens are issued for.
fn account_kind(kinds: &Kinds) -> Option<&Served> {
    kinds.core("serviceaccounts").map(AsRef::as_ref)
}

fn bindings(account: &Served) -> &'static [TokenBinding] {
    let token = account.entry.subresources.iter().find_map(|subresource| match subresource.action {
        Action::Token(bindings) => Some(bindings),
        _ => None,
    });
    token.unwrap_or_default()
}

fn is_there(kind: &Served, namespace: &str, id: &ObjectId, now: Timestamp) -> Result<(), TokenError> {
    let gone = || TokenError::Gone { kind: kind.kind().singular.into(), name: id.name.clone() };
    let namespace = kind.kind().is_namespaced().then_some(namespace);
    let key = kind.key(namespace, &id.name).map_err(|_| TokenError::Malformed)?;
    let found = kind.window.get(&key).ok_or_else(gone)?;
    let life = life(&found).ok_or_else(gone)?;
    let ended = life.deletion_timestamp.is_some_and(|at| at + AFTER_DELETION < now);
    if life.uid == id.uid && !ended { Ok(()) } else { Err(gone()) }
}

/// Which object it is, and whether it is being deleted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Life {
    #[serde(default)]
    uid: String,
    deletion_timestamp: Option<Timestamp>,
}

fn life(object: &Cached) -> Option<Life> {
    #[derive(Deserialize)]
    struct Head {
        metadata: Life,
    }
    serde_json::from_slice::<Head>(&object.stored).ok().map(|head| head.metadata)
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(one) => Ok(vec![one]),
        many => serde_json::from_value(many).map_err(D::Error::custom),
    }
}
