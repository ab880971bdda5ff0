//! [`Rights`]: what a policy's `authorizer` answers.

use std::sync::Arc;

use orch_api::{
    AdmissionRequest, Attributes, Authorizer, FieldQuery, Kind, ResourceAttributes, Subject, World,
};
use orch_cel::{Asked, Authority, Question, Resource};
use serde_json::Value;

/// What the caller of a request may do, and what service accounts may.
pub(crate) struct Rights {
    authorizer: Arc<dyn Authorizer>,
    user: String,
    groups: Vec<String>,
}

impl Rights {
    /// Those of the caller of a request.
    pub(crate) fn of(request: &AdmissionRequest<'_>, world: &dyn World) -> Arc<Self> {
        let groups = request.user["groups"].as_array().into_iter().flatten();
        Arc::new(Self {
            authorizer: world.authorizer(),
            user: request.user["username"].as_str().unwrap_or_default().to_owned(),
            groups: groups.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}

/// What a request is about, in the version of its kind that a policy speaks of.
pub(crate) fn resource(request: &AdmissionRequest<'_>, kind: &Kind) -> Resource {
    Resource {
        group: kind.group.to_owned(),
        resource: kind.plural.to_owned(),
        subresource: request.subresource.to_owned(),
        namespace: request.namespace.to_owned(),
        name: request.name.to_owned(),
        ..Resource::default()
    }
}

impl Authority for Rights {
    fn decide(&self, question: &Question) -> (bool, String) {
        let account = question.service_account.as_ref().map(|(namespace, name)| {
            let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
            (format!("system:serviceaccount:{namespace}:{name}"), groups)
        });
        let subject = match &account {
            Some((user, groups)) => Subject { user, groups },
            None => Subject { user: &self.user, groups: &self.groups },
        };
        let asked = match &question.asked {
            Asked::Path(path) => orch_api::Asked::Path(path),
            Asked::Resource(asked) => orch_api::Asked::Resource(Box::new(attributes(asked))),
        };
        let decision = self.authorizer.decide(&Attributes { subject, verb: &question.verb, asked });
        (decision.allowed, decision.reason.to_string())
    }
}

/// What labels limit a list to is nothing that rights depend on.
fn attributes(asked: &Resource) -> ResourceAttributes<'_> {
    ResourceAttributes {
        group: &asked.group,
        version: "*",
        resource: &asked.resource,
        subresource: &asked.subresource,
        namespace: &asked.namespace,
        name: asked.name.clone(),
        fields: asked.fields.parse::<FieldQuery>().unwrap_or_default(),
    }
}
