//! From a default object and the one that is there to what has to be done. Pure.

use std::collections::BTreeMap;

use orch_api::{Metadata, Resource};
use orch_ontology::{ClusterRole, ClusterRoleBinding};

use super::policy::AUTOUPDATE;

/// What has to be done about one object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step<K> {
    Nothing,
    Create(K),
    Update(K),
    /// Deleted and made again: a binding's role cannot be changed.
    Replace(K),
}

pub(super) fn role_step(wanted: &ClusterRole, present: Option<&ClusterRole>) -> Step<ClusterRole> {
    let Some(present) = present else { return Step::Create(wanted.clone()) };
    let mut object = present.clone();
    // The rules of a role that is put together from others are its controller's.
    match &wanted.aggregation_rule {
        Some(rule) => object.aggregation_rule = object.aggregation_rule.or_else(|| Some(rule.clone())),
        None => {
            let is_covered = |rule: &_| present.rules.iter().any(|own| own.covers(rule));
            object.rules.extend(wanted.rules.iter().filter(|rule| !is_covered(rule)).cloned());
        }
    }
    finish(wanted, present, object)
}

pub(super) fn binding_step(
    wanted: &ClusterRoleBinding,
    present: Option<&ClusterRoleBinding>,
) -> Step<ClusterRoleBinding> {
    let Some(present) = present else { return Step::Create(wanted.clone()) };
    if is_protected(&present.metadata) {
        return Step::Nothing;
    }
    let mut object = present.clone();
    let absent = wanted.subjects.iter().filter(|subject| !present.subjects.contains(subject));
    object.subjects.extend(absent.cloned());
    if object.role_ref != wanted.role_ref {
        let metadata = Metadata {
            labels: object.metadata.labels,
            annotations: object.metadata.annotations,
            ..Metadata::named(None, &wanted.metadata.name)
        };
        let replacement = ClusterRoleBinding {
            metadata,
            subjects: object.subjects,
            role_ref: wanted.role_ref.clone(),
            ..ClusterRoleBinding::default()
        };
        return Step::Replace(replacement);
    }
    finish(wanted, present, object)
}

fn finish<K: Resource>(wanted: &K, present: &K, mut object: K) -> Step<K> {
    if is_protected(present.metadata()) {
        return Step::Nothing;
    }
    add_absent(&wanted.metadata().labels, &mut object.metadata_mut().labels);
    add_absent(&wanted.metadata().annotations, &mut object.metadata_mut().annotations);
    if object == *present { Step::Nothing } else { Step::Update(object) }
}

/// Somebody wants the object to stay as it is.
fn is_protected(metadata: &Metadata) -> bool {
    metadata.annotations.get(AUTOUPDATE).is_some_and(|value| value == "false")
}

fn add_absent(wanted: &BTreeMap<String, String>, present: &mut BTreeMap<String, String>) {
    for (key, value) in wanted {
        present.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use orch_ontology::{PolicyRule, RoleRef, Subject};

    use super::super::policy::{default_role_bindings, default_roles};
    use super::*;

    fn role(name: &str) -> ClusterRole {
        default_roles().into_iter().find(|role| role.metadata.name == name).unwrap()
    }

    fn binding(name: &str) -> ClusterRoleBinding {
        default_role_bindings().into_iter().find(|binding| binding.metadata.name == name).unwrap()
    }

    #[test]
    fn what_is_as_it_should_be_is_not_written() {
        for wanted in default_roles() {
            assert_eq!(role_step(&wanted, Some(&wanted)), Step::Nothing, "{}", wanted.metadata.name);
        }
        for wanted in default_role_bindings() {
            assert_eq!(binding_step(&wanted, Some(&wanted)), Step::Nothing, "{}", wanted.metadata.name);
        }
    }

    #[test]
    fn what_is_missing_is_added_and_what_people_added_stays() {
        let wanted = role("system:basic-user");
        let mut present = wanted.clone();
        let own = PolicyRule::on(&["get"], &["orch.dev"], &["workloads"]);
        present.rules = vec![own.clone()];
        present.metadata.labels.clear();
        let Step::Update(mended) = role_step(&wanted, Some(&present)) else { panic!() };
        assert_eq!(mended.rules[0], own);
        assert!(wanted.rules.iter().all(|rule| mended.rules.contains(rule)));
        assert_eq!(mended.metadata.labels, wanted.metadata.labels);

        let wanted = binding("system:discovery");
        let mut present = wanted.clone();
        present.subjects = vec![Subject::user("bob")];
        let Step::Update(mended) = binding_step(&wanted, Some(&present)) else { panic!() };
        assert_eq!(mended.subjects, [Subject::user("bob"), Subject::group("system:authenticated")]);
    }

    #[test]
    fn what_somebody_protects_is_left_alone() {
        let wanted = binding("system:discovery");
        let mut present = ClusterRoleBinding { subjects: Vec::new(), ..wanted.clone() };
        present.metadata.annotations.insert(AUTOUPDATE.into(), "false".into());
        assert_eq!(binding_step(&wanted, Some(&present)), Step::Nothing);
    }

    #[test]
    fn a_binding_to_another_role_is_made_again() {
        let wanted = binding("system:discovery");
        let present = ClusterRoleBinding { role_ref: RoleRef::cluster_role("view"), ..wanted.clone() };
        let Step::Replace(made) = binding_step(&wanted, Some(&present)) else { panic!() };
        assert_eq!((made.role_ref, made.subjects), (wanted.role_ref, wanted.subjects));
    }

    #[test]
    fn an_aggregated_role_keeps_the_rules_that_it_was_given() {
        let wanted = role("view");
        let present =
            ClusterRole { rules: vec![PolicyRule::on(&["get"], &["x"], &["ys"])], ..wanted.clone() };
        assert_eq!(role_step(&wanted, Some(&present)), Step::Nothing);
    }
}
