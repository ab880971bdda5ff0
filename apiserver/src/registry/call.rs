//! A request whose kind has been found: what verbs are handed.

use std::sync::Arc;

use jiff::Timestamp;
use orch_api::{
    Action, Authorizer, Change, FieldQuery, FieldValidation, LabelQuery, Object as _, Params, Request, Scope,
    Status, Subresource, Verb,
};
use orch_store::Key;
use serde_json::Value;

use crate::authn::Identity;
use crate::cache::Query;
use crate::decode::{self, Decoded};
use crate::kinds::{Kinds, Served};
use crate::origin::Origin;
use crate::policies::{Notices, Policies};

/// How a request came, beside in whose name: what is stored of it with what it changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Via {
    /// The program that asks: the first word of its `User-Agent`, up to the slash.
    pub(crate) agent: String,
    /// Who really asks, if it is in the name of another.
    pub(crate) impersonator: Option<String>,
    /// The plan of which the request is a part.
    pub(crate) plan: Option<String>,
}

/// A request whose kind has been found.
pub(crate) struct Call {
    /// Who asks.
    pub(crate) identity: Identity,
    /// How the request came.
    pub(crate) via: Via,
    /// The kind it is about.
    pub(crate) kind: Arc<Served>,
    /// What is asked.
    pub(crate) request: Request,
    /// Says which changes the caller may make.
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// Says which changes anybody may make.
    pub(crate) policies: Policies,
    /// What the caller should know, and the audit record.
    pub(crate) notices: Arc<Notices>,
}

impl Call {
    pub(super) fn new(
        kinds: &Kinds,
        (authorizer, policies): (Arc<dyn Authorizer>, Policies),
        identity: Identity,
        via: Via,
        request: Request,
    ) -> Result<Self, Status> {
        let kind = kinds.at(&request.target).cloned().ok_or_else(Status::no_such_path)?;
        let notices = Arc::default();
        let call = Self { identity, via, kind, request, authorizer, policies, notices };
        call.check_path()?;
        Ok(call)
    }

    fn check_path(&self) -> Result<(), Status> {
        let target = &self.request.target;
        if self.kind.entry.is_history && !matches!(self.verb(), Verb::Get | Verb::List) {
            return Err(Status::method_not_allowed());
        }
        match (self.kind.kind().scope, target.namespace.is_some(), target.name.is_some(), self.verb()) {
            (Scope::Cluster, true, ..) => return Err(Status::no_such_path()),
            (Scope::Namespaced, false, true, _) => return Err(Status::no_such_path()),
            (Scope::Namespaced, false, _, Verb::Create | Verb::DeleteCollection) => {
                return Err(Status::method_not_allowed());
            }
            (_, _, false, Verb::Get | Verb::Update | Verb::Patch | Verb::Delete) => {
                return Err(Status::method_not_allowed());
            }
            (_, _, false, Verb::DeleteCollection) if !self.kind.entry.deletes_collections => {
                return Err(Status::method_not_allowed());
            }
            (_, _, true, Verb::Update | Verb::Patch) if self.kind.entry.is_plan => {
                return Err(Status::method_not_allowed());
            }
            (_, _, true, Verb::List | Verb::DeleteCollection) => return Err(Status::method_not_allowed()),
            (_, _, true, Verb::Create) if target.subresource.is_none() => {
                return Err(Status::method_not_allowed());
            }
            _ => {}
        }
        match self.subresource() {
            None => Ok(()),
            Some("status") if self.kind.kind().has_status => match self.verb() {
                Verb::Get | Verb::Update | Verb::Patch => Ok(()),
                _ => Err(Status::method_not_allowed()),
            },
            Some(_) => {
                let subresource = self.action().ok_or_else(Status::no_such_path)?;
                let is_known = subresource.verbs(self.kind.kind()).contains(&self.verb());
                if is_known { Ok(()) } else { Err(Status::method_not_allowed()) }
            }
        }
    }

    /// What to do.
    pub(crate) fn verb(&self) -> Verb {
        self.request.verb
    }

    /// Whether something may be stored, or would be if this were not a dry run.
    pub(crate) fn is_write(&self) -> bool {
        !matches!(self.verb(), Verb::Get | Verb::List | Verb::Watch)
    }

    /// How to do it.
    pub(crate) fn params(&self) -> &Params {
        &self.request.params
    }

    /// The namespace of the path.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.request.target.namespace.as_deref()
    }

    /// The object's name in the path; empty for a collection.
    pub(crate) fn name(&self) -> &str {
        self.request.target.name.as_deref().unwrap_or_default()
    }

    /// What follows the name.
    pub(crate) fn subresource(&self) -> Option<&str> {
        self.request.target.subresource.as_deref()
    }

    /// The subresource's definition, for all but `status`.
    pub(crate) fn action(&self) -> Option<&Subresource> {
        let name = self.subresource()?;
        self.kind.entry.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether the request is to be passed on to another server.
    pub(crate) fn is_stream(&self) -> bool {
        self.action().is_some_and(|subresource| matches!(subresource.action, Action::Stream(_)))
    }

    /// Where the object is kept.
    pub(crate) fn key(&self) -> Result<Key, Status> {
        self.kind.key(self.namespace(), self.name())
    }

    /// Who is writing, for field ownership.
    pub(crate) fn manager(&self) -> &str {
        self.params().field_manager.as_deref().unwrap_or(&self.via.agent)
    }

    /// Who makes the changes of this request, and why.
    pub(crate) fn origin(&self, now: Timestamp) -> Origin {
        let (user, via) = (self.identity.user.clone(), self.via.clone());
        Origin {
            at: now.as_millisecond(),
            impersonator: via.impersonator.unwrap_or_default(),
            agent: Some(via.agent).filter(|agent| *agent != user).unwrap_or_default(),
            plan: via.plan.unwrap_or_default(),
            reason: self.params().reason.clone().unwrap_or_default(),
            user,
        }
    }

    /// What the request wants to see of the kind.
    pub(crate) fn query(&self) -> Result<Query, Status> {
        let prefix = self.kind.prefix(self.namespace())?;
        let bad = |error: &dyn std::fmt::Display| Status::bad_request(error.to_string());
        let labels: LabelQuery =
            self.params().label_selector.as_deref().unwrap_or_default().parse().map_err(|e| bad(&e))?;
        let mut fields: FieldQuery =
            self.params().field_selector.as_deref().unwrap_or_default().parse().map_err(|e| bad(&e))?;
        self.check_selected(&fields)?;
        for term in fields.terms.iter_mut().filter(|term| term.value == "false") {
            // A compiled type has no other word for false than to leave the field out.
            if self.kind.is_flag(&term.field) {
                term.value.clear();
            }
        }
        if self.verb() == Verb::Watch && !self.name().is_empty() {
            fields.terms.extend(FieldQuery::equals("metadata.name", self.name()).terms);
        }
        Ok(Query { prefix, labels, fields })
    }

    /// Refuses fields that the kind does not select by. Kinds that select by nothing of their own say so in other words.
    fn check_selected(&self, fields: &FieldQuery) -> Result<(), Status> {
        let entry = &self.kind.entry;
        let unknown = fields.terms.iter().find(|term| !self.kind.is_selectable(&term.field));
        match unknown {
            Some(term) if entry.custom.is_none() && entry.selectable.is_empty() => {
                Err(Status::bad_request(format!(
                    "{:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                    term.field
                )))
            }
            _ => fields
                .check(|field| self.kind.is_selectable(field))
                .map_err(|error| Status::bad_request(error.to_string())),
        }
    }

    /// The object that the body holds: of the right kind, for the right place, without unknown fields. What was dropped
    /// because the caller is lenient is told as warnings.
    ///
    /// # Errors
    /// 400 for a malformed or misplaced body and for unknown fields, 415 for a media type that holds no object.
    pub(crate) fn object(&self) -> Result<(Value, Vec<String>), Status> {
        let Decoded { value: mut object, repeated } =
            decode::object_with_repeated(self.request.body.as_ref())?;
        self.check_kind(&mut object)?;
        self.check_place(&mut object)?;
        let warnings = self.check_fields(&mut object, &repeated)?;
        Ok((object, warnings))
    }

    /// Refuses an object of another kind. An absent `kind` or `apiVersion` is filled in, as Kubernetes does.
    pub(crate) fn check_kind(&self, object: &mut Value) -> Result<(), Status> {
        let kind = self.kind.kind();
        for (field, expected) in [("apiVersion", self.kind.api_version.as_str()), ("kind", kind.name)] {
            if object.text(&[field]).is_empty() {
                object[field] = expected.into();
            }
        }
        if object.kind() != kind.name {
            return Err(Status::bad_request(format!(
                "the kind in the data ({}) does not match the expected kind ({})",
                object.kind(),
                kind.name
            )));
        }
        if object.api_version() != self.kind.api_version {
            return Err(Status::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({})",
                object.api_version(),
                self.kind.api_version
            )));
        }
        Ok(())
    }

    /// Refuses an object that names another place than the path; fills in the place where the object names none.
    pub(crate) fn check_place(&self, object: &mut Value) -> Result<(), Status> {
        let metadata = object
            .as_object_mut()
            .map(|object| object.entry("metadata").or_insert_with(|| Value::Object(Default::default())));
        if !metadata.is_some_and(|metadata| metadata.is_object()) {
            return Err(Status::bad_request("metadata: must be an object"));
        }
        match (self.namespace(), object.namespace()) {
            (None, "") => {}
            (None, _) => {
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("namespace");
                }
            }
            (Some(expected), "") => object["metadata"]["namespace"] = expected.into(),
            (Some(expected), found) if expected != found => {
                return Err(Status::bad_request(match self.verb() {
                    Verb::Update => format!(
                        "the namespace of the object ({found}) does not match the namespace on the request ({expected})"
                    ),
                    _ => "the namespace of the provided object does not match the namespace sent on the request"
                        .to_owned(),
                }));
            }
            _ => {}
        }
        if !self.name().is_empty() {
            match object.name() {
                "" if self.verb() == Verb::Update => {
                    return Err(Status::bad_request(format!(
                        "the name of the object ({} based on URL) was undeterminable: name must be provided",
                        self.name()
                    )));
                }
                "" => object["metadata"]["name"] = self.name().into(),
                found if found != self.name() => {
                    return Err(Status::bad_request(format!(
                        "the name of the object ({found}) does not match the name on the URL ({})",
                        self.name()
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Treats fields that the schema does not have, and those given more than once, as the request asks: refuse, warn,
    /// ignore.
    pub(crate) fn check_fields(
        &self,
        object: &mut Value,
        repeated: &[String],
    ) -> Result<Vec<String>, Status> {
        let schema = &self.kind.entry.schema;
        crate::admission::strange_fields(self.kind.kind(), schema, object, repeated, self.validation())
    }

    /// Refuses a change that the caller may not make, although it may change the object (see [`Authorizer::admit`]), and one
    /// that a policy forbids. `new` is none for a deletion, `old` for a creation.
    pub(crate) fn admit(&self, new: Option<&Value>, old: Option<&Value>) -> Result<(), Status> {
        self.may_change(new, old)?;
        self.policies.change(self, new, old)
    }

    /// Refuses a change that the caller may not make, although it may change the object: see [`Authorizer::admit`].
    pub(crate) fn may_change(&self, new: Option<&Value>, old: Option<&Value>) -> Result<(), Status> {
        self.authorizer.admit(&Change {
            subject: self.identity.subject(),
            verb: self.verb(),
            kind: self.kind.kind(),
            subresource: self.subresource().unwrap_or_default(),
            new,
            old,
        })
    }

    /// How strictly unknown fields are taken: decision 0004.
    pub(super) fn validation(&self) -> FieldValidation {
        let unsaid = match self.kind.entry.custom {
            Some(_) => FieldValidation::Warn,
            None => FieldValidation::Strict,
        };
        self.params().field_validation.unwrap_or(unsaid)
    }
}
