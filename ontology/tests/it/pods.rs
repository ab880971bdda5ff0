//! Kubernetes' rules for pods, each broken once, in Kubernetes' words.

use serde_json::{Value, json};

use crate::validation::{LABEL, check, check_update, patched, says, spec};
use crate::{admit, messages};

const ONE_OF: &str = "may not have more than one field specified at a time";

fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "containers": [{"name": "web", "image": "nginx:1.27"}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

fn container(fields: Value) -> Value {
    json!({"spec": {"containers": [patched(json!({"name": "web", "image": "nginx:1.27"}), &fields)]}})
}

#[test]
fn a_pod_that_says_the_least_is_accepted() {
    check(&pod(), vec![(json!({}), Vec::new())]);
}

#[test]
fn names_in_a_pod_are_checked() {
    check(
        &pod(),
        vec![
            (json!({"spec": null}), says(["spec.containers: Required value"])),
            (spec(json!({"containers": []})), says(["spec.containers: Required value"])),
            (container(json!({"name": ""})), says(["spec.containers[0].name: Required value"])),
            (
                container(json!({"name": "Web"})),
                vec![format!("spec.containers[0].name: Invalid value: \"Web\": {LABEL}")],
            ),
            (
                spec(json!({"initContainers": [{"name": "web", "image": "a:1"}]})),
                says(["spec.containers[0].name: Duplicate value: \"web\""]),
            ),
            (
                container(json!({"image": " nginx"})),
                says([
                    "spec.containers[0].image: Invalid value: \" nginx\": must not have leading or trailing whitespace",
                ]),
            ),
            (
                spec(json!({"hostname": "a.b"})),
                vec![format!("spec.hostname: Invalid value: \"a.b\": {LABEL}")],
            ),
            (
                spec(json!({"restartPolicy": "Sometimes"})),
                says([
                    "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
                ]),
            ),
            (
                spec(json!({"securityContext": {"runAsUser": -1}})),
                says([
                    "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                ]),
            ),
        ],
    );
    let name = messages(admit(&mut patched(pod(), &spec(json!({"nodeName": "A"}))), None));
    assert!(
        name[0].starts_with("spec.nodeName: Invalid value: \"A\": a lowercase RFC 1123 subdomain"),
        "{name:?}"
    );
}

#[test]
fn ports_are_checked() {
    let ports = |ports: Value| container(json!({"ports": ports}));
    let range = "must be between 1 and 65535, inclusive";
    check(
        &pod(),
        vec![
            (ports(json!([{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}])), Vec::new()),
            (ports(json!([{}])), says(["spec.containers[0].ports[0].containerPort: Required value"])),
            (
                ports(json!([{"containerPort": 65536, "hostPort": -1}])),
                vec![
                    format!("spec.containers[0].ports[0].containerPort: Invalid value: 65536: {range}"),
                    format!("spec.containers[0].ports[0].hostPort: Invalid value: -1: {range}"),
                ],
            ),
            (
                ports(json!([{"name": "web", "containerPort": 1}, {"name": "web", "containerPort": 2}])),
                says(["spec.containers[0].ports[1].name: Duplicate value: \"web\""]),
            ),
            (
                ports(json!([{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}])),
                says(["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//80\""]),
            ),
            (
                patched(
                    ports(json!([{"containerPort": 1, "hostPort": 80}])),
                    &spec(json!({"hostNetwork": true})),
                ),
                says([
                    "spec.containers[0].ports[0].containerPort: Invalid value: 1: must match `hostPort` when `hostNetwork` is true",
                ]),
            ),
        ],
    );
}

#[test]
fn environment_variables_are_checked() {
    let env = |variable: Value| container(json!({"env": [variable]}));
    let from = |source: Value| env(json!({"name": "A", "valueFrom": source}));
    let at = "spec.containers[0].env[0]";
    check(
        &pod(),
        vec![
            (env(json!({"name": "A", "value": "1"})), Vec::new()),
            (env(json!({"name": ""})), vec![format!("{at}.name: Required value")]),
            (
                env(json!({"name": "A=B"})),
                vec![format!(
                    "{at}.name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='"
                )],
            ),
            (
                from(json!({})),
                vec![format!(
                    "{at}.valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `configMapKeyRef` or `secretKeyRef`"
                )],
            ),
            (
                env(json!({"name": "A", "value": "1", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}})),
                vec![format!("{at}.valueFrom: Invalid value: \"\": may not be specified when `value` is not empty")],
            ),
            (
                from(json!({"configMapKeyRef": {"name": "a", "key": "b"}, "secretKeyRef": {"name": "a", "key": "b"}})),
                vec![format!("{at}.valueFrom: Invalid value: \"\": {ONE_OF}")],
            ),
            (
                from(json!({"secretKeyRef": {"key": ""}})),
                vec![
                    format!("{at}.valueFrom.secretKeyRef.name: Required value"),
                    format!("{at}.valueFrom.secretKeyRef.key: Required value"),
                ],
            ),
            (from(json!({"fieldRef": {"fieldPath": "metadata.labels['app']"}})), Vec::new()),
            (
                from(json!({"fieldRef": {"fieldPath": "spec.hostname"}})),
                vec![format!(
                    "{at}.valueFrom.fieldRef.fieldPath: Unsupported value: \"spec.hostname\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\""
                )],
            ),
            (
                container(json!({"envFrom": [{}, {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]})),
                vec![
                    "spec.containers[0].envFrom[0]: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`".to_owned(),
                    format!("spec.containers[0].envFrom[1]: Invalid value: \"\": {ONE_OF}"),
                ],
            ),
        ],
    );
}

#[test]
fn volumes_and_mounts_are_checked() {
    let volume = |source: Value| {
        let volume = patched(json!({"name": "data"}), &source);
        spec(json!({"volumes": [volume]}))
    };
    let mounts = |mounts: Value| container(json!({"volumeMounts": mounts}));
    let at = "spec.volumes[0]";
    check(
        &pod(),
        vec![
            (volume(json!({})), vec![format!("{at}: Required value: must specify a volume type")]),
            (
                volume(json!({"emptyDir": {}, "hostPath": {"path": "/a"}})),
                vec![format!("{at}.hostPath: Forbidden: may not specify more than 1 volume type")],
            ),
            (
                volume(json!({"emptyDir": {"sizeLimit": "-1"}})),
                vec![format!(
                    "{at}.emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"
                )],
            ),
            (
                volume(json!({"hostPath": {"path": "/a/../b"}})),
                vec![format!("{at}.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'")],
            ),
            (volume(json!({"secret": {}})), vec![format!("{at}.secret.secretName: Required value")]),
            (
                volume(
                    json!({"configMap": {"name": "a", "defaultMode": 512, "items": [{"key": "a", "path": "/b"}]}}),
                ),
                vec![
                    format!(
                        "{at}.configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive"
                    ),
                    format!("{at}.configMap.items[0].path: Invalid value: \"/b\": must be a relative path"),
                ],
            ),
            (
                volume(
                    json!({"configMap": {"name": "a", "items": [{"key": "a", "path": "..b"}, {"key": "", "path": "b/.."}]}}),
                ),
                vec![
                    format!("{at}.configMap.items[0].path: Invalid value: \"..b\": must not start with '..'"),
                    format!("{at}.configMap.items[1].key: Required value"),
                    format!("{at}.configMap.items[1].path: Invalid value: \"b/..\": must not contain '..'"),
                ],
            ),
            (mounts(json!([{"name": "data", "mountPath": "/a"}])), Vec::new()),
            (
                mounts(json!([{"name": "other", "mountPath": ""}])),
                says([
                    "spec.containers[0].volumeMounts[0].name: Not found: \"other\"",
                    "spec.containers[0].volumeMounts[0].mountPath: Required value",
                ]),
            ),
            (
                mounts(json!([{"name": "data", "mountPath": "/a"}, {"name": "data", "mountPath": "/a"}])),
                says(["spec.containers[0].volumeMounts[1].mountPath: Duplicate value: \"/a\""]),
            ),
        ],
    );
}

#[test]
fn resources_and_privileges_are_checked() {
    let resources = |resources: Value| container(json!({"resources": resources}));
    check(
        &pod(),
        vec![
            (resources(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1000m"}})), Vec::new()),
            (resources(json!({"limits": {"nvidia.com/gpu": 1}})), Vec::new()),
            (
                resources(json!({"limits": {"memory": "-1Gi"}})),
                says([
                    "spec.containers[0].resources.limits[memory]: Invalid value: \"-1Gi\": must be greater than or equal to 0",
                    "spec.containers[0].resources.requests[memory]: Invalid value: \"-1Gi\": must be greater than or equal to 0",
                ]),
            ),
            (
                resources(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1500m"}})),
                says([
                    "spec.containers[0].resources.requests: Invalid value: \"1500m\": must be less than or equal to cpu limit of 1",
                ]),
            ),
            (
                resources(json!({"requests": {"gpu": "1"}})),
                says([
                    "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
                ]),
            ),
            (
                container(
                    json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}}),
                ),
                says([
                    "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
                ]),
            ),
        ],
    );
}

#[test]
fn placement_is_checked() {
    let toleration = |toleration: Value| spec(json!({"tolerations": [toleration]}));
    check(
        &pod(),
        vec![
            (toleration(json!({"operator": "Exists"})), Vec::new()),
            (
                toleration(json!({"value": "a"})),
                says([
                    "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
                ]),
            ),
            (
                toleration(json!({"key": "a", "operator": "Exists", "value": "b"})),
                says([
                    "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
                ]),
            ),
            (
                toleration(json!({"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1})),
                says([
                    "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
                ]),
            ),
            (
                spec(json!({"topologySpreadConstraints": [
                    {"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "DoNotSchedule"},
                ]})),
                says([
                    "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
                    "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
                ]),
            ),
        ],
    );
}

#[test]
fn a_pod_hardly_changes() {
    let fixed = |field: &str| {
        vec![format!(
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\nchanged: `spec.{field}`"
        )]
    };
    let stored = patched(pod(), &spec(json!({"tolerations": [{"key": "a", "operator": "Exists"}]})));
    check_update(
        &stored,
        vec![
            (json!({"metadata": {"labels": {"a": "b"}}}), Vec::new()),
            (spec(json!({"nodeName": "n1"})), fixed("nodeName")),
            (spec(json!({"hostNetwork": true})), fixed("hostNetwork")),
            (
                spec(json!({"containers": []})),
                says([
                    "spec.containers: Required value",
                    "spec.containers: Forbidden: pod updates may not add or remove containers",
                ]),
            ),
            (
                spec(
                    json!({"tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]}),
                ),
                Vec::new(),
            ),
            (
                spec(json!({"tolerations": []})),
                says([
                    "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
                ]),
            ),
        ],
    );
    let mut old = pod();
    admit(&mut old, None).unwrap();
    let mut new = old.clone();
    new["spec"]["containers"][0]["image"] = "nginx:1.28".into();
    assert_eq!(messages(admit(&mut new, Some(&old))), Vec::<String>::new());
}

#[test]
fn a_container_that_ended_for_good_does_not_come_back() {
    let status = |state: Value| {
        let container = json!({
            "name": "web", "image": "nginx:1.27", "imageID": "", "ready": false, "restartCount": 0, "state": state,
        });
        json!({"status": {"containerStatuses": [container]}})
    };
    let mut old = patched(pod(), &spec(json!({"restartPolicy": "Never"})));
    admit(&mut old, None).unwrap();
    let ended = patched(old, &status(json!({"terminated": {"exitCode": 1}})));
    let mut new = patched(ended.clone(), &json!({"status": {"containerStatuses": null}}));
    assert_eq!(messages(admit(&mut new, Some(&ended))), Vec::<String>::new());
    let mut new = patched(ended.clone(), &status(json!({"running": {}})));
    assert_eq!(
        messages(admit(&mut new, Some(&ended))),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
}

/// Each item costs the same, however many there are: compared one by one with each other, these would take many minutes.
#[test]
fn long_lists_of_a_pod_are_checked_in_little_time() {
    const MANY: usize = 50_000;
    let volume = |n| json!({"name": format!("v{n}"), "emptyDir": {}});
    let mount = |n| json!({"name": format!("v{n}"), "mountPath": format!("/v{n}")});
    let file = |n| json!({"key": "a", "path": format!("f{n}")});
    let mut volumes: Vec<Value> = (0..MANY).map(volume).collect();
    let files: Vec<Value> = (0..MANY).chain([7]).map(file).collect();
    volumes[0] =
        json!({"name": "v0", "projected": {"sources": [{"configMap": {"name": "a", "items": files}}]}});
    let mounts: Vec<Value> = (0..MANY).rev().map(mount).collect();
    let containers = json!([{"name": "web", "image": "busybox", "volumeMounts": mounts}]);
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"},
        "spec": {"containers": containers, "volumes": volumes},
    });
    let expected = says([
        "spec.volumes[0].projected.sources[0]: Invalid value: \"f7\": conflicting duplicate paths \"f7\"",
    ]);
    assert_eq!(messages(admit(&mut pod, None)), expected);
}
