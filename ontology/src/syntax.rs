//! The syntax of names and numbers that only some kinds have: Kubernetes' `validation.Is…` functions, in its words.
//!
//! What all objects share (names, labels) is in [`orch_api::names`].

use orch_api::names::{self, explain};
use orch_api::{FieldError, FieldPath, Quantity};
use serde_json::Value;

/// An invalid value for each of the problems with it.
pub(crate) fn invalid_each(path: &FieldPath, value: &str, problems: Vec<String>) -> Vec<FieldError> {
    problems.into_iter().map(|problem| FieldError::invalid(path, value, problem)).collect()
}

/// A name that must be given and be a label.
pub(crate) fn required_dns_label(path: &FieldPath, name: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    invalid_each(path, name, names::dns_label(name))
}

/// A reference that must be given and name an object.
pub(crate) fn required_name(path: &FieldPath, name: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    invalid_each(path, name, names::dns_subdomain(name))
}

/// The name of an object whose kind allows less than a DNS subdomain. What the server refuses for every kind alike is
/// not said twice.
pub(crate) fn object_dns_label(name: &str) -> Vec<FieldError> {
    if name.is_empty() || !names::dns_subdomain(name).is_empty() {
        return Vec::new();
    }
    invalid_each(&FieldPath::new("metadata.name"), name, names::dns_label(name))
}

/// A key of a ConfigMap or a Secret, which becomes a file's name.
pub(crate) fn config_key(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if key.len() > 253 {
        problems.push("must be no more than 253 bytes".to_owned());
    }
    if key.is_empty() || !key.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._".contains(&c)) {
        problems.push(explain(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    problems.extend(match key {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        key if key.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    });
    problems
}

/// The name of an environment variable.
pub(crate) fn env_var_name(name: &str) -> Vec<String> {
    if name.chars().all(|c| matches!(c, ' '..='~') && c != '=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

/// The name of a port.
pub(crate) fn port_name(name: &str) -> Vec<String> {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let rules = [
        (name.len() <= 15, "must be no more than 15 bytes"),
        (
            name.bytes().all(|c| alphanumeric(c) || c == b'-'),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (name.bytes().any(|c| c.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (!name.contains("--"), "must not contain consecutive hyphens"),
        (!name.starts_with('-') && !name.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    rules.iter().filter(|(holds, _)| !holds).map(|(_, rule)| (*rule).to_owned()).collect()
}

/// A port's number.
pub(crate) fn port_number(path: &FieldPath, port: i32) -> Option<FieldError> {
    let fits = (1..=65535).contains(&port);
    (!fits).then(|| FieldError::invalid(path, port, "must be between 1 and 65535, inclusive"))
}

/// A user's or group's number.
pub(crate) fn user_id(path: &FieldPath, id: Option<i64>) -> Option<FieldError> {
    let id = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id))?;
    Some(FieldError::invalid(path, id, "must be between 0 and 2147483647, inclusive"))
}

/// A number that may be zero but not less.
pub(crate) fn non_negative<N: Into<i64> + Copy>(path: &FieldPath, number: Option<N>) -> Option<FieldError> {
    let number: i64 = number?.into();
    (number < 0).then(|| FieldError::invalid(path, number, "must be greater than or equal to 0"))
}

/// An amount that may be zero but not less.
pub(crate) fn non_negative_quantity(path: &FieldPath, amount: &Quantity) -> Option<FieldError> {
    let negative = amount.is_negative();
    negative.then(|| FieldError::invalid(path, amount.to_string(), "must be greater than or equal to 0"))
}

/// A field that keeps its value.
pub(crate) fn immutable<T: PartialEq + Into<Value> + Clone>(
    path: impl Into<FieldPath>,
    new: &T,
    old: &T,
) -> Option<FieldError> {
    (new != old).then(|| FieldError::invalid(path, new.clone(), "field is immutable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_keys_are_file_names() {
        for good in ["a", "a.b_c-D", ".dockerconfigjson"] {
            assert_eq!(config_key(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(
            config_key("a b"),
            [
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            ]
        );
        assert_eq!(config_key(".."), ["must not be '..'"]);
        assert_eq!(config_key("..a"), ["must not start with '..'"]);
        assert_eq!(config_key(&"a".repeat(254)), ["must be no more than 253 bytes"]);
    }

    #[test]
    fn port_names_are_service_names() {
        assert_eq!(port_name("http-2"), Vec::<String>::new());
        assert_eq!(port_name("80"), ["must contain at least one letter (a-z)"]);
        assert_eq!(port_name("a--b"), ["must not contain consecutive hyphens"]);
        assert_eq!(port_name("-a"), ["must not begin or end with a hyphen"]);
        assert_eq!(port_name("a-very-long-port-name"), ["must be no more than 15 bytes"]);
        assert_eq!(
            port_name("A"),
            [
                "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                "must contain at least one letter (a-z)"
            ]
        );
    }

    #[test]
    fn environment_variables_may_not_hold_an_equals_sign() {
        assert_eq!(env_var_name("my.var-1"), Vec::<String>::new());
        for bad in ["a=b", "naïve", "a\tb"] {
            assert_eq!(env_var_name(bad).len(), 1, "{bad}");
        }
    }
}
