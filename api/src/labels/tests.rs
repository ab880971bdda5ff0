use proptest::prelude::*;

use super::*;

fn labels(text: &str) -> Labels {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

#[test]
fn queries_match_as_in_kubernetes() {
    for (query, object, expected) in [
        ("", "x=y", true),
        ("x=y", "x=y", true),
        ("x==y", "x=y", true),
        ("x=y,z=w", "x=y,z=w", true),
        ("x=y,z=w", "x=y", false),
        ("x!=y", "x=z", true),
        ("x!=y", "", true),
        ("x!=y", "x=y", false),
        ("x", "x=", true),
        ("x", "y=", false),
        ("!x", "y=", true),
        ("! x", "x=1", false),
        ("x in (a,b)", "x=b", true),
        ("x in (a,b)", "x=c", false),
        ("x in (a,b)", "", false),
        ("x notin (a,b)", "x=c", true),
        ("x notin (a,b)", "", true),
        ("x notin (a)", "x=a", false),
        ("x=", "x=", true),
        ("x in ()", "x=", true),
        ("x in (a,)", "x=", true),
        ("x>3", "x=4", true),
        ("x>3", "x=3", false),
        ("x<3", "x=2", true),
        ("x<3", "x=a", false),
        ("x<3", "", false),
        ("in in (in,notin)", "in=notin", true),
        (" example.com/a-b = c , !d ", "example.com/a-b=c", true),
    ] {
        assert_eq!(
            query.parse::<LabelQuery>().unwrap().matches(&labels(object)),
            expected,
            "{query} {object}"
        );
    }
}

#[test]
fn queries_print_canonically() {
    for (query, printed) in
        [("z , a==b", "a=b,z"), ("x notin(b,a,b)", "x notin (a,b)"), ("!x,y!=z,w>1,v<2", "v<2,w>1,!x,y!=z")]
    {
        assert_eq!(query.parse::<LabelQuery>().unwrap().to_string(), printed);
    }
}

#[test]
fn malformed_queries_are_explained() {
    for (query, message) in [
        ("x=y,", "found '', expected: identifier after ','"),
        ("x,,y", "found ',', expected: identifier after ','"),
        ("x in", "unable to parse requirement: found '' expected: '('"),
        ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("x in (a,", "unable to parse requirement: found '', expected: ',', or identifier"),
        ("x in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("x=(a)", "unable to parse requirement: found '(', expected: identifier"),
        ("x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
        ("=y", "found '=', expected: !, identifier, or 'end of string'"),
        (
            "x>a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ] {
        assert_eq!(query.parse::<LabelQuery>().unwrap_err().to_string(), message, "{query}");
    }
    let key = "-a=b".parse::<LabelQuery>().unwrap_err().to_string();
    let begins = "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of";
    assert!(key.starts_with(begins), "{key}");
    for query in ["a$b=c", "x=-", "a/b/c", "x in (a b)", "x in ((a)", "x!", "x=y z"] {
        assert!(query.parse::<LabelQuery>().is_err(), "{query}");
    }
}

fn selector(yaml_like: serde_json::Value) -> LabelSelector {
    serde_json::from_value(yaml_like).unwrap()
}

#[test]
fn selectors_match_and_convert_to_queries() {
    let selector = selector(serde_json::json!({
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }));
    let query = LabelQuery::from(&selector);
    assert_eq!(query.to_string(), "app in (web),!old,tier in (a,b)");
    for (object, expected) in [
        ("app=web,tier=a", true),
        ("app=web,tier=c", false),
        ("app=web,tier=a,old=", false),
        ("tier=a", false),
    ] {
        assert_eq!(selector.matches(&labels(object)), expected, "{object}");
        assert_eq!(query.matches(&labels(object)), expected, "{object}");
    }
    assert!(LabelSelector::default().matches(&labels("any=thing")));
}

#[test]
fn selectors_are_validated_in_kubernetes_words() {
    let selector = selector(serde_json::json!({
        "matchExpressions": [
            {"key": "tier", "operator": "In"},
            {"key": "old", "operator": "Exists", "values": ["x"]},
            {"key": "", "operator": "Exists"},
        ],
    }));
    let errors: Vec<String> =
        selector.validate(&FieldPath::new("spec.selector")).iter().map(ToString::to_string).collect();
    assert_eq!(
        errors[..3],
        [
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            "spec.selector.matchExpressions[2].key: Invalid value: \"\": name part must be non-empty",
        ]
    );
}

proptest! {
    #[test]
    fn printing_and_parsing_gives_the_same_query(text in "[a-c!=<>(), ]{0,16}|[a-c]( in | notin )\\([a-c,]{1,5}\\)") {
        if let Ok(query) = text.parse::<LabelQuery>() {
            prop_assert_eq!(query.to_string().parse::<LabelQuery>().unwrap(), query);
        }
    }
}
