//! Acting as somebody else, by `Impersonate-` headers, for those who have the right to.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};
use orch_api::{Asked, Attributes, ResourceAttributes, Status};

use super::Identity;
use super::identity::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED};
use super::service_accounts::{account_groups, account_of};
use crate::authz::Gate;

const PREFIX: &str = "impersonate-";
const EXTRA_PREFIX: &str = "impersonate-extra-";
/// The group of what is impersonated beside users, groups and service accounts.
const GROUP: &str = "authentication.k8s.io";

/// Who the headers name, if they name anybody. The headers are taken out: nobody behind this server is to act upon them.
///
/// # Errors
/// 400 if they name no user or cannot be read, 401 for strangers, 403 unless the caller has the right to act as each part of
/// what they name.
pub(crate) async fn impersonate(
    gate: &Gate,
    caller: &Identity,
    headers: &mut HeaderMap,
) -> Result<Option<Identity>, Status> {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
    if names.is_empty() {
        return Ok(None);
    }
    if caller.is_anonymous() {
        return Err(Status::unauthorized());
    }
    let wanted = wanted(headers)?;
    for name in names {
        headers.remove(name);
    }
    act_as(gate, caller, wanted).await.map(Some)
}

/// The identity that is wanted, with the groups that nobody has to name.
///
/// # Errors
/// 403 unless the caller has the right to act as each part of it.
pub(crate) async fn act_as(gate: &Gate, caller: &Identity, wanted: Identity) -> Result<Identity, Status> {
    for asked in wanted.asked() {
        let asked = Asked::Resource(Box::new(asked));
        gate.check(&Attributes { subject: caller.subject(), verb: "impersonate", asked }).await?;
    }
    Ok(wanted.with_groups())
}

/// What the headers say, as they say it.
fn wanted(headers: &HeaderMap) -> Result<Identity, Status> {
    let (mut extra, mut groups) = (BTreeMap::<String, Vec<String>>::new(), Vec::new());
    let (mut user, mut uid) = (String::new(), String::new());
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str().starts_with(PREFIX)) {
        let bad = |_| Status::bad_request(format!("the header {name} is not valid UTF-8"));
        let value = std::str::from_utf8(value.as_bytes()).map_err(bad)?.to_owned();
        match name.as_str() {
            "impersonate-user" => user = value,
            "impersonate-uid" => uid = value,
            "impersonate-group" => groups.push(value),
            other => match other.strip_prefix(EXTRA_PREFIX) {
                Some(key) => {
                    let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned();
                    extra.entry(key).or_default().push(value);
                }
                None => return Err(Status::bad_request(format!("the header {name} is not known"))),
            },
        }
    }
    if user.is_empty() {
        return Err(Status::bad_request(
            "a group, uid or extra is to be impersonated without a user: add the header Impersonate-User",
        ));
    }
    Ok(Identity { user, uid, groups, extra })
}

impl Identity {
    /// Each right that acting as this identity takes.
    fn asked(&self) -> Vec<ResourceAttributes<'_>> {
        let of = |group, resource, name: &str| ResourceAttributes {
            group,
            version: "v1",
            resource,
            name: name.to_owned(),
            ..ResourceAttributes::default()
        };
        let user = match account_of(&self.user) {
            Some((namespace, name)) => ResourceAttributes { namespace, ..of("", "serviceaccounts", name) },
            None => of("", "users", &self.user),
        };
        let uid = (!self.uid.is_empty()).then(|| of(GROUP, "uids", &self.uid));
        let groups = self.groups.iter().map(|group| of("", "groups", group));
        let extra = self.extra.iter().flat_map(|(key, values)| {
            values
                .iter()
                .map(move |value| ResourceAttributes { subresource: key, ..of(GROUP, "userextras", value) })
        });
        [user].into_iter().chain(uid).chain(groups).chain(extra).collect()
    }

    /// The same with the groups that nobody has to name.
    fn with_groups(mut self) -> Self {
        if let Some((namespace, _)) = account_of(&self.user)
            && self.groups.is_empty()
        {
            self.groups = account_groups(namespace).into();
        }
        let known = self.groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED);
        if !known {
            let group = if self.user == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
            self.groups.push(group.to_owned());
        }
        self
    }
}
