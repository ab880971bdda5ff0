//! [`Sessions`]: what clients of the revisions before 2026-07-28 begin: how many there may be, and when they end.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use parking_lot::Mutex;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError, LocalSessionWorker,
};
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId, SessionManager};
use rmcp::transport::worker::WorkerTransport;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Sessions of all callers together.
const MOST: usize = 2_000;
/// Sessions of one caller.
const MOST_OF_ONE: usize = 100;
/// How long a session lasts that nobody uses: longer than any call takes.
const IDLE: Duration = Duration::from_secs(3_600);

tokio::task_local! {
    /// The request that is being answered.
    static VISIT: Arc<Visit>;
}

/// A request, which may begin a session.
struct Visit {
    caller: Arc<str>,
    refused: OnceLock<Crowded>,
}

/// Why no session is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// There are too many of all callers.
    All,
    /// There are too many of this caller.
    Caller,
}

/// Answers a request of a caller: a session that it begins is theirs.
///
/// # Errors
/// If it is refused one.
pub(crate) async fn visited<T>(caller: &str, answer: impl Future<Output = T>) -> Result<T, Crowded> {
    let visit = Arc::new(Visit { caller: caller.into(), refused: OnceLock::new() });
    let answer = VISIT.scope(visit.clone(), answer).await;
    visit.refused.get().map_or(Ok(answer), |crowded| Err(*crowded))
}

/// The sessions that there are. Each belongs to a caller and ends when nobody has used it for [`IDLE`]; a call that runs and a
/// stream that is listened to use it all the time.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Held>);

struct Held {
    local: LocalSessionManager,
    open: Mutex<BTreeMap<SessionId, Session>>,
}

struct Session {
    caller: Arc<str>,
    used: Instant,
    /// Calls that run and streams that are listened to.
    streams: usize,
    /// Ends the task that waits for the end of this session.
    _waiting: DropGuard,
}

impl Session {
    /// How long it still lasts unless it is used.
    fn left(&self, now: Instant) -> Duration {
        match self.streams {
            0 => (self.used + IDLE).saturating_duration_since(now),
            _ => IDLE,
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        let mut local = LocalSessionManager::default();
        // It counts messages only, and would end a session in the middle of a long call.
        local.session_config.keep_alive = None;
        Self(Arc::new(Held { local, open: Mutex::default() }))
    }
}

impl Sessions {
    /// Takes a session in if there is room for it.
    fn admit(&self, id: &SessionId, caller: Arc<str>) -> Result<(), Crowded> {
        let mut open = self.0.open.lock();
        if open.len() >= MOST {
            return Err(Crowded::All);
        }
        if open.values().filter(|session| session.caller == caller).count() >= MOST_OF_ONE {
            return Err(Crowded::Caller);
        }
        let ended = CancellationToken::new();
        tokio::spawn(ended.clone().run_until_cancelled_owned(self.clone().end_when_idle(id.clone())));
        let waiting = ended.drop_guard();
        open.insert(id.clone(), Session { caller, used: Instant::now(), streams: 0, _waiting: waiting });
        Ok(())
    }

    async fn end_when_idle(self, id: SessionId) {
        while let Some(left) = self.left(&id).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left).await;
        }
        if let Err(error) = self.0.local.close_session(&id).await {
            tracing::debug!(%error, "an idle session cannot be closed");
        }
        // Last: this ends the task.
        self.0.open.lock().remove(&id);
    }

    fn left(&self, id: &SessionId) -> Option<Duration> {
        self.0.open.lock().get(id).map(|session| session.left(Instant::now()))
    }

    fn used(&self, id: &SessionId) {
        if let Some(session) = self.0.open.lock().get_mut(id) {
            session.used = Instant::now();
        }
    }

    /// A stream during whose life the session is in use.
    fn in_use<S: Stream>(&self, id: &SessionId, stream: S) -> impl Stream<Item = S::Item> + use<S> {
        let in_use = InUse::begin(self.clone(), id.clone());
        stream.inspect(move |_| in_use.sessions.used(&in_use.id))
    }
}

/// A stream of a session.
struct InUse {
    sessions: Sessions,
    id: SessionId,
}

impl InUse {
    fn begin(sessions: Sessions, id: SessionId) -> Self {
        if let Some(session) = sessions.0.open.lock().get_mut(&id) {
            session.streams += 1;
        }
        Self { sessions, id }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(session) = self.sessions.0.open.lock().get_mut(&self.id) {
            session.streams = session.streams.saturating_sub(1);
            session.used = Instant::now();
        }
    }
}

/// Why something cannot be done with a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionsError {
    #[error("too many sessions")]
    Crowded,
    #[error(transparent)]
    Local(#[from] LocalSessionManagerError),
}

impl SessionManager for Sessions {
    type Error = SessionsError;
    type Transport = WorkerTransport<LocalSessionWorker>;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let (id, transport) = self.0.local.create_session().await?;
        let visit = VISIT.try_with(Arc::clone).ok();
        let caller = visit.as_ref().map_or_else(|| "".into(), |visit| visit.caller.clone());
        if let Err(crowded) = self.admit(&id, caller) {
            self.0.local.close_session(&id).await?;
            if let Some(visit) = visit {
                visit.refused.get_or_init(|| crowded);
            }
            return Err(SessionsError::Crowded);
        }
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        Ok(self.0.local.initialize_session(id, message).await?)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        Ok(self.0.local.has_session(id).await?)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        drop(self.0.open.lock().remove(id));
        Ok(self.0.local.close_session(id).await?)
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.in_use(id, self.0.local.create_stream(id, message).await?))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.used(id);
        Ok(self.0.local.accept_message(id, message).await?)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.in_use(id, self.0.local.create_standalone_stream(id).await?))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.in_use(id, self.0.local.resume(id, last_event_id).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_caller_has_its_own_number_of_sessions_and_all_together_have_theirs() {
        let sessions = Sessions::default();
        let begin = async |caller: &str| visited(caller, sessions.create_session()).await.map(Result::unwrap);
        let mut begun = Vec::new();
        for _ in 0..MOST_OF_ONE {
            begun.push(begin("ann").await.ok().unwrap());
        }
        assert_eq!(begin("ann").await.err(), Some(Crowded::Caller));
        sessions.close_session(&begun[0].0).await.unwrap();
        begun.push(begin("ann").await.ok().unwrap());
        for caller in 1..MOST / MOST_OF_ONE {
            for _ in 0..MOST_OF_ONE {
                begun.push(begin(&caller.to_string()).await.ok().unwrap());
            }
        }
        assert_eq!(begin("bob").await.err(), Some(Crowded::All));
        assert_eq!(sessions.0.local.sessions.read().await.len(), MOST, "what is refused is not kept");
    }

    #[tokio::test]
    async fn a_session_that_is_in_use_stays() {
        let sessions = Sessions::default();
        let (id, _transport) = visited("ann", sessions.create_session()).await.ok().unwrap().unwrap();
        let left = |after: Duration| sessions.0.open.lock()[&id].left(Instant::now() + after);
        assert!(left(IDLE / 2) > Duration::ZERO && left(IDLE * 2).is_zero());
        let stream = sessions.in_use(&id, futures::stream::pending::<()>());
        assert!(left(IDLE * 2) > Duration::ZERO, "somebody listens");
        drop(stream);
        assert!(left(IDLE / 2) > Duration::ZERO && left(IDLE * 2).is_zero(), "nobody listens any more");
    }
}
