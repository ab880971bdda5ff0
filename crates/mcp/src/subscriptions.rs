//! Following resources: a watch of the API, told as the protocol tells it: that something has changed, not what.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use orch_api::{EventType, WatchStream};
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::SubscriptionSink;
use rmcp::{Peer, RoleServer};

use crate::ask::Ask;
use crate::failure::Failure;
use crate::resources;

/// How many resources one session or request follows.
pub(crate) const MOST_SUBSCRIPTIONS: usize = 64;
/// The shortest time between two notices about one resource: what changes often is read again as often at most.
const PACE: Duration = Duration::from_millis(250);
/// How long to wait before a watch that failed is begun again.
const AGAIN: Duration = Duration::from_secs(2);

/// Who is told.
#[derive(Clone)]
pub(crate) enum Listener {
    /// The other end of a session.
    Session(Peer<RoleServer>),
    /// The request that asked to be told.
    Stream(SubscriptionSink),
}

impl Listener {
    /// Says that a resource has changed; false if nobody listens any more.
    pub(crate) async fn changed(&self, uri: &str) -> bool {
        match self {
            Self::Session(peer) => {
                peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_ok()
            }
            Self::Stream(sink) => sink.notify_resource_updated(uri).await.is_ok(),
        }
    }
}

/// Follows a resource from a watch of it on and says when it has changed, until nobody listens any more.
///
/// # Errors
/// If the caller may not see it any more.
pub(crate) async fn follow(
    ask: &Ask,
    uri: &str,
    mut events: WatchStream,
    listener: &Listener,
) -> Result<(), Failure> {
    loop {
        if !told(&mut events, uri, listener).await {
            return Ok(());
        }
        events = loop {
            tokio::time::sleep(AGAIN).await;
            match resources::watch(ask, uri).await {
                Ok(events) => break events,
                Err(failure) if failure.is_passing() => {}
                Err(failure) => return Err(failure),
            }
        };
        // What happened before this one began, none has told.
        if !listener.changed(uri).await {
            return Ok(());
        }
    }
}

/// Says what a watch tells until it ends; false if nobody listens any more.
async fn told(events: &mut WatchStream, uri: &str, listener: &Listener) -> bool {
    // One that fails tells no more, whether it ends or not.
    while let Some(Ok(event)) = events.next().await {
        if event.event_type == EventType::Bookmark {
            continue;
        }
        if !listener.changed(uri).await {
            return false;
        }
        tokio::time::sleep(PACE).await;
        // What came meanwhile is one more notice.
        let (mut more, mut is_over) = (false, false);
        while !is_over && let Some(next) = events.next().now_or_never() {
            match next {
                Some(Ok(_)) => more = true,
                Some(Err(_)) | None => is_over = true,
            }
        }
        if more && !listener.changed(uri).await {
            return false;
        }
        if is_over {
            break;
        }
    }
    true
}
