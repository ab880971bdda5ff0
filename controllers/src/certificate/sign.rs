//! Signs what has been approved, for the signers of the cluster's authority.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use orch_api::{Clock, Status};
use orch_controller_runtime::{
    Cache, Context, Controller, Executor, ObjectKey, Outcome, Plan, Reconciler, Write,
};
use orch_ontology::{ByteString, CertificateSigningRequest as Request};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::condition;
use super::terms::{Certify, terms};

const NAME: &str = "certificate-signing-controller";

/// The authority: a certificate in PEM for what is to be certified, or why there is none.
pub type Signer = Arc<dyn Fn(&Certify) -> Result<String, String> + Send + Sync>;

struct Signing {
    clock: Arc<dyn Clock>,
    requests: Arc<Cache<Request>>,
    signer: Signer,
    executor: Executor,
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, signer: Signer, cancel: CancellationToken) {
    let executor = Executor {
        client: context.client.clone(),
        caches: context.caches.clone(),
        recorder: context.recorder.component(NAME),
        field_manager: NAME,
    };
    let (clock, requests) = (context.clock.clone(), context.caches.of::<Request>());
    let signing = Signing { clock, requests, signer, executor };
    Controller::<Request>::new(&context).reconcile(Arc::new(signing), cancel).await;
}

#[async_trait]
impl Reconciler for Signing {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        if let Some(request) = self.requests.get(key).filter(|request| is_due(request)) {
            let writes = write(&request, &self.signer, self.clock.now()).into_iter().collect();
            self.executor.execute(Plan { writes, ..Plan::nothing() }).await?;
        }
        Ok(Outcome::Done)
    }
}

/// Approved, and neither signed nor known to be impossible to sign.
fn is_due(request: &Request) -> bool {
    let has_certificate = request.status.certificate.as_ref().is_some_and(|pem| !pem.is_empty());
    request.is(Request::APPROVED)
        && !request.is(Request::DENIED)
        && !request.is(Request::FAILED)
        && !has_certificate
        && !request.metadata.is_terminating()
}

/// The certificate, or that there will be none.
fn write(request: &Request, signer: &Signer, now: Timestamp) -> Option<Write> {
    let signed = match terms(request)? {
        Ok(certify) => signer(&certify).map_err(|why| ("SigningError", why)),
        Err(why) => Err(("SignerValidationFailure", why)),
    };
    let mut status = request.status.clone();
    match signed {
        Ok(pem) => status.certificate = Some(ByteString(pem.into_bytes())),
        Err((reason, why)) => status.conditions.push(condition(Request::FAILED, reason, &why, now)),
    }
    Some(Write::merge_status(request, json!(status)))
}
