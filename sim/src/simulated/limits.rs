//! Ends a world before its time: when one of its watchers has seen enough, or it goes past its budget.

use super::agenda::Step;
use super::kernel::Kernel;
use crate::{rng, trace};
use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

/// What a run may not go past, and where it leaves what its plan would have it do.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Ends the run soon after it is set: by an observer, which sees equal events in equal runs and so ends them alike, or
    /// from another thread.
    pub stop: Option<Arc<AtomicBool>>,
    /// How often tasks may be polled in all: the one budget that a task which spins without time passing runs out of.
    pub polls: Option<u64>,
    /// From a moment on, chance other than the plan's: what might still have happened. Each replaces the one before it.
    pub fresh_chance: Vec<FreshChance>,
    /// Whether every draw of chance is kept, with its task: see [`trace`](crate::trace).
    pub trace: bool,
}

/// A branch of a run: the same up to a moment, with other chance from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshChance {
    /// The moment, in nanoseconds of true time.
    pub from_ns: u64,
    /// Which other chance; 0 is the plan's own.
    pub salt: u64,
}

/// Why a run ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// [`Limits::stop`] was set.
    Stopped,
    /// [`Limits::polls`] ran out.
    Polls,
}

#[derive(Default)]
struct State {
    limits: Limits,
    polls: u64,
    cut_off: Option<CutOff>,
    world: Option<Waker>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Sets the limits of this thread's world.
pub(crate) fn install(limits: Limits) {
    if limits.trace {
        trace::begin();
    }
    STATE.set(State { limits, ..State::default() });
}

/// Counts one poll of a task. False once the world is ending: a task that was polled on might spin, and madsim ends
/// nothing before all tasks rest.
pub(crate) fn may_poll() -> bool {
    STATE.with_borrow_mut(|state| {
        state.polls += 1;
        state.check();
        state.cut_off.is_none()
    })
}

/// Looks whether what was just polled has seen enough.
pub(crate) fn after_poll() {
    STATE.with_borrow_mut(State::check);
}

impl State {
    fn check(&mut self) {
        if self.cut_off.is_some() {
            return;
        }
        let stopped = self.limits.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        let spent = self.limits.polls.is_some_and(|most| self.polls > most);
        if stopped || spent {
            self.cut_off = Some(if stopped { CutOff::Stopped } else { CutOff::Polls });
            if let Some(world) = self.world.take() {
                world.wake();
            }
        }
    }
}

/// Plans the moments of fresh chance.
pub(crate) fn schedule_fresh_chance(kernel: &mut Kernel) {
    let fresh = STATE.with_borrow(|state| state.limits.fresh_chance.clone());
    for FreshChance { from_ns, salt } in fresh {
        kernel.agenda.push(from_ns, Step::Control(Box::new(move || rng::draw_anew(salt))));
    }
}

/// The output of `life`, or why it was cut off.
pub(crate) async fn within<T>(life: impl Future<Output = T>) -> Result<T, CutOff> {
    let mut life = pin!(life);
    std::future::poll_fn(|context| {
        let cut_off = STATE.with_borrow_mut(|state| {
            state.world = Some(context.waker().clone());
            state.cut_off
        });
        match cut_off {
            Some(cut_off) => Poll::Ready(Err(cut_off)),
            None => life.as_mut().poll(context).map(Ok),
        }
    })
    .await
}
