//! [`Answer`]: what a tool answers, cut to what the caller has room for; the rest is behind a cursor.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::{Code, Failure};

/// What an answer is cut to unless the caller says otherwise.
const USUAL_TOKENS: usize = 4_000;
/// What no answer exceeds, whatever the caller says.
pub(crate) const MOST_TOKENS: usize = 20_000;
/// What every answer may have: below this there is no room for one item and a cursor.
const LEAST_TOKENS: usize = 200;
/// JSON has more bytes than this to a token with every model that is known.
pub(crate) const BYTES_PER_TOKEN: f64 = 3.5;
/// Room for the cursor and the braces.
const RESERVED_BYTES: usize = 220;

/// How much of an answer is wanted, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Page {
    max_tokens: Option<usize>,
    cursor: Option<Cursor>,
}

/// Where an answer goes on. Opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Cursor {
    /// The tool that made it.
    t: String,
    /// What the tool must know to find the items again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<String>,
    /// How many of those items have been given.
    #[serde(default, skip_serializing_if = "is_zero")]
    i: usize,
    /// How many bytes of the next item have been given.
    #[serde(default, skip_serializing_if = "is_zero")]
    b: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Page {
    /// Reads what a caller gave to a tool.
    ///
    /// # Errors
    /// If the cursor is none of this tool's.
    pub(crate) fn read(tool: &str, max_tokens: Option<usize>, cursor: Option<&str>) -> Result<Self, Failure> {
        let decoded = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            serde_json::from_slice::<Cursor>(&bytes).ok().filter(|cursor| cursor.t == tool)
        };
        let cursor = cursor.filter(|text| !text.is_empty()).map(|text| {
            let none = || Failure::argument(format!("{text:?} is not a cursor of `{tool}`"));
            decoded(text)
                .ok_or_else(|| none().fix("give the `cursor` of the answer before, and the same arguments"))
        });
        Ok(Self { max_tokens, cursor: cursor.transpose()? })
    }

    /// What the tool said that it must know to go on.
    pub(crate) fn place(&self) -> Option<&str> {
        self.cursor.as_ref()?.p.as_deref()
    }

    fn budget_bytes(&self) -> usize {
        let tokens = self.max_tokens.unwrap_or(USUAL_TOKENS).clamp(LEAST_TOKENS, MOST_TOKENS);
        (tokens as f64 * BYTES_PER_TOKEN) as usize
    }
}

/// What a tool answers before it is cut.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What is said with every part: short.
    pub(crate) head: Map<String, Value>,
    /// The name of the list, and the list.
    list: Option<(&'static str, Vec<Value>)>,
    /// What finds this list again.
    here: Option<String>,
    /// What finds the list that follows, if one does.
    next: Option<String>,
    /// Of each item, what finds those after it; in place of `here` and a number.
    marks: Vec<String>,
}

impl Answer {
    /// An answer of one object whose fields are short.
    pub(crate) fn of(head: Value) -> Self {
        let head = if let Value::Object(head) = head { head } else { Map::new() };
        Self { head, ..Self::default() }
    }

    /// The same with a list, which is cut if need be.
    pub(crate) fn list(self, name: &'static str, items: Vec<Value>) -> Self {
        Self { list: Some((name, items)), ..self }
    }

    /// The same, where the list is one page of many.
    pub(crate) fn page(self, here: Option<String>, next: Option<String>) -> Self {
        Self { here, next, ..self }
    }

    /// The same, where each item knows how to go on after it.
    pub(crate) fn marked(self, marks: Vec<String>) -> Self {
        Self { marks, ..self }
    }

    /// The answer as it is given: no longer than the page says, with a cursor if there is more.
    pub(crate) fn cut(self, tool: &str, page: &Page) -> Value {
        let Self { mut head, list, here, next, marks } = self;
        let Some((name, items)) = list else { return Value::Object(head) };
        let from = page.cursor.clone().unwrap_or_default();
        let skipped = if marks.is_empty() { from.i.min(items.len()) } else { 0 };
        let mut room = page.budget_bytes().saturating_sub(RESERVED_BYTES + name.len() + size(&head));
        let (mut given, mut part) = (Vec::new(), None);
        for item in items.iter().skip(skipped) {
            let begun = if given.is_empty() { from.b } else { 0 };
            let text = item.to_string();
            if begun == 0 && text.len() < room {
                room -= text.len() + 1;
                given.push(item.clone());
                continue;
            }
            if given.is_empty() {
                let (chunk, end) = chunk(&text, begun, room);
                part = (end < text.len()).then_some(end);
                given.push(
                    serde_json::json!({"part_of_json": chunk, "from_byte": begun, "of_bytes": text.len()}),
                );
            }
            break;
        }
        let done = skipped + given.len() - usize::from(part.is_some());
        let cursor = match (part, done < items.len()) {
            (None, false) => next.map(|next| Cursor { t: tool.into(), p: Some(next), ..Cursor::default() }),
            (part, _) => {
                Some(Cursor { t: tool.into(), b: part.unwrap_or(0), ..place(here, &marks, done, page) })
            }
        };
        head.insert(name.to_owned(), given.into());
        if let Some(cursor) = cursor {
            head.insert("cursor".into(), encode(&cursor).into());
        }
        Value::Object(head)
    }
}

/// What finds the items after the first `done` of a list.
fn place(here: Option<String>, marks: &[String], done: usize, page: &Page) -> Cursor {
    match (marks.is_empty(), done) {
        (true, done) => Cursor { p: here, i: done, ..Cursor::default() },
        (false, 0) => Cursor { p: page.place().map(str::to_owned), ..Cursor::default() },
        (false, done) => Cursor { p: marks.get(done - 1).cloned(), ..Cursor::default() },
    }
}

fn encode(cursor: &Cursor) -> String {
    // Text and numbers: nothing that JSON cannot hold.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

fn size(head: &Map<String, Value>) -> usize {
    head.iter().map(|(name, value)| name.len() + value.to_string().len() + 4).sum()
}

/// As much of a text from a byte on as takes no more than `room` within JSON, and where it ends. At least one character.
fn chunk(text: &str, from: usize, room: usize) -> (&str, usize) {
    let from = (from..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let (mut end, mut taken) = (from, 0);
    for c in text[from..].chars() {
        taken += match c {
            '"' | '\\' => 2,
            c if c.is_control() => 6,
            c => c.len_utf8(),
        };
        if taken > room.saturating_sub(80) && end > from {
            break;
        }
        end += c.len_utf8();
    }
    (&text[from..end], end)
}

/// The failure of a list whose pages are gone.
pub(crate) fn expired(failure: Failure) -> Failure {
    match failure.code {
        Code::Expired => failure.fix("begin again without the cursor"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(items: &[Value], max_tokens: usize) -> Vec<Value> {
        let (mut cursor, mut answers) = (None::<String>, Vec::new());
        loop {
            let page = Page::read("list", Some(max_tokens), cursor.as_deref()).unwrap();
            let answer = Answer::of(json!({"kind": "Pod"})).list("items", items.to_vec()).cut("list", &page);
            cursor = answer["cursor"].as_str().map(str::to_owned);
            answers.push(answer);
            assert!(answers.len() < 1_000, "the cursor leads nowhere");
            if cursor.is_none() {
                return answers;
            }
        }
    }

    #[test]
    fn no_answer_exceeds_what_was_asked_for() {
        let items: Vec<Value> =
            (0..500).map(|n| json!({"name": format!("pod-{n}"), "note": "\"x\"\n"})).collect();
        for max_tokens in [200, 777, 5_000] {
            let answers = all(&items, max_tokens);
            for answer in &answers {
                assert!(answer.to_string().len() as f64 / BYTES_PER_TOKEN <= max_tokens as f64);
            }
            let given: Vec<Value> =
                answers.iter().flat_map(|answer| answer["items"].as_array().unwrap().clone()).collect();
            assert_eq!(given, items, "every item is given once, in order");
        }
    }

    #[test]
    fn an_item_that_is_too_large_comes_in_parts_of_its_json() {
        let items = [json!({"a": 1}), json!({"data": "é\"\u{1}".repeat(4_000)}), json!({"b": 2})];
        let answers = all(&items, 300);
        let mut text = String::new();
        for item in answers.iter().flat_map(|answer| answer["items"].as_array().unwrap()) {
            text.push_str(item["part_of_json"].as_str().unwrap_or_default());
        }
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), items[1]);
        assert_eq!(answers.last().unwrap()["items"][0], items[2]);
        for answer in answers {
            assert!(answer.to_string().len() as f64 / BYTES_PER_TOKEN <= 300.0);
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_tool_only() {
        let page = Page::read("list", Some(200), None).unwrap();
        let items = vec![json!("x".repeat(400)); 4];
        let answer = Answer::default().list("items", items).cut("list", &page);
        let cursor = answer["cursor"].as_str();
        assert!(Page::read("list", None, cursor).is_ok());
        assert_eq!(Page::read("get", None, cursor).unwrap_err().code, Code::InvalidArgument);
        assert_eq!(Page::read("list", None, Some("nonsense")).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn marks_lead_on_from_the_last_item_that_was_given() {
        let page = Page::read("logs", Some(200), None).unwrap();
        let items: Vec<Value> = (0..9).map(|n| json!(format!("{n}{}", "x".repeat(100)))).collect();
        let marks = (0..9).map(|n| n.to_string()).collect();
        let answer = Answer::default().list("lines", items).marked(marks).cut("logs", &page);
        let given = answer["lines"].as_array().unwrap().len();
        let next = Page::read("logs", None, answer["cursor"].as_str()).unwrap();
        assert_eq!(next.place(), Some((given - 1).to_string().as_str()));
    }
}
