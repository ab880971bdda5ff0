//! [`GitSync`]: the manifests of a Git repository, kept applied.

mod freeze;
mod status;

use std::collections::BTreeMap;
use std::time::Duration;

use orch_api::{
    ApiVersion, Column, FieldError, FieldPath, Kind, KindName, Metadata, Object as _, Ref, Resource,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::syntax::{non_negative, required_dns_label, required_name};
use crate::{Secret, ServiceAccount};

pub use freeze::{FreezeDays, FreezeWindow};
pub use status::*;

/// The manifests of a Git repository, kept applied: what the repository says is made so, what it no longer says goes, and what
/// somebody else changes is changed back. Each sync is a plan, made and applied on behalf of a service account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSync {
    /// Always `orch.dev/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `GitSync`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What is to be applied, and how.
    pub spec: GitSyncSpec,
    /// What has been. Set by the server.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub status: GitSyncStatus,
}

impl GitSync {
    /// An annotation: any new value makes the repository be looked at, and what failed be tried again, at once.
    pub const RECONCILE: &'static str = "orch.dev/reconcile-requested";
    /// An annotation: any new value makes the repository be looked at, at once. Webhooks set it.
    pub const PUSHED: &'static str = "orch.dev/push-told";
    /// An annotation: the revision that may be applied although it was held.
    pub const APPROVE: &'static str = "orch.dev/approve-revision";
    /// The finalizer of one that prunes: what it has applied goes before it does.
    pub const FINALIZER: &'static str = "orch.dev/gitsync";

    /// What the names begin with under which they own fields.
    pub const MANAGER: &'static str = "gitsync:";

    /// The name under which it owns the fields that it applies.
    pub fn manager(namespace: &str, name: &str) -> String {
        format!("{}{namespace}/{name}", Self::MANAGER)
    }
}

/// What is to be applied, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSyncSpec {
    /// Where the repository is: `https://…`, `http://…`, `ssh://user@host/path`, `user@host:path`, `git://…` or `file:///…`.
    pub url: String,
    /// Which commit of it. The branch that the server calls `HEAD` unless given.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitReference>,
    /// The directory below which the manifests are. If it has a `kustomization.yaml`, what kustomize makes of it; otherwise all
    /// files that end in `.yaml`, `.yml` or `.json`, but for what begins with a dot. The whole repository unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The Secret with the credentials: `username` and `password`, or `bearerToken`; `identity` (a private key), its `password`
    /// and `known_hosts` for ssh; `ca.crt` for a server whose certificate is not publicly known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Only commits that are signed by somebody known are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<GitVerification>,
    /// How often the repository is looked at, in seconds. 60 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<i64>,
    /// After how many seconds what failed is tried again. 15 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_seconds: Option<i64>,
    /// How long fetching may take, in seconds, 600 at most. 60 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// What pushes are told by, so that they are noticed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<GitWebhook>,
    /// Whether objects go that the repository no longer has, and all of them when this object is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prune: bool,
    /// Whether everything stays as it is for now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// The ServiceAccount on whose behalf objects are changed: the repository can do what it may do, and no more. `default`
    /// unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<Ref<ServiceAccount>>,
    /// The namespace of all objects that live in one, whatever their manifests say. Unless given, that of the manifest, or
    /// else that of this object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target_namespace: String,
    /// What must be ready first, in the same namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub depends_on: Vec<GitSyncReference>,
    /// When what has been applied counts as working, and what happens if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<GitSyncHealth>,
    /// What is not done without being asked for twice.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub guards: GitSyncGuards,
}

impl GitSyncSpec {
    /// How often the repository is looked at.
    pub fn interval(&self) -> Duration {
        seconds(self.interval_seconds, INTERVAL_SECONDS)
    }

    /// After how long what failed is tried again.
    pub fn retry(&self) -> Duration {
        seconds(self.retry_seconds, RETRY_SECONDS)
    }

    /// How long fetching may take.
    pub fn timeout(&self) -> Duration {
        seconds(self.timeout_seconds, TIMEOUT_SECONDS)
    }
}

impl GitSyncHealth {
    /// Within what time objects must become healthy.
    pub fn timeout(&self) -> Duration {
        seconds(self.timeout_seconds, HEALTH_SECONDS)
    }
}

fn seconds(given: Option<i64>, otherwise: i64) -> Duration {
    Duration::from_secs(given.unwrap_or(otherwise).unsigned_abs())
}

/// Which commit of a repository. At most one of the fields is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitReference {
    /// The newest one of a branch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub branch: String,
    /// That of a tag.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// That of the highest tag that is a version in this range, such as `>=1.2, <2`. A leading `v` of a tag does not count.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub semver: String,
    /// This one: 40 hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
}

/// A Secret of the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretReference {
    /// Its name.
    pub name: Ref<Secret>,
}

/// Whose signatures count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitVerification {
    /// The Secret whose values are public keys, whatever they are called: of OpenPGP, armoured (`gpg --armor --export NAME`), or of
    /// OpenSSH (`ssh-ed25519 AAAA…`), one on a line.
    pub secret_ref: SecretReference,
}

/// What pushes are told by: requests to `/webhooks/gitsync/NAMESPACE/NAME`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitWebhook {
    /// The Secret whose `token` the sender knows too.
    pub secret_ref: SecretReference,
}

/// Another GitSync of the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSyncReference {
    /// Its name.
    pub name: Ref<GitSync>,
}

/// When what has been applied counts as working.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSyncHealth {
    /// The objects that must become healthy; everything that has been applied unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub checks: Vec<InventoryItem>,
    /// Within how many seconds. 120 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// Whether the last revision that was healthy is applied again if this one does not become so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
}

/// What is held, visibly, until it is approved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSyncGuards {
    /// How many objects a sync may delete; what goes along with a namespace, a definition or a GitSync counts too. 10 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deletes: Option<i32>,
    /// How many running pods a sync may take away without another in their place. As many as it likes unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replica_drop: Option<i32>,
    /// When nothing is changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub freeze_windows: Vec<FreezeWindow>,
}

const INTERVAL_SECONDS: i64 = 60;
const RETRY_SECONDS: i64 = 15;
const TIMEOUT_SECONDS: i64 = 60;
const HEALTH_SECONDS: i64 = 120;
const MAX_DELETES: i32 = 10;
const A_WEEK_SECONDS: i64 = 7 * 24 * 60 * 60;
/// Servers that have not answered by then will not.
const LONGEST_TIMEOUT_SECONDS: i64 = 10 * 60;
const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

impl Resource for GitSync {
    const KIND: Kind = Kind::namespaced("orch.dev", "v1", "GitSync", "gitsyncs", "gitsync")
        .short_names(&["gs"])
        .with_status();

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, old: Option<&Self>) {
        let spec = &mut self.spec;
        spec.interval_seconds.get_or_insert(INTERVAL_SECONDS);
        spec.retry_seconds.get_or_insert(RETRY_SECONDS);
        spec.timeout_seconds.get_or_insert(TIMEOUT_SECONDS);
        spec.service_account_name.get_or_insert_with(|| Ref::new("default"));
        spec.guards.max_deletes.get_or_insert(MAX_DELETES);
        if let Some(health) = &mut spec.health {
            health.timeout_seconds.get_or_insert(HEALTH_SECONDS);
        }
        if old.is_none() {
            self.status = GitSyncStatus::default();
        }
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        let (spec, path) = (&self.spec, FieldPath::new("spec"));
        let mut errors = url(&path.child("url"), &spec.url);
        if let Some(reference) = &spec.reference {
            errors.extend(reference.validate(&path.child("ref")));
        }
        errors.extend(directory(&path.child("path"), &spec.path));
        let names = [
            ("secretRef.name", spec.secret_ref.as_ref().map(|secret| secret.name.as_str())),
            ("verify.secretRef.name", spec.verify.as_ref().map(|verify| verify.secret_ref.name.as_str())),
            ("webhook.secretRef.name", spec.webhook.as_ref().map(|webhook| webhook.secret_ref.name.as_str())),
            ("serviceAccountName", spec.service_account_name.as_ref().map(Ref::as_str)),
        ];
        errors.extend(names.into_iter().flat_map(|(field, name)| match name {
            Some(name) => required_name(&path.child(field), name),
            None => Vec::new(),
        }));
        if !spec.target_namespace.is_empty() {
            errors.extend(required_dns_label(&path.child("targetNamespace"), &spec.target_namespace));
        }
        errors.extend(self.depends_on_others(&path.child("dependsOn")));
        errors.extend(times(&path, spec));
        errors.extend(spec.guards.validate(&path.child("guards")));
        errors
    }

    fn columns() -> Vec<Column> {
        vec![
            Column::object_name(),
            Column::new("Ready", "Whether the repository is applied, and works.", |object, _| {
                let condition = condition(object, "Ready");
                condition.map_or("Unknown".into(), |ready| ready["status"].clone())
            }),
            Column::new("Status", "Why.", |object, _| state(object).into()),
            Column::new("Revision", "The commit that is applied.", |object, _| {
                let revision = object.pointer("/status/appliedRevision").and_then(Value::as_str);
                revision.unwrap_or_default().chars().take(12).collect::<String>().into()
            }),
            Column::age(),
            Column::at("URL", "Where the repository is.", "/spec/url").wide(),
            Column::new("Message", "What has happened last.", |object, _| {
                condition(object, "Ready").map_or(Value::Null, |ready| ready["message"].clone())
            })
            .wide(),
        ]
    }
}

impl GitSync {
    fn depends_on_others(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut seen = BTreeMap::new();
        let mut errors = Vec::new();
        for (index, other) in self.spec.depends_on.iter().enumerate() {
            let (place, name) = (path.index(index).child("name"), other.name.as_str());
            errors.extend(required_name(&place, name));
            if name == self.metadata.name {
                errors.push(FieldError::invalid(&place, name, "it cannot depend on itself"));
            }
            if seen.insert(name, index).is_some() {
                errors.push(FieldError::duplicate(&place, name));
            }
        }
        errors
    }
}

impl GitReference {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let all = [&self.branch, &self.tag, &self.semver, &self.commit];
        if all.iter().filter(|field| !field.is_empty()).count() != 1 {
            let why = "exactly one of branch, tag, semver and commit must be given";
            return vec![FieldError::invalid(path, "", why)];
        }
        let is_commit = self.commit.len() == 40 && self.commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut errors = Vec::new();
        if !self.commit.is_empty() && !is_commit {
            let why = "must be 40 hexadecimal digits";
            errors.push(FieldError::invalid(path.child("commit"), self.commit.as_str(), why));
        }
        if let Err(error) = semver::VersionReq::parse(&self.semver)
            && !self.semver.is_empty()
        {
            let why = format!("must be a range of versions such as `>=1.2, <2`: {error}");
            errors.push(FieldError::invalid(path.child("semver"), self.semver.as_str(), why));
        }
        for (field, name) in [("branch", &self.branch), ("tag", &self.tag)] {
            let is_odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
            if name.contains(is_odd)
                || name.contains("..")
                || name.starts_with(['-', '/'])
                || name.ends_with('/')
            {
                let why = "is not a name that Git allows";
                errors.push(FieldError::invalid(path.child(field), name.as_str(), why));
            }
        }
        errors
    }
}

impl GitSyncGuards {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        errors.extend(non_negative(&path.child("maxDeletes"), self.max_deletes));
        errors.extend(non_negative(&path.child("maxReplicaDrop"), self.max_replica_drop));
        let windows = self.freeze_windows.iter().enumerate();
        errors.extend(
            windows.flat_map(|(index, window)| window.validate(&path.child("freezeWindows").index(index))),
        );
        errors
    }
}

fn url(path: &FieldPath, url: &str) -> Vec<FieldError> {
    let problem = match url.split_once("://") {
        _ if url.is_empty() => return vec![FieldError::required(path, "where is the repository?")],
        _ if url.len() > 2048 => Some("may not be longer than 2048 bytes".to_owned()),
        _ if url.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Some("may not contain blanks".to_owned())
        }
        Some((scheme, _)) if !SCHEMES.contains(&scheme) => Some(format!(
            "must begin with one of {}",
            SCHEMES.map(|scheme| format!("{scheme}://")).join(", ")
        )),
        Some((_, rest)) if has_password(rest) => Some("may not contain a password: use secretRef".to_owned()),
        Some((_, rest)) if rest.is_empty() || rest == "/" => Some("must name a repository".to_owned()),
        Some(_) => None,
        None if is_short(url) => None,
        None => Some("must be a URL such as https://host/path.git, or user@host:path".to_owned()),
    };
    problem.into_iter().map(|problem| FieldError::invalid(path, url, problem)).collect()
}

/// Whether something follows the name of the user, in what follows the scheme of a URL.
fn has_password(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    host.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Whether a URL is of the form `user@host:path`.
fn is_short(url: &str) -> bool {
    let user = url.split_once(':').and_then(|(host, _)| host.split_once('@'));
    user.is_some_and(|(user, _)| !user.is_empty() && !user.starts_with('-'))
}

fn directory(path: &FieldPath, directory: &str) -> Vec<FieldError> {
    let leaves = directory.starts_with('/') || directory.split('/').any(|part| part == "..");
    let why = "must be a directory within the repository, without a leading / and without ..";
    leaves.then(|| FieldError::invalid(path, directory, why)).into_iter().collect()
}

fn times(path: &FieldPath, spec: &GitSyncSpec) -> Vec<FieldError> {
    let health = spec.health.as_ref().and_then(|health| health.timeout_seconds);
    let all = [
        ("intervalSeconds", spec.interval_seconds, A_WEEK_SECONDS),
        ("retrySeconds", spec.retry_seconds, A_WEEK_SECONDS),
        ("timeoutSeconds", spec.timeout_seconds, LONGEST_TIMEOUT_SECONDS),
        ("health.timeoutSeconds", health, A_WEEK_SECONDS),
    ];
    let wrong = all.into_iter().filter_map(|(field, seconds, most)| Some((field, seconds?, most)));
    let wrong = wrong.filter(|(_, seconds, most)| !(1..=*most).contains(seconds));
    wrong
        .map(|(field, seconds, most)| {
            let why = format!("must be between 1 and {most}, inclusive");
            FieldError::invalid(path.child(field), seconds, why)
        })
        .collect()
}

fn condition<'a>(object: &'a Value, condition_type: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == condition_type)
}

/// One word about how it is.
fn state(object: &Value) -> String {
    if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return "Suspended".to_owned();
    }
    if object.is_terminating() {
        return "Terminating".to_owned();
    }
    condition(object, "Ready")
        .map_or_else(String::new, |ready| ready["reason"].as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_repository_and_holds_no_password() {
        let wrong = |text: &str| url(&FieldPath::new("spec.url"), text);
        for fine in [
            "https://git.example/shop.git",
            "https://git@git.example:8443/shop.git",
            "https://git.example:8443/a@b:c.git",
            "ssh://git@git.example:2222/shop.git",
            "git@git.example:shop.git",
            "git@git.example:a/b@c:d.git",
            "file:///srv/shop.git",
        ] {
            assert_eq!(wrong(fine), [], "{fine}");
        }
        for secret in
            ["https://ada:secret@git.example/x", "ssh://git:secret@git.example/x", "git://a:b@c@d/x"]
        {
            assert!(wrong(secret)[0].to_string().contains("may not contain a password"), "{secret}");
        }
        for odd in [
            "",
            "shop",
            "git:secret@git.example:x",
            "-o@x:y",
            "@host:x",
            "ftp://x/y",
            "https://",
            "https://a b",
        ] {
            assert_eq!(wrong(odd).len(), 1, "{odd}");
        }
    }

    #[test]
    fn fetching_may_take_minutes_and_no_more() {
        let wrong = |seconds: i64| {
            let spec = GitSyncSpec { timeout_seconds: Some(seconds), ..GitSyncSpec::default() };
            times(&FieldPath::new("spec"), &spec).len()
        };
        assert_eq!([1, 600, 601, 0].map(wrong), [0, 0, 1, 1]);
    }
}
