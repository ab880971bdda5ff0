use orch_ontology::{KINDS, examples};

use crate::{admit, messages, yaml};

#[test]
fn every_kind_has_an_example() {
    let kinds: Vec<&str> = KINDS.iter().map(|entry| entry.kind.name).collect();
    let shown: Vec<&str> = examples().iter().map(|example| example.kind).collect();
    assert_eq!(shown, kinds);
}

#[test]
fn valid_examples_are_accepted_and_lose_nothing() {
    for example in examples() {
        let written = yaml(example.valid);
        let mut object = written.clone();
        assert_eq!(messages(admit(&mut object, None)), Vec::<String>::new(), "{}", example.kind);
        let mut again = object.clone();
        assert_eq!(messages(admit(&mut again, Some(&object))), Vec::<String>::new(), "{}", example.kind);
        assert_eq!(again, object, "{}: admitting again changes nothing", example.kind);
        assert_eq!(lost(&written, &object, ""), lost_on_purpose(example.kind), "{}", example.kind);
    }
}

#[test]
fn refused_examples_are_refused_for_the_reasons_they_give() {
    for example in examples() {
        let mut object = yaml(example.refused);
        let mut errors = messages(admit(&mut object, None));
        let mut expected: Vec<String> = example.errors().map(str::to_owned).collect();
        errors.sort();
        expected.sort();
        assert!(!expected.is_empty(), "{} does not say why it is refused", example.kind);
        assert_eq!(errors, expected, "{}", example.kind);
    }
}

fn lost_on_purpose(kind: &str) -> Vec<String> {
    if kind == "Secret" { vec![".stringData".to_owned()] } else { Vec::new() }
}

/// Paths of what is in `written` but not, or not the same, in `kept`.
fn lost(written: &serde_json::Value, kept: &serde_json::Value, path: &str) -> Vec<String> {
    use serde_json::Value::{Array, Object};
    match (written, kept) {
        (Object(written), Object(kept)) => written
            .iter()
            .flat_map(|(name, value)| {
                let path = format!("{path}.{name}");
                kept.get(name).map_or_else(|| vec![path.clone()], |kept| lost(value, kept, &path))
            })
            .collect(),
        (Array(written), Array(kept)) if written.len() == kept.len() => {
            let pairs = written.iter().zip(kept).enumerate();
            pairs
                .flat_map(|(index, (written, kept))| lost(written, kept, &format!("{path}[{index}]")))
                .collect()
        }
        _ if written == kept => Vec::new(),
        _ => vec![path.to_owned()],
    }
}
