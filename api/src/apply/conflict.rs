//! Fields that others own with another value, and how Kubernetes says so.

use std::collections::BTreeMap;
use std::fmt;

use super::managers::{Manager, Operation};
use super::path::Path;
use crate::StatusCause;

/// An apply would change fields that others own. Force takes them over.
///
/// `Display` is kube-apiserver's message: `Apply failed with 1 conflict: conflict with "kubectl-edit" using
/// v1: .spec.replicas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyConflict {
    /// Every field, with every manager that owns it; sorted by manager.
    pub conflicts: Vec<Conflict>,
}

/// One field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// Who owns it.
    pub manager: Manager,
    /// The field: `.spec.containers[name="web"].image`.
    pub path: Path,
}

impl ApplyConflict {
    /// One cause for each conflict, with reason `FieldManagerConflict`.
    pub fn causes(&self) -> Vec<StatusCause> {
        self.conflicts
            .iter()
            .map(|conflict| StatusCause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {}", conflict.manager),
                field: conflict.path.to_string(),
            })
            .collect()
    }
}

impl fmt::Display for ApplyConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.conflicts.as_slice() {
            return write!(f, "Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.path);
        }
        write!(f, "Apply failed with {} conflicts: ", self.conflicts.len())?;
        let mut by_manager: BTreeMap<&Manager, Vec<&Path>> = BTreeMap::new();
        for conflict in &self.conflicts {
            by_manager.entry(&conflict.manager).or_default().push(&conflict.path);
        }
        for (n, (manager, paths)) in by_manager.iter().enumerate() {
            write!(f, "{}conflicts with {manager}:", if n > 0 { "\n" } else { "" })?;
            paths.iter().try_for_each(|path| write!(f, "\n- {path}"))?;
        }
        Ok(())
    }
}

impl std::error::Error for ApplyConflict {}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {:?}", self.subresource)?;
        }
        match self.operation {
            Operation::Apply => Ok(()),
            Operation::Update => write!(f, " using {}", self.api_version),
        }
    }
}
