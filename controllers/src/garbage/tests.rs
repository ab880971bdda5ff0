use orch_api::{Propagation, Resource};
use orch_controller_runtime::{Action, Write};
use orch_ontology::{Pod, Workload};
use serde_json::{Value, json};

use super::*;

fn owner(uid: &str, state: OwnerState) -> Owner {
    let reference = OwnerReference {
        api_version: "orch.dev/v1".into(),
        kind: "Workload".into(),
        name: uid.into(),
        uid: uid.into(),
        controller: None,
        block_owner_deletion: Some(true),
    };
    Owner { reference, state }
}

fn pod(owners: &[Owner]) -> Metadata {
    let references = owners.iter().map(|owner| owner.reference.clone()).collect();
    let named = Metadata::named("default".to_owned(), "web-a");
    Metadata { uid: "p".into(), resource_version: "7".into(), owner_references: references, ..named }
}

fn owned(states: &[(&str, OwnerState)]) -> World {
    let owners: Vec<_> = states.iter().map(|(uid, state)| owner(uid, *state)).collect();
    World { kind: Pod::KIND, metadata: pod(&owners), owners, dependents: vec![] }
}

fn terminating(finalizer: &str, dependents: Vec<Dependent>) -> World {
    let named = Metadata::named("default".to_owned(), "web");
    let metadata = Metadata {
        uid: "w".into(),
        resource_version: "5".into(),
        deletion_timestamp: Some("2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().into()),
        finalizers: vec!["keep/me".into(), finalizer.into()],
        ..named
    };
    World { kind: Workload::KIND, metadata, owners: vec![], dependents }
}

fn dependent(block: bool) -> Dependent {
    let mut metadata = pod(&[owner("w", OwnerState::Waiting), owner("other", OwnerState::Present)]);
    metadata.owner_references[0].block_owner_deletion = Some(block);
    Dependent { kind: Pod::KIND, metadata }
}

fn only(world: &World) -> Write {
    let mut writes = plan(world).writes;
    assert_eq!(writes.len(), 1, "{writes:?}");
    writes.remove(0)
}

fn patch(write: &Write) -> &Value {
    match &write.action {
        Action::Merge(patch) => &patch["metadata"],
        other => panic!("not a patch: {other:?}"),
    }
}

#[test]
fn what_has_an_owner_stays() {
    for state in [OwnerState::Present, OwnerState::Unknown] {
        assert!(plan(&owned(&[("w", state)])).is_empty());
    }
    assert!(plan(&owned(&[])).is_empty());
}

#[test]
fn when_all_owners_are_gone_the_object_goes_if_it_has_not_changed() {
    let write = only(&owned(&[("w", OwnerState::Absent), ("v", OwnerState::Absent)]));
    let Action::Delete { uid, resource_version, propagation, .. } = &write.action else {
        panic!("{write:?}")
    };
    assert_eq!((uid.as_str(), resource_version.as_deref()), ("p", Some("7")));
    assert_eq!(*propagation, Some(Propagation::Background));
}

#[test]
fn when_one_of_two_owners_is_gone_only_its_name_goes() {
    for state in [OwnerState::Absent, OwnerState::Waiting] {
        let write = only(&owned(&[("w", state), ("v", OwnerState::Present)]));
        assert_eq!(patch(&write)["ownerReferences"].as_array().unwrap().len(), 1);
        assert_eq!(patch(&write)["ownerReferences"][0]["uid"], "v");
        assert_eq!(patch(&write)["resourceVersion"], "7");
    }
}

#[test]
fn an_owner_that_waits_takes_its_dependents_with_it_and_theirs_first() {
    let mut world = owned(&[("w", OwnerState::Waiting)]);
    let policy = |world: &World| match only(world).action {
        Action::Delete { propagation, .. } => propagation.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(policy(&world), Propagation::Background);
    world.dependents.push(dependent(true));
    assert_eq!(policy(&world), Propagation::Foreground);
}

#[test]
fn those_that_own_each_other_do_not_wait_for_each_other() {
    let mut world = owned(&[("w", OwnerState::Waiting)]);
    let mut circle = dependent(true);
    circle.metadata.deletion_timestamp =
        Some("2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().into());
    circle.metadata.finalizers = vec![FOREGROUND.into()];
    world.dependents.push(circle);
    assert_eq!(patch(&only(&world))["ownerReferences"][0]["blockOwnerDeletion"], false);
    world.metadata.owner_references[0].block_owner_deletion = Some(false);
    let Action::Delete { propagation, .. } = only(&world).action else { panic!("not deleted") };
    assert_eq!(propagation, Some(Propagation::Foreground));
}

#[test]
fn a_foreground_deletion_waits_for_those_that_block_it_and_for_no_others() {
    assert!(plan(&terminating(FOREGROUND, vec![dependent(true)])).is_empty());
    for dependents in [vec![], vec![dependent(false)]] {
        assert_eq!(patch(&only(&terminating(FOREGROUND, dependents)))["finalizers"], json!(["keep/me"]));
    }
}

#[test]
fn orphans_lose_their_owner_before_it_goes() {
    let write = only(&terminating(ORPHAN, vec![dependent(true)]));
    assert_eq!(write.key().name, "web-a");
    assert_eq!(patch(&write)["ownerReferences"].as_array().unwrap().len(), 1);
    assert_eq!(patch(&write)["ownerReferences"][0]["uid"], "other");
    assert_eq!(patch(&only(&terminating(ORPHAN, vec![])))["finalizers"], json!(["keep/me"]));
}

#[test]
fn one_that_waits_for_a_kind_waits_no_more_once_it_is_gone_or_has_other_owners() {
    let waiting = Waiting::default();
    let (of_widget, of_gadget) = (owner("w", OwnerState::Unknown), owner("g", OwnerState::Unknown));
    let object = |owners: &[Owner]| Arc::new(PartialObject { metadata: pod(owners), marks: 0 });
    let key = |name: &str| AnyKey { object: ObjectKey::new("default", name), kind: 3 };
    let put = |name: &str, owner: &Owner| {
        waiting.0.lock().entry(named_kind(&owner.reference)).or_default().insert(key(name));
    };
    let waits = |name: &str| waiting.0.lock().values().any(|keys| keys.contains(&key(name)));
    let old = object(std::slice::from_ref(&of_widget));
    for (new, stays) in [(Some(old.clone()), true), (Some(object(&[of_gadget])), false), (None, false)] {
        put("web-a", &of_widget);
        put("web-b", &of_widget);
        let name = ObjectKey::new("default", "web-a");
        waiting.changed(3, &Change { key: &name, old: Some(&old), new: new.as_ref() });
        assert_eq!(waits("web-a"), stays);
        assert!(waits("web-b"));
    }
    waiting.forget(&key("web-b"), &[of_widget.reference]);
    assert!(waiting.0.lock().is_empty());
}
