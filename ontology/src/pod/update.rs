//! Which changes of a pod are allowed.

use orch_api::{FieldError, FieldPath};
use serde_json::Value;

use super::{ContainerStatus, Pod, PodSpec, RestartPolicy, Toleration};

const MUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

impl Pod {
    /// Everything wrong with the change from `old`.
    pub(super) fn validate_update(&self, old: &Self) -> Vec<FieldError> {
        let mut errors = self.spec.validate_update(&old.spec);
        let status = FieldPath::new("status");
        let policy = self.spec.restart_policy;
        for (field, new, old) in [
            ("containerStatuses", &self.status.container_statuses, &old.status.container_statuses),
            (
                "initContainerStatuses",
                &self.status.init_container_statuses,
                &old.status.init_container_statuses,
            ),
        ] {
            errors.extend(validate_transitions(new, old, policy, &status.child(field)));
        }
        errors
    }
}

impl PodSpec {
    fn validate_update(&self, old: &Self) -> Vec<FieldError> {
        let path = FieldPath::new("spec");
        for (field, new, old) in [
            ("containers", &self.containers, &old.containers),
            ("initContainers", &self.init_containers, &old.init_containers),
        ] {
            if new.len() != old.len() {
                let detail = "pod updates may not add or remove containers";
                return vec![FieldError::forbidden(path.child(field), detail)];
            }
        }
        let mut errors =
            validate_added_tolerations(&self.tolerations, &old.tolerations, &path.child("tolerations"));
        let mut rest = self.clone();
        rest.tolerations.clone_from(&old.tolerations);
        let images = old.init_containers.iter().chain(&old.containers).map(|container| &container.image);
        for (container, image) in rest.init_containers.iter_mut().chain(&mut rest.containers).zip(images) {
            container.image.clone_from(image);
        }
        if rest != *old {
            let changed = changed_fields(&rest, old).join("`,`spec.");
            errors.push(FieldError::forbidden(&path, format!("{MUTABLE}\nchanged: `spec.{changed}`")));
        }
        errors
    }
}

fn changed_fields(new: &PodSpec, old: &PodSpec) -> Vec<String> {
    let fields = |spec: &PodSpec| serde_json::to_value(spec).unwrap_or_default();
    let (Value::Object(new), Value::Object(old)) = (fields(new), fields(old)) else { return Vec::new() };
    let mut changed: Vec<String> =
        new.keys().chain(old.keys()).filter(|field| new.get(*field) != old.get(*field)).cloned().collect();
    changed.sort();
    changed.dedup();
    changed
}

fn validate_added_tolerations(new: &[Toleration], old: &[Toleration], path: &FieldPath) -> Vec<FieldError> {
    let same = |a: &Toleration, b: &Toleration| {
        let seconds = b.toleration_seconds;
        Toleration { toleration_seconds: seconds, ..a.clone() } == *b
    };
    let lost = old.iter().any(|old| !new.iter().any(|new| same(old, new)));
    let detail = "existing toleration can not be modified except its tolerationSeconds";
    lost.then(|| FieldError::forbidden(path, detail)).into_iter().collect()
}

/// A container that has ended and is not started again has ended for good.
fn validate_transitions(
    new: &[ContainerStatus],
    old: &[ContainerStatus],
    policy: RestartPolicy,
    path: &FieldPath,
) -> Vec<FieldError> {
    let ended_for_good = |status: &ContainerStatus| {
        status.state.terminated.as_ref().is_some_and(|end| match policy {
            RestartPolicy::Always => false,
            RestartPolicy::OnFailure => end.exit_code == 0,
            RestartPolicy::Never => true,
        })
    };
    let revived = |status: &ContainerStatus| {
        let before = old.iter().find(|old| old.name == status.name);
        status.state.terminated.is_none() && before.is_some_and(ended_for_good)
    };
    let detail = "may not be transitioned to non-terminated state";
    let revived = new.iter().enumerate().filter(|(_, status)| revived(status));
    revived.map(|(index, _)| FieldError::forbidden(path.index(index).child("state"), detail)).collect()
}
