//! The part of kubectl's JSONPath templates that people use: text, `{.a.b[0].c}`, `{.items[*].x}`, `{['a.b']}`, `{"\n"}`,
//! `{range .items[*]}…{end}`. The paths are [`JsonPath`]s.

use orch_api::JsonPath;
use serde_json::Value;

/// A template: text and paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Path(JsonPath),
    /// The parts, once for each value of the path.
    Range(JsonPath, Vec<Part>),
}

enum Expression {
    Part(Part),
    Range(JsonPath),
    End,
}

impl Template {
    /// Reads a template. A bare path such as `.status.phase` is one without its braces.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('.') {
            return Ok(Self(vec![Part::Path(JsonPath::parse(text)?)]));
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
            Part::Path(path) | Part::Range(path, _) => Some(path),
            Part::Text(_) => None,
        });
        paths.flat_map(|path| path.values(object)).collect()
    }

    /// The values as text.
    pub(super) fn texts(&self, object: &Value) -> Vec<String> {
        self.values(object).into_iter().map(text_of).collect()
    }
}

fn render(parts: &[Part], object: &Value) -> String {
    let show = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Path(path) => path.values(object).into_iter().map(text_of).collect::<Vec<_>>().join(" "),
        Part::Range(path, parts) => {
            path.values(object).into_iter().map(|value| render(parts, value)).collect()
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
        Some(path) => JsonPath::parse(path.trim()).map(Expression::Range),
        None => JsonPath::parse(inside).map(|path| Expression::Part(Part::Path(path))),
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
            ("{.items[?(@.n==\"b\")].l}", "{\"x.y/z\":true}"),
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
