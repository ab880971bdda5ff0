//! Cutting a text into documents.

use std::sync::{Arc, OnceLock};

use super::locate::Tree;

/// One document of a text, and where it begins.
#[derive(Debug)]
pub(super) struct Document {
    /// A file's path, or `<stdin>`.
    pub(super) source: Arc<str>,
    /// The line of the text at which the document begins, from 1.
    pub(super) first_line: usize,
    pub(super) text: String,
    /// Its nodes with their places, once somebody asked for one: none if it is not YAML.
    pub(super) tree: OnceLock<Option<Tree>>,
}

/// The documents of a YAML text, or of a text of JSON values one after another.
pub(super) fn documents(source: &str, text: &str) -> impl Iterator<Item = Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let pieces = if text.trim_start().starts_with('{') {
        json(text).unwrap_or_else(|| yaml(text))
    } else {
        yaml(text)
    };
    let source: Arc<str> = source.into();
    pieces.into_iter().map(move |(first_line, text)| Document {
        source: source.clone(),
        first_line,
        text: text.to_owned(),
        tree: OnceLock::new(),
    })
}

/// Markers count only at the beginning of a line, where nothing else can stand: not even inside a block scalar. The
/// marker's line stays with what follows it, so that lines can be counted.
fn yaml(text: &str) -> Vec<(usize, &str)> {
    let mut pieces = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let (begins, ends) = (is_marker(line, "---"), is_marker(line, "..."));
        if begins || ends {
            pieces.push((start_line, &text[start..offset]));
            start = if ends { offset + line.len() } else { offset };
            start_line = if ends { index + 2 } else { index + 1 };
        }
        offset += line.len();
    }
    pieces.push((start_line, &text[start..]));
    pieces.retain(|(_, piece)| !is_blank(piece));
    pieces
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Comments and markers only.
fn is_blank(piece: &str) -> bool {
    piece.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    })
}

/// None if the text is not JSON after all: flow style YAML, say.
fn json(text: &str) -> Option<Vec<(usize, &str)>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let (mut pieces, mut start, mut line) = (Vec::new(), 0, 1);
    while let Some(value) = values.next() {
        value.ok()?;
        let end = values.byte_offset();
        let (piece, lines) = (text[start..end].trim_start(), |text: &str| text.matches('\n').count());
        line += lines(&text[start..end - piece.len()]);
        pieces.push((line, piece));
        line += lines(piece);
        start = end;
    }
    Some(pieces)
}
