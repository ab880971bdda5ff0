//! `update`: replace an object, or its status.

use orch_api::{Status, Time};

use super::change::{Part, Wanted, change};
use super::{Answer, Call, Registry};

/// Replaces the object by the one in the body. With a `resourceVersion` the stored object must still have it; without
/// one, the last writer wins.
pub(super) async fn update(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let (object, warnings) = call.object()?;
    let now = Time::new(registry.clock.now());
    let part = Part::of(call);
    let done = registry
        .modify(call, |current| {
            let object = object.clone();
            change(call, current, Wanted { object, part, now, own: super::change::tracked(call) })
        })
        .await?;
    done.answer(warnings)
}
