//! Request bodies: from bytes of any accepted media type to one JSON value.

use orch_api::{Body, MediaType, Status};
use serde_json::Value;

use crate::incoming::unknown_format;
use crate::protobuf;

mod unique;

use unique::Unique;

/// What a body holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decoded {
    /// The value. Of a field that is given twice, the last one counts.
    pub(crate) value: Value,
    /// The paths of fields that are given more than once.
    pub(crate) repeated: Vec<String>,
}

/// Reads a body that holds an object (not a patch), whatever it repeats. A body without a type is JSON.
///
/// # Errors
/// 400 with the position if it is malformed; 415 if the media type does not hold objects.
pub(crate) fn object(body: Option<&Body>) -> Result<Value, Status> {
    object_with_repeated(body).map(|decoded| decoded.value)
}

/// As [`object`], and tells the fields that are given more than once.
pub(crate) fn object_with_repeated(body: Option<&Body>) -> Result<Decoded, Status> {
    let Some(body) = body.filter(|body| !body.bytes.is_empty()) else {
        return Err(Status::bad_request("the request has no body"));
    };
    let decoded = match body.media_type {
        MediaType::Json => json(&body.bytes)?,
        MediaType::Yaml => yaml(&body.bytes)?,
        MediaType::Protobuf => Decoded { value: protobuf::decode(&body.bytes)?, repeated: Vec::new() },
        other => return Err(unknown_format(&MediaType::OBJECTS, other.as_str())),
    };
    match decoded.value {
        Value::Object(_) => Ok(decoded),
        _ => Err(Status::bad_request("the body is not an object")),
    }
}

/// Reads a patch: JSON, or for server-side apply also YAML.
///
/// # Errors
/// 400 with the position if it is malformed.
pub(crate) fn patch(body: &Body) -> Result<Decoded, Status> {
    match body.media_type {
        MediaType::Apply | MediaType::Yaml => yaml(&body.bytes),
        _ => json(&body.bytes),
    }
}

fn json(bytes: &[u8]) -> Result<Decoded, Status> {
    let read = || {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let decoded = Unique::read(&mut reader)?;
        reader.end().map(|()| decoded)
    };
    read().map_err(|error: serde_json::Error| {
        Status::bad_request(format!("the object provided is unrecognized: malformed JSON: {error}"))
    })
}

/// YAML as Kubernetes reads it: `no` is a string, `0644` is octal. JSON is YAML too, and read much faster as JSON.
fn yaml(bytes: &[u8]) -> Result<Decoded, Status> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && let Ok(decoded) = json(bytes)
    {
        return Ok(decoded);
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: not UTF-8: {error}")))?;
    let options = serde_saphyr::options! {
        strict_booleans: true,
        legacy_octal_numbers: true,
        with_snippet: false,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
    };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |reader| Unique::read(reader))
        .map_err(|error| {
            // What a program could do about it, whoever wrote the document cannot.
            let text = error.to_string();
            let problem = text.lines().next().unwrap_or("malformed");
            Status::bad_request(format!("error decoding YAML: {problem}"))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(media_type: MediaType, text: &str) -> Result<Decoded, Status> {
        object_with_repeated(Some(&Body { media_type, bytes: text.to_owned().into() }))
    }

    #[test]
    fn yaml_is_read_as_kubernetes_reads_it() {
        let decoded = read(MediaType::Yaml, "a: no\nb: 0644\nc: on\nd: 1.10\ne: true").unwrap();
        assert_eq!(decoded.value, json!({"a": "no", "b": 420, "c": "on", "d": 1.1, "e": true}));
    }

    #[test]
    fn malformed_bodies_are_bad_requests_with_a_position() {
        for (media_type, text, position) in [
            (MediaType::Json, "{\"a\": 1,\n  oops}", "line 2 column 3"),
            (MediaType::Json, "{\"a\": 1} x", "line 1 column 10"),
            (MediaType::Yaml, "a: [1", "line"),
            (MediaType::Json, "[1]", "not an object"),
            (MediaType::Json, "", "no body"),
        ] {
            let status = read(media_type, text).unwrap_err();
            assert_eq!(status.code, 400, "{text}");
            assert!(status.message.contains(position), "{text}: {status}");
            assert!(!status.message.contains("Policy"), "{status}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert_eq!(read(MediaType::Json, &deep).unwrap_err().code, 400);
        assert_eq!(read(MediaType::Yaml, &deep).unwrap_err().code, 400);
        assert_eq!(read(MediaType::JsonPatch, "[]").unwrap_err().code, 415);
    }

    #[test]
    fn fields_that_are_given_twice_are_found_and_the_last_one_counts() {
        let json = r#"{"a": 1, "b": {"c": 1, "l": [{"x": 1}, {"x": 2, "x": 3}], "c": 2}, "a": 4, "a": 5}"#;
        let yaml = "a: 1\nb:\n  c: 1\n  l:\n  - {x: 1}\n  - {x: 2, x: 3}\n  c: 2\na: 4\na: 5\n";
        for (media_type, text) in [(MediaType::Json, json), (MediaType::Yaml, yaml)] {
            let decoded = read(media_type, text).unwrap();
            assert_eq!(decoded.value, json!({"a": 5, "b": {"c": 2, "l": [{"x": 1}, {"x": 3}]}}), "{text}");
            assert_eq!(decoded.repeated, ["b.l[1].x", "b.c", "a"], "{text}");
        }
        assert_eq!(
            read(MediaType::Json, r#"{"a": {"b": 1}, "c": {"b": 2}}"#).unwrap().repeated,
            [] as [&str; 0]
        );
    }

    #[test]
    fn a_yaml_bomb_is_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..10 {
            let alias = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(",")));
        }
        assert_eq!(read(MediaType::Yaml, &bomb).unwrap_err().code, 400);
    }
}
