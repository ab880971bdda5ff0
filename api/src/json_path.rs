//! [`JsonPath`]: Kubernetes' JSONPath, as printer columns and `kubectl -o jsonpath` use it.
//!
//! `.a.b`, `['a.b']`, `.a\.b`, `[0]`, `[-1]`, `[*]`, `.*`, and filters: `[?(@.type=="Ready")]`. Slices, unions and recursive descent
//! are refused by name rather than misread. Beyond Kubernetes', an item of a list can be named as changes name it: `[type="Ready"]`.

use serde_json::Value;

/// A path into a JSON value, which may lead to any number of places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(i64),
    All,
    /// The items whose value at the path compares so.
    Filter(JsonPath, Comparison, Option<Value>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How deeply filters may stand within filters: each is read by a call within the call that reads the one around it.
const MOST_NESTED: usize = 16;

/// In the order in which they are looked for: the longer ones first.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl JsonPath {
    /// Reads a path without its braces.
    ///
    /// # Errors
    /// A sentence that says what is not understood. Filters within more than 15 others are refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_within(text, MOST_NESTED)
    }

    /// Reads a path in which filters may stand as deeply within each other as `room` says.
    fn parse_within(text: &str, room: usize) -> Result<Self, String> {
        let mut rest = text.trim_start_matches('$').trim_start_matches('@');
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if rest.starts_with("..") {
                return Err(format!("recursive descent (`..`) is not supported in {text:?}"));
            }
            if let Some(after) = rest.strip_prefix('[') {
                let (inside, after) =
                    split_bracket(after).ok_or_else(|| format!("`[` without `]` in {text:?}"))?;
                steps.push(bracket(inside.trim(), text, room)?);
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
        Ok(Self(steps))
    }

    /// The values that the path leads to, in order.
    pub fn values<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let take_all = |values: Vec<&'v Value>, step: &Step| {
            values.into_iter().flat_map(|value| take(value, step)).collect::<Vec<_>>()
        };
        self.0.iter().fold(vec![value], take_all)
    }

    /// The names of the fields on the way, if the path is made of nothing else: then it leads to one place.
    pub fn fields(&self) -> Option<Vec<&str>> {
        self.0.iter().map(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None }).collect()
    }

    /// The path as a JSON pointer, if it is made of field names only.
    pub fn pointer(&self) -> Option<String> {
        let escape = |field: &str| format!("/{}", field.replace('~', "~0").replace('/', "~1"));
        Some(self.fields()?.into_iter().map(escape).collect())
    }
}

/// What stands before the closing bracket, and what after it. Brackets within quotes or other brackets do not close.
fn split_bracket(text: &str) -> Option<(&str, &str)> {
    let (mut quote, mut escaped, mut depth) = (None, false, 0);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            '[' => depth += 1,
            ']' if depth > 0 => depth -= 1,
            ']' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
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

fn bracket(inside: &str, text: &str, room: usize) -> Result<Step, String> {
    if inside == "*" {
        return Ok(Step::All);
    }
    if let Ok(index) = inside.parse() {
        return Ok(Step::Index(index));
    }
    if let Some(condition) = inside.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        let Some(room) = room.checked_sub(1) else {
            return Err(format!("filters stand within each other more than {MOST_NESTED} deep"));
        };
        return filter(condition.trim(), text, room);
    }
    if let Some(key) = json_text(inside) {
        return Ok(Step::Key(key));
    }
    if let Some(key) = within_quotes(inside) {
        return Ok(Step::Key(key.replace("\\.", ".")));
    }
    if let Some((key, value)) = inside.split_once('=').filter(|(key, _)| is_word(key)) {
        let key = JsonPath(vec![Step::Key(key.to_owned())]);
        return Ok(Step::Filter(key, Comparison::Equal, Some(literal(value, text)?)));
    }
    Err(format!("`[{inside}]` in {text:?} is not supported; use an index, `*`, a filter or a quoted key"))
}

/// A text as JSON writes it.
fn json_text(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

fn within_quotes(text: &str) -> Option<&str> {
    let within = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    within('\'').or_else(|| within('"'))
}

/// Whether a key can stand in a path without brackets.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn literal(written: &str, text: &str) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_str(written) {
        return Ok(value);
    }
    let quoted = within_quotes(written).map(Value::from);
    quoted.ok_or_else(|| format!("`{written}` in {text:?} is neither a quoted text, a number nor a boolean"))
}

fn filter(condition: &str, text: &str, room: usize) -> Result<Step, String> {
    let found = COMPARISONS.iter().find_map(|(sign, comparison)| {
        let (left, right) = condition.split_once(sign)?;
        Some((left.trim(), *comparison, right.trim()))
    });
    let Some((left, comparison, right)) = found else {
        return Ok(Step::Filter(JsonPath::parse_within(condition, room)?, Comparison::Exists, None));
    };
    Ok(Step::Filter(JsonPath::parse_within(left, room)?, comparison, Some(literal(right, text)?)))
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
        (Step::Filter(path, comparison, literal), Value::Array(items)) => {
            items.iter().filter(|item| passes(item, path, *comparison, literal.as_ref())).collect()
        }
        _ => Vec::new(),
    }
}

fn passes(item: &Value, path: &JsonPath, comparison: Comparison, literal: Option<&Value>) -> bool {
    let values = path.values(item);
    let (Some(found), Some(literal)) = (values.first(), literal) else {
        return comparison == Comparison::Exists && !values.is_empty();
    };
    let order = match (found, literal) {
        (Value::Number(found), Value::Number(literal)) => found.as_f64().partial_cmp(&literal.as_f64()),
        (Value::String(found), Value::String(literal)) => Some(found.cmp(literal)),
        (found, literal) => (*found == literal).then_some(std::cmp::Ordering::Equal),
    };
    match comparison {
        Comparison::Exists => true,
        Comparison::Equal => order.is_some_and(|order| order.is_eq()),
        Comparison::NotEqual => !order.is_some_and(|order| order.is_eq()),
        Comparison::Less => order.is_some_and(|order| order.is_lt()),
        Comparison::LessOrEqual => order.is_some_and(|order| order.is_le()),
        Comparison::Greater => order.is_some_and(|order| order.is_gt()),
        Comparison::GreaterOrEqual => order.is_some_and(|order| order.is_ge()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let object = json!({
            "items": [{"n": "a", "size": 1}, {"n": "b", "size": 2, "l": {"x.y/z": true}}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Idle", "status": "False"}],
            "q \"]A": 7,
        });
        for (path, expected) in [
            (".items[0].n", json!(["a"])),
            (".items[*].n", json!(["a", "b"])),
            (".items[-1].n", json!(["b"])),
            ("$.items[1].l.x\\.y/z", json!([true])),
            (".items[1].l['x.y/z']", json!([true])),
            (".items[1].l[\"x.y/z\"]", json!([true])),
            (".conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            (".conditions[?(@.type == 'Idle')].status", json!(["False"])),
            (".conditions[?(@.type!=\"Ready\")].type", json!(["Idle"])),
            (".items[?(@.size>=2)].n", json!(["b"])),
            (".items[?(@.l)].n", json!(["b"])),
            (".items[?(@.l['x.y/z']==true)].n", json!(["b"])),
            ("conditions[type=\"Ready\"].status", json!(["True"])),
            ("items[size=2].n", json!(["b"])),
            ("items[n=\"c\"].n", json!([])),
            ("[\"q \\\"]\\u0041\"]", json!([7])),
            (".nothing.here", json!([])),
        ] {
            assert_eq!(json!(JsonPath::parse(path).unwrap().values(&object)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (path, problem) in [
            ("..n", "recursive descent"),
            (".items[0:2]", "`[0:2]`"),
            (".items[", "`[` without `]`"),
            (".items[?(@.n==oops)]", "`oops`"),
            (".items[n=oops]", "`oops`"),
        ] {
            let error = JsonPath::parse(path).unwrap_err();
            assert!(error.contains(problem), "{path}: {error}");
        }
    }

    #[test]
    fn filters_within_filters_are_read_to_a_depth() {
        let nested = |depth: usize| format!("{}a{}", "[?(@.".repeat(depth), ")]".repeat(depth));
        assert!(JsonPath::parse(&nested(16)).is_ok());
        for depth in [17, 20_000] {
            let error = JsonPath::parse(&nested(depth)).unwrap_err();
            assert!(error.contains("more than 16 deep"), "{error}");
        }
    }

    #[test]
    fn a_path_of_fields_is_a_pointer() {
        let path = JsonPath::parse(".metadata.labels['a.b/c']").unwrap();
        assert_eq!(path.fields().unwrap(), ["metadata", "labels", "a.b/c"]);
        assert_eq!(path.pointer().unwrap(), "/metadata/labels/a.b~1c");
        assert_eq!(JsonPath::parse(".a[0]").unwrap().fields(), None);
    }
}
