use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::MAX_CONTROL_BYTES;

/// What Go's zlib makes of the two streams of a forwarded connection.
const FORWARDED: &str = "800300010100003f0000000100000000000078f9e3c6a7c202253a50ca0a2e294a4dcc851625aca9a08006a5fc80fc22\
700eb030b03000d29cd068cc04256f460300000000ffff800300010000001800000003000000000000c2aa19540e2512d60b000000ffff";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn headers(kind: &str) -> Headers {
    Headers::from([("streamtype", kind), ("port", "8080"), ("requestid", "0")])
}

/// Both ends, and what they have told each other.
fn pass(from: &mut Connection, to: &mut Connection) -> Vec<Event> {
    to.receive(&from.take_output()).unwrap()
}

fn data(stream: u32, data: &'static str, ends: bool) -> Event {
    Event::Data { stream, data: Bytes::from_static(data.as_bytes()), ends }
}

#[test]
fn streams_that_another_implementation_opened_are_read() {
    let mut server = Connection::server();
    let events = server.receive(&hex(FORWARDED)).unwrap();
    assert_eq!(
        events,
        [
            Event::Opened { stream: 1, headers: headers("error"), ends: true },
            Event::Opened { stream: 3, headers: headers("data"), ends: false }
        ]
    );
    let mut byte_by_byte = Connection::server();
    let again: Vec<Event> =
        hex(FORWARDED).iter().flat_map(|byte| byte_by_byte.receive(&[*byte]).unwrap()).collect();
    assert_eq!(again, events);
    assert_eq!(byte_by_byte.take_output(), server.take_output());
}

#[test]
fn a_stream_goes_both_ways_and_each_ends_by_itself() {
    let (mut client, mut server) = (Connection::client(), Connection::server());
    let stream = client.open(&headers("data"), false).unwrap();
    client.send(stream, b"question", true);
    assert!(!client.send(stream, b"more", false));
    let events = pass(&mut client, &mut server);
    assert_eq!(events[1..], [data(1, "question", true)]);
    assert_eq!(pass(&mut server, &mut client), [Event::Accepted { stream }]);
    server.send(stream, b"answer", false);
    server.send(stream, b"", true);
    assert_eq!(pass(&mut server, &mut client), [data(1, "answer", false), data(1, "", true)]);
    assert!(client.streams.is_empty() && server.streams.is_empty());
}

#[test]
fn a_reset_stream_is_gone_and_what_was_on_its_way_is_passed_over() {
    let (mut client, mut server) = (Connection::client(), Connection::server());
    let stream = client.open(&headers("data"), false).unwrap();
    pass(&mut client, &mut server);
    server.reset(stream, Reset::Cancel);
    server.reset(stream, Reset::Cancel);
    client.send(stream, b"too late", false);
    assert_eq!(pass(&mut client, &mut server), []);
    let status = Reset::Cancel as u32;
    assert_eq!(pass(&mut server, &mut client), [Event::Accepted { stream }, Event::Reset { stream, status }]);
    assert!(!client.send(stream, b"later still", false) && client.take_output().is_empty());
}

#[test]
fn data_for_what_was_never_opened_or_has_ended_is_answered_with_a_reset() {
    let mut server = Connection::server();
    server.receive(&hex("0000000900000001aa")).unwrap();
    assert_eq!(server.take_output(), hex("80030003000000080000000900000002"));
    server.receive(&hex(FORWARDED)).unwrap();
    server.take_output();
    let events = server.receive(&hex("0000000100000001aa")).unwrap();
    assert_eq!(events, [Event::Reset { stream: 1, status: 9 }]);
    assert_eq!(server.take_output(), hex("80030003000000080000000100000009"));
}

#[test]
fn pings_are_answered_and_what_says_nothing_is_passed_over() {
    let mut server = Connection::server();
    let settings = "80030004000000140000000200000004000003e80000000700010000";
    let window_update = "80030009000000080000000100010000";
    let later_type = "80030abc00000003aabbcc";
    let pings = "800300060000000400000001800300060000000400000002";
    let all = hex(&[settings, window_update, later_type, pings].concat());
    assert_eq!(server.receive(&all).unwrap(), []);
    assert_eq!(server.take_output(), hex("800300060000000400000001"));
    assert_eq!(server.receive(&hex("80030007000000080000000000000000")).unwrap(), [Event::GoAway]);
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let again = [FORWARDED, &FORWARDED[..142]].concat();
    for (bytes, violation) in [
        ("80020006", Violation::Version(2)),
        ("8003000100ffffff", Violation::TooLong(0x00ff_ffff)),
        ("800300060000000500000001aa", Violation::Length(6)),
        ("80030004000000080000000200000001", Violation::Length(4)),
        ("800300010000000b0000000100000000000078", Violation::Headers),
        (&again, Violation::Headers),
    ] {
        let mut server = Connection::server();
        let bytes = [&hex(bytes)[..], &[0; 8]].concat();
        assert_eq!(server.receive(&bytes), Err(violation));
        let last_word = server.take_output();
        assert_eq!(last_word[last_word.len() - 16..][..4], hex("80030007"), "{violation:?}");
        assert_eq!(server.receive(&hex(FORWARDED)), Err(Violation::Over));
        assert!(server.take_output().is_empty() && server.open(&headers("data"), false).is_none());
    }
}

#[test]
fn a_client_cannot_take_the_servers_numbers_or_go_back() {
    for first in [2, 5] {
        let (mut client, mut server) = (Connection::client(), Connection::server());
        client.next_own = first;
        client.open(&headers("data"), false).unwrap();
        client.next_own = 3;
        client.open(&headers("data"), false).unwrap();
        let broken = if first == 2 { 2 } else { 3 };
        assert_eq!(server.receive(&client.take_output()), Err(Violation::StreamNumber(broken)));
    }
}

#[test]
fn too_many_streams_are_refused_one_by_one() {
    let mut server = Connection::server();
    let mut client = Connection::client();
    for _ in 0..MAX_STREAMS {
        client.open(&headers("data"), false).unwrap();
    }
    assert_eq!(client.open(&headers("data"), false), None);
    client.streams.clear();
    let refused = client.open(&headers("data"), false).unwrap();
    assert_eq!(pass(&mut client, &mut server).len(), MAX_STREAMS);
    let events = pass(&mut server, &mut client);
    assert_eq!(events, [Event::Reset { stream: refused, status: 3 }]);
}

/// One step of one end.
#[derive(Debug, Clone)]
enum Step {
    Open,
    Send(usize, Vec<u8>, bool),
    Reset(usize),
    Pass,
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let step = prop_oneof![
        1 => Just(Step::Open),
        6 => (any::<usize>(), prop::collection::vec(any::<u8>(), 0..200), prop::bool::weighted(0.1))
            .prop_map(|(stream, data, ends)| Step::Send(stream, data, ends)),
        1 => any::<usize>().prop_map(Step::Reset),
        2 => Just(Step::Pass),
    ];
    (any::<bool>(), step)
}

proptest! {
    /// However the bytes are cut, they mean the same; whatever they are, little is kept and little is answered.
    #[test]
    fn any_bytes_are_read_alike_however_they_are_cut(
        begin in prop::sample::select(vec!["", FORWARDED]),
        noise in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::sample::select(vec![
                "8003000100000020", "8003000200000008", "8003000300000008", "8003000400000014", "8003000600000004",
                "8003000700000008", "8003000800000008", "8003000900000008", "0000000300000010", "0000000101000003",
            ]).prop_map(hex),
        ], 0..20),
        cut in 1_usize..64,
    ) {
        let bytes = [hex(begin), noise.concat()].concat();
        let (mut whole, mut cut_up) = (Connection::server(), Connection::server());
        let at_once = whole.receive(&bytes);
        let answer = whole.take_output();
        prop_assert!(answer.len() <= 3 * bytes.len() + 64, "{} for {}", answer.len(), bytes.len());
        prop_assert!(whole.decoder.waiting_bytes() <= MAX_CONTROL_BYTES + 8);
        let mut pieces = Vec::new();
        let mut ended = None;
        for piece in bytes.chunks(cut) {
            match cut_up.receive(piece) {
                Ok(events) => pieces.extend(events),
                Err(violation) => {
                    ended = Some(violation);
                    break;
                }
            }
        }
        prop_assert_eq!(cut_up.take_output(), answer);
        match at_once {
            Err(violation) => prop_assert_eq!(ended, Some(violation)),
            Ok(events) => prop_assert_eq!(joined(&events), joined(&pieces)),
        }
    }

    /// What one end sends on a stream is what the other gets, up to a reset.
    #[test]
    fn everything_arrives_in_order(steps in prop::collection::vec(step(), 0..120), cut in 1_usize..300) {
        let mut ends = [Connection::client(), Connection::server()];
        let (mut sent, mut got) = ([BTreeMap::new(), BTreeMap::new()], [BTreeMap::new(), BTreeMap::new()]);
        let mut known = [Vec::new(), Vec::new()];
        let mut reset = Vec::new();
        let last = [(false, Step::Pass), (true, Step::Pass), (false, Step::Pass), (true, Step::Pass)];
        for (side, step) in steps.into_iter().chain(last) {
            let side = usize::from(side);
            let chosen = |index: usize| known[side].get(index % known[side].len().max(1)).copied();
            match step {
                Step::Open => known[side].extend(ends[side].open(&headers("data"), false)),
                Step::Send(index, data, end) => {
                    let Some(stream) = chosen(index) else { continue };
                    if ends[side].send(stream, &data, end) {
                        sent[side].entry(stream).or_insert_with(Vec::new).extend(data);
                    }
                }
                Step::Reset(index) => {
                    let Some(stream) = chosen(index) else { continue };
                    ends[side].reset(stream, Reset::Cancel);
                    reset.push(stream);
                }
                Step::Pass => {
                    let output = ends[side].take_output();
                    for piece in output.chunks(cut) {
                        for event in ends[1 - side].receive(piece).unwrap() {
                            match event {
                                Event::Opened { stream, .. } => known[1 - side].push(stream),
                                Event::Data { stream, data, .. } => {
                                    got[1 - side].entry(stream).or_insert_with(Vec::new).extend(data);
                                }
                                _ => {}
                            }
                        }
                    }
                }
            }
        }
        for side in [0, 1] {
            for (stream, sent) in &sent[side] {
                let got = got[1 - side].get(stream).cloned().unwrap_or_default();
                if reset.contains(stream) {
                    prop_assert!(sent.starts_with(&got));
                } else {
                    prop_assert_eq!(sent, &got);
                }
            }
        }
    }
}

/// Parts of one stream's data that follow each other as one.
fn joined(events: &[Event]) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    for event in events {
        match (all.last_mut(), event) {
            (
                Some(Event::Data { stream, data, ends: last }),
                Event::Data { stream: same, data: more, ends },
            ) if stream == same && !*last => {
                *data = [&data[..], more].concat().into();
                *last = *ends;
            }
            _ => all.push(event.clone()),
        }
    }
    all
}
