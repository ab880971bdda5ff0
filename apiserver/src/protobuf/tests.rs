use orch_api::KindEntry;
use orch_api::schema::Type as SchemaType;
use serde_json::json;

use super::*;

fn varint(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn field(number: usize, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len()), bytes.to_vec()].concat()
}

fn number(number: usize, value: usize) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
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

#[test]
fn a_pod_becomes_the_json_that_go_would_have_written() {
    let quantity = [field(1, b"cpu"), field(2, &field(1, b"100m"))].concat();
    let resources = field(8, &field(2, &quantity));
    let port = field(6, &[number(2, 0), number(3, 80), field(4, b"TCP")].concat());
    let container = [field(1, b"web"), field(2, b"nginx"), field(5, b""), port, resources].concat();
    let source = field(2, &field(19, &field(1, &field(1, b"page"))));
    let volume = field(1, &[field(1, b"v"), source].concat());
    let flags = [4, 11, 12, 21].map(|flag| number(flag, 0)).concat();
    let spec = [volume, field(2, &container), flags, field(14, b"")].concat();
    let pod = decode(&envelope("v1", "Pod", &field(2, &spec))).unwrap();
    let expected = json!({
        "volumes": [{"name": "v", "configMap": {"name": "page"}}],
        "containers": [{
            "name": "web", "image": "nginx", "resources": {"requests": {"cpu": "100m"}},
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
        }],
        // Pointers are told also if they lead to nothing; flags that are down are not.
        "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false, "securityContext": {},
    });
    assert_eq!(pod["spec"], expected);
}

#[test]
fn what_there_is_not_is_told_by_name_where_it_is_set() {
    let spec = |set: usize| field(2, &[number(12, set), field(18, &b"x"[..set])].concat());
    let pod = |down| decode(&envelope("v1", "Pod", &spec(down))).unwrap()["spec"].clone();
    assert_eq!((pod(0), pod(1)), (json!({}), json!({"hostPID": true, "affinity": true})));
}

#[test]
fn times_and_what_users_are_besides_are_read() {
    let time = [vec![1 << 3, 0x80, 0x94, 0xeb, 0xdc, 0x03], vec![2 << 3, 0x80, 0xda, 0xc4, 0x09]].concat();
    let lease = decode(&envelope("coordination.k8s.io/v1", "Lease", &field(2, &field(4, &time)))).unwrap();
    assert_eq!(lease["spec"]["renewTime"], json!("2001-09-09T01:46:40.020000Z"));
    let extra =
        field(5, &[field(1, b"scopes"), field(2, &[field(1, b"a"), field(1, b"")].concat())].concat());
    let review = envelope("authorization.k8s.io/v1", "SubjectAccessReview", &field(2, &extra));
    assert_eq!(decode(&review).unwrap()["spec"]["extra"], json!({"scopes": ["a", ""]}));
    assert_eq!(
        decode(&envelope("v1", "Pod", &field(1, &field(1, &[b'a'; 200])))).unwrap()["metadata"]["name"],
        "a".repeat(200)
    );
}

/// A table and a schema that say the same: what either knows, the other does.
fn compare(table: &'static Message, ty: SchemaType<'_>, at: &str, problems: &mut Vec<String>) {
    let fields = in_json(table);
    let has =
        |name: &str| fields.iter().find(|field| field.name == name && !matches!(field.of, Type::Unread));
    for (name, property) in
        ty.properties().filter(|(name, _)| !matches!(*name, "apiVersion" | "kind" | "metadata"))
    {
        let Some(field) = has(name) else {
            problems.push(format!("{at}.{name} is not decoded"));
            continue;
        };
        if let Some(table) = innermost(&field.of) {
            let below = property.element().entries().unwrap_or(property.element());
            compare(table, below, &format!("{at}.{name}"), problems);
        }
    }
}

/// The fields of a message, those of messages in place among them.
fn in_json(table: &'static Message) -> Vec<&'static Field> {
    let own = table.0.iter();
    own.flat_map(|field| match &field.of {
        Type::InPlace(inner) => in_json(inner),
        _ => vec![field],
    })
    .collect()
}

fn innermost(of: &'static Type) -> Option<&'static Message> {
    match of {
        Type::Message(table) => Some(table),
        Type::List(inner) | Type::Map(inner) => innermost(inner),
        _ => None,
    }
}

#[test]
fn every_kind_of_kubernetes_is_decoded_with_all_its_fields() {
    let mut problems = Vec::new();
    // Those that Kubernetes' own clients know only as JSON.
    let is_known = |entry: &&KindEntry| !matches!(entry.kind.group, "orch.dev" | "apiextensions.k8s.io");
    for entry in orch_ontology::KINDS.iter().filter(is_known) {
        let (api_version, kind) = (entry.kind.api_version(), entry.kind.name);
        match messages::find(&api_version, kind) {
            Some(table) => compare(table, entry.schema.root(), kind, &mut problems),
            None => problems.push(format!("{api_version} {kind} has no table")),
        }
    }
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn no_kind_nests_as_deep_as_is_decoded() {
    fn depth(table: &'static Message) -> usize {
        let below = table.0.iter().map(|field| match &field.of {
            Type::InPlace(table) => depth(table),
            // Besides, a quantity, a time or JSON is a message in a message.
            of => innermost(of).map_or(1, depth),
        });
        1 + below.max().unwrap_or_default()
    }
    for ((_, kind), table) in messages::KINDS {
        assert!(depth(table) <= MAX_DEPTH, "{kind}");
    }
}
