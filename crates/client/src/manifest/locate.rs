//! Where in a document a field stands.

use std::borrow::Cow;

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

/// Some lines of a file with a position to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The file.
    pub source: String,
    /// What to point at.
    pub position: Position,
    /// The lines: number and text. The last one is the one to point at.
    pub lines: Vec<(usize, String)>,
}

/// How many lines are shown above the one pointed at.
const LINES_ABOVE: usize = 2;

impl Snippet {
    pub(super) fn at(document: &Document, position: Position) -> Self {
        let last = position.line.saturating_sub(document.first_line);
        let numbered = document
            .text
            .lines()
            .enumerate()
            .skip(last.saturating_sub(LINES_ABOVE))
            .take_while(|(i, _)| *i <= last);
        let lines = numbered.map(|(index, line)| (index + document.first_line, line.trim_end().to_owned()));
        Self { source: document.source.clone(), position, lines: lines.collect() }
    }

    /// A snippet at a line and column within the document, both from 1.
    pub(super) fn at_text(document: &Document, (line, column): (usize, usize)) -> Self {
        let line = line.saturating_sub(1) + document.first_line;
        Self::at(document, Position { line, column: column.max(1), width: 1, exact: true })
    }
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
        let mut events = Events(Parser::new_from_str(text));
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

struct Events<'t>(Parser<'t, serde_saphyr::granit_parser::StrInput<'t>>);

impl<'t> Events<'t> {
    /// The next event that is part of a node; none at the end and after an error.
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        loop {
            match self.0.next_event()?.ok()? {
                (Event::Comment(..) | Event::Anchor(..), _) => {}
                event => return Some(event),
            }
        }
    }

    /// The node that begins with this event. As deep as the document, whose depth the reader has limited before.
    fn tree(&mut self, event: Event<'t>, span: Span) -> Option<Tree> {
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
