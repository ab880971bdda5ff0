//! `--sort-by`: the order of objects by a field of theirs.

use std::cmp::Ordering;

use orch_api::Quantity;
use serde_json::Value;

use crate::ctl::jsonpath::Template;

/// What objects are ordered by. What has no such field comes first, then numbers (quantities among them), then text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SortKey {
    Missing,
    Number(Quantity),
    Text(String),
}

/// Reads a path in any of the forms `.metadata.name`, `metadata.name` and `{.metadata.name}`.
pub(super) fn path(text: &str) -> Result<Template, String> {
    let path = text.trim_start_matches('{').trim_end_matches('}');
    let path = if path.starts_with(['.', '[', '$']) { path.to_owned() } else { format!(".{path}") };
    Template::parse(&format!("{{{path}}}"))
}

impl SortKey {
    /// The first value that a path leads to.
    pub(super) fn of(path: &Template, object: &Value) -> Self {
        let text = match path.values(object).into_iter().next() {
            None | Some(Value::Null) => return Self::Missing,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        text.parse().map_or(Self::Text(text), Self::Number)
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => natural(a, b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        }
    }
}

/// As people count: `web-2` before `web-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let ((text_a, number_a, rest_a), (text_b, number_b, rest_b)) = (chunk(a), chunk(b));
        let ordering = text_a.cmp(text_b).then_with(|| number(number_a).cmp(&number(number_b)));
        if ordering != Ordering::Equal || (rest_a.is_empty() && rest_b.is_empty()) {
            return ordering.then_with(|| a.cmp(b));
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The text up to the next digits, those digits, and the rest.
fn chunk(text: &str) -> (&str, &str, &str) {
    let (before, from) = text.split_at(text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len()));
    let (digits, rest) = from.split_at(from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len()));
    (before, digits, rest)
}

/// Digits compare by how many there are, then by what they are, however many that is.
fn number(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_ordered_by_what_they_are() {
        let by = path("spec.x").unwrap();
        let values = [json!("web-10"), json!("1Gi"), json!(null), json!(3), json!("web-2"), json!("500m")];
        let mut keys: Vec<_> =
            values.iter().map(|x| (SortKey::of(&by, &json!({"spec": {"x": x}})), x.to_string())).collect();
        keys.sort_by(|a, b| a.0.compare(&b.0));
        let shown: Vec<_> = keys.iter().map(|(_, x)| x.trim_matches('"')).collect();
        assert_eq!(shown, ["null", "500m", "3", "1Gi", "web-2", "web-10"]);
    }

    #[test]
    fn a_path_may_be_written_as_people_do() {
        let object = json!({"metadata": {"name": "web"}});
        for text in [".metadata.name", "metadata.name", "{.metadata.name}"] {
            assert_eq!(SortKey::of(&path(text).unwrap(), &object), SortKey::Text("web".into()), "{text}");
        }
    }
}
