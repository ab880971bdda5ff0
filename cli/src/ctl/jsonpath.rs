//! The part of kubectl's JSONPath templates that people use: text, `{.a.b[0].c}`, `{.items[*].x}`, `{['a.b']}`, `{"\n"}`,
//! `{range .items[*]}…{end}`.
//!
//! Filters, slices and recursive descent are refused by name rather than misread.

use serde_json::Value;

/// A template: text and paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Path(Vec<Step>),
    /// The parts, once for each value of the path.
    Range(Vec<Step>, Vec<Part>),
}

enum Expression {
    Part(Part),
    Range(Vec<Step>),
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(i64),
    All,
}

impl Template {
    /// Reads a template. A bare path such as `.status.phase` is one without its braces.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('.') {
            return Ok(Self(vec![Part::Path(path(text)?)]));
        }
        let mut parts = Vec::new();
        // The ranges that are open, each with what has been read around it.
        let mut open = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (inside, after) =
                split_expression(after).ok_or_else(|| format!("`{{` without `}}` in {text:?}"))?;
            match expression(inside.trim())? {
                Expression::Part(part) => parts.push(part),
                Expression::Range(steps) => open.push((steps, std::mem::take(&mut parts))),
                Expression::End => {
                    let (steps, around) =
                        open.pop().ok_or_else(|| format!("`{{end}}` without `{{range}}` in {text:?}"))?;
                    let inside = std::mem::replace(&mut parts, around);
                    parts.push(Part::Range(steps, inside));
                }
            }
            rest = after;
        }
        if !open.is_empty() {
            return Err(format!("`{{range}}` without `{{end}}` in {text:?}"));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The template with its paths filled in; several values of a path are separated by spaces. What is not there is
    /// empty.
    pub(super) fn render(&self, object: &Value) -> String {
        render(&self.0, object)
    }

    /// The values that the template's paths lead to.
    pub(super) fn values<'v>(&self, object: &'v Value) -> Vec<&'v Value> {
        let paths = self.0.iter().filter_map(|part| match part {
            Part::Path(steps) | Part::Range(steps, _) => Some(steps),
            Part::Text(_) => None,
        });
        paths.flat_map(|steps| find(object, steps)).collect()
    }

    /// The values as text.
    pub(super) fn texts(&self, object: &Value) -> Vec<String> {
        self.values(object).into_iter().map(text_of).collect()
    }
}

fn render(parts: &[Part], object: &Value) -> String {
    let show = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Path(steps) => find(object, steps).into_iter().map(text_of).collect::<Vec<_>>().join(" "),
        Part::Range(steps, parts) => {
            find(object, steps).into_iter().map(|value| render(parts, value)).collect()
        }
    };
    parts.iter().map(show).collect()
}

/// What stands before the closing brace, and what after it. A brace within quotes does not close.
fn split_expression(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            '}' if quote.is_none() => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn expression(inside: &str) -> Result<Expression, String> {
    if inside.len() >= 2 && inside.starts_with('"') && inside.ends_with('"') {
        let text =
            serde_json::from_str(inside).map_err(|error| format!("{inside} is not a text: {error}"))?;
        return Ok(Expression::Part(Part::Text(text)));
    }
    if inside == "end" {
        return Ok(Expression::End);
    }
    match inside.strip_prefix("range ") {
        Some(steps) => path(steps.trim()).map(Expression::Range),
        None => path(inside).map(|steps| Expression::Part(Part::Path(steps))),
    }
}

fn path(text: &str) -> Result<Vec<Step>, String> {
    let mut rest = text.trim_start_matches('$').trim_start_matches('@');
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if rest.starts_with("..") {
            return Err(format!("recursive descent (`..`) is not supported in {text:?}"));
        }
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, after) =
                after.split_once(']').ok_or_else(|| format!("`[` without `]` in {text:?}"))?;
            steps.push(bracket(inside.trim(), text)?);
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('.').unwrap_or(rest);
        let (key, after) = key(name);
        match key.as_str() {
            "" if after.is_empty() => break,
            "" if after.starts_with('[') => {}
            "*" => steps.push(Step::All),
            _ => steps.push(Step::Key(key)),
        }
        rest = after;
    }
    Ok(steps)
}

/// A key up to the next `.` or `[`, where `\.` is a dot of the key.
fn key(text: &str) -> (String, &str) {
    let mut key = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => key.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (key, &text[at..]),
            c => key.push(c),
        }
    }
    (key, "")
}

fn bracket(inside: &str, text: &str) -> Result<Step, String> {
    if inside == "*" {
        return Ok(Step::All);
    }
    if let Ok(index) = inside.parse() {
        return Ok(Step::Index(index));
    }
    match inside.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(key) => Ok(Step::Key(key.replace("\\.", "."))),
        None => Err(format!("`[{inside}]` in {text:?} is not supported; use an index, `*` or a quoted key")),
    }
}

fn find<'v>(object: &'v Value, steps: &[Step]) -> Vec<&'v Value> {
    steps
        .iter()
        .fold(vec![object], |values, step| values.into_iter().flat_map(|value| take(value, step)).collect())
}

fn take<'v>(value: &'v Value, step: &Step) -> Vec<&'v Value> {
    match (step, value) {
        (Step::Key(key), Value::Object(map)) => map.get(key).into_iter().collect(),
        (Step::All, Value::Array(items)) => items.iter().collect(),
        (Step::All, Value::Object(map)) => map.values().collect(),
        (Step::Index(index), Value::Array(items)) => {
            let from_end = usize::try_from(-index).ok().and_then(|back| items.len().checked_sub(back));
            let at = usize::try_from(*index).ok().or(from_end);
            at.and_then(|at| items.get(at)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let object =
            json!({"items": [{"n": "a", "ip": 1}, {"n": "b", "l": {"x.y/z": true}}], "m": {"k": null}});
        for (template, expected) in [
            (".items[0].n", "a"),
            ("{.items[*].n}", "a b"),
            ("{.items[-1].n}", "b"),
            ("{range .items[*]}{.n}={\"}\\n\"}{end}.", "a=}\nb=}\n."),
            ("{range .items[*]}{@.n}{end}", "ab"),
            ("{range .items[*]}{.n}", "`{range}` without"),
            ("{.a}{end}", "`{end}` without"),
            ("name={.items[0].n}{\"\\n\"}", "name=a\n"),
            ("{.items[1].l.x\\.y/z}", "true"),
            ("{.items[1].l['x.y/z']}", "true"),
            ("{$.items[0]}", "{\"ip\":1,\"n\":\"a\"}"),
            ("{.nothing.here}", ""),
            ("{.items[9].n}{.m.k}", ""),
            ("{..n}", "recursive descent"),
            ("{.items[?(@.n==\"a\")]}", "`[?(@.n==\"a\")]`"),
            ("{.items", "`{` without"),
        ] {
            let shown =
                Template::parse(template).map_or_else(|error| error, |template| template.render(&object));
            assert!(
                shown == expected || (!expected.is_empty() && shown.starts_with(expected)),
                "{template}: {shown}"
            );
        }
    }
}
