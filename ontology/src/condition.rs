//! The kinds' own sorts of conditions, with fields that [`orch_api::Condition`] does not have.

use crate::{NamespaceCondition, NodeCondition, PodCondition};

orch_api::typed_conditions!(
    PodCondition { ..Self::default() },
    NodeCondition { ..Self::default() },
    NamespaceCondition {},
);
