//! The syntax of names: objects, labels, qualified keys. Kubernetes' `validation.Is…` functions.
//!
//! Each check returns what is wrong in Kubernetes' own words; an empty list means the name is fine.

const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const DNS_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS_SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

/// A lowercase RFC 1123 label of at most 63 bytes: names of namespaces, containers, ports' services.
pub fn dns_label(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 63);
    if !is_dns_label(name) {
        problems.push(explain(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            DNS_LABEL,
            &["my-name", "123-abc"],
        ));
    }
    problems
}

/// A DNS-1035 label of at most 63 bytes, which begins with a letter: names of services, of kinds, of versions.
pub fn dns1035_label(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 63);
    if !is_dns_label(name) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        problems.push(explain(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    problems
}

/// A lowercase RFC 1123 subdomain of at most 253 bytes: names of most objects.
pub fn dns_subdomain(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 253);
    if !name.split('.').all(is_dns_label) {
        problems.push(explain(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            DNS_SUBDOMAIN,
            &["example.com"],
        ));
    }
    problems
}

/// One segment of a path: names of roles and their bindings.
pub fn path_segment(name: &str) -> Vec<String> {
    match name {
        "." => return vec!["may not be '.'".to_owned()],
        ".." => return vec!["may not be '..'".to_owned()],
        _ => {}
    }
    let barred = ["/", "%"].into_iter().filter(|barred| name.contains(barred));
    barred.map(|barred| format!("may not contain '{barred}'")).collect()
}

/// A label key, annotation key, finalizer or resource name: a name of at most 63 bytes, optionally after
/// a DNS subdomain and a slash.
pub fn qualified_name(key: &str) -> Vec<String> {
    const CONSIST: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    const EXAMPLES: [&str; 3] = ["MyName", "my.name", "123-abc"];
    let mut problems = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                problems.extend(dns_subdomain(prefix).iter().map(|p| format!("prefix part {p}")));
            }
            name
        }
        _ => {
            let rule = explain(&format!("a qualified name {CONSIST}"), QUALIFIED, &EXAMPLES);
            return vec![format!(
                "{rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else {
        problems.extend(too_long(name, 63).iter().map(|p| format!("name part {p}")));
    }
    if !is_qualified(name) {
        problems.push(explain(&format!("name part {CONSIST}"), QUALIFIED, &EXAMPLES));
    }
    problems
}

/// The value of a label: empty or at most 63 bytes.
pub fn label_value(value: &str) -> Vec<String> {
    let mut problems = too_long(value, 63);
    if !value.is_empty() && !is_qualified(value) {
        problems.push(explain(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            &format!("({QUALIFIED})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    problems
}

fn too_long(text: &str, max: usize) -> Vec<String> {
    if text.len() > max { vec![format!("must be no more than {max} bytes")] } else { Vec::new() }
}

fn is_dns_label(label: &str) -> bool {
    let ends = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let bytes = label.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'-')
}

fn is_qualified(name: &str) -> bool {
    let ends = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
}

/// Kubernetes' way to say that a text does not match a pattern: the rule, examples, the pattern.
pub fn explain(rule: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{rule} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_accepted() {
        for name in ["a", "web-1", "0"] {
            assert_eq!(dns_label(name), Vec::<String>::new());
        }
        for name in ["a.b", "web-1.example.com"] {
            assert_eq!(dns_subdomain(name), Vec::<String>::new());
        }
        for name in ["app", "App_1.x", "example.com/Name", "1"] {
            assert_eq!(qualified_name(name), Vec::<String>::new());
        }
        for value in ["", "v1.2_3-x", "V"] {
            assert_eq!(label_value(value), Vec::<String>::new());
        }
    }

    #[test]
    fn bad_names_are_refused_in_kubernetes_words() {
        assert_eq!(
            dns_label("Web"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
        assert_eq!(
            label_value("-x"),
            [
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ]
        );
        for bad in ["", "/a", "a/", "A.com/x", "a/b/c", "a b"] {
            assert!(!qualified_name(bad).is_empty(), "{bad}");
        }
        for bad in ["", ".", "a..b", "a.", "-a", "a_b"] {
            assert!(!dns_subdomain(bad).is_empty(), "{bad}");
        }
    }
}
