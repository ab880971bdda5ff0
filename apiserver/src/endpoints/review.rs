//! What callers may ask about themselves and, if they have the right to, about others: who they are, and what they may do.

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use orch_api::fields::FieldTerm;
use orch_api::{
    Asked, Attributes, Decision, FieldError, FieldQuery, Kind, Object as _, Request, ResourceAttributes,
    Status, Subject, Target,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::token_review;
use crate::authn::Identity;
use crate::pipeline::{body_of, in_time};
use crate::respond::json_response;
use crate::server::Server;
use crate::{decode, plan};

/// Each review: its kind, and what it is about.
const REVIEWS: [(Kind, Review); 7] = [
    (
        about("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview"),
        Review::SelfIdentity,
    ),
    (about("authentication.k8s.io", "TokenReview", "tokenreviews", "tokenreview"), Review::Token),
    (
        about(
            "authorization.k8s.io",
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            "selfsubjectaccessreview",
        ),
        Review::SelfAccess,
    ),
    (
        about(
            "authorization.k8s.io",
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
            "selfsubjectrulesreview",
        ),
        Review::SelfRules,
    ),
    (
        about("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview"),
        Review::Access,
    ),
    (
        Kind::namespaced(
            "authorization.k8s.io",
            "v1",
            "LocalSubjectAccessReview",
            "localsubjectaccessreviews",
            "localsubjectaccessreview",
        ),
        Review::Access,
    ),
    (Kind::cluster("orch.dev", "v1", "Simulation", "simulations", "simulation"), Review::Simulation),
];

const fn about(
    group: &'static str,
    name: &'static str,
    plural: &'static str,
    singular: &'static str,
) -> Kind {
    Kind::cluster(group, "v1", name, plural, singular)
}

/// The kinds of the reviews.
pub(super) fn kinds() -> impl Iterator<Item = Kind> {
    REVIEWS.into_iter().map(|(kind, _)| kind)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Review {
    /// Who the caller is.
    SelfIdentity,
    /// Whose a token is.
    Token,
    /// Whether the caller may do something.
    SelfAccess,
    /// Everything that the caller may do in a namespace.
    SelfRules,
    /// Whether somebody may do something.
    Access,
    /// What would come of changes, and of nodes that are lost or added.
    Simulation,
}

fn find(target: &Target) -> Option<(Kind, Review)> {
    let is_asked = |kind: &Kind| {
        target.group == kind.group
            && target.version == kind.version
            && target.plural == kind.plural
            && target.namespace.is_some() == kind.is_namespaced()
            && target.name.is_none()
    };
    REVIEWS.into_iter().find(|(kind, _)| is_asked(kind))
}

/// Whether a path is that of a review.
pub(crate) fn is_review(target: &Target) -> bool {
    find(target).is_some()
}

/// Answers a review with its status filled in.
///
/// # Errors
/// As [`answer`]; 405 for anything but `POST`.
pub(crate) async fn review(
    server: &Server,
    identity: &Identity,
    mut request: Request,
    parts: &Parts,
    body: Body,
) -> Result<Response<Body>, Status> {
    authorize(server, identity, &request).await?;
    if parts.method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    request.body = body_of(server, identity, request.verb, &parts.headers, body).await?;
    let answer = seated(server, identity, &request).await?;
    Ok(json_response(201, "application/json", answer.into()))
}

/// The review of the body with its status filled in.
///
/// # Errors
/// 403, 429, 400 for a malformed body, 422 for one that asks nothing, 503 if the roles are not known.
pub(crate) async fn answer(server: &Server, identity: &Identity, request: &Request) -> Result<Bytes, Status> {
    authorize(server, identity, request).await?;
    seated(server, identity, request).await
}

async fn authorize(server: &Server, identity: &Identity, request: &Request) -> Result<(), Status> {
    server.registry.gate.check(&Attributes::of(identity.subject(), request)).await
}

async fn seated(server: &Server, identity: &Identity, request: &Request) -> Result<Bytes, Status> {
    let _seat = server.fairness.seat(identity).await?;
    let target = &request.target;
    let (kind, review) = find(target).ok_or_else(Status::no_such_path)?;
    let mut asked = decode::object(request.body.as_ref())?;
    if !asked.kind().is_empty() && asked.kind() != kind.name {
        return Err(Status::bad_request(format!(
            "the kind in the data ({}) does not match the expected kind ({})",
            asked.kind(),
            kind.name
        )));
    }
    let status = in_time(status(server, identity, target, (kind, review), &mut asked)).await?;
    asked["apiVersion"] = kind.api_version().into();
    asked["kind"] = kind.name.into();
    asked["status"] = status;
    Ok(asked.to_string().into())
}

async fn status(
    server: &Server,
    identity: &Identity,
    target: &Target,
    (kind, review): (Kind, Review),
    asked: &mut Value,
) -> Result<Value, Status> {
    Ok(match review {
        Review::SelfIdentity => json!({"userInfo": identity.user_info()}),
        Review::Token => token_review::status(server, asked).await?,
        Review::SelfRules => rights(server, identity, asked.text(&["spec", "namespace"])).await?,
        Review::Simulation => plan::simulate(&server.registry, identity, &kind, asked).await?,
        Review::SelfAccess | Review::Access => {
            access(server, identity, target, (kind, review), asked).await?
        }
    })
}

async fn rights(server: &Server, identity: &Identity, namespace: &str) -> Result<Value, Status> {
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let rights = server.registry.gate.rights(identity.subject(), namespace).await?;
    let mut status = json!({
        "resourceRules": rights.resource_rules,
        "nonResourceRules": rights.non_resource_rules,
        "incomplete": rights.incomplete,
    });
    if !rights.evaluation_error.is_empty() {
        status["evaluationError"] = rights.evaluation_error.into();
    }
    Ok(status)
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Spec {
    resource_attributes: Option<Resource>,
    non_resource_attributes: Option<Path>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    groups: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Resource {
    namespace: String,
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    name: String,
    field_selector: Option<FieldSelector>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Path {
    path: String,
    verb: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct FieldSelector {
    raw_selector: String,
    requirements: Option<Vec<Requirement>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

async fn access(
    server: &Server,
    identity: &Identity,
    target: &Target,
    (kind, review): (Kind, Review),
    asked: &Value,
) -> Result<Value, Status> {
    let spec = Option::<Spec>::deserialize(asked.get("spec").unwrap_or(&Value::Null))
        .map_err(|error| Status::bad_request(format!("{}: spec: {error}", kind.name)))?
        .unwrap_or_default();
    let errors = spec.errors(review == Review::Access, target.namespace.as_deref());
    if !errors.is_empty() {
        return Err(Status::invalid(&kind, "", &errors));
    }
    let groups = spec.groups.as_deref().unwrap_or_default();
    let subject = match review {
        Review::Access => Subject { user: &spec.user, groups },
        _ => identity.subject(),
    };
    let Decision { allowed, reason } = server.registry.gate.decide(&spec.attributes(subject)).await?;
    let mut status = json!({"allowed": allowed});
    if !reason.is_empty() {
        status["reason"] = (*reason).into();
    }
    Ok(status)
}

impl Spec {
    fn errors(&self, names_subject: bool, namespace: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.resource_attributes.is_some() == self.non_resource_attributes.is_some() {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.push(FieldError::invalid("spec.resourceAttributes", Value::Null, why));
        }
        if names_subject && self.user.is_empty() && self.groups.as_ref().is_none_or(Vec::is_empty) {
            errors.push(FieldError::invalid(
                "spec.user",
                "",
                "at least one of user or group must be specified",
            ));
        }
        let Some(expected) = namespace else { return errors };
        let found = self.resource_attributes.as_ref().map(|asked| asked.namespace.as_str());
        if found != Some(expected) {
            let why = format!("must match metadata.namespace: {expected}");
            errors.push(FieldError::invalid(
                "spec.resourceAttributes.namespace",
                found.unwrap_or_default(),
                why,
            ));
        }
        errors
    }

    fn attributes<'a>(&'a self, subject: Subject<'a>) -> Attributes<'a> {
        match (&self.resource_attributes, &self.non_resource_attributes) {
            (Some(asked), _) => Attributes {
                subject,
                verb: &asked.verb,
                asked: Asked::Resource(Box::new(ResourceAttributes {
                    group: &asked.group,
                    version: &asked.version,
                    resource: &asked.resource,
                    subresource: &asked.subresource,
                    namespace: &asked.namespace,
                    name: asked.name.clone(),
                    fields: asked.field_selector.as_ref().map(FieldSelector::query).unwrap_or_default(),
                })),
            },
            (None, Some(asked)) => Attributes { subject, verb: &asked.verb, asked: Asked::Path(&asked.path) },
            (None, None) => Attributes { subject, verb: "", asked: Asked::Path("") },
        }
    }
}

impl FieldSelector {
    /// The requirements that name one value. What else a selector says limits nothing that rights depend on.
    fn query(&self) -> FieldQuery {
        if !self.raw_selector.is_empty() {
            return self.raw_selector.parse().unwrap_or_default();
        }
        let requirements = self.requirements.iter().flatten();
        let terms = requirements.filter_map(|requirement| match requirement.values.as_deref() {
            Some([value]) if ["In", "NotIn"].contains(&requirement.operator.as_str()) => Some(FieldTerm {
                field: requirement.key.clone(),
                value: value.clone(),
                equals: requirement.operator == "In",
            }),
            _ => None,
        });
        FieldQuery { terms: terms.collect() }
    }
}
