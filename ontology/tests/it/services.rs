//! Services: what is filled in, what may change, and what is refused with a word about what works.

use serde_json::{Value, json};

use crate::validation::{check, check_update, says, spec};
use crate::{admit, messages};

const WORKS: &str =
    "what works is `clusterIP: None` (headless; EndpointSlices list the pods) and `type: ExternalName`";

fn headless() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    })
}

fn external() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "ExternalName", "externalName": "db.example.com."},
    })
}

#[test]
fn a_headless_service_is_filled_in_as_in_kubernetes() {
    let mut object = headless();
    assert_eq!(messages(admit(&mut object, None)), Vec::<String>::new());
    let expected = json!({
        "type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "sessionAffinity": "None",
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
        "selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    });
    assert_eq!(object["spec"], expected);
    assert_eq!(object["status"], json!({"loadBalancer": {}}));
}

#[test]
fn an_external_name_has_no_address() {
    let mut object = external();
    assert_eq!(messages(admit(&mut object, None)), Vec::<String>::new());
    let expected =
        json!({"type": "ExternalName", "externalName": "db.example.com.", "sessionAffinity": "None"});
    assert_eq!(object["spec"], expected);
    let not_set = "may not be set when `type` is 'ExternalName'";
    check(
        &external(),
        vec![
            (spec(json!({"externalName": null})), says(["spec.externalName: Required value"])),
            (
                spec(json!({"clusterIP": "None", "ipFamilyPolicy": "SingleStack"})),
                vec![
                    format!("spec.clusterIPs: Forbidden: {not_set}"),
                    format!("spec.ipFamilyPolicy: Forbidden: {not_set}"),
                ],
            ),
        ],
    );
}

#[test]
fn what_is_not_implemented_is_refused_with_what_works() {
    check(
        &headless(),
        vec![
            (
                spec(json!({"clusterIP": null})),
                vec![format!("spec.clusterIP: Required value: addresses are not given out yet: {WORKS}")],
            ),
            (
                spec(json!({"clusterIP": "10.0.0.1"})),
                vec![format!(
                    "spec.clusterIP: Unsupported value: \"10.0.0.1\": supported values: \"None\": {WORKS}"
                )],
            ),
            (
                spec(json!({"type": "LoadBalancer"})),
                vec![format!(
                    "spec.type: Unsupported value: \"LoadBalancer\": supported values: \"ClusterIP\", \"ExternalName\": {WORKS}"
                )],
            ),
            (
                spec(json!({"ipFamilies": ["IPv6"]})),
                says(["spec.ipFamilies: Unsupported value: [\"IPv6\"]: supported values: \"IPv4\""]),
            ),
        ],
    );
}

#[test]
fn ports_are_told_apart() {
    check(
        &headless(),
        vec![
            (spec(json!({"ports": null})), Vec::new()),
            (
                spec(json!({"ports": [{"name": "a", "port": 80}, {"port": 81}]})),
                says(["spec.ports[1].name: Required value"]),
            ),
            (
                spec(json!({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]})),
                says(["spec.ports[1].name: Duplicate value: \"a\""]),
            ),
            (
                spec(
                    json!({"ports": [{"name": "a", "port": 53}, {"name": "b", "port": 53, "protocol": "UDP"}]}),
                ),
                Vec::new(),
            ),
        ],
    );
}

#[test]
fn an_address_stays_and_is_kept_by_those_who_do_not_mention_it() {
    let changed = "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": may not change once set".to_owned();
    let unsupported =
        format!("spec.clusterIP: Unsupported value: \"10.0.0.1\": supported values: \"None\": {WORKS}");
    check_update(
        &headless(),
        vec![
            (spec(json!({"clusterIP": null, "clusterIPs": null})), Vec::new()),
            (spec(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]})), vec![unsupported, changed]),
            (spec(json!({"type": "ExternalName", "externalName": "db.example.com"})), Vec::new()),
        ],
    );
}
