//! Who may do what: what is asked of an [`Authorizer`], and what it answers.

use std::sync::Arc;

use serde_json::Value;

use crate::{FieldQuery, Kind, Request, Status, StatusDetails, Target, Verb};

/// The group whose members may do everything, whatever the roles say: there is always somebody who can mend them.
pub const MASTERS: &str = "system:masters";

/// Who asks: as much of an identity as rights depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The groups that the user belongs to.
    pub groups: &'a [String],
}

impl Subject<'_> {
    /// Whether the user belongs to a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// Something that somebody wants to do. The words are those of Kubernetes' authorization.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    /// Who.
    pub subject: Subject<'a>,
    /// `get`, `create` or any other word that rules may name, such as `bind`.
    pub verb: &'a str,
    /// To what.
    pub asked: Asked<'a>,
}

/// What a request is about.
#[derive(Debug, Clone)]
pub enum Asked<'a> {
    /// Objects.
    Resource(Box<ResourceAttributes<'a>>),
    /// A path that is not about objects, such as `/metrics`.
    Path(&'a str),
}

/// The objects that a request is about. What is not said is empty.
#[derive(Debug, Clone, Default)]
pub struct ResourceAttributes<'a> {
    /// The API group; empty for core.
    pub group: &'a str,
    /// The version. Rights do not depend on it.
    pub version: &'a str,
    /// The collection, such as `pods`.
    pub resource: &'a str,
    /// What follows the name, such as `log`.
    pub subresource: &'a str,
    /// The namespace; empty for the cluster and for all namespaces.
    pub namespace: &'a str,
    /// The one object that it is about; empty for several, and where the server chooses.
    pub name: String,
    /// The fields that a list or watch is limited to.
    pub fields: FieldQuery,
}

impl<'a> Attributes<'a> {
    /// What a request on objects wants to do.
    pub fn of(subject: Subject<'a>, request: &'a Request) -> Self {
        Self::on(subject, request.verb.as_str(), &request.target, request)
    }

    /// The same with another verb: some requests need two.
    pub fn on(subject: Subject<'a>, verb: &'a str, target: &'a Target, request: &'a Request) -> Self {
        let name = target.name.clone().unwrap_or_default();
        // An object that is a place is, to rules, in itself.
        let is_place = target.group.is_empty() && target.plural == "namespaces";
        let namespace = match target.namespace.as_deref() {
            None if is_place => target.name.as_deref().unwrap_or_default(),
            namespace => namespace.unwrap_or_default(),
        };
        let fields = match request.verb {
            Verb::List | Verb::Watch | Verb::DeleteCollection => fields(request),
            _ => FieldQuery::default(),
        };
        // Who asks for the one object of a name asks for that object.
        let name = match fields.required_value("metadata.name") {
            Some(selected) if name.is_empty() => selected.to_owned(),
            _ => name,
        };
        let resource = ResourceAttributes {
            group: &target.group,
            version: &target.version,
            resource: &target.plural,
            subresource: target.subresource.as_deref().unwrap_or_default(),
            namespace,
            name,
            fields,
        };
        Self { subject, verb, asked: Asked::Resource(Box::new(resource)) }
    }

    /// 403 in Kubernetes' words.
    pub fn forbidden(&self, reason: &str) -> Status {
        let (details, what) = match &self.asked {
            Asked::Path(_) => (StatusDetails::default(), "forbidden".to_owned()),
            Asked::Resource(asked) => {
                let qualified = match asked.group {
                    "" => asked.resource.to_owned(),
                    group => format!("{}.{group}", asked.resource),
                };
                let what = match asked.name.as_str() {
                    "" => format!("{qualified} is forbidden"),
                    name => format!("{qualified} {name:?} is forbidden"),
                };
                let details = StatusDetails {
                    name: asked.name.clone(),
                    group: asked.group.to_owned(),
                    kind: asked.resource.to_owned(),
                    ..StatusDetails::default()
                };
                (details, what)
            }
        };
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let message = format!("{what}: {}{reason}", self.refusal());
        Status::failure(crate::Reason::Forbidden, message).about(details)
    }

    fn refusal(&self) -> String {
        let (user, verb) = (self.subject.user, self.verb);
        let asked = match &self.asked {
            Asked::Path(path) => return format!("User {user:?} cannot {verb} path {path:?}"),
            Asked::Resource(asked) => asked,
        };
        let resource = match asked.subresource {
            "" => asked.resource.to_owned(),
            subresource => format!("{}/{subresource}", asked.resource),
        };
        let place = match asked.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        format!("User {user:?} cannot {verb} resource {resource:?} in API group {:?} {place}", asked.group)
    }
}

fn fields(request: &Request) -> FieldQuery {
    // What cannot be read is refused later, and limits nothing.
    request.params.field_selector.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// What an [`Authorizer`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why; may be empty.
    pub reason: Arc<str>,
}

impl Decision {
    /// It may be done.
    pub fn allowed(reason: impl Into<Arc<str>>) -> Self {
        Self { allowed: true, reason: reason.into() }
    }

    /// It may not be done.
    pub fn denied(reason: impl Into<Arc<str>>) -> Self {
        Self { allowed: false, reason: reason.into() }
    }
}

/// Everything that somebody may do in a namespace: `authorization.k8s.io/v1` `SubjectRulesReviewStatus`, whose lists hold
/// `ResourceRule`s and `NonResourceRule`s.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rights {
    /// What may be done with which objects.
    pub resource_rules: Vec<Value>,
    /// What may be done with which other paths.
    pub non_resource_rules: Vec<Value>,
    /// There may be more than is listed.
    pub incomplete: bool,
    /// What went wrong while the rules were put together; may be empty.
    pub evaluation_error: String,
}

/// A change to an object by somebody who may change it.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Who wants it.
    pub subject: Subject<'a>,
    /// How it is asked for.
    pub verb: Verb,
    /// The object's kind.
    pub kind: &'a Kind,
    /// What follows the name in the request's path; empty for the object itself.
    pub subresource: &'a str,
    /// The object as it would be stored, or the body of a subresource that is a command; none for a deletion.
    pub new: Option<&'a Value>,
    /// The object as it is stored; none for a creation.
    pub old: Option<&'a Value>,
}

/// One object of a kind that an [`Authorizer`] follows.
#[derive(Debug, Clone, Copy)]
pub struct Followed<'a> {
    /// Its kind.
    pub kind: &'a Kind,
    /// Its namespace; empty if its kind has none.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its JSON; none if it is gone.
    pub object: Option<&'a [u8]>,
}

/// Decides who may do what, from objects that it is told of.
///
/// Everything here is synchronous and does no I/O. Decisions may be asked for from many threads at once; changes are told by
/// one.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether something may be done. Cost: microseconds. Members of [`MASTERS`] are not asked about.
    fn decide(&self, attributes: &Attributes<'_>) -> Decision;

    /// Everything that somebody may do in a namespace.
    fn rights(&self, subject: Subject<'_>, namespace: &str) -> Rights;

    /// Whether a write that [`decide`](Self::decide) allows may make this very change.
    ///
    /// # Errors
    /// 403 as Kubernetes' admission words it; 404 if the change depends on an object that is not there.
    fn admit(&self, change: &Change<'_>) -> Result<(), Status>;

    /// The kinds that decisions depend on, and whether a write to one is acknowledged only once decisions know of it.
    fn follows(&self) -> Vec<(Kind, Acknowledge)>;

    /// Begins anew: these are all the objects of the kinds that it follows.
    fn replace(&self, objects: &mut dyn Iterator<Item = Followed<'_>>);

    /// Takes in changes that happened together.
    fn take(&self, changes: &mut dyn Iterator<Item = Followed<'_>>);

    /// Another one that knows what this one knows, and is told of other changes from now on: those of a plan.
    fn fork(&self) -> Arc<dyn Authorizer>;
}

/// When a write to an object that decisions depend on is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// Once decisions know of it: the next request is decided by it.
    Known,
    /// Once it is stored: a request that is refused is looked at again with everything that is stored by then.
    Stored,
}

/// Everybody may do everything: for tests, and for servers that nobody but their owner can reach.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn decide(&self, _: &Attributes<'_>) -> Decision {
        Decision::allowed("every authenticated caller may do everything")
    }

    fn rights(&self, _: Subject<'_>, _: &str) -> Rights {
        let everything = |what: Value| {
            let mut rule = what;
            rule["verbs"] = serde_json::json!(["*"]);
            vec![rule]
        };
        Rights {
            resource_rules: everything(serde_json::json!({"apiGroups": ["*"], "resources": ["*"]})),
            non_resource_rules: everything(serde_json::json!({"nonResourceURLs": ["*"]})),
            ..Rights::default()
        }
    }

    fn admit(&self, _: &Change<'_>) -> Result<(), Status> {
        Ok(())
    }

    fn follows(&self) -> Vec<(Kind, Acknowledge)> {
        Vec::new()
    }

    fn replace(&self, _: &mut dyn Iterator<Item = Followed<'_>>) {}

    fn take(&self, _: &mut dyn Iterator<Item = Followed<'_>>) {}

    fn fork(&self) -> Arc<dyn Authorizer> {
        Arc::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    fn refused(verb: Verb, path: &str, selector: Option<&str>) -> String {
        let target = Target::parse(path.trim_start_matches('/').split('/')).unwrap();
        let params = Params { field_selector: selector.map(str::to_owned), ..Params::default() };
        let request = Request { verb, target, params, body: None };
        let subject = Subject { user: "x", groups: &[] };
        Attributes::of(subject, &request).forbidden("").message
    }

    #[test]
    fn refusals_are_kubernetes_own() {
        let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/a/roles/r";
        for (verb, path, message) in [
            (
                Verb::List,
                "/api/v1/namespaces/default/pods",
                r#"pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default""#,
            ),
            (
                Verb::List,
                "/api/v1/pods",
                r#"pods is forbidden: User "x" cannot list resource "pods" in API group "" at the cluster scope"#,
            ),
            (
                Verb::Get,
                "/api/v1/namespaces/a/pods/p/log",
                r#"pods "p" is forbidden: User "x" cannot get resource "pods/log" in API group "" in the namespace "a""#,
            ),
            (
                Verb::Delete,
                roles,
                r#"roles.rbac.authorization.k8s.io "r" is forbidden: User "x" cannot delete resource "roles" in API group "rbac.authorization.k8s.io" in the namespace "a""#,
            ),
            (
                Verb::Get,
                "/api/v1/namespaces/a",
                r#"namespaces "a" is forbidden: User "x" cannot get resource "namespaces" in API group "" in the namespace "a""#,
            ),
        ] {
            assert_eq!(refused(verb, path, None), message);
        }
        let path = Attributes {
            subject: Subject { user: "x", groups: &[] },
            verb: "get",
            asked: Asked::Path("/metrics"),
        };
        let status = path.forbidden("why");
        assert_eq!(status.message, r#"forbidden: User "x" cannot get path "/metrics": why"#);
        assert_eq!(status.code, 403);
    }

    #[test]
    fn a_list_of_one_name_is_about_that_object() {
        let by_name = refused(Verb::Watch, "/api/v1/namespaces/a/secrets", Some("metadata.name=s"));
        assert!(by_name.starts_with(r#"secrets "s" is forbidden"#), "{by_name}");
        let by_other = refused(Verb::Watch, "/api/v1/namespaces/a/secrets", Some("metadata.name!=s"));
        assert!(by_other.starts_with("secrets is forbidden"), "{by_other}");
    }
}
