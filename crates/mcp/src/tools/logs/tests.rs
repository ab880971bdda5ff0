use std::cell::Cell;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use orch_api::Status;

use super::*;

/// The time of the line of a number: a microsecond after that of the line before.
fn at(number: usize) -> String {
    let seconds = number / 1_000_000;
    format!("2026-06-01T12:00:{seconds:02}.{:06}Z", number % 1_000_000)
}

fn log(lines: impl IntoIterator<Item = String>) -> impl Stream<Item = Result<Bytes, Status>> + Unpin {
    stream::iter(lines.into_iter().map(|line| Ok(Bytes::from(line))).collect::<Vec<_>>())
}

/// A log that never ends, in pieces of 100 lines, and how many of those were read.
fn endless(pieces: &Cell<usize>) -> impl Stream<Item = Result<Bytes, Status>> + Unpin {
    stream::iter((0..).map(|piece| {
        pieces.set(pieces.get() + 1);
        let lines = (0..100).map(|line| format!("{} line {line} of {piece}\n", at(piece * 100 + line)));
        Ok(lines.collect::<String>().into())
    }))
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn looking_for(text: &str) -> Search {
    Search { grep: Some(search::pattern(text).unwrap()), after: None }
}

fn page(cursor: Option<&str>) -> Page {
    Page::read("logs", None, cursor).unwrap()
}

/// The lines of an answer, and its cursor.
fn cut(answer: Answer, page: &Page) -> (Vec<String>, Option<String>) {
    let answer = answer.cut("logs", page).unwrap();
    let lines = answer["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned());
    (lines.collect(), answer["cursor"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn no_more_is_read_and_kept_of_a_log_than_an_answer_has_room_for() {
    let pieces = Cell::new(0);
    let found = search::read(endless(&pieces), Search::default(), later()).await;
    assert_eq!(found.end, End::Full);
    let kept: usize = found.lines.iter().map(|line| line.text.len() + line.seconds.len()).sum();
    assert!((50_000..55_000).contains(&kept), "{kept}");
    assert!(pieces.get() < 100, "{} pieces were read", pieces.get());
    let answer = told(vec![("c".into(), found)], 0, None).unwrap();
    let (_, cursor) = cut(answer, &Page::read("logs", Some(20_000), None).unwrap());
    assert!(cursor.is_some(), "what was not read is where the cursor leads");
}

#[tokio::test]
async fn pages_give_every_line_once_whatever_their_size() {
    let all: Vec<String> = (0..3_000).map(|n| format!("{} line {n}\n", at(n / 3))).collect();
    let of = |rest: usize| {
        all.iter().enumerate().filter(move |(n, _)| n % 2 == rest).map(|(_, line)| line.clone())
    };
    let (mut given, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = page(cursor.as_deref());
        let after = page.place().and_then(Mark::parse);
        let search = Search { grep: None, after: after.clone() };
        let (a, b) = (
            search::read(log(of(0)), search.clone(), later()).await,
            search::read(log(of(1)), search, later()).await,
        );
        let (lines, next) =
            cut(told(vec![("a".into(), a), ("b".into(), b)], 0, after.as_ref()).unwrap(), &page);
        given.extend(lines.iter().map(|line| line.split_once(" line ").unwrap().1.parse::<usize>().unwrap()));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(given.windows(2).all(|pair| pair[0] / 3 <= pair[1] / 3), "in order of time");
    given.sort_unstable();
    assert_eq!(given, (0..3_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_search_that_takes_too_long_says_how_far_it_came_and_goes_on_from_there() {
    let pieces = Cell::new(0);
    let by = Instant::now() + Duration::from_millis(50);
    let slow = search::read(endless(&pieces), looking_for("nothing like this"), by).await;
    assert_eq!(slow.end, End::Late);
    let until = slow.until.clone().unwrap();
    let other = search::read(
        log([format!("{} early\n", at(0)), "2026-06-01T13:00:00Z later\n".to_owned()]),
        Search::default(),
        later(),
    )
    .await;
    let answer = told(vec![("a".into(), slow), ("b".into(), other)], 0, None).unwrap();
    let problems = answer.head["problems"][0].as_str().unwrap().to_owned();
    assert!(problems.contains(&until.text) && problems.contains("cursor"), "{problems}");
    let (lines, cursor) = cut(answer, &page(None));
    assert_eq!(lines.len(), 1, "what is later than what was read comes later: {lines:?}");
    assert_eq!(page(cursor.as_deref()).place(), Some(format!("0@{}", until.text).as_str()));
}

#[tokio::test]
async fn a_container_that_does_not_answer_keeps_no_others_log_back() {
    let silent = search::read(stream::pending().boxed(), Search::default(), Instant::now()).await;
    assert_eq!(silent.end, End::Late);
    let silent = || ("a".to_owned(), Found { end: End::Late, ..Found::default() });
    let whole = search::read(log([format!("{} line\n", at(0))]), Search::default(), later()).await;
    let answer = told(vec![silent(), ("b".into(), whole)], 0, None).unwrap();
    assert!(answer.head["problems"][0].as_str().unwrap().contains("nothing came"), "{:?}", answer.head);
    assert_eq!(cut(answer, &page(None)), (vec!["2026-06-01T12:00:00 b line".to_owned()], None));
    assert_eq!(told(vec![silent()], 0, None).unwrap_err().code, Code::TimedOut);
}

#[tokio::test]
async fn a_log_that_breaks_off_is_given_as_far_as_it_came() {
    let broken = log([format!("{} line\n", at(0))]).chain(stream::iter([Err(Status::internal("cut off"))]));
    let found = search::read(broken, Search::default(), later()).await;
    let answer = told(vec![("c".into(), found)], 0, None).unwrap();
    assert!(answer.head["problems"][0].as_str().unwrap().contains("cut off"), "{:?}", answer.head);
    assert_eq!(cut(answer, &page(None)).0.len(), 1);
}

#[tokio::test]
async fn a_line_of_any_length_is_searched_and_shown_in_part() {
    let long = "x".repeat(1 << 20);
    let pieces = [format!("{} needle {}", at(0), &long), long, format!("needle\n{} needle", at(1))];
    let found = search::read(log(pieces), looking_for("needle"), later()).await;
    assert_eq!(found.lines.len(), 2);
    assert!(found.lines[0].text.len() < 3_000);
    assert!(
        found.lines[0].text.ends_with(&format!("({} bytes)", (2 << 20) + 13)),
        "{}",
        &found.lines[0].text[1_990..]
    );
    assert_eq!(found.lines[1].text, "needle");
}

#[tokio::test]
async fn a_line_without_a_time_belongs_to_the_one_before() {
    let lines = [format!("{} panic\n", at(1)), "  at main\n".to_owned(), format!("{} next\n", at(2))];
    let found = search::read(log(lines), Search::default(), later()).await;
    assert_eq!(found.lines[1].at, found.lines[0].at);
    let (lines, _) = cut(told(vec![("c".into(), found)], 0, None).unwrap(), &page(None));
    assert_eq!(lines[1], "2026-06-01T12:00:00 c   at main");
}

#[tokio::test]
async fn lines_that_were_given_and_have_gone_do_not_take_others_with_them() {
    let lines = || [4, 5, 5, 6].map(|number| format!("{} line\n", at(number)));
    for (after, left) in [("1@3", 4), ("1@4", 3), ("1@5", 2), ("2@5", 1), ("1@6", 0)] {
        let (given, number) = after.split_once('@').unwrap();
        let after = Mark::parse(&format!("{given}@{}", at(number.parse().unwrap())));
        let search = Search { grep: None, after: after.clone() };
        let found = search::read(log(lines()), search, later()).await;
        let answer = told(vec![("c".into(), found)], 0, after.as_ref()).unwrap();
        assert_eq!(cut(answer, &page(None)).0.len(), left, "{after:?}");
    }
}

#[test]
fn of_many_containers_some_are_read_and_the_others_counted() {
    let pod = |number: usize| json!({"metadata": {"name": format!("web-{number}")}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
    let pods: Vec<Pod> = (0..30).map(|number| Pod::of(&pod(number))).collect();
    let (few, none_left) = chosen(&pods[..1], None);
    assert_eq!((few[0].0.as_str(), few.len(), none_left), ("a", 2, 0));
    let (many, left_out) = chosen(&pods, None);
    assert_eq!((many[2].0.as_str(), many.len(), left_out), ("web-1/a", 50, 10));
    let answer = told(vec![("c".into(), Found::default())], left_out, None).unwrap();
    assert_eq!(answer.head["containers_left_out"], 10);
}

#[test]
fn what_is_no_expression_or_too_large_is_said_to_be_so() {
    for usual in ["a|b", r"\w+@\w+\.\w+", r"(?i)connection (refused|reset)", r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}"]
    {
        assert!(search::pattern(usual).is_ok(), "{usual}");
    }
    assert!(search::pattern("(").unwrap_err().message.contains("not a regular expression"));
    assert!(search::pattern(r"\w{100}").unwrap_err().message.contains("too large"));
}

/// A node, as it serves the log of a container: the last lines first, and of those what is not too old.
fn served(lines: &[String], request: &Request) -> Vec<String> {
    let asked = |name: &str| {
        request.params.other.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    };
    let tail = asked("tailLines").map_or(lines.len(), |lines| lines.parse().unwrap());
    let since = asked("sinceTime").map(Moment::read);
    let last = &lines[lines.len().saturating_sub(tail)..];
    let is_young = |line: &&String| {
        let at = Moment::read(line.split(' ').next().unwrap());
        since.as_ref().is_none_or(|since| at >= *since)
    };
    last.iter().filter(is_young).cloned().collect()
}

#[tokio::test]
async fn no_line_is_lost_of_a_log_that_grows_between_pages() {
    let line = |number: usize| format!("{} line {number} {}\n", at(number), "x".repeat(100));
    let mut lines: Vec<String> = (0..150).map(line).collect();
    let logs: Logs = serde_json::from_value(json!({"name": "web"})).unwrap();
    let pod = Target::parse("api/v1/namespaces/default/pods/web".split('/')).unwrap();
    let (mut given, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = page(cursor.as_deref());
        let after = last_given(&page);
        let request = logs.request(pod.clone(), "c".into(), after.as_ref()).unwrap();
        let search = Search { grep: None, after: after.clone() };
        let found = search::read(log(served(&lines, &request)), search, later()).await;
        let (some, next) = cut(told(vec![("c".into(), found)], 0, after.as_ref()).unwrap(), &page);
        let number = |line: &String| line.split(' ').nth(3).unwrap().parse::<usize>().unwrap();
        given.extend(some.iter().map(number));
        cursor = next;
        if cursor.is_none() {
            break;
        }
        if lines.len() < 400 {
            let more = lines.len()..lines.len() + 120;
            lines.extend(more.map(line));
        }
    }
    assert_eq!(given, (50..lines.len()).collect::<Vec<_>>());
}

#[test]
fn a_cursor_that_was_made_up_takes_away_nothing_that_is_not_there() {
    use base64::Engine as _;
    let made_up = json!({"t": "logs", "p": format!("0@{}", at(1)), "b": 5}).to_string();
    let made_up = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(made_up);
    assert_eq!(last_given(&page(Some(&made_up))).unwrap().given, 0);
}
