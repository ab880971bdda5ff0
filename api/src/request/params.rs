//! [`Params`]: how to carry a request out, as its query says.

use std::num::IntErrorKind;

use super::Verb;
use crate::{FieldError, FieldPath, MAX_MANAGER_BYTES, MAX_REASON_BYTES, Status, check_words};

/// How to carry out a request: the query parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// Run the whole pipeline, store nothing.
    pub dry_run: bool,
    /// Who is writing, for field ownership.
    pub field_manager: Option<String>,
    /// How strictly unknown fields are taken.
    pub field_validation: Option<FieldValidation>,
    /// On apply: take over fields that belong to others.
    pub force: bool,
    /// Only objects with these labels.
    pub label_selector: Option<String>,
    /// Only objects with these field values.
    pub field_selector: Option<String>,
    /// At most this many objects a page.
    pub limit: Option<u64>,
    /// Where the page starts: what the page before said.
    pub cont: Option<String>,
    /// The revision to read at, or to watch from.
    pub resource_version: Option<String>,
    /// How the revision read relates to the one asked for.
    pub resource_version_match: Option<VersionMatch>,
    /// On watch: begin with the present objects, then a bookmark.
    pub send_initial_events: Option<bool>,
    /// On watch: send bookmarks.
    pub allow_watch_bookmarks: bool,
    /// On watch: end after so many seconds.
    pub timeout_seconds: Option<u64>,
    /// On delete: seconds that the object has to end.
    pub grace_period_seconds: Option<i64>,
    /// On delete: what happens to what the object owns.
    pub propagation: Option<Propagation>,
    /// Why it is done, in the words of who does it: kept with the changes that it makes.
    pub reason: Option<String>,
    /// Parameters of a subresource, such as `container` of `log`, passed through in order.
    pub other: Vec<(String, String)>,
}

impl Params {
    /// Reads decoded query pairs. Of a parameter that is given twice the first counts, and whatever does not say no (`false`,
    /// `0`) to a question says yes, as in Kubernetes.
    ///
    /// # Errors
    /// 400 for a number that is none, 422 for a word that a parameter does not know. What the verb does not read, known or
    /// not, is kept in [`Params::other`].
    pub fn parse<K: AsRef<str>, V: AsRef<str>>(
        verb: Verb,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Status> {
        let mut params = Self::default();
        let (mut seen, mut dry_run) = (Vec::new(), Vec::new());
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            if name == "dryRun" && reads(verb, name) {
                dry_run.push(value.to_owned());
                continue;
            }
            match KNOWN.iter().position(|known| *known == name).filter(|_| reads(verb, name)) {
                None => params.other.push((name.to_owned(), value.to_owned())),
                Some(known) if seen.contains(&known) => {}
                Some(known) => {
                    seen.push(known);
                    params.set(verb, name, value)?;
                }
            }
        }
        params.dry_run = parse_dry_run(verb, &dry_run)?;
        Ok(params)
    }

    fn set(&mut self, verb: Verb, name: &str, value: &str) -> Result<(), Status> {
        let text = || (!value.is_empty()).then(|| value.to_owned());
        match name {
            "fieldManager" => self.field_manager = words(verb, name, value, MAX_MANAGER_BYTES)?,
            "fieldValidation" => {
                self.field_validation = given(value, |word| FieldValidation::parse(verb, word))?
            }
            "force" => self.force = boolean(value),
            "labelSelector" => self.label_selector = text(),
            "fieldSelector" => self.field_selector = text(),
            "limit" => self.limit = positive(value)?,
            "continue" => self.cont = text(),
            "resourceVersion" => self.resource_version = text(),
            "resourceVersionMatch" => {
                self.resource_version_match = given(value, |word| VersionMatch::parse(verb, word))?
            }
            "sendInitialEvents" => self.send_initial_events = Some(boolean(value)),
            "allowWatchBookmarks" => self.allow_watch_bookmarks = boolean(value),
            "timeoutSeconds" => self.timeout_seconds = positive(value)?,
            "gracePeriodSeconds" => self.grace_period_seconds = given(value, number)?,
            "propagationPolicy" => self.propagation = given(value, |word| Propagation::parse(verb, word))?,
            "reason" => self.reason = words(verb, name, value, MAX_REASON_BYTES)?,
            _ => self.other.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// The parameters as query pairs, not yet percent-encoded; what has not been set is left out.
    pub fn pairs(&self) -> Vec<(&str, String)> {
        let flag = |on: bool| on.then(|| "true".to_owned());
        let known = [
            ("dryRun", self.dry_run.then(|| "All".to_owned())),
            ("fieldManager", self.field_manager.clone()),
            ("fieldValidation", self.field_validation.map(|v| v.as_str().to_owned())),
            ("force", flag(self.force)),
            ("labelSelector", self.label_selector.clone()),
            ("fieldSelector", self.field_selector.clone()),
            ("limit", self.limit.map(|v| v.to_string())),
            ("continue", self.cont.clone()),
            ("resourceVersion", self.resource_version.clone()),
            ("resourceVersionMatch", self.resource_version_match.map(|v| v.as_str().to_owned())),
            ("sendInitialEvents", self.send_initial_events.map(|v| v.to_string())),
            ("allowWatchBookmarks", flag(self.allow_watch_bookmarks)),
            ("timeoutSeconds", self.timeout_seconds.map(|v| v.to_string())),
            ("gracePeriodSeconds", self.grace_period_seconds.map(|v| v.to_string())),
            ("propagationPolicy", self.propagation.map(|v| v.as_str().to_owned())),
            ("reason", self.reason.clone()),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
        known.chain(self.other.iter().map(|(name, value)| (name.as_str(), value.clone()))).collect()
    }
}

fn given<T>(value: &str, parse: impl FnOnce(&str) -> Result<T, Status>) -> Result<Option<T>, Status> {
    if value.is_empty() { Ok(None) } else { parse(value).map(Some) }
}

/// Whether nothing is to be stored, as the words of `dryRun` say: none, or all of them `All`.
///
/// # Errors
/// 422 about the options of `verb`, as Kubernetes answers: whoever asks for another kind of trial must not find that it counted.
pub fn parse_dry_run(verb: Verb, words: &[String]) -> Result<bool, Status> {
    match words.iter().all(|word| word == "All") {
        true => Ok(!words.is_empty()),
        false => Err(verb.invalid_options(FieldError::not_supported("dryRun", words, &["All"]))),
    }
}

fn boolean(value: &str) -> bool {
    value != "0" && !value.eq_ignore_ascii_case("false")
}

/// A number of which zero and less mean that there is no limit.
fn positive(value: &str) -> Result<Option<u64>, Status> {
    let number = given(value, number)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0))
}

/// Text for people: of one line, and not too long.
fn words(verb: Verb, name: &str, text: &str, limit: usize) -> Result<Option<String>, Status> {
    let errors = check_words(&FieldPath::new(name), text, limit);
    match errors.is_empty() {
        true => Ok((!text.is_empty()).then(|| text.to_owned())),
        false => Err(Status::invalid(&verb.options(), "", &errors)),
    }
}

/// The parameters that are not passed through.
const KNOWN: [&str; 15] = [
    "fieldManager",
    "fieldValidation",
    "force",
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "allowWatchBookmarks",
    "timeoutSeconds",
    "gracePeriodSeconds",
    "propagationPolicy",
    "reason",
];

/// Whether a parameter is any of the verb's business.
fn reads(verb: Verb, name: &str) -> bool {
    let selects = matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection);
    let deletes = matches!(verb, Verb::Delete | Verb::DeleteCollection);
    let writes = matches!(verb, Verb::Create | Verb::Update | Verb::Patch);
    match name {
        "dryRun" | "reason" => writes || deletes,
        "fieldManager" | "fieldValidation" => writes,
        "force" => verb == Verb::Patch,
        "gracePeriodSeconds" | "propagationPolicy" => deletes,
        "resourceVersion" | "resourceVersionMatch" => selects || verb == Verb::Get,
        _ => selects,
    }
}

fn number(value: &str) -> Result<i64, Status> {
    value.parse().map_err(|error: std::num::ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Status::bad_request(format!("strconv.ParseInt: parsing {value:?}: {why}"))
    })
}

fn unsupported(verb: Verb, name: &str, value: &str, supported: &[&str]) -> Status {
    verb.invalid_options(FieldError::not_supported(name, value, supported))
}

/// What happens to the objects that a deleted object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Propagation {
    /// They stay, and lose their owner.
    Orphan,
    /// They are deleted after the owner is gone.
    Background,
    /// They are deleted first; the owner waits for those that block it.
    Foreground,
}

/// How strictly fields that the schema doesn't know are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum FieldValidation {
    /// They are dropped silently.
    Ignore,
    /// They are dropped, and the answer carries a warning.
    Warn,
    /// The request is refused.
    #[default]
    Strict,
}

/// How the revision at which is read relates to the one asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionMatch {
    /// This revision and no other.
    Exact,
    /// This revision or any later one.
    NotOlderThan,
}

macro_rules! wire_words {
    ($type:ident, $param:literal, [$($variant:ident),*] $(, $told:literal)?) => {
        impl $type {
            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// Reads the word on the wire.
            ///
            /// # Errors
            /// 422 about the options of `verb`, as Kubernetes answers.
            pub fn parse(verb: Verb, word: &str) -> Result<Self, Status> {
                match word {
                    $(stringify!($variant) => Ok(Self::$variant),)*
                    _ => Err(unsupported(verb, $param, word, &[$(stringify!($variant),)* $($told)?])),
                }
            }
        }
    };
}

wire_words!(Propagation, "propagationPolicy", [Foreground, Background, Orphan], "nil");
wire_words!(FieldValidation, "fieldValidation", [Ignore, Warn, Strict]);
wire_words!(VersionMatch, "resourceVersionMatch", [Exact, NotOlderThan], "");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_back_as_they_are_written() {
        let pairs = [("dryRun", "All"), ("limit", "500"), ("reason", "it is over"), ("container", "web")];
        let params = Params::parse(Verb::DeleteCollection, pairs).unwrap();
        assert!(params.dry_run && params.limit == Some(500));
        let written = params.pairs();
        assert_eq!(Params::parse(Verb::DeleteCollection, written).unwrap(), params);
    }

    #[test]
    fn parameters_are_read_as_kubernetes_reads_them() {
        for (text, yes) in
            [("true", true), ("1", true), ("yes", true), ("", true), ("False", false), ("0", false)]
        {
            let params =
                Params::parse(Verb::Watch, [("allowWatchBookmarks", text), ("sendInitialEvents", text)]);
            let params = params.unwrap();
            assert_eq!(
                (params.allow_watch_bookmarks, params.send_initial_events),
                (yes, Some(yes)),
                "{text:?}"
            );
        }
        for (text, limit) in [("-1", None), ("0", None), ("", None), ("7", Some(7))] {
            assert_eq!(Params::parse(Verb::List, [("limit", text)]).unwrap().limit, limit, "{text:?}");
        }
        let twice = Params::parse(Verb::List, [("limit", "1"), ("limit", "2")]).unwrap();
        assert_eq!(twice.limit, Some(1));
        // What a verb does not read is not its business.
        let get = Params::parse(Verb::Get, [("dryRun", "Nope"), ("limit", "many")]).unwrap();
        assert_eq!((get.dry_run, get.limit, get.other.len()), (false, None, 2));
    }

    #[test]
    fn a_value_that_a_parameter_cannot_have_is_refused_as_kubernetes_refuses_it() {
        let cases = [
            (
                ("fieldManager", "a\u{7}b"),
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: \
                 fieldManager: Invalid value: \"a\\u0007b\": invalid character U+0007 (at position 1)",
            ),
            (
                ("dryRun", "Server"),
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: \
                 dryRun: Unsupported value: [\"Server\"]: supported values: \"All\"",
            ),
            (
                ("dryRun", ""),
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: \
                 dryRun: Unsupported value: [\"\"]: supported values: \"All\"",
            ),
            (
                ("fieldValidation", "strict"),
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"strict\": \
                 supported values: \"Ignore\", \"Warn\", \"Strict\"",
            ),
        ];
        for (pair, code, message) in cases {
            let status = Params::parse(Verb::Patch, [pair]).unwrap_err();
            assert_eq!((status.code, status.message.as_str()), (code, message), "{pair:?}");
        }
        for (name, limit) in [("fieldManager", 128), ("reason", 1024)] {
            let long = "x".repeat(limit + 1);
            let status = Params::parse(Verb::Create, [(name, long.as_str())]).unwrap_err();
            let message = format!("{name}: Too long: may not be more than {limit} bytes");
            assert!(status.message.contains(&message), "{status}");
        }
        let status = Params::parse(Verb::Delete, [("reason", "two\nlines")]).unwrap_err();
        assert!(status.message.contains("reason: Invalid value") && status.code == 422, "{status}");
        for (text, why) in [("many", "invalid syntax"), ("99999999999999999999", "value out of range")] {
            let status = Params::parse(Verb::List, [("limit", text)]).unwrap_err();
            let message = format!("strconv.ParseInt: parsing {text:?}: {why}");
            assert_eq!((status.code, status.message), (400, message));
        }
        let words = [("dryRun", "All"), ("dryRun", "None")];
        assert_eq!(Params::parse(Verb::Create, words).unwrap_err().code, 422);
        for (word, supported) in [
            (("propagationPolicy", "x"), "\"Foreground\", \"Background\", \"Orphan\", \"nil\""),
            (("resourceVersionMatch", "x"), "\"Exact\", \"NotOlderThan\", \"\""),
        ] {
            let status = Params::parse(Verb::DeleteCollection, [word]).unwrap_err();
            assert!(status.message.ends_with(&format!("supported values: {supported}")), "{status}");
        }
    }
}
