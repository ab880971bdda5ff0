//! What a delivery tells: a push, and of what; or something that is of no concern.

use http::{HeaderMap, header};
use orch_ontology::GitReference;
use serde_json::Value;

/// Headers by which servers name the event, if they do. Those of Gitea's that imitate others say the same.
const EVENTS: [&str; 4] = ["x-gitea-event", "x-gogs-event", "x-gitlab-event", "x-github-event"];

/// What a delivery tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// That the webhook has been set up.
    Ping,
    /// That something was pushed.
    Push(Push),
    /// Something else: an issue, a release.
    Other,
}

/// What was pushed, as far as it is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Push {
    /// The branch or tag: `refs/heads/main`.
    pub(super) reference: Option<String>,
    /// The branch that the repository calls its default.
    pub(super) default_branch: Option<String>,
}

impl Event {
    /// Reads a delivery. One that does not say what it is tells of a push.
    pub(super) fn of(headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let payload = payload(text(header::CONTENT_TYPE.as_str()).unwrap_or_default(), body);
        let named = |name: &str| payload[name].as_str().unwrap_or_default();
        match EVENTS.into_iter().find_map(text) {
            Some("ping") => Self::Ping,
            None | Some("push" | "Push Hook" | "Tag Push Hook") => Self::Push(Push::of(&payload)),
            // Of all projects of a GitLab; which it is, is told inside.
            Some("System Hook") if matches!(named("event_name"), "push" | "tag_push") => {
                Self::Push(Push::of(&payload))
            }
            Some(_) => Self::Other,
        }
    }
}

impl Push {
    fn of(payload: &Value) -> Self {
        let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Self {
            reference: text("/ref"),
            default_branch: text("/repository/default_branch").or_else(|| text("/project/default_branch")),
        }
    }

    /// Whether what was pushed can be what a GitSync applies. What is not told could be anything.
    pub(super) fn concerns(&self, wanted: Option<&GitReference>) -> bool {
        let Some(pushed) = &self.reference else { return true };
        let is = |kind: &str, name: &str| {
            let short =
                pushed.strip_prefix("refs/").and_then(|rest| rest.strip_prefix(kind)?.strip_prefix('/'));
            short.map_or(pushed == name, |short| short == name)
        };
        let is_tag = || !pushed.starts_with("refs/") || pushed.starts_with("refs/tags/");
        match wanted {
            Some(wanted) if !wanted.branch.is_empty() => is("heads", &wanted.branch),
            Some(wanted) if !wanted.tag.is_empty() => is("tags", &wanted.tag),
            Some(wanted) if !wanted.semver.is_empty() => is_tag(),
            // A commit can come with any branch.
            Some(_) => true,
            None => self.default_branch.as_deref().is_none_or(|branch| is("heads", branch)),
        }
    }
}

/// The JSON of a delivery, which GitHub can also send as a field of a form; nothing if there is none.
fn payload(content_type: &str, body: &[u8]) -> Value {
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or_default();
    match content_type.starts_with("application/x-www-form-urlencoded") {
        true => form_urlencoded::parse(body)
            .find(|(name, _)| name == "payload")
            .map_or(Value::Null, |(_, payload)| json(payload.as_bytes())),
        false => json(body),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use serde_json::json;

    use super::*;

    fn event(headers: &[(&str, &str)], body: &str) -> Event {
        let header =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        Event::of(&headers.iter().map(header).collect(), body.as_bytes())
    }

    fn pushed(reference: &str, default_branch: &str) -> Event {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Event::Push(Push { reference: some(reference), default_branch: some(default_branch) })
    }

    #[test]
    fn pushes_are_read_as_each_server_tells_them() {
        let github = json!({"ref": "refs/heads/main", "after": "6dcb09b5b57875f334f61aebed695e2e4193db5e",
            "repository": {"full_name": "octocat/Hello-World", "default_branch": "master"}});
        assert_eq!(
            event(&[("X-GitHub-Event", "push")], &github.to_string()),
            pushed("refs/heads/main", "master")
        );
        let form: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &github.to_string())
            .finish();
        let headers = [("X-GitHub-Event", "push"), ("Content-Type", "application/x-www-form-urlencoded")];
        assert_eq!(event(&headers, &form), pushed("refs/heads/main", "master"));

        let gitlab = json!({"object_kind": "push", "event_name": "push", "ref": "refs/heads/master",
            "project": {"name": "Diaspora", "default_branch": "master"}});
        let gitlab = gitlab.to_string();
        assert_eq!(event(&[("X-Gitlab-Event", "Push Hook")], &gitlab), pushed("refs/heads/master", "master"));
        assert_eq!(
            event(&[("X-Gitlab-Event", "System Hook")], &gitlab),
            pushed("refs/heads/master", "master")
        );
        let tagged = r#"{"object_kind": "tag_push", "ref": "refs/tags/v1.0.0"}"#;
        assert_eq!(event(&[("X-Gitlab-Event", "Tag Push Hook")], tagged), pushed("refs/tags/v1.0.0", ""));

        let gitea = json!({"ref": "refs/heads/develop", "repository": {"default_branch": "develop"}});
        let headers = [("X-GitHub-Event", "push"), ("X-Gogs-Event", "push"), ("X-Gitea-Event", "push")];
        assert_eq!(event(&headers, &gitea.to_string()), pushed("refs/heads/develop", "develop"));

        for body in ["", "not JSON", "[]", "{\"ref\": 7}"] {
            assert_eq!(event(&[], body), pushed("", ""), "{body}");
        }
    }

    #[test]
    fn what_is_no_push_is_of_no_concern() {
        assert_eq!(
            event(&[("X-GitHub-Event", "ping")], r#"{"zen": "Keep it logically awesome."}"#),
            Event::Ping
        );
        for (name, value) in [
            ("X-GitHub-Event", "issues"),
            ("X-Gitea-Event", "create"),
            ("X-Gitlab-Event", "Merge Request Hook"),
            ("X-Gitlab-Event", "System Hook"),
        ] {
            let body = r#"{"ref": "main", "event_name": "project_create"}"#;
            assert_eq!(event(&[(name, value)], body), Event::Other, "{value}");
        }
    }

    #[test]
    fn a_push_concerns_whoever_follows_what_was_pushed() {
        let branch = |name: &str| Some(GitReference { branch: name.into(), ..GitReference::default() });
        let tag = |name: &str| Some(GitReference { tag: name.into(), ..GitReference::default() });
        let semver = || Some(GitReference { semver: ">=1".into(), ..GitReference::default() });
        let commit = || Some(GitReference { commit: "a".repeat(40), ..GitReference::default() });
        for (pushed, wanted, expected) in [
            ("refs/heads/main", branch("main"), true),
            ("main", branch("main"), true),
            ("refs/heads/main2", branch("main"), false),
            ("refs/heads/a/main", branch("main"), false),
            ("refs/heads/a/main", branch("a/main"), true),
            ("refs/tags/main", branch("main"), false),
            ("refs/tags/v1", tag("v1"), true),
            ("refs/heads/v1", tag("v1"), false),
            ("refs/tags/v1", semver(), true),
            ("refs/heads/main", semver(), false),
            ("refs/heads/any", commit(), true),
            ("refs/heads/trunk", None, true),
            ("refs/heads/main", None, false),
            ("refs/tags/trunk", None, false),
        ] {
            let push = Push { reference: Some(pushed.into()), default_branch: Some("trunk".into()) };
            assert_eq!(push.concerns(wanted.as_ref()), expected, "{pushed} for {wanted:?}");
        }
        assert!(Push::default().concerns(branch("main").as_ref()), "it could be anything");
        let push = Push { reference: Some("refs/heads/main".into()), default_branch: None };
        assert!(push.concerns(None), "it could be the default");
    }
}
