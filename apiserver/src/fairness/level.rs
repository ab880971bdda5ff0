//! [`Level`]: the seats of one share, and who is next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::FlowLimits;

/// Why a request is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many of the caller's requests wait.
    QueueFull,
    /// It has waited too long.
    TimeOut,
    /// The caller has too many watches and streams, requests to mounts, or bodies on their way.
    ConcurrencyLimit,
}

/// What takes no seat, and is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    /// A watch or a stream, for as long as it is open.
    LongRunning,
    /// A request to a mount, until it is answered.
    Visit,
    /// A body that is on its way.
    Body,
}

impl Refusal {
    /// Kubernetes' name of it in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::TimeOut => "time-out",
            Self::ConcurrencyLimit => "concurrency-limit",
        }
    }
}

/// So many seats, given to callers in turn.
pub(crate) struct Level {
    limits: FlowLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    executing: usize,
    waiting: usize,
    long_running: usize,
    /// Callers that have something here. Those that have nothing are forgotten.
    flows: HashMap<Arc<str>, Flow>,
    /// Callers that wait and may have a seat, each once, in the order in which they get one.
    turn: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Flow {
    executing: usize,
    long_running: usize,
    visits: usize,
    bodies: usize,
    /// Whether it is among those whose turn comes.
    in_turn: bool,
    /// Those who have gone are found when it would be their turn.
    waiting: VecDeque<oneshot::Sender<Seat>>,
}

impl Flow {
    fn is_idle(&self) -> bool {
        self.executing == 0
            && self.long_running == 0
            && self.visits == 0
            && self.bodies == 0
            && self.waiting.is_empty()
    }

    fn staying(&mut self, stay: Stay) -> &mut usize {
        match stay {
            Stay::LongRunning => &mut self.long_running,
            Stay::Visit => &mut self.visits,
            Stay::Body => &mut self.bodies,
        }
    }

    /// Forgets those in front who no longer wait; tells how many.
    fn forget_gone(&mut self) -> usize {
        let before = self.waiting.len();
        while self.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            self.waiting.pop_front();
        }
        before - self.waiting.len()
    }
}

/// A place in a queue.
pub(crate) struct Place(oneshot::Receiver<Seat>);

/// How much of a level is in use.
pub(super) struct Usage {
    pub(super) executing: usize,
    pub(super) waiting: usize,
    pub(super) long_running: usize,
}

impl Level {
    pub(super) fn new(limits: FlowLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// A seat if one is free for the caller, or else a place in the caller's queue.
    ///
    /// # Errors
    /// If the queue is full.
    pub(super) fn try_enter(self: &Arc<Self>, caller: &str) -> Result<Result<Seat, Place>, Refusal> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let (name, flow) = flow(&mut state.flows, caller);
        state.waiting -= flow.forget_gone();
        let may_sit = flow.executing < self.limits.seats_per_caller;
        if may_sit && flow.waiting.is_empty() && state.executing < self.limits.seats {
            flow.executing += 1;
            state.executing += 1;
            return Ok(Ok(Seat { level: self.clone(), caller: name }));
        }
        if flow.waiting.len() >= self.limits.queue_per_caller {
            return Err(Refusal::QueueFull);
        }
        let (sender, receiver) = oneshot::channel();
        if may_sit && !std::mem::replace(&mut flow.in_turn, true) {
            state.turn.push_back(name);
        }
        flow.waiting.push_back(sender);
        state.waiting += 1;
        Ok(Err(Place(receiver)))
    }

    /// Waits for the seat.
    ///
    /// # Errors
    /// If it takes too long.
    pub(super) async fn wait(&self, place: Place) -> Result<Seat, Refusal> {
        let waited = tokio::time::timeout(self.limits.patience, place.0).await;
        // A sender is dropped only with the queue of one who has gone.
        waited.ok().and_then(Result::ok).ok_or(Refusal::TimeOut)
    }

    /// Leave to keep something open, to visit a mount, or to send a body.
    ///
    /// # Errors
    /// If the caller has too much of it.
    pub(super) fn stay(self: &Arc<Self>, caller: &str, stay: Stay) -> Result<Leave, Refusal> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let (name, flow) = flow(&mut state.flows, caller);
        let staying = flow.staying(stay);
        if *staying >= self.limits.of(stay) {
            return Err(Refusal::ConcurrencyLimit);
        }
        *staying += 1;
        state.long_running += usize::from(stay == Stay::LongRunning);
        Ok(Leave { level: self.clone(), caller: name, stay })
    }

    pub(super) fn usage(&self) -> Usage {
        let state = self.state.lock();
        Usage { executing: state.executing, waiting: state.waiting, long_running: state.long_running }
    }

    fn leave(self: &Arc<Self>, caller: &Arc<str>) {
        self.state.lock().leave(caller);
        // Outside the lock: the seat of one who has just gone comes back here.
        while let Some((next, caller)) = self.next() {
            drop(next.send(Seat { level: self.clone(), caller }));
        }
    }

    /// Whoever is next, if there is a seat.
    fn next(&self) -> Option<(oneshot::Sender<Seat>, Arc<str>)> {
        self.state.lock().next(&self.limits)
    }
}

/// The caller's flow, and the name by which it is kept.
fn flow<'a>(flows: &'a mut HashMap<Arc<str>, Flow>, caller: &str) -> (Arc<str>, &'a mut Flow) {
    let name = match flows.get_key_value(caller) {
        Some((name, _)) => name.clone(),
        None => Arc::from(caller),
    };
    let flow = flows.entry(name.clone()).or_default();
    (name, flow)
}

impl State {
    fn leave(&mut self, caller: &Arc<str>) {
        self.executing -= 1;
        let Some(flow) = self.flows.get_mut(caller) else { return };
        flow.executing -= 1;
        // While it had all that it may have, it had no turn.
        if !flow.waiting.is_empty() && !std::mem::replace(&mut flow.in_turn, true) {
            self.turn.push_back(caller.clone());
        }
        self.forget_idle(caller);
    }

    fn next(&mut self, limits: &FlowLimits) -> Option<(oneshot::Sender<Seat>, Arc<str>)> {
        while self.executing < limits.seats {
            let caller = self.turn.pop_front()?;
            let Some(flow) = self.flows.get_mut(&caller) else { continue };
            flow.in_turn = false;
            self.waiting -= flow.forget_gone();
            let Some(next) = flow.waiting.pop_front() else {
                self.forget_idle(&caller);
                continue;
            };
            flow.executing += 1;
            self.executing += 1;
            self.waiting -= 1;
            if !flow.waiting.is_empty() && flow.executing < limits.seats_per_caller {
                flow.in_turn = true;
                self.turn.push_back(caller.clone());
            }
            return Some((next, caller));
        }
        None
    }

    fn forget_idle(&mut self, caller: &Arc<str>) {
        if self.flows.get(caller).is_some_and(Flow::is_idle) {
            self.flows.remove(caller);
        }
    }
}

/// Leave to be carried out. Given back when dropped.
pub(crate) struct Seat {
    level: Arc<Level>,
    caller: Arc<str>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.level.leave(&self.caller);
    }
}

/// Leave to keep a watch or a stream open, to visit a mount, or to send a body. Given back when dropped.
pub(crate) struct Leave {
    level: Arc<Level>,
    caller: Arc<str>,
    stay: Stay,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut state = self.level.state.lock();
        state.long_running -= usize::from(self.stay == Stay::LongRunning);
        if let Some(flow) = state.flows.get_mut(&self.caller) {
            *flow.staying(self.stay) -= 1;
        }
        state.forget_idle(&self.caller);
    }
}

impl FlowLimits {
    fn of(&self, stay: Stay) -> usize {
        match stay {
            Stay::LongRunning => self.long_running_per_caller,
            Stay::Visit => self.visits_per_caller,
            Stay::Body => self.bodies_per_caller,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;

    const LIMITS: FlowLimits = FlowLimits {
        requests: 100,
        seats: 3,
        seats_per_caller: 2,
        queue_per_caller: 4,
        patience: Duration::from_secs(15),
        long_running_per_caller: 1,
        visits_per_caller: 1,
        bodies_per_caller: 1,
    };

    fn level() -> Arc<Level> {
        Arc::new(Level::new(LIMITS))
    }

    fn sit(level: &Arc<Level>, caller: &str) -> Seat {
        level.try_enter(caller).ok().unwrap().ok().unwrap()
    }

    fn wait(level: &Arc<Level>, caller: &str) -> Place {
        level.try_enter(caller).ok().unwrap().err().unwrap()
    }

    /// Who has been given a seat of those who wait.
    fn seated(places: &mut [Option<Place>]) -> Vec<(usize, Seat)> {
        let seat = |place: &mut Option<Place>| {
            let seat = (&mut place.as_mut()?.0).now_or_never()?.unwrap();
            place.take();
            Some(seat)
        };
        places.iter_mut().enumerate().filter_map(|(at, place)| Some((at, seat(place)?))).collect()
    }

    #[test]
    fn one_caller_never_has_all_seats_and_its_queue_ends() {
        let level = level();
        let _seats = [sit(&level, "greedy"), sit(&level, "greedy")];
        let _queue: Vec<_> = (0..LIMITS.queue_per_caller).map(|_| wait(&level, "greedy")).collect();
        assert_eq!(level.try_enter("greedy").err(), Some(Refusal::QueueFull));
        drop(sit(&level, "polite"));
        drop(sit(&level, "polite"));
    }

    #[test]
    fn seats_that_become_free_go_to_callers_in_turn() {
        let level = level();
        let greedy = [sit(&level, "greedy"), sit(&level, "greedy")];
        let other = sit(&level, "other");
        let mut places: Vec<_> = ["greedy", "greedy", "greedy", "polite", "polite"]
            .map(|caller| Some(wait(&level, caller)))
            .into();
        assert!(seated(&mut places).is_empty());
        drop(other);
        let first = seated(&mut places);
        assert_eq!(first.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3], "greedy has all it may have");
        drop(greedy);
        let next: Vec<_> = seated(&mut places).into_iter().map(|(at, seat)| (at, drop(seat)).0).collect();
        assert_eq!(next, [0, 4], "one each, whoever came first");
    }

    #[test]
    fn a_seat_for_one_who_has_gone_goes_to_the_next_and_nothing_is_kept() {
        let level = level();
        let seats = ["a", "a", "b"].map(|caller| sit(&level, caller));
        let mut places = ["c", "d"].map(|caller| Some(wait(&level, caller)));
        places[0] = None;
        drop(seats);
        let seated = seated(&mut places);
        assert_eq!(seated.len(), 1);
        drop(seated);
        let state = level.state.lock();
        assert_eq!((state.executing, state.waiting, state.flows.len(), state.turn.len()), (0, 0, 0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let level = Arc::new(Level::new(FlowLimits { patience: Duration::from_millis(1), ..LIMITS }));
        let _seats = [sit(&level, "a"), sit(&level, "a")];
        let place = wait(&level, "a");
        assert_eq!(level.wait(place).await.err(), Some(Refusal::TimeOut));
    }

    #[test]
    fn what_is_kept_open_is_counted_apart() {
        let level = level();
        let open = level.stay("a", Stay::LongRunning).ok().unwrap();
        assert_eq!(level.stay("a", Stay::LongRunning).err(), Some(Refusal::ConcurrencyLimit));
        drop((sit(&level, "a"), level.stay("b", Stay::LongRunning)));
        drop(open);
        drop((level.stay("a", Stay::LongRunning).ok().unwrap(), level.stay("a", Stay::Visit).ok().unwrap()));
        assert!(level.state.lock().flows.is_empty());
    }
}
