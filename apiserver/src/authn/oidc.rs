//! OpenID Connect: people who are known by the tokens of another issuer.
//!
//! The issuer's keys are fetched when a token names one that is not known, and at most once in a while: who shows tokens
//! with made-up keys makes this server ask the issuer no more often than that.

use std::collections::BTreeMap;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::warn;

use super::jws::{Jwk, Jws, PublicKey};
use super::{Identity, TokenError};

/// How long the issuer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long keys are not asked for again after they have been.
const REFRESH_PAUSE: SignedDuration = SignedDuration::from_secs(10);
/// Clocks differ.
const CLOCK_SKEW: i64 = 300;
/// Documents of issuers are not longer.
const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// What this server says of users, no issuer may.
const RESERVED: &str = "system:";

/// An issuer of tokens for people.
#[derive(Clone)]
pub struct OidcConfig {
    /// The issuer, exactly as its tokens name it. `https`, or `http` on loopback.
    pub issuer_url: String,
    /// The audience that tokens for this server have.
    pub client_id: String,
    /// The claim that names the user.
    pub username_claim: String,
    /// What is put before the name. `-`: nothing. None: the issuer and `#`, unless the claim is `email`.
    pub username_prefix: Option<String>,
    /// The claim that lists the user's groups, if one does.
    pub groups_claim: Option<String>,
    /// What is put before the groups.
    pub groups_prefix: String,
    /// Whom to trust when the keys are fetched.
    pub tls: rustls::ClientConfig,
}

/// Why an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// Its address is not what it must be.
    #[error("the OIDC issuer {0:?} is not an https URL")]
    Issuer(String),
    /// There can be no client for it.
    #[error("the OIDC issuer cannot be asked for its keys")]
    Client(#[source] reqwest::Error),
}

/// Verifies the tokens of one issuer.
pub struct Oidc {
    config: OidcConfig,
    client: reqwest::Client,
    /// By key id.
    keys: ArcSwap<BTreeMap<String, PublicKey>>,
    /// When keys were last asked for; held while they are, so that they are asked for once.
    asked: Mutex<Option<Timestamp>>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Oidc {
    /// An issuer whose keys are fetched when the first token comes.
    ///
    /// # Errors
    /// If the issuer's address is not an `https` URL.
    pub fn new(config: OidcConfig) -> Result<Self, OidcError> {
        let is_local = |host: &str| host == "localhost" || host == "127.0.0.1" || host == "[::1]";
        let url = reqwest::Url::parse(&config.issuer_url).ok();
        let is_safe = |url: &reqwest::Url| match url.scheme() {
            "https" => true,
            "http" => url.host_str().is_some_and(is_local),
            _ => false,
        };
        if !url.is_some_and(|url| is_safe(&url)) {
            return Err(OidcError::Issuer(config.issuer_url));
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config.tls.clone())
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(OidcError::Client)?;
        Ok(Self { config, client, keys: ArcSwap::default(), asked: Mutex::default() })
    }

    /// Who issues the tokens.
    pub(super) fn issuer(&self) -> &str {
        &self.config.issuer_url
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// Why the token is worth nothing.
    pub(super) async fn authenticate(&self, token: &Jws<'_>, now: Timestamp) -> Result<Identity, TokenError> {
        let payload = match self.verify(token) {
            Some(payload) => payload,
            None => {
                if !self.keys.load().contains_key(&token.key_id) {
                    self.refresh(&token.key_id, now).await?;
                }
                self.verify(token).ok_or(TokenError::Signature)?
            }
        };
        let claims: Value = serde_json::from_slice(&payload).map_err(|_| TokenError::Malformed)?;
        self.check(&claims, now)?;
        self.identity(&claims)
    }

    fn verify(&self, token: &Jws<'_>) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        token.verify(keys.get(&token.key_id)?).map(<[u8]>::to_vec)
    }

    /// Fetches the keys, unless that has just been done.
    async fn refresh(&self, wanted: &str, now: Timestamp) -> Result<(), TokenError> {
        let mut asked = self.asked.lock().await;
        let is_recent = asked.is_some_and(|at| now.duration_since(at) < REFRESH_PAUSE);
        if is_recent || self.keys.load().contains_key(wanted) {
            return Ok(());
        }
        *asked = Some(now);
        match self.fetch().await {
            Ok(keys) => {
                self.keys.store(keys.into());
                Ok(())
            }
            Err(why) => {
                warn!(issuer = self.config.issuer_url, why, "the keys of the OIDC issuer cannot be fetched");
                Err(TokenError::Unavailable(format!("the keys of the OIDC issuer cannot be fetched: {why}")))
            }
        }
    }

    async fn fetch(&self) -> Result<BTreeMap<String, PublicKey>, String> {
        let base = self.config.issuer_url.trim_end_matches('/');
        let discovery: Discovery = self.get(&format!("{base}/.well-known/openid-configuration")).await?;
        if discovery.issuer != self.config.issuer_url {
            return Err(format!("it calls itself {:?}", discovery.issuer));
        }
        let set: KeySet = self.get(&discovery.jwks_uri).await?;
        // Keys of kinds that are not known here are no obstacle to the others.
        let keys = set.keys.into_iter().filter_map(|key| {
            let key: Jwk = serde_json::from_value(key).ok()?;
            Some((key.kid.clone(), PublicKey::from_jwk(&key)?))
        });
        Ok(keys.collect())
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let failed = |error: reqwest::Error| format!("{url}: {error}");
        let answer = self.client.get(url).send().await.map_err(failed)?;
        let mut answer = answer.error_for_status().map_err(failed)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_DOCUMENT_BYTES {
                return Err(format!("{url}: the answer is too long"));
            }
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("{url}: {error}"))
    }

    fn check(&self, claims: &Value, now: Timestamp) -> Result<(), TokenError> {
        let audiences = strings(claims.get("aud"));
        if claims["iss"] != self.config.issuer_url.as_str() {
            return Err(TokenError::Signature);
        }
        if !audiences.contains(&self.config.client_id) {
            return Err(TokenError::Audience { of: audiences });
        }
        let seconds = |claim: &str| claims.get(claim).and_then(Value::as_f64);
        let now = now.as_second() as f64;
        if seconds("exp").ok_or(TokenError::Malformed)? <= now {
            return Err(TokenError::Expired);
        }
        if seconds("nbf").is_some_and(|nbf| nbf > now + CLOCK_SKEW as f64) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }

    fn identity(&self, claims: &Value) -> Result<Identity, TokenError> {
        let claim = self.config.username_claim.as_str();
        let name = claims.get(claim).and_then(Value::as_str).filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| TokenError::Claim(format!("there is no user in the claim {claim:?}")))?;
        if claim == "email" && claims.get("email_verified") == Some(&Value::Bool(false)) {
            return Err(TokenError::Claim("the email address is not verified".into()));
        }
        let user = match self.config.username_prefix.as_deref() {
            Some("-") => name.to_owned(),
            Some(prefix) => format!("{prefix}{name}"),
            None if claim == "email" => name.to_owned(),
            None => format!("{}#{name}", self.config.issuer_url),
        };
        if user.starts_with(RESERVED) {
            return Err(TokenError::Claim(format!("the user {user:?} is one that no issuer may name")));
        }
        let groups = self.config.groups_claim.as_deref().map(|claim| strings(claims.get(claim)));
        let groups = groups.unwrap_or_default().into_iter();
        let groups = groups.map(|group| format!("{}{group}", self.config.groups_prefix));
        let mut identity = Identity::new(user, groups.filter(|group| !group.starts_with(RESERVED)));
        if let Some(id) = claims.get("jti").and_then(Value::as_str) {
            let extra = ("authentication.kubernetes.io/credential-id".to_owned(), vec![format!("JTI={id}")]);
            identity.extra.extend([extra]);
        }
        Ok(identity)
    }
}

/// One string, or a list of them.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
