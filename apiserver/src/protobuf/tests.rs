use serde_json::json;

use super::*;

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
    out.extend_from_slice(bytes);
    out
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &type_meta), field(2, raw), field(3, b""), field(4, b"")].concat()
}

#[test]
fn a_secret_becomes_the_json_that_the_client_would_have_sent() {
    let metadata =
        [field(1, b"s"), field(2, b""), field(8, b""), field(11, &[field(1, b"a"), field(2, b"b")].concat())]
            .concat();
    let data = [field(1, b"key"), field(2, b"\x00\x01")].concat();
    let raw = [field(1, &metadata), field(2, &data), field(3, b"Opaque"), vec![5 << 3, 1]].concat();
    assert_eq!(
        decode(&envelope("v1", "Secret", &raw)).unwrap(),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"a": "b"}},
            "data": {"key": "AAE="}, "type": "Opaque", "immutable": true,
        })
    );
}

#[test]
fn a_grace_period_of_zero_is_kept() {
    let raw = [vec![1 << 3, 0], field(4, b"Background")].concat();
    let options = decode(&envelope("orch.dev/v1", "DeleteOptions", &raw)).unwrap();
    assert_eq!(options["gracePeriodSeconds"], json!(0));
    assert_eq!(options["propagationPolicy"], json!("Background"));
}

#[test]
fn anything_malformed_is_a_bad_request_and_anything_unknown_unsupported() {
    let good = envelope("v1", "ConfigMap", &field(1, &field(1, b"name")));
    for length in 0..good.len() {
        let status = decode(&good[..length]).err();
        assert!(
            status.as_ref().is_none_or(|status| matches!(status.code, 400 | 415)),
            "{length}: {status:?}"
        );
    }
    assert_eq!(decode(b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").unwrap_err().code, 400);
    assert_eq!(decode(&envelope("v1", "Mystery", b"")).unwrap_err().code, 415);
}

#[test]
fn a_services_target_port_is_a_number_or_a_name_and_no_node_port_is_none() {
    let port = |number: u8, target: &[u8]| {
        let protocol = field(2, b"TCP");
        [protocol, vec![3 << 3, number], field(4, target), vec![5 << 3, 0], field(1, b"")].concat()
    };
    let by_number = port(80, &[vec![1 << 3, 0, 2 << 3, 81], field(3, b"")].concat());
    let by_name = port(90, &[vec![1 << 3, 1, 2 << 3, 0], field(3, b"http")].concat());
    let spec = [field(1, &by_number), field(1, &by_name), field(3, b"None"), vec![12 << 3, 0]].concat();
    let service = decode(&envelope("v1", "Service", &field(2, &spec))).unwrap();
    let expected = json!({
        "clusterIP": "None",
        "ports": [
            {"protocol": "TCP", "port": 80, "targetPort": 81},
            {"protocol": "TCP", "port": 90, "targetPort": "http"},
        ],
    });
    assert_eq!(service["spec"], expected);
}
