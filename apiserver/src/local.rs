//! [`LocalClient`]: the API from within the process.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use orch_api::{Client, EventType, Request, Status, Verb, WatchEvent, WatchStream};

use crate::audit::{Origin, Record};
use crate::authn::{Identity, act_as};
use crate::registry::{Answer, Call, Via, Written};
use crate::respond::list_bytes;
use crate::server::Server;
use crate::{endpoints, pipeline};

/// A [`Client`] that enters the pipeline behind authentication: authorized, admitted and audited like every other.
pub(crate) struct LocalClient {
    pub(crate) server: Arc<Server>,
    pub(crate) identity: Identity,
    /// The user in whose name `identity` asks, if it has the right to.
    pub(crate) acting_as: Option<String>,
}

impl LocalClient {
    async fn carry_out(
        &self,
        identity: Identity,
        request: Request,
        record: &mut Option<Record>,
    ) -> Result<Answer, Status> {
        if request.verb == Verb::Create && endpoints::is_review(&request.target) {
            let bytes = endpoints::answer_review(&self.server, &identity, &request).await?;
            return Ok(Answer::Object(Written { code: 201, bytes, warnings: Vec::new() }));
        }
        let call = self.call(identity, request).await?;
        let _seat = self.server.fairness.seat(&call.identity).await?;
        let answer = pipeline::serve(&self.server, &call, record).await;
        if let Some(record) = record {
            record.annotate(call.notices.annotations());
        }
        answer
    }

    fn origin(&self, request: &Request) -> Origin {
        let (uri, agent) = (request.target.to_string(), self.identity.user.clone());
        let impersonator = self.acting_as.is_some().then(|| self.identity.clone());
        Origin { uri, agent, impersonator, ..Origin::default() }
    }

    /// In whose name requests are made.
    ///
    /// # Errors
    /// 403 unless there is a right to.
    async fn caller(&self) -> Result<Identity, Status> {
        let Some(user) = &self.acting_as else { return Ok(self.identity.clone()) };
        let wanted = Identity { user: user.clone(), ..Identity::default() };
        act_as(&self.server.registry.gate, &self.identity, wanted).await
    }

    async fn call(&self, identity: Identity, request: Request) -> Result<Call, Status> {
        let impersonator = self.acting_as.is_some().then(|| self.identity.user.clone());
        let via = Via { agent: self.identity.user.clone(), impersonator, ..Via::default() };
        let call = pipeline::authorized(&self.server, identity, via, request).await?;
        if call.is_stream() {
            return Err(Status::bad_request("streams are reached over HTTP only"));
        }
        Ok(call)
    }
}

#[async_trait]
impl Client for LocalClient {
    async fn send(&self, request: Request) -> Result<Bytes, Status> {
        if request.verb == Verb::Watch {
            return Err(Status::bad_request("a watch is started by watch()"));
        }
        let identity = self.caller().await?;
        let mut record = self.server.record(&identity, &request, || self.origin(&request));
        let outcome = self.carry_out(identity, request, &mut record).await;
        if let Some(record) = record {
            let (code, failure) = match &outcome {
                Ok(Answer::Object(written)) => (written.code, None),
                Ok(Answer::Status(status)) => (status.code, None),
                Ok(Answer::List(_) | Answer::Watch(_)) => (200, None),
                Err(status) => (status.http_code(), Some(status)),
            };
            record.end(code, failure, self.server.registry.clock.now());
        }
        match outcome? {
            Answer::Object(written) => Ok(written.bytes),
            Answer::List(list) => Ok(list_bytes(&list)),
            Answer::Status(status) => serde_json::to_vec(&status).map(Bytes::from).map_err(Status::internal),
            Answer::Watch(_) => Err(Status::internal("a watch was not asked for")),
        }
    }

    async fn watch(&self, request: Request) -> Result<WatchStream, Status> {
        let call = self.call(self.caller().await?, Request { verb: Verb::Watch, ..request }).await?;
        let Answer::Watch(watch) = pipeline::serve(&self.server, &call, &mut None).await? else {
            return Err(Status::internal("a watch was asked for"));
        };
        let events = watch.events.take_until(self.server.stopping.clone().cancelled_owned());
        let events = events.flat_map(stream::iter).map(|item| match item.event() {
            EventType::Error => match item {
                crate::registry::Item::Error(status) => Err(*status),
                other => Ok(WatchEvent { event_type: EventType::Error, object: other.object() }),
            },
            event_type => Ok(WatchEvent { event_type, object: item.object() }),
        });
        Ok(events.boxed())
    }
}
