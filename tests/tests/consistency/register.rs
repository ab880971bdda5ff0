//! Whether a history of operations on one object is linearizable: Wing and Gong's search, with Lowe's memory of the
//! configurations that have been tried.
//!
//! An object is a register that may be absent. Each write puts a value that no other write puts, so that a value stands for a
//! revision: an update that states a revision states the value that it was read with.

use std::collections::{HashMap, HashSet};

/// A value that one write puts.
pub(crate) type Value = u32;

/// What was asked of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Read,
    Create(Value),
    /// Replace what is at the revision of a value.
    Update(Value, Value),
    /// Delete what is at the revision of a value.
    Delete(Value),
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Saw(Option<Value>),
    Done,
    /// 404
    Absent,
    /// 409: present, or at another revision.
    Other,
    /// Nobody knows: it may happen at any time from now on, or never.
    Lost,
}

/// One operation: what was asked and answered, and when. Times come from one counter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) ask: Ask,
    pub(crate) answer: Answer,
    pub(crate) invoked: u64,
    pub(crate) returned: u64,
}

type State = Option<Value>;

/// The state after an operation, if it can have been answered so.
fn step(state: State, operation: &Operation) -> Option<State> {
    let applies = match operation.ask {
        Ask::Read => true,
        Ask::Create(_) => state.is_none(),
        Ask::Update(expected, _) | Ask::Delete(expected) => state == Some(expected),
    };
    let after = match operation.ask {
        Ask::Read => state,
        Ask::Create(value) | Ask::Update(_, value) => Some(value),
        Ask::Delete(_) => None,
    };
    let fits = match operation.answer {
        Answer::Saw(seen) => seen == state,
        Answer::Done => applies,
        Answer::Absent => state.is_none() && !matches!(operation.ask, Ask::Create(_)),
        Answer::Other => state.is_some() && !applies,
        Answer::Lost => return Some(if applies { after } else { state }),
    };
    fits.then_some(if operation.answer == Answer::Done { after } else { state })
}

/// Checks that the operations can be put in an order in which each is answered as a register would, and which keeps that of
/// operations of which one had returned before the other was invoked. Begins with an absent object.
///
/// # Errors
/// The operations that no order explains, as a text.
pub(crate) fn check(operations: &[Operation]) -> Result<(), String> {
    let mut search = Search::new(operations);
    if search.run() { Ok(()) } else { Err(search.report()) }
}

/// The search's list of invocations and returns in order of time, as links between neighbours. Position 0 is its head.
struct Search<'a> {
    operations: &'a [Operation],
    entries: Vec<Entry>,
    next: Vec<usize>,
    previous: Vec<usize>,
    done: Vec<u64>,
    furthest: usize,
    furthest_state: State,
    stuck: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    operation: usize,
    /// Of an invocation: where the return is.
    returns: Option<usize>,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation]) -> Self {
        let mut times: Vec<(u64, bool, usize)> = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            let lost = operation.answer == Answer::Lost;
            times.push((operation.invoked, false, number));
            times.push((if lost { u64::MAX } else { operation.returned }, true, number));
        }
        times.sort_unstable();
        let mut entries = vec![Entry { operation: usize::MAX, returns: None }];
        let mut invocations = HashMap::new();
        for (position, (_, returns, operation)) in times.into_iter().enumerate() {
            if returns {
                let invocation: usize = invocations[&operation];
                entries[invocation].returns = Some(position + 1);
            } else {
                invocations.insert(operation, position + 1);
            }
            entries.push(Entry { operation, returns: None });
        }
        let length = entries.len();
        Self {
            operations,
            entries,
            next: (1..=length).collect(),
            previous: (0..length).map(|at| at.saturating_sub(1)).collect(),
            done: vec![0; operations.len().div_ceil(64)],
            furthest: 0,
            furthest_state: None,
            stuck: None,
        }
    }

    fn run(&mut self) -> bool {
        let (mut state, mut taken): (State, Vec<(usize, State)>) = (None, Vec::new());
        let mut tried = HashSet::new();
        let mut at = self.next[0];
        while self.next[0] < self.entries.len() {
            let Entry { operation, returns } = self.entries[at];
            if returns.is_some() {
                let after = step(state, &self.operations[operation]);
                self.done[operation / 64] ^= 1 << (operation % 64);
                if let Some(after) = after.filter(|after| tried.insert((self.done.clone(), *after))) {
                    taken.push((at, state));
                    state = after;
                    self.unlink(at);
                    at = self.next[0];
                    continue;
                }
                self.done[operation / 64] ^= 1 << (operation % 64);
                at = self.next[at];
                continue;
            }
            // A return whose invocation found no place: the one taken last was taken wrongly.
            if taken.len() >= self.furthest {
                (self.furthest, self.furthest_state, self.stuck) = (taken.len(), state, Some(operation));
            }
            let Some((last, before)) = taken.pop() else { return false };
            let operation = self.entries[last].operation;
            self.done[operation / 64] ^= 1 << (operation % 64);
            state = before;
            self.relink(last);
            at = self.next[last];
        }
        true
    }

    fn unlink(&mut self, invocation: usize) {
        for at in [Some(invocation), self.entries[invocation].returns].into_iter().flatten() {
            let (previous, next) = (self.previous[at], self.next[at]);
            self.next[previous] = next;
            if next < self.entries.len() {
                self.previous[next] = previous;
            }
        }
    }

    fn relink(&mut self, invocation: usize) {
        for at in [self.entries[invocation].returns, Some(invocation)].into_iter().flatten() {
            let (previous, next) = (self.previous[at], self.next[at]);
            self.next[previous] = at;
            if next < self.entries.len() {
                self.previous[next] = at;
            }
        }
    }

    fn report(&self) -> String {
        let Some(stuck) = self.stuck.map(|operation| &self.operations[operation]) else {
            return String::new();
        };
        let near = |operation: &&Operation| {
            operation.invoked <= stuck.returned && operation.returned >= stuck.invoked.saturating_sub(40)
        };
        let near: Vec<_> =
            self.operations.iter().filter(near).map(|operation| format!("  {operation:?}")).collect();
        format!(
            "no order explains {stuck:?}: after {} operations the object is {:?}; near it\n{}",
            self.furthest,
            self.furthest_state,
            near.join("\n")
        )
    }
}

fn at(invoked: u64, returned: u64, ask: Ask, answer: Answer) -> Operation {
    Operation { ask, answer, invoked, returned }
}

#[test]
fn what_a_register_does_is_accepted() {
    check(&[
        at(1, 2, Ask::Create(1), Answer::Done),
        at(3, 4, Ask::Create(2), Answer::Other),
        at(5, 6, Ask::Update(1, 3), Answer::Done),
        at(7, 8, Ask::Delete(1), Answer::Other),
        at(9, 10, Ask::Read, Answer::Saw(Some(3))),
        at(11, 12, Ask::Delete(3), Answer::Done),
        at(13, 14, Ask::Update(3, 4), Answer::Absent),
    ])
    .unwrap();
}

#[test]
fn what_overlaps_may_have_happened_in_either_order() {
    for seen in [None, Some(1)] {
        check(&[at(1, 4, Ask::Create(1), Answer::Done), at(2, 3, Ask::Read, Answer::Saw(seen))]).unwrap();
    }
}

#[test]
fn what_was_lost_happened_late_or_never() {
    let lost = at(1, 2, Ask::Create(1), Answer::Lost);
    check(&[lost, at(3, 4, Ask::Read, Answer::Saw(None)), at(5, 6, Ask::Read, Answer::Saw(Some(1)))])
        .unwrap();
    check(&[lost, at(3, 4, Ask::Create(2), Answer::Done), at(5, 6, Ask::Read, Answer::Saw(Some(2)))])
        .unwrap();
    let back = at(7, 8, Ask::Read, Answer::Saw(None));
    check(&[lost, at(3, 4, Ask::Read, Answer::Saw(Some(1))), back]).unwrap_err();
}

#[test]
fn a_stale_read_is_refused() {
    check(&[
        at(1, 2, Ask::Create(1), Answer::Done),
        at(3, 4, Ask::Update(1, 2), Answer::Done),
        at(5, 6, Ask::Read, Answer::Saw(Some(1))),
    ])
    .unwrap_err();
}

#[test]
fn a_lost_write_is_refused() {
    check(&[at(1, 2, Ask::Create(1), Answer::Done), at(3, 4, Ask::Read, Answer::Saw(None))]).unwrap_err();
}

#[test]
fn two_updates_of_one_revision_are_refused() {
    check(&[
        at(1, 2, Ask::Create(1), Answer::Done),
        at(3, 6, Ask::Update(1, 2), Answer::Done),
        at(4, 5, Ask::Update(1, 3), Answer::Done),
    ])
    .unwrap_err();
}

#[test]
fn reads_that_go_back_are_refused() {
    check(&[
        at(1, 2, Ask::Create(1), Answer::Done),
        at(3, 10, Ask::Update(1, 2), Answer::Done),
        at(4, 5, Ask::Read, Answer::Saw(Some(2))),
        at(6, 7, Ask::Read, Answer::Saw(Some(1))),
    ])
    .unwrap_err();
}

#[test]
fn a_refusal_without_a_reason_is_refused() {
    check(&[at(1, 2, Ask::Create(1), Answer::Done), at(3, 4, Ask::Update(1, 2), Answer::Other)]).unwrap_err();
    check(&[at(1, 2, Ask::Create(1), Answer::Other)]).unwrap_err();
}
