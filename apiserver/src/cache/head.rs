//! [`Head`]: how far the store is, asked once for all who want to know at the same time.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use orch_store::{Revision, StoreError};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

type Answer = Result<Revision, StoreError>;
type Round = Shared<BoxFuture<'static, Answer>>;
type Ask = Box<dyn Fn() -> BoxFuture<'static, Answer> + Send + Sync>;

/// Asks how far the store is. One question is on its way at a time, and answers all who came before it was sent; those who
/// come later may know of a later write, and share the next one.
pub(super) struct Head(Arc<Questions>);

struct Questions {
    ask: Ask,
    /// The question that has not been sent yet.
    next: Mutex<Option<Round>>,
    /// Whose turn it is to be sent.
    turn: Semaphore,
}

impl Head {
    pub(super) fn new(ask: impl Fn() -> BoxFuture<'static, Answer> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Questions { ask: Box::new(ask), next: Mutex::new(None), turn: Semaphore::new(1) }))
    }

    /// The store's revision, at the time of the call or later.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn revision(&self) -> Answer {
        let round = self.0.next.lock().get_or_insert_with(|| self.0.clone().send().boxed().shared()).clone();
        round.await
    }
}

impl Questions {
    async fn send(self: Arc<Self>) -> Answer {
        // The semaphore is never closed.
        let _turn = self.turn.acquire().await;
        self.next.lock().take();
        (self.ask)().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_share_one_question_sent_after_they_came() {
        let (asked, answer) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let (count, gate) = (asked.clone(), answer.clone());
        let head = Head::new(move || {
            let (number, gate) = (count.fetch_add(1, Ordering::SeqCst) + 1, gate.clone());
            async move {
                gate.notified().await;
                Ok(Revision(number))
            }
            .boxed()
        });
        let mut first = head.revision().boxed();
        assert!(first.as_mut().now_or_never().is_none());
        let later: Vec<_> = (0..10)
            .map(|_| {
                let mut later = head.revision().boxed();
                assert!(later.as_mut().now_or_never().is_none());
                later
            })
            .collect();
        assert_eq!(asked.load(Ordering::SeqCst), 1, "one is on its way");

        answer.notify_one();
        assert_eq!(first.await.unwrap(), Revision(1));
        answer.notify_one();
        let answers = futures::future::join_all(later).await;
        assert!(answers.iter().all(|answer| *answer.as_ref().unwrap() == Revision(2)), "{answers:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn one_who_no_longer_waits_holds_nobody_up() {
        let head = Head::new(|| {
            async {
                tokio::task::yield_now().await;
                Ok(Revision(7))
            }
            .boxed()
        });
        let mut gone = head.revision().boxed();
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        assert_eq!(head.revision().await.unwrap(), Revision(7));
    }
}
