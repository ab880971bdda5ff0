//! Request bodies: from bytes of any accepted media type to one JSON value.

use orch_api::{Body, MediaType, Status};
use serde_json::Value;

use crate::protobuf;

/// Reads a body that holds an object (not a patch). A body without a type is JSON.
///
/// # Errors
/// 400 with the position if it is malformed; 415 if the media type does not hold objects.
pub(crate) fn object(body: Option<&Body>) -> Result<Value, Status> {
    let Some(body) = body.filter(|body| !body.bytes.is_empty()) else {
        return Err(Status::bad_request("the request has no body"));
    };
    let value = match body.media_type {
        MediaType::Json => json(&body.bytes)?,
        MediaType::Yaml => yaml(&body.bytes)?,
        MediaType::Protobuf => protobuf::decode(&body.bytes)?,
        other => {
            let accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
            return Err(Status::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}, not {}",
                other.as_str()
            )));
        }
    };
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(Status::bad_request("the body is not an object")),
    }
}

/// Reads a patch: JSON, or for server-side apply also YAML.
///
/// # Errors
/// 400 with the position if it is malformed.
pub(crate) fn patch(body: &Body) -> Result<Value, Status> {
    match body.media_type {
        MediaType::Apply | MediaType::Yaml => yaml(&body.bytes),
        _ => json(&body.bytes),
    }
}

fn json(bytes: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(bytes).map_err(|error| {
        Status::bad_request(format!("the object provided is unrecognized: malformed JSON: {error}"))
    })
}

/// YAML as Kubernetes reads it: `no` is a string, `0644` is octal, duplicate keys are errors. JSON is YAML too, and read
/// much faster as JSON.
fn yaml(bytes: &[u8]) -> Result<Value, Status> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && let Ok(value) = serde_json::from_slice(bytes)
    {
        return Ok(value);
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: not UTF-8: {error}")))?;
    let options = serde_saphyr::options! {
        strict_booleans: true,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(media_type: MediaType, text: &str) -> Result<Value, Status> {
        object(Some(&Body { media_type, bytes: text.to_owned().into() }))
    }

    #[test]
    fn yaml_is_read_as_kubernetes_reads_it() {
        let value = read(MediaType::Yaml, "a: no\nb: 0644\nc: on\nd: 1.10\ne: true").unwrap();
        assert_eq!(value, json!({"a": "no", "b": 420, "c": "on", "d": 1.1, "e": true}));
    }

    #[test]
    fn malformed_bodies_are_bad_requests_with_a_position() {
        for (media_type, text, position) in [
            (MediaType::Json, "{\"a\": 1,\n  oops}", "line 2 column 3"),
            (MediaType::Yaml, "a: 1\na: 2", "line 2"),
            (MediaType::Yaml, "a: [1", "line"),
            (MediaType::Json, "[1]", "not an object"),
            (MediaType::Json, "", "no body"),
        ] {
            let status = read(media_type, text).unwrap_err();
            assert_eq!(status.code, 400, "{text}");
            assert!(status.message.contains(position), "{text}: {status}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert_eq!(read(MediaType::Json, &deep).unwrap_err().code, 400);
        assert_eq!(read(MediaType::Yaml, &deep).unwrap_err().code, 400);
        assert_eq!(read(MediaType::JsonPatch, "[]").unwrap_err().code, 415);
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
