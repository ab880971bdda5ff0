use orch_controller_runtime::{Action, Write};
use serde_json::{Value, json};

use super::*;

fn service(spec: Value) -> Service {
    let mut spec = spec;
    spec["clusterIP"] = "None".into();
    spec["selector"] = json!({"app": "web"});
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "s", "labels": {"tier": "front"}},
        "spec": spec,
    }))
    .unwrap()
}

fn pod(number: usize) -> Pod {
    let ip = format!("10.1.{}.{}", number / 250, number % 250 + 1);
    serde_json::from_value(json!({
        "metadata": {"name": format!("web-{number:03}"), "namespace": "shop", "uid": format!("u{number:03}"), "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap()
}

fn world(service: Service, pods: Vec<Pod>) -> World {
    let pods = pods.into_iter().map(Arc::new).collect();
    World { service, pods, zones: [("n1".into(), "east".into())].into(), slices: Vec::new() }
}

fn pod_mut(world: &mut World, place: usize) -> &mut Pod {
    Arc::make_mut(&mut world.pods[place])
}

fn writes(world: &World) -> Vec<Write> {
    EndpointSlices::plan(world, Timestamp::UNIX_EPOCH).writes
}

/// Plans, and does what the plan says; answers with the writes in short.
fn step(world: &mut World) -> Vec<String> {
    let mut done = Vec::new();
    for write in writes(world) {
        match &write.action {
            Action::Create(object) => {
                let mut slice: EndpointSlice = serde_json::from_value(object.clone()).unwrap();
                slice.metadata.name = format!("web-{}", world.slices.len());
                done.push(format!("create {}", slice.endpoints.len()));
                world.slices.push(slice);
            }
            Action::Update(object) => {
                let slice: EndpointSlice = serde_json::from_value(object.clone()).unwrap();
                done.push(format!("update {} {}", slice.metadata.name, slice.endpoints.len()));
                let place = world.slices.iter().position(|s| s.metadata.name == slice.metadata.name).unwrap();
                world.slices[place] = slice;
            }
            Action::Delete { .. } => {
                done.push(format!("delete {}", write.key().name));
                world.slices.retain(|slice| slice.metadata.name != write.key().name);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(writes(world), [], "done is done");
    done
}

#[test]
fn a_slice_tells_where_the_pods_answer() {
    let ports = json!([{"name": "http", "port": 80, "targetPort": "http", "appProtocol": "http"}, {"name": "gone", "port": 1, "targetPort": "nothing"}]);
    let world = world(service(json!({"ports": ports})), vec![pod(1)]);
    let Action::Create(slice) = &writes(&world)[0].action else { panic!() };
    let expected = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": "web-",
            "namespace": "shop",
            "labels": {
                "tier": "front",
                "kubernetes.io/service-name": "web",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "service.kubernetes.io/headless": "",
            },
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "s", "controller": true, "blockOwnerDeletion": true}],
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.1.0.2"],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-001", "uid": "u001"},
            "nodeName": "n1",
            "zone": "east",
        }],
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080, "appProtocol": "http"}],
    });
    assert_eq!(*slice, expected);
}

#[test]
fn conditions_tell_who_answers() {
    let of = |service: Value, pod: Pod| {
        let world = world(self::service(service), vec![pod]);
        let Action::Create(slice) = &writes(&world)[0].action else { panic!() };
        let conditions = &slice["endpoints"][0]["conditions"];
        ["ready", "serving", "terminating"].map(|name| conditions[name].as_bool())
    };
    let mut leaving = pod(1);
    leaving.metadata.deletion_timestamp = Some(orch_api::Time::new(Timestamp::UNIX_EPOCH));
    let mut starting = pod(1);
    starting.status.conditions.clear();
    let all = |ready, serving, terminating| [Some(ready), Some(serving), Some(terminating)];
    assert_eq!(of(json!({}), leaving.clone()), all(false, true, true));
    assert_eq!(of(json!({}), starting.clone()), all(false, false, false));
    assert_eq!(of(json!({"publishNotReadyAddresses": true}), starting), all(true, false, false));
    let mut ended = pod(1);
    ended.status.phase = Some(orch_ontology::PodPhase::Succeeded);
    assert_eq!(of(json!({}), ended), [None; 3]);
    let mut placeless = pod(1);
    (placeless.status.pod_ip, placeless.status.pod_ips) = Default::default();
    assert_eq!(of(json!({}), placeless), [None; 3]);
}

#[test]
fn a_change_of_one_pod_is_one_write_to_one_slice() {
    let mut world = world(service(json!({"ports": [{"port": 80}]})), (0..250).map(pod).collect());
    assert_eq!(step(&mut world), ["create 100", "create 100", "create 50"]);
    pod_mut(&mut world, 7).status.conditions.clear();
    assert_eq!(step(&mut world), ["update web-0 100"]);
    world.pods.remove(120);
    assert_eq!(step(&mut world), ["update web-1 99"]);
    world.pods.push(Arc::new(pod(250)));
    assert_eq!(step(&mut world), ["update web-1 100"], "the fullest that has room");
    world.pods.remove(201);
    world.pods.push(Arc::new(pod(251)));
    assert_eq!(step(&mut world), ["update web-2 50"], "where something changes anyway");
    world.pods.drain(..200);
    assert_eq!(step(&mut world), ["update web-2 49", "update web-1 1", "delete web-0"]);
}

#[test]
fn one_slice_stays_when_there_are_no_pods() {
    let mut world = world(service(json!({"ports": [{"port": 80}]})), Vec::new());
    assert_eq!(step(&mut world), ["create 0"]);
    world.pods = vec![Arc::new(pod(1))];
    assert_eq!(step(&mut world), ["update web-0 1"]);
    world.pods.clear();
    assert_eq!(step(&mut world), ["update web-0 0"]);
}

#[test]
fn pods_with_a_port_elsewhere_are_told_apart_and_come_together_again() {
    let mut world =
        world(service(json!({"ports": [{"port": 80, "targetPort": "http"}]})), vec![pod(1), pod(2)]);
    assert_eq!(step(&mut world), ["create 2"]);
    pod_mut(&mut world, 1).spec.containers[0].ports[0].container_port = 9090;
    assert_eq!(step(&mut world), ["update web-0 1", "create 1"]);
    pod_mut(&mut world, 0).spec.containers[0].ports[0].container_port = 9090;
    assert_eq!(step(&mut world).len(), 2);
    assert_eq!(world.slices.len(), 1);
}

#[test]
fn the_services_labels_are_followed() {
    let mut world = world(service(json!({})), vec![pod(1)]);
    step(&mut world);
    world.service.metadata.labels.clear();
    assert_eq!(step(&mut world), ["update web-0 1"]);
}

#[test]
fn a_service_elsewhere_has_no_slices_and_one_without_a_selector_has_its_own() {
    let mut world = world(service(json!({})), vec![pod(1)]);
    step(&mut world);
    world.service.spec.selector.labels.clear();
    assert_eq!(writes(&world), []);
    world.service.spec.service_type = Some(ServiceType::ExternalName);
    assert_eq!(step(&mut world), ["delete web-0"]);
}
