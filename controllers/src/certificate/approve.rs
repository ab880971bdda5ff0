//! Approves what nobody has to look at: a node that asks for another certificate of its own, and whoever may ask for those
//! of all nodes.

use std::sync::Arc;

use async_trait::async_trait;
use orch_api::{
    Api, Body, Client, Clock, Kind, Params, Request as Call, Resource as _, Status, Target, Verb,
};
use orch_controller_runtime::{Cache, Context, Controller, ObjectKey, Outcome, Reconciler};
use orch_ontology::{CERTIFICATES_GROUP, CertificateRequest, CertificateSigningRequest as Request};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::condition;
use super::terms::{node_client, usages};

const NAME: &str = "certificate-approving-controller";

struct Approving {
    clock: Arc<dyn Clock>,
    client: Arc<dyn Client>,
    requests: Arc<Cache<Request>>,
}

/// A sort of request that is approved for whoever has a right.
struct Recognized {
    /// The subresource of requests that one must be able to create.
    right: &'static str,
    message: &'static str,
}

const SELF: Recognized = Recognized {
    right: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
const ANY: Recognized = Recognized {
    right: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let requests = context.caches.of::<Request>();
    let approving = Approving { clock: context.clock.clone(), client: context.client.clone(), requests };
    Controller::<Request>::new(&context).reconcile(Arc::new(approving), cancel).await;
}

#[async_trait]
impl Reconciler for Approving {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let Some(request) = self.requests.get(key).filter(|request| is_open(request)) else {
            return Ok(Outcome::Done);
        };
        for recognized in recognize(&request) {
            if self.may(&request, recognized.right).await? {
                self.approve(&request, recognized.message).await?;
                break;
            }
        }
        Ok(Outcome::Done)
    }
}

impl Approving {
    /// Whether whoever asks has the right to be approved.
    async fn may(&self, request: &Request, right: &str) -> Result<bool, Status> {
        let spec = &request.spec;
        let review = json!({"spec": {
            "user": spec.username, "uid": spec.uid, "groups": spec.groups, "extra": spec.extra,
            "resourceAttributes": {
                "group": CERTIFICATES_GROUP, "resource": Request::KIND.plural, "subresource": right,
                "verb": "create", "version": "*",
            },
        }});
        let kind =
            Kind::cluster("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", "");
        let (target, body) = (Target::all(&kind), Some(Body::json(&review)?));
        let call = Call { verb: Verb::Create, target, params: Params::default(), body };
        let answer: Value =
            serde_json::from_slice(&self.client.send(call).await?).map_err(Status::internal)?;
        Ok(answer["status"]["allowed"] == true)
    }

    async fn approve(&self, request: &Request, message: &str) -> Result<(), Status> {
        let mut approved = request.clone();
        let condition = condition(Request::APPROVED, "AutoApproved", message, self.clock.now());
        approved.status.conditions.push(condition);
        let api = Api::<Request>::all(self.client.clone()).manager(NAME);
        api.update_subresource(&approved, "approval").await.map(drop)
    }
}

/// Nothing has been decided yet.
fn is_open(request: &Request) -> bool {
    let decided = [Request::APPROVED, Request::DENIED].iter().any(|decision| request.is(decision));
    !decided && request.status.certificate.is_none() && !request.metadata.is_terminating()
}

/// The sorts that a request belongs to.
fn recognize(request: &Request) -> Vec<Recognized> {
    if request.spec.signer_name != Request::NODE_CLIENT_SIGNER {
        return Vec::new();
    }
    let (Ok(asked), Some(usages)) = (CertificateRequest::parse(&request.spec.request), usages(request))
    else {
        return Vec::new();
    };
    if node_client(&asked, &usages).is_err() {
        return Vec::new();
    }
    let own = (asked.common_name == request.spec.username).then_some(SELF);
    own.into_iter().chain([ANY]).collect()
}
