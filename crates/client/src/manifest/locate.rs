//! Where in a document a field stands.

use std::borrow::Cow;
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Parser, Span};

use super::split::Document;

/// A stretch of one line of a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column at which it begins.
    pub column: usize,
    /// How many characters it is long.
    pub width: usize,
    /// Whether it is the field asked for, and not only the nearest one above.
    pub exact: bool,
}

/// A place in a document, found once it is asked for.
#[derive(Debug, Clone)]
pub struct Place {
    document: Arc<Document>,
    at: At,
}

#[derive(Debug, Clone)]
enum At {
    Field(String),
    /// A line and a column of the document, from 1.
    Text(usize, usize),
}

impl Place {
    pub(super) fn of_field(document: Arc<Document>, path: String) -> Self {
        Self { document, at: At::Field(path) }
    }

    pub(super) fn in_text(document: Arc<Document>, line: usize, column: usize) -> Self {
        Self { document, at: At::Text(line, column) }
    }

    /// What the text is called.
    pub fn source(&self) -> &str {
        &self.document.source
    }

    /// Where it is; the beginning of the document if that cannot be told.
    pub fn position(&self) -> Position {
        let in_text = |line: usize, column: usize| {
            let line = line.saturating_sub(1) + self.document.first_line;
            Position { line, column: column.max(1), width: 1, exact: true }
        };
        match &self.at {
            At::Field(path) => locate(&self.document, path).unwrap_or_else(|| in_text(1, 1)),
            At::Text(line, column) => in_text(*line, *column),
        }
    }

    /// The lines around it.
    pub fn snippet(&self) -> Snippet {
        Snippet::at(&self.document, self.position())
    }
}

/// Some lines of a file with a position to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The file.
    pub source: String,
    /// What to point at.
    pub position: Position,
    /// The lines: number and text, which is cut if it is long. The last one is the one to point at.
    pub lines: Vec<(usize, String)>,
    /// Which character of the last line's text to point at, from 1.
    pub caret: usize,
    /// How many characters to point at.
    pub width: usize,
}

/// How many lines are shown above the one pointed at.
const LINES_ABOVE: usize = 2;
/// How many characters of a line are shown.
const LINE_LENGTH: usize = 200;
/// How many of them before what is pointed at, at least, if there are more.
const BEFORE: usize = 40;

impl Snippet {
    pub(super) fn at(document: &Document, position: Position) -> Self {
        let last = position.line.saturating_sub(document.first_line);
        // In a long line it is what stands around the place that is shown.
        let start = match position.column > LINE_LENGTH - BEFORE {
            true => position.column - BEFORE,
            false => 0,
        };
        let numbered = document
            .text
            .lines()
            .enumerate()
            .skip(last.saturating_sub(LINES_ABOVE))
            .take_while(|(i, _)| *i <= last);
        let lines = numbered.map(|(index, line)| {
            let start = if index == last { start } else { 0 };
            (index + document.first_line, cut(line.trim_end(), start))
        });
        let caret = position.column - start + usize::from(start > 0);
        let width = position.width.min((LINE_LENGTH + 1).saturating_sub(caret).max(1));
        Self { source: document.source.to_string(), position, lines: lines.collect(), caret, width }
    }
}

/// A line from a character on, with a mark where something is left out.
fn cut(line: &str, start: usize) -> String {
    let mut rest = line.chars().skip(start);
    let shown: String = rest.by_ref().take(LINE_LENGTH).collect();
    let (before, after) = (if start > 0 { "…" } else { "" }, if rest.next().is_some() { "…" } else { "" });
    format!("{before}{shown}{after}")
}

/// Finds the field at a path such as `spec.containers[0].image`, `metadata.labels[app]` or, as conflicts name it,
/// `spec.containers[name="web"].image`. None if the document cannot be parsed.
pub(super) fn locate(document: &Document, path: &str) -> Option<Position> {
    let tree = document.tree.get_or_init(|| Tree::parse(&document.text)).as_ref()?;
    let (span, exact) = tree.find(path);
    let on_one_line = span.start.line() == span.end.line();
    Some(Position {
        line: span.start.line().saturating_sub(1) + document.first_line,
        column: span.start.col() + 1,
        width: if on_one_line { span.end.col().saturating_sub(span.start.col()).max(1) } else { 1 },
        exact,
    })
}

/// How many nodes of a document are remembered: no object that can be stored has more. Of larger ones, no place is known.
const MOST_NODES: usize = 250_000;

/// A document's nodes with their places. What values mean does not matter here.
#[derive(Debug)]
pub(super) struct Tree {
    span: Span,
    node: Node,
}

#[derive(Debug)]
enum Node {
    Leaf(String),
    List(Vec<Tree>),
    Map(Vec<(String, Span, Tree)>),
}

impl Tree {
    fn parse(text: &str) -> Option<Self> {
        let mut events = Events { parser: Parser::new_from_str(text), left: MOST_NODES };
        while let Some((event, span)) = events.next() {
            if !matches!(event, Event::StreamStart | Event::DocumentStart(..)) {
                return events.tree(event, span);
            }
        }
        None
    }

    /// The place of the field: its key where it has one, for that is what people look for.
    fn find(&self, path: &str) -> (Span, bool) {
        let (mut tree, mut found, mut rest) = (self, self.span, path.trim_start_matches('.'));
        while !rest.is_empty() {
            let Some((span, child, after)) = tree.step(rest) else {
                return (found, false);
            };
            (tree, found, rest) = (child, span, after.trim_start_matches('.'));
        }
        (found, true)
    }

    fn step<'t, 'p>(&'t self, path: &'p str) -> Option<(Span, &'t Tree, &'p str)> {
        match &self.node {
            Node::Leaf(_) => None,
            Node::Map(entries) => {
                let matches = entries
                    .iter()
                    .filter_map(|(key, span, tree)| Some((key, *span, tree, after_key(path, key)?)));
                // Keys may hold dots, so that one key can be the beginning of another.
                let (_, span, tree, after) = matches.max_by_key(|(key, ..)| key.len())?;
                Some((span, tree, after))
            }
            Node::List(items) => {
                let (inside, after) = path.strip_prefix('[')?.split_once(']')?;
                let item = match inside.parse::<usize>() {
                    Ok(index) => items.get(index)?,
                    Err(_) => items.iter().find(|item| item.has(inside))?,
                };
                Some((item.first(), item, after))
            }
        }
    }

    /// Whether the node is a map with these values: `name="web"` or `containerPort=80,protocol="TCP"`.
    fn has(&self, wanted: &str) -> bool {
        let Node::Map(entries) = &self.node else { return false };
        wanted.split(',').all(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.trim_matches('"');
            entries
                .iter()
                .any(|(k, _, tree)| k == key && matches!(&tree.node, Node::Leaf(text) if text == value))
        })
    }

    /// The place to point at for a list's item: its first key rather than all of it.
    fn first(&self) -> Span {
        match &self.node {
            Node::Map(entries) => entries.first().map_or(self.span, |(_, span, _)| *span),
            _ => self.span,
        }
    }
}

/// What follows `key` at the beginning of a path, if it stands there: plain or in brackets.
fn after_key<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    if let Some(rest) =
        path.strip_prefix('[').and_then(|rest| rest.strip_prefix(key)).and_then(|r| r.strip_prefix(']'))
    {
        return Some(rest);
    }
    path.strip_prefix(key).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

struct Events<'t> {
    parser: Parser<'t, serde_saphyr::granit_parser::StrInput<'t>>,
    /// How many nodes there may still be.
    left: usize,
}

impl<'t> Events<'t> {
    /// The next event that is part of a node; none at the end and after an error.
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        loop {
            match self.parser.next_event()?.ok()? {
                (Event::Comment(..) | Event::Anchor(..), _) => {}
                event => return Some(event),
            }
        }
    }

    /// The node that begins with this event. As deep as the document, whose depth the reader has limited before.
    fn tree(&mut self, event: Event<'t>, span: Span) -> Option<Tree> {
        self.left = self.left.checked_sub(1)?;
        let node = match event {
            Event::Scalar(text, ..) => Node::Leaf(text.into_owned()),
            Event::SequenceStart(..) => self.list()?,
            Event::MappingStart(..) => self.map()?,
            Event::Alias(_) | Event::UnresolvedAlias(_) => Node::Leaf(String::new()),
            _ => return None,
        };
        Some(Tree { span, node })
    }

    fn list(&mut self) -> Option<Node> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(Node::List(items)),
                (event, span) => items.push(self.tree(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Option<Node> {
        let mut entries = Vec::new();
        loop {
            let (key, span) = match self.next()? {
                (Event::MappingEnd, _) => return Some(Node::Map(entries)),
                (Event::Scalar(key, ..), span) => (key, span),
                (event, span) => {
                    self.tree(event, span)?;
                    (Cow::Borrowed(""), span)
                }
            };
            let (event, value_span) = self.next()?;
            entries.push((key.into_owned(), span, self.tree(event, value_span)?));
        }
    }
}
