//! Tables as kubectl prints them: aligned, three spaces apart, no lines.

use anstyle::Style;

use super::{GOOD, HEADING, WAITING, paint, plain, style_of_state};

const GAP: usize = 3;

/// A heading and rows of as many cells, which hold no colours: what others wrote cannot steer the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ctl) struct Table {
    pub(in crate::ctl) heading: Vec<String>,
    pub(in crate::ctl) rows: Vec<Vec<String>>,
}

/// How wide each column is. Kept between the pieces of a table that is printed as it grows.
#[derive(Debug, Clone, Default)]
pub(in crate::ctl) struct Widths(Vec<usize>);

impl Table {
    pub(in crate::ctl) fn new(heading: &[&str]) -> Self {
        Self { heading: heading.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// Takes out the columns in which no row has anything to say.
    pub(in crate::ctl) fn without_empty_columns(mut self) -> Self {
        let has_text =
            |column: usize| self.rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()));
        let kept: Vec<bool> = (0..self.heading.len()).map(has_text).collect();
        for line in std::iter::once(&mut self.heading).chain(&mut self.rows) {
            let mut kept = kept.iter();
            line.retain(|_| kept.next().is_none_or(|kept| *kept));
        }
        self
    }

    /// The whole table, with or without its heading.
    pub(in crate::ctl) fn render(&self, with_heading: bool) -> String {
        self.render_with(&mut Widths::default(), with_heading)
    }

    /// The table below what has been printed with the same widths before. Columns only grow.
    pub(in crate::ctl) fn render_with(&self, widths: &mut Widths, with_heading: bool) -> String {
        let clean = |line: &Vec<String>| line.iter().map(|cell| plain(cell)).collect::<Vec<_>>();
        let heading = with_heading.then(|| clean(&self.heading));
        let rows: Vec<_> = self.rows.iter().map(clean).collect();
        for line in heading.iter().chain(&rows) {
            widths.fit(line);
        }
        let mut text = String::new();
        if let Some(heading) = &heading {
            text.push_str(&widths.line(heading, |_, _| Some(HEADING)));
        }
        for row in &rows {
            text.push_str(&widths.line(row, |column, cell| self.style(column, cell)));
        }
        text
    }

    fn style(&self, column: usize, cell: &str) -> Option<Style> {
        match self.heading.get(column)?.as_str() {
            "STATUS" | "Status" | "PHASE" | "Type" => style_of_state(cell),
            "READY" => match cell.split_once('/') {
                Some((ready, all)) => Some(if ready == all { GOOD } else { WAITING }),
                None => style_of_state(cell),
            },
            _ => None,
        }
    }
}

impl Widths {
    fn fit(&mut self, line: &[String]) {
        self.0.resize(self.0.len().max(line.len()), 0);
        for (width, cell) in self.0.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }

    fn line(&self, cells: &[String], style: impl Fn(usize, &str) -> Option<Style>) -> String {
        let mut text = String::new();
        for (column, (cell, width)) in cells.iter().zip(&self.0).enumerate() {
            text.push_str(&paint(style(column, cell), cell));
            if column + 1 < cells.len() {
                text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + GAP));
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> Table {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        Table {
            rows: vec![row(["web-x", "1/1", "Running", "5m"]), row(["db", "0/2", "CrashLoopBackOff", "3d"])],
            ..Table::new(&["NAME", "READY", "STATUS", "AGE"])
        }
    }

    #[test]
    fn columns_are_three_spaces_apart() {
        let plain = anstream::adapter::strip_str(&pods().render(true)).to_string();
        assert_eq!(
            plain,
            "NAME    READY   STATUS             AGE\n\
             web-x   1/1     Running            5m\n\
             db      0/2     CrashLoopBackOff   3d\n"
        );
        let bare = anstream::adapter::strip_str(&pods().render(false)).to_string();
        assert!(bare.starts_with("web-x   1/1   Running            5m\n"), "{bare}");
    }

    #[test]
    fn states_have_colours_that_do_not_count_as_width() {
        let text = pods().render(true);
        assert!(text.contains("\u{1b}[32mRunning\u{1b}[0m            5m"), "{text:?}");
        assert!(text.contains("\u{1b}[31mCrashLoopBackOff\u{1b}[0m   3d"), "{text:?}");
        assert!(text.contains("\u{1b}[33m0/2\u{1b}[0m"), "{text:?}");
    }

    #[test]
    fn nothing_is_printed_where_nothing_is_to_be_said() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let table = Table {
            rows: vec![row(["a", "", "x"]), row(["b", "", ""])],
            ..Table::new(&["NAME", "REASON", "MESSAGE"])
        };
        let plain = anstream::adapter::strip_str(&table.without_empty_columns().render(true)).to_string();
        assert_eq!(plain, "NAME   MESSAGE\na      x\nb\n");
    }

    #[test]
    fn what_stands_in_a_cell_does_not_steer_the_terminal() {
        let rows = vec![vec!["\u{1b}[2Ja".to_owned(), "b\nc".to_owned()]];
        let text = Table { rows, ..Table::new(&["A", "B"]) }.render(false);
        assert_eq!(text, " [2Ja   b c\n");
    }

    #[test]
    fn a_growing_table_keeps_its_columns() {
        let mut widths = Widths::default();
        pods().render_with(&mut widths, true);
        let next =
            Table { rows: vec![vec!["a".into(), "1/1".into(), "Running".into(), "1s".into()]], ..pods() };
        let line = anstream::adapter::strip_str(&next.render_with(&mut widths, false)).to_string();
        assert_eq!(line, "a       1/1     Running            1s\n");
    }
}
