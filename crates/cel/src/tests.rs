use serde_json::{Value as Json, json};

use super::*;

fn evaluate(source: &str, object: &Json) -> Result<Outcome, CelError> {
    let schema = json!({"type": "object", "properties": {"when": {"type": "string", "format": "date-time"}}});
    let expression = Expression::compile(source, &["self", "oldSelf"])?;
    let variable = Variable::new(object, &schema);
    let none = Variable::optional(None, &schema);
    expression.evaluate(&[("self", &variable), ("oldSelf", &none)], &mut Budget::of_an_object())
}

#[test]
fn rules_of_real_definitions_are_evaluated() {
    let object = json!({
        "min": 1, "max": 3, "names": ["a", "b"], "labels": {"a": "x"}, "with-dash": 1, "in": 2, "snake_case": 3,
        "when": "2026-01-01T00:00:00Z", "cpu": "500m", "ip": "10.0.0.1", "url": "https://example.com:80/path",
    });
    for (source, expected) in [
        ("self.min <= self.max", true),
        ("self.names.all(n, n.matches('^[a-z]$'))", true),
        ("self.names.exists(n, n == 'z')", false),
        ("self.names.filter(n, n != 'a').size() == 1", true),
        ("self.names.map(n, n + n) == ['aa', 'bb']", true),
        ("has(self.missing) || size(self.names) == 2", true),
        ("!has(self.missing)", true),
        ("'a' in self.labels && self.labels['a'] == 'x'", true),
        ("self.with__dash__dash == 1 || self.with__dash__ == 1 || has(self.with__dash__dash)", true),
        ("self.__in__ == 2 && self.snake_case == 3", true),
        ("self.when < timestamp('2027-01-01T00:00:00Z')", true),
        ("quantity(self.cpu).isLessThan(quantity('1'))", true),
        ("ip(self.ip).family() == 4 && cidr('10.0.0.0/8').containsIP(self.ip)", true),
        ("url(self.url).getHost() == 'example.com:80'", true),
        ("self.names.isSorted() && self.names.indexOf('b') == 1", true),
        ("'a,b'.split(',') == self.names", true),
        ("'x'.lowerAscii() == 'x' && 'abc'.contains('b')", true),
        ("self.min == 1 ? self.max == 3 : false", true),
        ("oldSelf.hasValue()", false),
        ("type(self.min) == int", true),
        ("self.?min.orValue(7) == 1 && self.?none.orValue(7) == 7", true),
        ("self.?none.?deeper.hasValue() || self.labels[?'a'].hasValue()", true),
    ] {
        assert_eq!(evaluate(source, &object), Ok(Outcome::Bool(expected)), "{source}");
    }
    assert_eq!(evaluate("'at most ' + string(self.max)", &object), Ok(Outcome::Text("at most 3".into())));
    assert_eq!(
        evaluate("self.missing == 1", &object),
        Err(CelError::Evaluate("no such key: missing".into()))
    );
}

#[test]
fn expressions_that_cannot_be_meant_are_refused() {
    let deep = format!("{}true{}", "(".repeat(10_000), ")".repeat(10_000));
    let signs = format!("{}true", "!".repeat(4_000));
    let sum = format!("1{}", "+1".repeat(4_000));
    let long = "1".repeat(MAX_LENGTH + 1);
    for (source, problem) in [
        ("self.min <=", "Syntax error"),
        ("sefl.min == 1", "undeclared reference to 'sefl'"),
        ("self.names.all(n, m == 1)", "undeclared reference to 'm'"),
        (deep.as_str(), "longer than"),
        (&deep[9_870..10_134], "nests deeper"),
        (&signs, "nests deeper"),
        (&sum, "nests deeper"),
        (&long, "longer than"),
    ] {
        let error = evaluate(source, &json!({})).expect_err(source);
        assert!(matches!(error, CelError::Compile(_)), "{source}: {error}");
        assert!(error.to_string().contains(problem) || problem == "Syntax error", "{source}: {error}");
    }
}

#[test]
fn what_is_as_deep_as_it_is_long_is_refused_with_little_stack() {
    for (first, more) in [("1", "+1"), ("self", ".a"), ("self", "[0]"), ("self", ".a()")] {
        let source = first.to_owned() + &more.repeat((MAX_LENGTH - 8) / more.len());
        let small = std::thread::Builder::new().stack_size(256 * 1024);
        let compiled = small.spawn(move || Expression::compile(&source, &["self"]).map(drop)).unwrap().join();
        assert!(matches!(compiled.unwrap(), Err(CelError::Compile(_))), "{more}");
    }
}

#[test]
fn what_is_as_deep_as_allowed_is_evaluated_with_little_stack() {
    let sum = "1".to_owned() + &"+1".repeat(110);
    let brackets = format!("{}1{}", "[".repeat(90), "]".repeat(90));
    for source in [sum + " == 111", format!("{brackets} == {brackets}")] {
        let small = std::thread::Builder::new().stack_size(512 * 1024);
        let evaluated = small.spawn(move || evaluate(&source, &json!({}))).unwrap().join();
        assert_eq!(evaluated.unwrap(), Ok(Outcome::Bool(true)));
    }
}

#[test]
fn what_could_cost_too_much_is_not_begun() {
    let object = json!({"list": (0..200).collect::<Vec<_>>(), "text": "x".repeat(10_000)});
    let cubic = "self.list.all(a, self.list.all(b, self.list.all(c, a + b + c >= 0)))";
    assert_eq!(evaluate(cubic, &object), Err(CelError::Cost));
    let small = json!({"list": [1, 2, 3]});
    assert_eq!(evaluate(cubic, &small), Ok(Outcome::Bool(true)));
    let search = "self.list.all(a, self.list.all(b, self.text.contains('y')))";
    assert_eq!(evaluate(search, &object), Err(CelError::Cost));
    assert_eq!(evaluate("self.list.all(a, self.list.all(b, a * b >= 0))", &object), Ok(Outcome::Bool(true)));
}

#[test]
fn the_budget_of_an_object_is_shared_by_its_rules() {
    let object = json!({"list": (0..100).collect::<Vec<_>>()});
    let expression =
        Expression::compile("self.list.exists(a, self.list.exists(b, a * b == 0))", &["self"]).unwrap();
    let variable = Variable::new(&object, &Json::Null);
    let mut budget = Budget::of_an_object();
    let outcomes = std::iter::from_fn(|| expression.evaluate(&[("self", &variable)], &mut budget).ok());
    let done = outcomes.take(1_000).count();
    assert!(done > 0 && done < 1_000, "{done}");
}

#[test]
fn what_is_known_of_an_expression_follows_from_the_schema() {
    let schema = json!({"type": "object", "properties": {
        "size": {"type": "integer"}, "a-b": {"type": "string", "maxLength": 5},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "few": {"type": "array", "maxItems": 3, "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        "many": {"type": "array", "items": {"type": "string"}},
    }});
    let check =
        |source: &str| Expression::compile(source, &["self"]).unwrap().check(&[("self", Some(&schema))]);
    for (source, result) in [
        ("self.size > 1 && has(self.a__dash__b)", ResultType::Bool),
        ("self.a__dash__b + 'x'", ResultType::Text),
        ("self.few.map(f, f.n)", ResultType::Other),
        ("self.few.filter(f, f.n > 1).all(f, f.n > 2)", ResultType::Bool),
        ("self.tags.all(k, self.tags[k] == 'x')", ResultType::Bool),
        ("self.open.whatever.it == 1", ResultType::Bool),
        ("self.open.whatever", ResultType::Unknown),
        ("self.?size.orValue(1) == 1 ? 'a' : 'b'", ResultType::Text),
    ] {
        assert_eq!(check(source).map(|checked| checked.result), Ok(result), "{source}");
    }
    for (source, field) in
        [("self.sise == 1", "sise"), ("has(self.none)", "none"), ("self.few.all(f, f.m > 1)", "m")]
    {
        assert_eq!(check(source), Err(CelError::Compile(format!("undefined field '{field}'"))), "{source}");
    }
    let cost = |source: &str| check(source).unwrap().cost;
    assert!(cost("self.few.all(a, self.few.all(b, a.n != b.n))") < 200);
    assert!(cost("self.many.all(a, self.few.all(b, a != string(b.n)))") > Budget::PER_RULE);
    assert!(cost("self.many.all(a, a != 'x')") <= Budget::PER_RULE);
}
