//! [`Answer`]: what a tool answers, cut to what the caller has room for; the rest is behind a cursor.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::failure::{Code, Failure};
use crate::fit::{fit, size};

/// What an answer is cut to unless the caller says otherwise.
const USUAL_TOKENS: usize = 4_000;
/// What no answer exceeds, whatever the caller says.
pub(crate) const MOST_TOKENS: usize = 20_000;
/// What every answer may have: below this there is no room for the longest cursor and a part of an item.
const LEAST_TOKENS: usize = 300;
/// About so many bytes of the JSON of objects are a token.
pub(crate) const BYTES_PER_TOKEN: f64 = 3.5;
/// And so many of what programs write: times, ids and encoded bytes take more tokens than words do.
pub(crate) const DENSE_BYTES_PER_TOKEN: f64 = 2.5;
/// The tools whose answers are made of that.
const DENSE: [&str; 3] = ["logs", "events", "exec"];
/// The item of which a part is given says so, and where the part stands.
const PART_BYTES: usize = 80;
/// What is given of a list at least, whatever stands beside it.
const LEAST_ROOM_BYTES: usize = 2 * PART_BYTES;

/// How much of an answer is wanted, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// How many bytes the answer may have.
    budget_bytes: usize,
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
    /// Of a list that nothing else finds again: what its items were as far as they have been given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    h: Option<u32>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// How many bytes an answer of a tool may have to which a caller gives so many tokens.
pub(crate) fn budget_bytes(tool: &str, max_tokens: Option<usize>) -> usize {
    let tokens = max_tokens.unwrap_or(USUAL_TOKENS).clamp(LEAST_TOKENS, MOST_TOKENS);
    let bytes = if DENSE.contains(&tool) { DENSE_BYTES_PER_TOKEN } else { BYTES_PER_TOKEN };
    (tokens as f64 * bytes) as usize
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
        Ok(Self { budget_bytes: budget_bytes(tool, max_tokens), cursor: cursor.transpose()? })
    }

    /// What the tool said that it must know to go on.
    pub(crate) fn place(&self) -> Option<&str> {
        self.cursor.as_ref()?.p.as_deref()
    }

    /// Whether only a part of the item at the place has been given: of items with marks, it comes first again.
    pub(crate) fn is_within_an_item(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.b > 0)
    }

    /// Of a list that is one page of many: how many of its items have been given.
    pub(crate) fn given(&self) -> usize {
        self.cursor.as_ref().map_or(0, |cursor| cursor.i)
    }

    /// How many bytes of items the answer has room for at most, with those of the first that have been given.
    pub(crate) fn room_bytes(&self) -> usize {
        self.budget_bytes + self.cursor.as_ref().map_or(0, |cursor| cursor.b)
    }
}

/// What a tool answers before it is cut.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What is said with every part: short.
    pub(crate) head: Map<String, Value>,
    list: List,
}

/// The list of an answer, and how it is found again.
#[derive(Debug, Default)]
struct List {
    /// Its name; none if the answer has no list.
    name: Option<&'static str>,
    items: Vec<Value>,
    /// What finds this list again, as it is now.
    here: Option<String>,
    /// What finds the list that follows, if one does.
    next: Option<String>,
    /// How many items come before these and after them.
    before: usize,
    after: usize,
    /// Of each item, what finds those after it; in place of `here` and a number.
    marks: Vec<String>,
    /// Whether it cannot be found again: there is no cursor, and it is said how much is left out.
    is_once: bool,
}

impl Answer {
    /// An answer of one object whose fields are short.
    pub(crate) fn of(head: Value) -> Self {
        let head = if let Value::Object(head) = head { head } else { Map::new() };
        Self { head, ..Self::default() }
    }

    /// The same with a list, which is cut if need be. Where it goes on it is made anew: the answer has expired if what was given of
    /// it would be another then.
    pub(crate) fn list(self, name: &'static str, items: Vec<Value>) -> Self {
        Self { list: List { name: Some(name), items, ..self.list }, ..self }
    }

    /// The same, where the list is one page of many, and found again as it is now.
    pub(crate) fn page(self, here: Option<String>, next: Option<String>) -> Self {
        Self { list: List { here, next, ..self.list }, ..self }
    }

    /// The same, where the items are some of those of the page: so many come before them, and so many after them.
    pub(crate) fn window(self, before: usize, after: usize) -> Self {
        Self { list: List { before, after, ..self.list }, ..self }
    }

    /// The same, where each item knows how to go on after it.
    pub(crate) fn marked(self, marks: Vec<String>) -> Self {
        Self { list: List { marks, ..self.list }, ..self }
    }

    /// The same, where the list is of what has been done, which is not done again to see the rest: `left_out` says how much that is.
    pub(crate) fn once(self) -> Self {
        Self { list: List { is_once: true, ..self.list }, ..self }
    }

    /// The answer as it is given: no longer than the page says, with a cursor if there is more.
    ///
    /// # Errors
    /// `expired` if the cursor is one of a list that has become another.
    pub(crate) fn cut(self, tool: &str, page: &Page) -> Result<Value, Failure> {
        let Self { mut head, list } = self;
        let budget = page.budget_bytes;
        let Some(name) = list.name else {
            fit(&mut head, budget);
            return Ok(Value::Object(head));
        };
        let from = page.cursor.clone().unwrap_or_default();
        let skipped = list.given_before(&from)?;
        let beside = list.longest_end_bytes(tool, page) + name.len() + ",\"\":[]".len();
        fit(&mut head, budget.saturating_sub(beside + LEAST_ROOM_BYTES).min(budget / 2));
        let room = budget.saturating_sub(beside + size(&head));
        let (given, part) = taken(&list.items[skipped..], from.b, room);
        let done = skipped + given.len() - usize::from(part.is_some());
        head.insert(name.to_owned(), given.into());
        if list.is_once {
            match list.items.len() - done {
                0 => {}
                left_out => drop(head.insert("left_out".into(), left_out.into())),
            }
        } else if let Some(cursor) = list.cursor(tool, page, done, part) {
            head.insert("cursor".into(), encode(&cursor).into());
        }
        Ok(Value::Object(head))
    }
}

impl List {
    /// How many of the items have been given.
    fn given_before(&self, from: &Cursor) -> Result<usize, Failure> {
        let is_same = match (self.marks.is_empty(), from.h) {
            // The tool itself has left out what was given.
            (false, _) => from.b == 0 || self.marks.first() == from.p.as_ref(),
            (true, Some(hash)) => self.items.len() >= from.i && self.hash(from.i, from.b > 0) == hash,
            (true, None) => true,
        };
        match is_same {
            true if self.marks.is_empty() => Ok(from.i.saturating_sub(self.before).min(self.items.len())),
            true => Ok(0),
            false => {
                let failure =
                    Failure::new(Code::Expired, "what the cursor goes on from has become something else");
                Err(failure.fix("begin again without the cursor; a larger max_tokens shows more at once"))
            }
        }
    }

    /// What finds the items after the first `done`, and after a part of the one that follows them; none if there are none.
    fn cursor(&self, tool: &str, page: &Page, done: usize, part: Option<usize>) -> Option<Cursor> {
        let cursor = Cursor { t: tool.to_owned(), b: part.unwrap_or(0), ..Cursor::default() };
        if done >= self.items.len() + self.after {
            return self.next.clone().map(|next| Cursor { p: Some(next), ..cursor });
        }
        if self.marks.is_empty() {
            let hash = self.here.is_none().then(|| self.hash(done, part.is_some()));
            return Some(Cursor { p: self.here.clone(), i: self.before + done, h: hash, ..cursor });
        }
        let mark = match (part, done) {
            (Some(_), _) => self.marks.get(done).cloned(),
            (None, 0) => page.place().map(str::to_owned),
            (None, _) => self.marks.get(done - 1).cloned(),
        };
        Some(Cursor { p: mark, ..cursor })
    }

    /// What the first items are, and the one after them if that is meant too.
    fn hash(&self, many: usize, and_next: bool) -> u32 {
        let mut hasher = DefaultHasher::new();
        self.items
            .iter()
            .take(many + usize::from(and_next))
            .for_each(|item| item.to_string().hash(&mut hasher));
        hasher.finish() as u32
    }

    /// How long what stands at the end of the answer may become.
    fn longest_end_bytes(&self, tool: &str, page: &Page) -> usize {
        if self.is_once {
            return ",\"left_out\":".len() + digits(self.items.len());
        }
        let places = self.marks.iter().map(String::as_str);
        let places = places.chain(self.here.as_deref()).chain(self.next.as_deref()).chain(page.place());
        let longest = places.max_by_key(|place| place.len()).map(str::to_owned);
        let cursor = Cursor {
            t: tool.to_owned(),
            p: longest,
            i: self.before + self.items.len(),
            b: usize::MAX >> 16,
            h: Some(u32::MAX),
        };
        ",\"cursor\":\"\"".len() + encode(&cursor).len()
    }
}

/// As many items as there is room for, the first of which has been given up to a byte. If not even one fits, a part of it, and where
/// that ends.
fn taken(items: &[Value], begun: usize, room: usize) -> (Vec<Value>, Option<usize>) {
    let (mut given, mut left) = (Vec::new(), room);
    for item in items {
        let text = item.to_string();
        let is_begun = given.is_empty() && begun > 0;
        if !is_begun && text.len() < left {
            left -= text.len() + 1;
            given.push(item.clone());
            continue;
        }
        if !given.is_empty() {
            break;
        }
        let (chunk, end) = chunk(&text, begun, room.saturating_sub(PART_BYTES).max(PART_BYTES));
        given.push(json!({"part_of_json": chunk, "from_byte": begun, "of_bytes": text.len()}));
        if end < text.len() {
            return (given, Some(end));
        }
        left = left.saturating_sub(given[0].to_string().len() + 1);
    }
    (given, None)
}

fn encode(cursor: &Cursor) -> String {
    // Text and numbers: nothing that JSON cannot hold.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

fn digits(number: usize) -> usize {
    number.to_string().len()
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
        if taken > room && end > from {
            break;
        }
        end += c.len_utf8();
    }
    (&text[from..end], end)
}

/// A failure as it is given: no longer than an answer may be.
pub(crate) fn failed(failure: &Failure, budget_bytes: usize) -> Value {
    let mut value = failure.to_value();
    if let Value::Object(object) = &mut value {
        fit(object, budget_bytes);
    }
    value
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
            let answer =
                Answer::of(json!({"kind": "Pod"})).list("items", items.to_vec()).cut("list", &page).unwrap();
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
        for max_tokens in [LEAST_TOKENS, 777, 5_000] {
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
        assert_eq!(answers.last().unwrap()["items"].as_array().unwrap().last(), Some(&items[2]));
        for answer in answers {
            assert!(answer.to_string().len() as f64 / BYTES_PER_TOKEN <= 300.0);
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_tool_only() {
        let page = Page::read("list", Some(300), None).unwrap();
        let items = vec![json!("x".repeat(400)); 4];
        let answer = Answer::default().list("items", items).cut("list", &page).unwrap();
        let cursor = answer["cursor"].as_str();
        assert!(Page::read("list", None, cursor).is_ok());
        assert_eq!(Page::read("get", None, cursor).unwrap_err().code, Code::InvalidArgument);
        assert_eq!(Page::read("list", None, Some("nonsense")).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn marks_lead_on_from_the_last_item_that_was_given() {
        let page = Page::read("logs", Some(300), None).unwrap();
        let items: Vec<Value> = (0..20).map(|n| json!(format!("{n}{}", "x".repeat(100)))).collect();
        let marks = (0..20).map(|n| n.to_string()).collect();
        let answer = Answer::default().list("lines", items).marked(marks).cut("logs", &page).unwrap();
        let given = answer["lines"].as_array().unwrap().len();
        let next = Page::read("logs", None, answer["cursor"].as_str()).unwrap();
        assert_eq!(next.place(), Some((given - 1).to_string().as_str()));
    }

    #[test]
    fn a_list_that_has_become_another_is_not_gone_on_with() {
        let read = |cursor: Option<&str>| Page::read("get", Some(300), cursor).unwrap();
        let cut =
            |text: &str, page: &Page| Answer::default().list("objects", vec![json!(text)]).cut("get", page);
        let text = "a".repeat(2_000);
        let first = cut(&text, &read(None)).unwrap();
        let page = read(first["cursor"].as_str());
        assert!(cut(&text, &page).is_ok());
        assert_eq!(cut(&"b".repeat(2_000), &page).unwrap_err().code, Code::Expired);
        assert_eq!(
            Answer::default().list("objects", Vec::new()).cut("get", &page).unwrap_err().code,
            Code::Expired
        );
    }

    #[test]
    fn an_item_with_a_mark_that_comes_in_parts_is_the_same_in_all_of_them() {
        let cut = |mark: &str, page: &Page| {
            let items = vec![json!("a".repeat(2_000)), json!("b")];
            Answer::default()
                .list("events", items)
                .marked(vec![mark.to_owned(), "end".to_owned()])
                .cut("events", page)
        };
        let read = |cursor: Option<&str>| Page::read("events", Some(300), cursor).unwrap();
        let first = cut("one", &read(None)).unwrap();
        let page = read(first["cursor"].as_str());
        assert_eq!((page.place(), page.is_within_an_item()), (Some("one"), true));
        assert!(cut("one", &page).unwrap()["events"][0]["from_byte"].as_u64() > Some(0));
        assert_eq!(cut("other", &page).unwrap_err().code, Code::Expired);
    }

    #[test]
    fn what_has_been_done_has_no_cursor_but_says_what_is_left_out() {
        let page = Page::read("apply", Some(300), None).unwrap();
        let answer = Answer::default().list("results", vec![json!("x".repeat(100)); 50]).once();
        let answer = answer.cut("apply", &page).unwrap();
        let given = answer["results"].as_array().unwrap().len();
        assert!(answer["cursor"].is_null() && given > 0);
        assert_eq!(answer["left_out"], 50 - given);
    }

    #[test]
    fn neither_a_long_head_nor_a_long_cursor_keeps_items_from_being_given() {
        let read = |cursor: Option<&str>| Page::read("list", Some(300), cursor).unwrap();
        let (mut cursor, mut parts) = (None::<String>, 0);
        loop {
            let head =
                json!({"relations": vec!["references ConfigMap spec.containers[]"; 100], "kind": "Pod"});
            let answer = Answer::of(head)
                .list("items", vec![json!("x".repeat(1_000))])
                .page(Some("c".repeat(512)), None);
            let answer = answer.cut("list", &read(cursor.as_deref())).unwrap();
            assert!(
                answer.to_string().len() <= budget_bytes("list", Some(300)),
                "{} bytes",
                answer.to_string().len()
            );
            parts += 1;
            cursor = answer["cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert!(parts <= 13, "{parts} parts");
    }

    #[test]
    fn what_programs_write_has_fewer_bytes_to_a_token() {
        assert_eq!(budget_bytes("list", Some(1_000)), 3_500);
        assert_eq!(["logs", "events", "exec"].map(|tool| budget_bytes(tool, Some(1_000))), [2_500; 3]);
    }

    #[test]
    fn a_part_of_a_page_is_gone_on_with_like_the_whole() {
        let page = |cursor: Option<&str>| Page::read("list", Some(300), cursor).unwrap();
        let items: Vec<Value> =
            (0..40).map(|n| json!(format!("{n} {}", "x".repeat(50 * (n % 40))))).collect();
        let cut = |is_windowed: bool| {
            let (mut cursor, mut given) = (None::<String>, Vec::new());
            loop {
                let page = page(cursor.as_deref());
                let (from, to) =
                    if is_windowed { (page.given(), (page.given() + 30).min(40)) } else { (0, 40) };
                let answer = Answer::default()
                    .list("items", items[from..to].to_vec())
                    .page(Some("here".into()), None)
                    .window(from, 40 - to);
                let answer = answer.cut("list", &page).unwrap();
                given.extend(answer["items"].as_array().unwrap().clone());
                cursor = answer["cursor"].as_str().map(str::to_owned);
                if cursor.is_none() {
                    return given;
                }
            }
        };
        assert_eq!(cut(true), cut(false));
    }

    #[test]
    fn failures_are_no_longer_than_answers() {
        let failure =
            Failure::new(Code::TimedOut, "m".repeat(90_000)).seen(vec!["x".repeat(1 << 20); 20].into());
        let value = failed(&failure, budget_bytes("get", Some(1)));
        assert!(value.to_string().len() <= budget_bytes("get", None), "{} bytes", value.to_string().len());
        assert_eq!(value["error"]["code"], "timed_out");
    }
}
