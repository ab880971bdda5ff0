//! How Go prints what Kubernetes' messages quote.

use std::fmt::Write as _;

use orch_ontology::PolicyRule;

/// A list of strings as `%q` prints it: `["a" "b"]`.
pub(crate) fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

/// A rule on one line: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
pub(crate) fn compact(rule: &PolicyRule) -> String {
    let fields = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ];
    let mut text = String::from("{");
    for (name, words) in fields.into_iter().filter(|(_, words)| !words.is_empty()) {
        let comma = if text.len() > 1 { ", " } else { "" };
        let _ = write!(text, "{comma}{name}:{}", quoted(words));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_printed_as_go_prints_them() {
        let rule = PolicyRule::on(&["get", "list"], &[""], &["pods"]).named(&["a"]);
        assert_eq!(
            compact(&rule),
            r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get" "list"]}"#
        );
        let rule = PolicyRule::on_paths(&["*"], &["*"]);
        assert_eq!(compact(&rule), r#"{NonResourceURLs:["*"], Verbs:["*"]}"#);
    }
}
