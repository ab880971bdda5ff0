//! [`Identity`]: who is calling, however that was found out.

use std::collections::BTreeMap;

use orch_api::Subject;
use serde::Serialize;
use serde_json::Value;

/// The group of every caller who is known.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of every caller who is not.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user that callers without credentials are.
pub(crate) const ANONYMOUS: &str = "system:anonymous";

/// Who is calling, as authorization, audit and field ownership see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub user: String,
    /// The user's unique id; may be empty.
    pub uid: String,
    /// The groups that the user belongs to.
    pub groups: Vec<String>,
    /// What else is known of the user, such as the pod that a service account's token was made for.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// A known caller; [`AUTHENTICATED`] is added to the groups.
    pub fn new(user: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let groups = groups.into_iter().map(Into::into).chain([AUTHENTICATED.to_owned()]).collect();
        Self { user: user.into(), groups, ..Self::default() }
    }

    /// A caller without credentials.
    pub fn anonymous() -> Self {
        Self { user: ANONYMOUS.into(), groups: vec![UNAUTHENTICATED.into()], ..Self::default() }
    }

    /// Whether the caller showed no credentials.
    pub fn is_anonymous(&self) -> bool {
        self.user == ANONYMOUS
    }

    /// As much of the identity as rights depend on.
    pub fn subject(&self) -> Subject<'_> {
        Subject { user: &self.user, groups: &self.groups }
    }

    /// The identity as `authentication.k8s.io/v1` writes a `UserInfo`.
    pub(crate) fn user_info(&self) -> UserInfo<'_> {
        UserInfo { username: &self.user, uid: &self.uid, groups: &self.groups, extra: &self.extra }
    }
}

/// A `UserInfo` of `authentication.k8s.io/v1`: what is empty is left out.
#[derive(Serialize)]
pub(crate) struct UserInfo<'a> {
    username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: &'a BTreeMap<String, Vec<String>>,
}

impl From<UserInfo<'_>> for Value {
    fn from(info: UserInfo<'_>) -> Self {
        // Text, lists and maps of text: nothing that JSON cannot hold.
        serde_json::to_value(info).unwrap_or_default()
    }
}
