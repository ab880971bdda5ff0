//! Request bodies in Kubernetes' protobuf, which some clients send whatever the server prefers.
//!
//! The envelope is `k8s\0` and a `runtime.Unknown`; what is in it is decoded by tables of field numbers
//! (`messages/`) into the JSON that the same client would have sent. Answers are never protobuf.

mod messages;
mod reader;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use orch_api::{Status, Time};
use serde_json::{Map, Value};

use messages::{Field, Message, Type};
use reader::{Malformed, Reader, Wire};

const MAGIC: &[u8] = b"k8s\0";
/// Messages nest no deeper than this in any object that is decoded here.
const MAX_DEPTH: usize = 16;

/// Decodes an enveloped object.
///
/// # Errors
/// 400 if it is malformed, 415 if its kind is not in the table.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, Status> {
    let malformed = |_| Status::bad_request("the object provided is unrecognized: malformed protobuf");
    let bytes = bytes.strip_prefix(MAGIC).ok_or_else(|| malformed(Malformed))?;
    let envelope = message(&messages::UNKNOWN, bytes, 0).map_err(malformed)?;
    let text = |path: &str| envelope.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("/typeMeta/apiVersion"), text("/typeMeta/kind"));
    let raw = STANDARD.decode(text("/raw")).map_err(|_| malformed(Malformed))?;
    let Some(table) = messages::find(&api_version, &kind) else {
        return Err(Status::unsupported_media_type(format!(
            "{api_version}, Kind={kind} is not understood as protobuf: send application/json"
        )));
    };
    let mut object = message(table, &raw, 0).map_err(malformed)?;
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    Ok(object)
}

fn message(table: &Message, bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    fields(table, bytes, depth).map(Value::Object)
}

fn fields(table: &Message, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let mut object = Map::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        let Some(field) = table.0.iter().find(|field| field.number == number) else { continue };
        put(&mut object, field, wire, depth)?;
    }
    Ok(object)
}

fn put(
    object: &mut Map<String, Value>,
    field: &Field,
    wire: Wire<'_>,
    depth: usize,
) -> Result<(), Malformed> {
    match field.of {
        Type::InPlace(table) => object.extend(fields(table, wire.bytes()?, depth + 1)?),
        Type::Map(values) => {
            let (key, value) = entry(values, wire.bytes()?, depth)?;
            let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            map.as_object_mut().ok_or(Malformed)?.insert(key, value);
        }
        Type::List(items) => {
            let item = value(items, wire, depth)?.unwrap_or_default();
            let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().ok_or(Malformed)?.push(item);
        }
        // Go's encoder writes empty strings and zero times for what is not set.
        ref other => match value(other, wire, depth)? {
            None => {}
            Some(Value::String(text)) if text.is_empty() && !matches!(other, Type::AnyText) => {}
            Some(value) => drop(object.insert(field.name.to_owned(), value)),
        },
    }
    Ok(())
}

fn value(of: &Type, wire: Wire<'_>, depth: usize) -> Result<Option<Value>, Malformed> {
    Ok(Some(match of {
        Type::Text | Type::AnyText => wire.text()?.into(),
        Type::Texts => message(&messages::TEXTS, wire.bytes()?, depth + 1)?["items"].take(),
        Type::Quantity => message(&messages::QUANTITY, wire.bytes()?, depth + 1)?["string"].take(),
        Type::Bytes => STANDARD.encode(wire.bytes()?).into(),
        Type::Int => wire.int()?.into(),
        Type::Positive => match wire.int()? {
            0 => return Ok(None),
            number => number.into(),
        },
        Type::IntOrString => {
            let either = message(&messages::INT_OR_STRING, wire.bytes()?, depth + 1)?;
            let field = if either["type"] == 1 { "strVal" } else { "intVal" };
            either.get(field).cloned().unwrap_or(0.into())
        }
        Type::Bool => (wire.int()? != 0).into(),
        Type::Flag => match wire.int()? {
            0 => return Ok(None),
            _ => true.into(),
        },
        Type::Unread => match wire {
            Wire::Varint(0) | Wire::Bytes([]) => return Ok(None),
            _ => true.into(),
        },
        Type::Message(table) => message(table, wire.bytes()?, depth + 1)?,
        Type::Time => return Ok(time(wire.bytes()?)?.map(|at| Time::new(at).to_string().into())),
        Type::MicroTime => return Ok(time(wire.bytes()?)?.map(|at| format!("{at:.6}").into())),
        Type::Json => {
            let raw = message(&messages::RAW, wire.bytes()?, depth + 1)?;
            let raw = STANDARD.decode(raw["raw"].as_str().unwrap_or_default()).map_err(|_| Malformed)?;
            serde_json::from_slice(&raw).map_err(|_| Malformed)?
        }
        // Lists of lists and maps of maps do not exist in protobuf.
        Type::Map(_) | Type::List(_) | Type::InPlace(_) => return Err(Malformed),
    }))
}

fn entry(values: &Type, bytes: &[u8], depth: usize) -> Result<(String, Value), Malformed> {
    let (mut key, mut found) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => key = wire.text()?.to_owned(),
            2 => found = value(values, wire, depth)?,
            _ => {}
        }
    }
    Ok((key, found.unwrap_or_else(|| Value::String(String::new()))))
}

/// None for the year 1 of Go's zero time, which is written as nothing.
fn time(bytes: &[u8]) -> Result<Option<Timestamp>, Malformed> {
    let fields = message(&messages::TIME, bytes, 0)?;
    let Some(seconds) = fields["seconds"].as_i64().filter(|seconds| *seconds != 0) else { return Ok(None) };
    let nanos = fields["nanos"].as_i64().and_then(|nanos| i32::try_from(nanos).ok()).unwrap_or_default();
    Timestamp::new(seconds, nanos).map(Some).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests;
