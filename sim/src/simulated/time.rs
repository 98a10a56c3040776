//! Time as the node's clock has it.

use super::agenda::{Agenda, Alarm};
use super::kernel::{self, Kernel};
use crate::history::{NodeIndex, WORLD};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use crate::instant::{Elapsed, Instant};

/// Monotonic time on this node's clock.
pub(crate) fn now_ns() -> u64 {
    kernel::with(|kernel| local_ns(kernel, kernel::current()))
}

/// This node's wall clock: the time since 1970-01-01 UTC. It may be off, and may be stepped either way.
pub fn wall_now() -> Duration {
    kernel::with(|kernel| {
        let now_ns = kernel.agenda.now_ns();
        let node = kernel::current();
        let wall_ns = if node == WORLD {
            super::clock::Clock::new(0, 0.0).wall_ns(now_ns)
        } else {
            kernel.node(node).clock.wall_ns(now_ns)
        };
        Duration::from_nanos(wall_ns)
    })
}

/// Waits until `duration` has passed on this node's clock.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until this node's clock shows `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, registered: None }
}

/// `future`, unless `duration` passes on this node's clock first.
///
/// # Errors
/// [`Elapsed`] where it does.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    crate::instant::race(future, sleep(duration)).await
}

/// Waits for its deadline on the node's clock; exact to the nanosecond, unlike a real one.
#[must_use = "a sleep does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Sleep {
    deadline: Instant,
    registered: Option<u32>,
}

impl Sleep {
    /// When it ends, on the node's clock.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Moves the deadline.
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        if let Some(slot) = self.registered.take() {
            kernel::with(|kernel| kernel.timers.remove(&mut kernel.agenda, slot));
        }
        self.deadline = deadline;
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let node = kernel::current();
        let deadline_ns = self.deadline.as_nanos();
        let registered = self.registered;
        let registered = kernel::with(|kernel| {
            // Whoever waits with others is polled for their sake most of the time.
            if let Some(slot) = registered
                && kernel.timers.renew(slot, context.waker())
            {
                return registered;
            }
            if local_ns(kernel, node) >= deadline_ns {
                if let Some(slot) = registered {
                    kernel.timers.remove(&mut kernel.agenda, slot);
                }
                return None;
            }
            Some(match registered {
                Some(slot) => slot,
                None => add(kernel, node, deadline_ns, context.waker().clone()),
            })
        });
        self.registered = registered;
        if registered.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(slot) = self.registered {
            kernel::try_with(|kernel| kernel.timers.remove(&mut kernel.agenda, slot));
        }
    }
}

/// All sleeps under way, in slots that are used again.
#[derive(Default)]
pub(crate) struct Timers {
    slots: Vec<Timer>,
    free: Vec<u32>,
}

struct Timer {
    node: NodeIndex,
    deadline_ns: u64,
    /// Its place on the agenda; none once it was woken, or while its clock stands still.
    alarm: Option<Alarm>,
    waker: Option<Waker>,
}

impl Timers {
    /// Wakes the sleep in `slot`, which stays until it is polled.
    pub(crate) fn fire(&mut self, slot: u32) {
        let timer = &mut self.slots[slot as usize];
        timer.alarm = None;
        if let Some(waker) = &timer.waker {
            waker.wake_by_ref();
        }
    }

    /// Whom to wake from now on. Whether the alarm is still to come.
    fn renew(&mut self, slot: u32, waker: &Waker) -> bool {
        let timer = &mut self.slots[slot as usize];
        if let Some(current) = &mut timer.waker {
            current.clone_from(waker);
        }
        timer.alarm.is_some()
    }

    fn remove(&mut self, agenda: &mut Agenda, slot: u32) {
        let timer = &mut self.slots[slot as usize];
        if let Some(alarm) = timer.alarm.take() {
            agenda.cancel_alarm(alarm);
        }
        timer.waker = None;
        self.free.push(slot);
    }
}

fn add(kernel: &mut Kernel, node: NodeIndex, deadline_ns: u64, waker: Waker) -> u32 {
    let timers = &mut kernel.timers;
    let timer = Timer { node, deadline_ns, alarm: None, waker: Some(waker) };
    let slot = match timers.free.pop() {
        Some(slot) => {
            timers.slots[slot as usize] = timer;
            slot
        }
        None => {
            timers.slots.push(timer);
            u32::try_from(timers.slots.len() - 1).expect("fewer than 2^32 sleeps at once")
        }
    };
    plan(kernel, slot);
    slot
}

/// Plans the sleep in `slot` for the true time at which its node's clock will show its deadline.
fn plan(kernel: &mut Kernel, slot: u32) {
    let Timer { node, deadline_ns, .. } = kernel.timers.slots[slot as usize];
    let due_ns = if node == WORLD { Some(deadline_ns) } else { kernel.node(node).clock.true_ns(deadline_ns) };
    kernel.timers.slots[slot as usize].alarm = due_ns.map(|due_ns| kernel.agenda.set_alarm(due_ns, slot));
}

/// Plans all sleeps of `node` anew, after its clock changed its rate.
pub(crate) fn clock_changed(kernel: &mut Kernel, node: NodeIndex) {
    for slot in 0..kernel.timers.slots.len() {
        let timer = &mut kernel.timers.slots[slot];
        if timer.node == node && timer.waker.is_some() {
            if let Some(alarm) = timer.alarm.take() {
                kernel.agenda.cancel_alarm(alarm);
            }
            plan(kernel, u32::try_from(slot).expect("fewer than 2^32 sleeps at once"));
        }
    }
}

fn local_ns(kernel: &mut Kernel, node: NodeIndex) -> u64 {
    let now_ns = kernel.agenda.now_ns();
    if node == WORLD { now_ns } else { kernel.node(node).clock.monotonic_ns(now_ns) }
}
