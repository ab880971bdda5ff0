use serde_json::json;

use super::*;

const TWO: &str = "\
# the shop
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app.kubernetes.io/name: web, app: \"no\"}
spec:
  containers:
    - name: web
      imagee: nginx
    - name: side
      ports:
        - containerPort: 80
          protocol: TCP
";

fn parse(text: &str) -> Vec<Manifest> {
    Manifest::parse("a.yaml", text).into_iter().map(Result::unwrap).collect()
}

fn told(error: &ManifestError) -> (String, String) {
    let ManifestError::Document { problem, place } = error else { panic!("{error:?}") };
    let position = place.position();
    (problem.clone(), format!("{}:{}", position.line, position.column))
}

fn error(text: &str) -> (String, String) {
    let errors: Vec<_> = Manifest::parse("a.yaml", text).into_iter().filter_map(Result::err).collect();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    told(error)
}

#[test]
fn each_document_remembers_where_it_is() {
    let manifests = parse(TWO);
    assert_eq!(manifests.iter().map(Manifest::origin).collect::<Vec<_>>(), ["a.yaml:2", "a.yaml:7"]);
    assert_eq!(manifests[1].object.name(), "web");
}

#[test]
fn fields_are_found_as_the_server_names_them() {
    let pod = &parse(TWO)[1];
    for (field, expected) in [
        ("spec.containers[0].imagee", (15, 7, 6, true)),
        (
            ".spec.containers[name=\"side\"].ports[containerPort=80,protocol=\"TCP\"].protocol",
            (19, 11, 8, true),
        ),
        ("metadata.labels[app.kubernetes.io/name]", (11, 12, 22, true)),
        ("metadata.labels.app.kubernetes.io/name", (11, 12, 22, true)),
        ("metadata.labels.app", (11, 41, 3, true)),
        ("spec.containers[1]", (16, 7, 4, true)),
        ("spec.containers[1].image", (16, 7, 4, false)),
        ("spec.nodeName", (12, 1, 4, false)),
    ] {
        let at = pod.locate(field).unwrap();
        assert_eq!((at.line, at.column, at.width, at.exact), expected, "{field}");
    }
}

#[test]
fn a_snippet_ends_with_the_line_pointed_at() {
    let snippet = parse(TWO)[1].snippet("spec.containers[0].imagee").unwrap();
    let lines = [(13, "  containers:"), (14, "    - name: web"), (15, "      imagee: nginx")];
    assert_eq!(snippet.lines, lines.map(|(number, text)| (number, text.to_owned())));
}

#[test]
fn of_a_long_line_what_stands_around_the_place_is_shown() {
    let snippet = |text: &str, field: &str| parse(text).remove(0).snippet(field).unwrap();
    let long = |before: usize| {
        format!("{{apiVersion: v1, kind: X, a: {}, bad: {}}}", "a".repeat(before), "b".repeat(5_000))
    };
    for (before, position) in [(10, 42), (5_000, 5_032)] {
        let shown = snippet(&long(before), "bad");
        let line = &shown.lines[0].1;
        assert_eq!(shown.position.column, position);
        assert!(line.chars().count() <= 202 && line.ends_with('…'), "{line}");
        let pointed: String = line.chars().skip(shown.caret - 1).take(shown.width).collect();
        assert_eq!(pointed, "bad");
    }
    let whole = snippet(&long(5_000), "");
    assert!(whole.width <= 200 && whole.lines[0].1.starts_with('{'), "{whole:?}");
}

#[test]
fn much_that_is_wrong_takes_little_room_and_time() {
    // Were each to hold its line or its document's name, or to be looked for in the text, this would not end.
    let items = |between: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}1]}}",
            format!("1,{between}").repeat(20_000)
        )
    };
    for (text, many) in [(items(""), 20_001), (items("\n"), 20_001), ("a\n---\n".repeat(10_000), 10_000)] {
        let source = "directory/".repeat(10_000);
        assert_eq!(Manifest::parse(&source, &text).into_iter().filter_map(Result::err).count(), many);
        let first = Manifest::each(&source, &text).next().unwrap().unwrap_err();
        assert_eq!(told(&first).0, "a manifest is an object with apiVersion, kind and metadata");
    }
    let objects = "{}\n".repeat(30_000);
    assert_eq!(told(&Manifest::parse("a", &objects).pop().unwrap().unwrap_err()).1, "30000:1");
}

#[test]
fn yaml_means_what_it_means_to_kubernetes() {
    let object = &parse(
        "{apiVersion: v1, kind: ConfigMap, data: {a: no, b: 0644, c: 1.10, d: on, e: ~, f: true, g: '1'}}",
    )[0]
    .object;
    assert_eq!(
        object["data"],
        json!({"a": "no", "b": 420, "c": 1.1, "d": "on", "e": null, "f": true, "g": "1"})
    );
}

#[test]
fn a_document_that_cannot_be_read_does_not_hide_the_others() {
    let text = TWO.replace("kind: Namespace", "kind: Namespace\nkind: Namespace");
    let read = Manifest::parse("a.yaml", &text);
    assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
    let (problem, at) = error(&text);
    assert!(problem.contains("duplicate") && at == "4:1", "{problem} at {at}");
}

#[test]
fn what_is_not_an_object_is_refused_with_its_position() {
    for (text, expected, at) in [
        ("---\nkind: Pod\n", "apiVersion is missing", "2:1"),
        ("\n\napiVersion: v1\nmetadata: {}\n", "kind is missing", "3:1"),
        ("# hm\n- a\n- b\n", "a manifest is an object", "2:1"),
        ("a: b\n---\napiVersion: v1\nkind: Pod\nmetadata: {\n", "not valid YAML", "5:11"),
    ] {
        let errors: Vec<_> = Manifest::parse("a.yaml", text).into_iter().filter_map(Result::err).collect();
        let (problem, place) = told(errors.last().unwrap());
        assert!(problem.starts_with(expected), "{problem}");
        assert_eq!(place, at, "{text:?} {problem}");
    }
}

#[test]
fn nothing_is_no_manifest() {
    for text in ["", "---\n", "# only a comment\n---\n---\n# another\n", "...\n"] {
        assert_eq!(Manifest::parse("a.yaml", text).len(), 0, "{text:?}");
    }
}

#[test]
fn lists_and_json_hold_several_objects() {
    let text = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}\n\n{\n\t\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n\t{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"x\":1}]}";
    let manifests = parse(text);
    assert_eq!(manifests.iter().map(|m| m.object.kind()).collect::<Vec<_>>(), ["Pod", "Secret"]);
    assert_eq!(manifests[1].origin(), "a.yaml:5");
    let at = manifests[1].locate("x").unwrap();
    assert_eq!((at.line, at.column), (5, 37));
}

#[test]
fn markers_count_only_at_the_beginning_of_a_line() {
    let manifests = parse(
        "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    ---\n    x\n--- # next\napiVersion: v1\nkind: Pod\n...\n",
    );
    assert_eq!(manifests.len(), 2);
    assert_eq!(manifests[0].object["data"]["a"], "---\nx\n");
}

#[test]
fn directories_are_read_by_name_and_urls_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(
            path,
            format!("apiVersion: v1\nkind: X\nmetadata: {{name: {}}}", name.replace('/', "-")),
        )
        .unwrap();
    };
    ["b.yaml", "a.yml", "notes.txt", "sub/c.json"].into_iter().for_each(write);
    let names = |recursive| {
        let read = read(&[Input::Path(directory.path().to_owned())], recursive);
        read.into_iter().map(|manifest| manifest.unwrap().object.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(false), ["a.yml", "b.yaml"]);
    assert_eq!(names(true), ["a.yml", "b.yaml", "sub-c.json"]);

    let refused = read(&["https://example.com/x.yaml".into(), "/no/such/file".into()], false);
    let messages: Vec<_> = refused.into_iter().map(|result| result.unwrap_err().to_string()).collect();
    assert!(messages[0].contains("is a URL") && messages[1] == "cannot read /no/such/file", "{messages:?}");
}

#[test]
fn metadata_is_a_map_or_absent() {
    for metadata in ["web", "[web]", "7"] {
        let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {metadata}\n");
        let (problem, position) = error(&text);
        assert!(problem.starts_with("metadata is not a map"), "{problem}");
        assert_eq!(position, "3:1");
    }
    assert_eq!(parse("apiVersion: v1\nkind: Pod\nmetadata: null\n").len(), 1);
}

#[test]
fn a_document_may_be_as_large_as_its_text() {
    let text = format!("apiVersion: v1\nkind: X\nlist: [{}]\n", "a, ".repeat(260_000));
    assert_eq!(parse(&text)[0].object["list"].as_array().unwrap().len(), 260_000);
}

#[test]
fn what_aliases_make_of_a_document_is_bounded() {
    let level = |n: usize| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "));
    let bomb: String = (1..10).map(level).collect();
    let (problem, _) = error(&format!("apiVersion: v1\nkind: X\na0: &a0 [x]\n{bomb}"));
    assert!(problem.starts_with("not valid YAML: "), "{problem}");
}
