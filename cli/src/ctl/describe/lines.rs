//! Lines of labels and values. The values of one block stand below each other.

use std::collections::BTreeMap;

use crate::ctl::output::{HEADING, paint, plain};

/// Spaces between the longest label of a block and its value.
const GAP: usize = 2;

#[derive(Default)]
pub(in crate::ctl) struct Lines {
    lines: Vec<Line>,
    /// The block that is open at each depth.
    open: Vec<usize>,
    /// How many blocks there have been.
    blocks: usize,
    /// How wide the labels of each block are.
    widths: BTreeMap<usize, usize>,
}

enum Line {
    Heading { depth: usize, label: String },
    Field { depth: usize, block: usize, label: String, value: String },
    Raw(String),
}

/// Text some steps further to the right.
pub(in crate::ctl) fn indented(text: &str, depth: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", "  ".repeat(depth))).collect()
}

impl Lines {
    /// A label and a value, which may have colours; an empty label continues the line above.
    pub(in crate::ctl) fn field(&mut self, depth: usize, label: &str, value: &str) {
        let block = self.block(depth);
        let label = if label.is_empty() { String::new() } else { format!("{}:", plain(label)) };
        let width = self.widths.entry(block).or_default();
        *width = (*width).max(label.chars().count());
        self.lines.push(Line::Field { depth, block, label, value: value.to_owned() });
    }

    /// A label above a block.
    pub(in crate::ctl) fn heading(&mut self, depth: usize, label: &str) {
        self.block(depth);
        self.lines.push(Line::Heading { depth, label: format!("{}:", plain(label)) });
    }

    /// Lines as they are.
    pub(in crate::ctl) fn raw(&mut self, text: String) {
        self.lines.push(Line::Raw(text));
    }

    /// The block that is open at a depth. Those further in end here.
    fn block(&mut self, depth: usize) -> usize {
        self.open.truncate(depth + 1);
        while self.open.len() <= depth {
            self.open.push(self.blocks);
            self.blocks += 1;
        }
        self.open[depth]
    }

    pub(in crate::ctl) fn text(&self) -> String {
        let style = |depth| Some(HEADING).filter(|_| depth == 0);
        let line = |line: &Line| match line {
            Line::Raw(text) => text.clone(),
            Line::Heading { depth, label } => {
                format!("{}{}\n", "  ".repeat(*depth), paint(style(*depth), label))
            }
            Line::Field { depth, block, label, value } => {
                let width = self.widths.get(block).copied().unwrap_or_default();
                let pad = " ".repeat(width - label.chars().count() + GAP);
                let label = if label.is_empty() { String::new() } else { paint(style(*depth), label) };
                format!("{}{label}{pad}{value}\n", "  ".repeat(*depth))
            }
        };
        self.lines.iter().map(line).collect()
    }
}
