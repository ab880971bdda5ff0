use serde_json::json;

use super::*;

fn show(object: &Value) -> String {
    let schema = crate::ctl::schema::built_in(object.api_version(), object.kind());
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    anstream::adapter::strip_str(&render(object, schema.as_deref(), now)).to_string()
}

#[test]
fn any_kind_is_shown_by_its_shape() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "shop", "uid": "u", "creationTimestamp": "2026-01-01T00:58:00Z",
            "labels": {"app": "web", "tier": "front"}, "managedFields": [{"manager": "x"}],
            "ownerReferences": [{"kind": "Workload", "name": "web", "uid": "w", "controller": true}]},
        "spec": {"nodeName": "n1", "volumes": [], "restartPolicy": "Always", "nodeSelector": {"disk.type": "ssd"},
            "containers": [{"name": "web", "image": "nginx", "args": ["-g", "x"], "ports": [{"containerPort": 80}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.7", "startTime": "2026-01-01T00:59:00Z",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:59:30Z", "reason": "Up", "message": "all up"}]},
    });
    let expected = "\
Name:           web-0
Namespace:      shop
Labels:         app=web
                tier=front
Annotations:    <none>
API Version:    v1
Kind:           Pod
Controlled By:  Workload/web
Created:        2026-01-01T00:58:00Z (2m ago)
Spec:
  Containers:
    web:
      Args:   -g x
      Image:  nginx
      Ports:
        #1:
          Container Port:  80
  Node Name:       n1
  Node Selector:
    disk.type:  ssd
  Restart Policy:  Always
Status:
  Conditions:
    Type    Status   Age   Reason   Message
    Ready   True     30s   Up       all up
  Phase:       Running
  Pod IP:      10.0.0.7
  Start Time:  2026-01-01T00:59:00Z (60s ago)
";
    assert_eq!(show(&pod), expected);
}

#[test]
fn events_are_a_table() {
    let event = json!({"type": "Normal", "reason": "Started", "lastTimestamp": "2026-01-01T00:59:55Z",
        "firstTimestamp": "2026-01-01T00:59:00Z", "count": 3, "source": {"component": "node"}, "message": "Started container web"});
    let text = events(&[event], "2026-01-01T01:00:00Z".parse().unwrap());
    let expected = "\
Events:
  Type     Reason    Age                From   Message
  Normal   Started   5s (x3 over 60s)   node   Started container web
";
    assert_eq!(anstream::adapter::strip_str(&text).to_string(), expected);
}

#[test]
fn small_objects_are_lines() {
    let node = json!({"apiVersion": "v1", "kind": "Node", "status": {"kubeProxyVersion": "",
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "podIPs": [{"ip": "a"}, {"ip": "b"}],
        "env": [{"name": "A", "value": "b"}, {"name": "C", "valueFrom": {"key": "d"}}]}});
    let expected = "\
Status:
  Addresses:
    InternalIP:  10.0.0.1
  Env:
    A:  b
    C:
      Value From:
        Key:  d
  Pod IPs:  a b
";
    let text = show(&node);
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn what_kubectl_keeps_for_itself_is_left_out() {
    let map = json!({"metadata": {"name": "c", "annotations": {LAST_APPLIED: "{}\n"}}, "data": {"a": "b\n"}});
    let text = show(&map);
    assert!(text.contains("Annotations:  <none>\n") && text.ends_with("Data:\n  A:  b\n"), "{text}");
}

#[test]
fn secrets_are_shown_by_their_size() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "aHVudGVyMg=="}, "type": "Opaque"});
    let text = show(&secret);
    assert!(text.contains("7 bytes") && !text.contains("aHVudGVyMg"), "{text}");
}

#[test]
fn several_lines_are_a_block() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"nginx.conf": "a {\n  b\n}\n", "mode": "x"}});
    let text = show(&map);
    assert!(text.contains("  nginx.conf:\n    a {\n      b\n    }\n"), "{text}");
}

#[test]
fn names_become_titles() {
    for (name, expected) in [
        ("restartPolicy", "Restart Policy"),
        ("podIP", "Pod IP"),
        ("nginx.conf", "nginx.conf"),
        ("hostIPs", "Host IPs"),
        ("dnsPolicy", "DNS Policy"),
        ("qosClass", "QoS Class"),
        ("osImage", "OS Image"),
        ("UPPER", "UPPER"),
    ] {
        assert_eq!(title(name), expected);
    }
}

#[test]
fn a_volume_says_of_what_sort_it_is() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"volumes": [
        {"name": "cache", "emptyDir": {}}, {"name": "config", "configMap": {"name": "web", "optional": true}}]}});
    let shown = show(&pod);
    let volumes = shown.split_once("  Volumes:").unwrap().1;
    let expected = "
    cache:
      Type:  EmptyDir (an empty directory that lives as long as the pod)
    config:
      Type:      ConfigMap (the entries of a ConfigMap as files)
      Name:      web
      Optional:  true
";
    assert_eq!(volumes, expected);
}

#[test]
fn what_workloads_write_does_not_steer_the_terminal() {
    let object = json!({"kind": "Pod", "metadata": {"name": "web", "annotations": {"a": "b\u{1b}[2J"}},
        "status": {"message": "\u{1b}]0;owned\u{7}", "\u{9b}key": "x", "log": "one\u{1b}[2J\ntwo"}});
    let text = anstream::adapter::strip_str(&render(&object, None, Timestamp::UNIX_EPOCH)).to_string();
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(text.contains("  Log:\n    one [2J\n    two\n"), "{text}");
    let painted = render(&object, None, Timestamp::UNIX_EPOCH);
    assert!(!painted.contains("]0;owned\u{7}") && !painted.contains("\u{1b}[2J"), "{painted:?}");
}
