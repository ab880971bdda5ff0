//! From what a verb hands back to bytes: views, streaming, compression, headers.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use orch_api::{Clock, EventType, Status};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::accept::{Format, View};
use crate::cache::line;
use crate::kinds::Served;
use crate::registry::{Answer, Item, List, Listed, Watch, Written};
use crate::table::{Include, partial, table};

/// Answers larger than this are compressed for clients that accept it: Kubernetes' limit.
const COMPRESS_BYTES: usize = 128 * 1024;
/// How long all warnings of an answer may be together, and each of them where they are longer: Kubernetes' limits. Clients
/// refuse answers with more than some KiB of headers, although what they asked for has been done.
const MAX_WARNINGS_BYTES: usize = 4 * 1024;
const CUT_WARNING_BYTES: usize = 256;
/// Large lists travel in pieces of about this size.
const PIECE_BYTES: usize = 256 * 1024;

/// How the client wants its answer.
pub(crate) struct Wish {
    pub(crate) view: View,
    pub(crate) format: Format,
    pub(crate) include: Include,
    pub(crate) gzip: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Whether the client accepts gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|coding| coding.split(';').next().is_some_and(|c| c.trim() == "gzip"))
}

/// The HTTP answer of a verb.
///
/// # Errors
/// 500 if an object cannot be shown.
pub(crate) async fn answer(
    answer: Answer,
    kind: &Served,
    wish: Wish,
    stopping: &CancellationToken,
) -> Result<Response<Body>, Status> {
    match answer {
        Answer::Object(written) => object(written, kind, &wish),
        Answer::List(list) => self::list(list, &wish).await,
        Answer::Watch(watch) => Ok(self::watch(watch, wish, stopping)),
        Answer::Status(status) => Ok(self::status(&status, wish.format)),
    }
}

fn object(written: Written, kind: &Served, wish: &Wish) -> Result<Response<Body>, Status> {
    let parse = || serde_json::from_slice::<Value>(&written.bytes).map_err(Status::internal);
    let bytes = match wish.view {
        View::Json => written.bytes.clone(),
        View::Metadata(version) => partial(&parse()?, version).to_string().into(),
        View::Table(version) => {
            let object = parse()?;
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            table(kind, &[object], metadata, wish.include, true, (version, wish.clock.now()))
                .to_string()
                .into()
        }
    };
    let content_type = wish.format.content_type(&wish.view.content_type(false));
    let bytes = written_as(wish.format, bytes)?;
    if wish.gzip && bytes.len() > COMPRESS_BYTES {
        return compressed(written.code, &content_type, &[bytes]);
    }
    Ok(json_response(written.code, &content_type, bytes.into()))
}

/// The values of the `Warning` headers of one answer. They have a limit together: where they exceed it, each is cut, and those
/// that still find no room are left out.
pub(crate) fn warnings(texts: &[String]) -> Vec<HeaderValue> {
    let size = |text: &String| warning(text, usize::MAX).map_or(0, |warning| warning.len());
    let fit = texts.iter().map(size).sum::<usize>() <= MAX_WARNINGS_BYTES;
    let (longest, mut left) = (if fit { usize::MAX } else { CUT_WARNING_BYTES }, MAX_WARNINGS_BYTES);
    let cut = |text: &String| {
        let warning = warning(text, longest.min(left))?;
        left -= warning.len();
        HeaderValue::from_str(&warning).ok()
    };
    texts.iter().filter_map(cut).collect()
}

/// The value of a `Warning` header of at most so many bytes: printable ASCII, with quotes and backslashes escaped. None if
/// nothing of the text has room.
fn warning(text: &str, most: usize) -> Option<String> {
    let (before, after) = ("299 - \"", '"');
    let mut warning = before.to_owned();
    for c in text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }) {
        let escape = matches!(c, '"' | '\\').then_some('\\');
        if warning.len() + usize::from(escape.is_some()) + 2 > most {
            break;
        }
        warning.extend(escape.into_iter().chain([c]));
    }
    let says_something = warning.len() > before.len();
    warning.push(after);
    says_something.then_some(warning)
}

async fn list(list: List, wish: &Wish) -> Result<Response<Body>, Status> {
    let content_type = wish.format.content_type(&wish.view.content_type(true));
    let pieces = match (wish.view, wish.format) {
        (View::Json, Format::Json) => pieces(&list),
        (View::Json, format) => vec![written_as(format, list_bytes(&list))?],
        (View::Table(version), format) => vec![written_as(format, list_as_table(&list, version, wish)?)?],
        (View::Metadata(version), format) => vec![written_as(format, list_of_metadata(&list, version)?)?],
    };
    let size: usize = pieces.iter().map(Bytes::len).sum();
    if !wish.gzip || size <= COMPRESS_BYTES {
        let mut response = json_response(200, &content_type, Body::empty());
        let length = HeaderValue::from(size);
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
        *response.body_mut() = body_of(pieces);
        return Ok(response);
    }
    let response = tokio::task::spawn_blocking(move || compressed(200, &content_type, &pieces)).await;
    response.map_err(Status::internal)?
}

fn compressed(code: u16, content_type: &str, pieces: &[Bytes]) -> Result<Response<Body>, Status> {
    let mut response = json_response(code, content_type, gzip(pieces).map_err(Status::internal)?.into());
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

/// JSON in another format. Cost: the whole is read and written again, but for plain JSON.
fn written_as(format: Format, json: Bytes) -> Result<Bytes, Status> {
    if format == Format::Json {
        return Ok(json);
    }
    let value: Value = serde_json::from_slice(&json).map_err(Status::internal)?;
    let text = match format {
        Format::Yaml => {
            let options =
                serde_saphyr::ser_options! { compact_list_indent: true, folded_wrap_chars: usize::MAX };
            let mut text = String::new();
            serde_saphyr::to_fmt_writer_with_options(&mut text, &value, options).map_err(Status::internal)?;
            text
        }
        Format::Json | Format::Pretty => {
            serde_json::to_string_pretty(&value).map_err(Status::internal)? + "\n"
        }
    };
    Ok(text.into())
}

/// The list's JSON, copied together from its objects' bytes.
fn pieces(list: &List) -> Vec<Bytes> {
    let (head, tail) = (list.head(), b"]}");
    let size = head.len() + tail.len() + list.items.iter().map(|item| item.size() + 1).sum::<usize>();
    let mut pieces = Vec::with_capacity(size / PIECE_BYTES + 1);
    let mut piece = BytesMut::with_capacity(size.min(PIECE_BYTES));
    piece.put_slice(head.as_bytes());
    for (index, item) in list.items.iter().enumerate() {
        if piece.len() + item.size() > PIECE_BYTES {
            pieces.push(std::mem::replace(&mut piece, BytesMut::with_capacity(PIECE_BYTES)).freeze());
        }
        if index > 0 {
            piece.put_u8(b',');
        }
        item.put_wire(&mut piece);
    }
    piece.put_slice(tail);
    pieces.push(piece.freeze());
    pieces
}

/// The whole list as one JSON value.
pub(crate) fn list_bytes(list: &List) -> Bytes {
    match pieces(list).as_slice() {
        [one] => one.clone(),
        many => many.concat().into(),
    }
}

fn body_of(pieces: Vec<Bytes>) -> Body {
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([one]) => one.into(),
        Err(pieces) => {
            Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::convert::Infallible>)))
        }
    }
}

fn parse(items: &[Listed]) -> Result<Vec<Value>, Status> {
    items
        .iter()
        .map(|item| serde_json::from_slice(&item.wire()))
        .collect::<Result<_, _>>()
        .map_err(Status::internal)
}

fn list_as_table(list: &List, version: &str, wish: &Wish) -> Result<Bytes, Status> {
    let metadata = serde_json::from_str(&list.metadata()).map_err(Status::internal)?;
    let objects = parse(&list.items)?;
    Ok(table(&list.kind, &objects, metadata, wish.include, true, (version, wish.clock.now()))
        .to_string()
        .into())
}

fn list_of_metadata(list: &List, version: &str) -> Result<Bytes, Status> {
    let metadata: Value = serde_json::from_str(&list.metadata()).map_err(Status::internal)?;
    let items: Vec<Value> = parse(&list.items)?.iter().map(|object| partial(object, version)).collect();
    let list = json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
        "items": items,
    });
    Ok(list.to_string().into())
}

fn gzip(pieces: &[Bytes]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(PIECE_BYTES), Compression::fast());
    pieces.iter().try_for_each(|piece| encoder.write_all(piece))?;
    encoder.finish().map(Bytes::from)
}

fn watch(watch: Watch, wish: Wish, stopping: &CancellationToken) -> Response<Body> {
    // Each event has its kind in it; the stream is called JSON, whatever is in it.
    let content_type = View::Json.content_type(true);
    let lines = events(watch, wish, stopping).map(|lines| {
        Ok::<_, std::convert::Infallible>(match <[Bytes; 1]>::try_from(lines) {
            Ok([one]) => one,
            Err(many) => many.concat().into(),
        })
    });
    json_response(200, &content_type, Body::from_stream(lines))
}

/// The events of a watch as lines, in batches.
pub(crate) fn events(
    watch: Watch,
    wish: Wish,
    stopping: &CancellationToken,
) -> impl Stream<Item = Vec<Bytes>> + Send + use<> {
    let Watch { kind, events, leave } = watch;
    let mut columns = true;
    events.take_until(stopping.clone().cancelled_owned()).map(move |items| {
        let _until_the_end = &leave;
        match wish.view {
            View::Json => items.iter().map(Item::line).collect(),
            _ => items.iter().map(|item| viewed(item, &kind, &wish, &mut columns)).collect(),
        }
    })
}

/// An event whose object is shown as a table or as metadata. Columns are sent with the first table only.
fn viewed(item: &Item, kind: &Served, wish: &Wish, columns: &mut bool) -> Bytes {
    let Ok(object) = serde_json::from_slice::<Value>(&item.object()) else { return item.line() };
    let shown = match (item.event(), wish.view) {
        (EventType::Error, _) | (_, View::Json) => return item.line(),
        (_, View::Metadata(version)) => partial(&object, version),
        (EventType::Bookmark, View::Table(version)) => {
            let metadata = object["metadata"].clone();
            json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
                "columnDefinitions": [], "rows": []})
        }
        (_, View::Table(version)) => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let columns = std::mem::replace(columns, false);
            table(kind, &[object], metadata, wish.include, columns, (version, wish.clock.now()))
        }
    };
    line(item.event(), shown.to_string().as_bytes())
}

/// A `Status` as an answer, with its code.
pub(crate) fn status(status: &Status, format: Format) -> Response<Body> {
    let json = Bytes::from(serde_json::to_vec(status).unwrap_or_default());
    let bytes = written_as(format, json.clone()).unwrap_or(json);
    let mut response =
        json_response(status.http_code(), &format.content_type("application/json"), bytes.into());
    let seconds = status.details.as_ref().and_then(|details| details.retry_after_seconds);
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A JSON answer that nobody may cache.
pub(crate) fn json_response(code: u16, content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type =
        HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
