//! What a client wants to be answered: `Accept`, and `pretty`.

use http::{HeaderMap, header};
use orch_api::{Reason, Status};

/// The views as media types.
const VIEWS: [&str; 4] = [
    "application/json",
    "application/yaml",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
];

/// How an answer is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON on one line.
    Json,
    /// JSON for people.
    Pretty,
    /// YAML.
    Yaml,
}

impl Format {
    /// What a request asks for.
    pub(crate) fn of(headers: &HeaderMap, query: Option<&str>) -> Self {
        let first = clauses(headers).into_iter().find(|clause| shown(clause).is_some());
        match first {
            Some(clause) if !clause.is_json() => Self::Yaml,
            _ if is_for_people(headers, query) => Self::Pretty,
            _ => Self::Json,
        }
    }

    /// A content type of JSON as that of this format.
    pub(crate) fn content_type(self, json: &str) -> String {
        match self {
            Self::Json | Self::Pretty => json.to_owned(),
            Self::Yaml => json.replacen("application/json", "application/yaml", 1),
        }
    }
}

/// People see indented JSON: those that ask, and those who use a browser, curl or wget, as in Kubernetes.
fn is_for_people(headers: &HeaderMap, query: Option<&str>) -> bool {
    let query = query.filter(|query| query.contains("pretty")).unwrap_or_default();
    if let Some((_, value)) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "pretty") {
        return matches!(&*value, "1" | "t" | "T" | "true" | "True" | "TRUE");
    }
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|prefix| agent.starts_with(prefix))
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// As it is.
    Json,
    /// As a table of `meta.k8s.io` in this version.
    Table(&'static str),
    /// Metadata only, of `meta.k8s.io` in this version.
    Metadata(&'static str),
}

impl View {
    /// The answer's `Content-Type`; `list` tells a list or a watch from one object.
    pub(crate) fn content_type(self, list: bool) -> String {
        match self {
            Self::Json => "application/json".into(),
            Self::Table(version) => format!("application/json;as=Table;g=meta.k8s.io;v={version}"),
            Self::Metadata(version) => {
                let list = if list { "List" } else { "" };
                format!("application/json;as=PartialObjectMetadata{list};g=meta.k8s.io;v={version}")
            }
        }
    }
}

/// One clause of `Accept`: the media type and its parameters.
pub(crate) struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Clause<'_> {
    /// A parameter's value, or the empty string.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value)
    }

    /// Whether it is this media type, by name.
    pub(crate) fn is(&self, media_type: &str) -> bool {
        self.media_type == media_type
    }

    fn is_yaml(&self) -> bool {
        self.media_type == "application/yaml"
    }

    /// Whether JSON is among what the clause accepts.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.media_type, "application/json" | "application/*" | "*/*")
    }
}

/// The clauses of `Accept`, in order; of none, one that accepts everything. Weights are ignored, as Kubernetes does.
pub(crate) fn clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let text = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = if text.trim().is_empty() { "*/*" } else { text };
    let clause = |text| {
        let mut parts = str::split(text, ';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        Clause { media_type, parameters: parts.filter_map(|part| part.split_once('=')).collect() }
    };
    text.split(',').map(clause).collect()
}

/// The first view that the client accepts and the server has.
///
/// # Errors
/// 406 if there is none.
pub(crate) fn view(headers: &HeaderMap) -> Result<View, Status> {
    clauses(headers).iter().find_map(shown).ok_or_else(|| not_acceptable(&VIEWS))
}

/// What a clause asks to be shown, if the server has it.
fn shown(clause: &Clause<'_>) -> Option<View> {
    let version = match clause.parameter("v") {
        "v1" => "v1",
        "v1beta1" => "v1beta1",
        "" => "",
        _ => return None,
    };
    match (clause.parameter("as"), clause.parameter("g")) {
        _ if !clause.is_json() && !clause.is_yaml() => None,
        ("", "") => Some(View::Json),
        ("Table", "meta.k8s.io") if !version.is_empty() => Some(View::Table(version)),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io") if !version.is_empty() => {
            Some(View::Metadata(version))
        }
        _ => None,
    }
}

/// 406: a watch is a stream of JSON.
pub(crate) fn not_streamed() -> Status {
    Status::failure(
        Reason::NotAcceptable,
        "only the following media types are accepted: application/json;stream=watch",
    )
}

/// 406, with what there is.
pub(crate) fn not_acceptable(media_types: &[&str]) -> Status {
    let accepted = media_types.join(", ");
    let message = format!("only the following media types are accepted: {accepted}");
    Status::failure(Reason::NotAcceptable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_acceptable_view_is_taken() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (accept, expected) in [
            ("", Some(View::Json)),
            ("*/*", Some(View::Json)),
            (table, Some(View::Table("v1"))),
            ("application/json;as=Table;v=v9;g=meta.k8s.io, application/json", Some(View::Json)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(View::Json)),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Some(View::Metadata("v1"))),
            ("application/yaml", Some(View::Json)),
            ("text/html", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(view(&headers).ok(), expected, "{accept}");
        }
    }

    #[test]
    fn yaml_is_written_for_those_that_ask_and_people_get_indented_json() {
        for (accept, agent, query, expected) in [
            ("*/*", "kubectl/v1", None, Format::Json),
            ("application/yaml", "kubectl/v1", None, Format::Yaml),
            ("application/json, application/yaml", "kubectl/v1", None, Format::Json),
            ("text/html, application/yaml", "kubectl/v1", None, Format::Yaml),
            ("*/*", "curl/8", None, Format::Pretty),
            ("*/*", "curl/8", Some("limit=1&pretty=false"), Format::Json),
            ("*/*", "kubectl/v1", Some("pretty=true"), Format::Pretty),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            headers.insert(header::USER_AGENT, agent.parse().unwrap());
            assert_eq!(Format::of(&headers, query), expected, "{accept} {agent} {query:?}");
        }
    }
}
