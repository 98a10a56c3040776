//! What is to happen, in order of time: the heart of the world.
//!
//! madsim's own sleeps round up to a millisecond and cost a boxed callback each. The agenda is one order of small steps
//! instead; a single task, the [`Driver`], sleeps on madsim's clock until the first of them is due. `Sleep::reset`
//! takes any deadline, so steps are exact to the nanosecond.

use super::kernel::{self, Kernel};
use super::profile::{self, Part};
use super::{limits, net};
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// One thing to do at its time.
pub(crate) enum Step {
    /// Wake the sleep in this slot.
    Timer { slot: u32 },
    /// Wake a task.
    Wake(Waker),
    /// A step of the network.
    Net(net::Step),
    /// Something that must run outside the kernel's borrow, such as killing or starting a process.
    Control(Box<dyn FnOnce() + Send>),
}

struct Entry {
    at_ns: u64,
    /// Breaks ties in the order of planning.
    sequence: u64,
    step: Step,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// Reversed: the heap's greatest is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ns, other.sequence).cmp(&(self.at_ns, self.sequence))
    }
}

/// When a sleep ends, and its place among what is planned for the same time.
pub(crate) type Alarm = (u64, u64);

/// What is known of the present.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Time may have passed since anybody looked.
    Unknown,
    /// Time stands still, as it does during a turn of a task, and nobody has looked yet.
    Stands,
    /// It stands still at this time.
    Now(u64),
}

thread_local! {
    /// madsim's clock sits behind a lock, and a turn asks for the time again and again.
    static MOMENT: Cell<Moment> = const { Cell::new(Moment::Unknown) };
}

/// Takes a turn of a task, during which no time passes.
pub(crate) fn in_a_moment<T>(turn: impl FnOnce() -> T) -> T {
    let before = MOMENT.replace(Moment::Stands);
    let output = turn();
    MOMENT.set(before);
    output
}

/// The steps to come, and madsim timers armed for the earliest of them.
pub(crate) struct Agenda {
    heap: BinaryHeap<Entry>,
    /// The sleeps, by slot. Most are time limits, which are far off and hardly ever reached: they can be taken out again, and
    /// are kept out of the way of what happens soon.
    alarms: BTreeMap<Alarm, u32>,
    sequence: u64,
    steps: u64,
    /// Deadlines that madsim will wake the driver at, latest first.
    armed: Vec<u64>,
    driver: Option<Waker>,
    time: madsim::time::TimeHandle,
}

impl Agenda {
    /// An empty agenda on the current madsim runtime's clock.
    pub(crate) fn new() -> Self {
        let time = madsim::time::TimeHandle::current();
        Self {
            heap: BinaryHeap::new(),
            alarms: BTreeMap::new(),
            sequence: 0,
            steps: 0,
            armed: Vec::new(),
            driver: None,
            time,
        }
    }

    /// True simulated time, in nanoseconds since the world began.
    pub(crate) fn now_ns(&self) -> u64 {
        match MOMENT.get() {
            Moment::Now(now_ns) => now_ns,
            moment => {
                let now_ns = self.time.elapsed().as_nanos();
                let now_ns = u64::try_from(now_ns).expect("a world lasts less than 584 years");
                if moment == Moment::Stands {
                    MOMENT.set(Moment::Now(now_ns));
                }
                now_ns
            }
        }
    }

    /// Plans `step` for `at_ns`, or for now where that has passed.
    pub(crate) fn push(&mut self, at_ns: u64, step: Step) {
        self.sequence += 1;
        self.heap.push(Entry { at_ns, sequence: self.sequence, step });
        self.wake_by(at_ns);
    }

    /// Plans to wake the sleep in `slot` at `at_ns`, or now where that has passed.
    pub(crate) fn set_alarm(&mut self, at_ns: u64, slot: u32) -> Alarm {
        self.sequence += 1;
        let alarm = (at_ns, self.sequence);
        self.alarms.insert(alarm, slot);
        self.wake_by(at_ns);
        alarm
    }

    /// Takes a sleep out again.
    pub(crate) fn cancel_alarm(&mut self, alarm: Alarm) {
        self.alarms.remove(&alarm);
    }

    /// Something is planned for `at_ns`: the driver wakes by then.
    fn wake_by(&mut self, at_ns: u64) {
        if self.armed.last().is_none_or(|earliest| at_ns < *earliest) {
            self.arm(at_ns);
        }
    }

    /// How many steps were taken: a number that a leak of nondeterminism would disturb.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    fn pop_due(&mut self) -> Option<Step> {
        let now_ns = self.now_ns();
        let step = self.heap.peek().map(|entry| (entry.at_ns, entry.sequence));
        let alarm = self.alarms.first_key_value().map(|(alarm, _)| *alarm);
        let alarm_first = alarm.is_some_and(|alarm| step.is_none_or(|step| alarm < step));
        let (at_ns, _) = if alarm_first { alarm } else { step }?;
        if at_ns > now_ns {
            return None;
        }
        self.steps += 1;
        if alarm_first {
            self.alarms.pop_first().map(|(_, slot)| Step::Timer { slot })
        } else {
            self.heap.pop().map(|entry| entry.step)
        }
    }

    /// When the next step is due.
    fn next_ns(&self) -> Option<u64> {
        let step_ns = self.heap.peek().map(|entry| entry.at_ns);
        let alarm_ns = self.alarms.first_key_value().map(|((at_ns, _), _)| *at_ns);
        step_ns.into_iter().chain(alarm_ns).min()
    }

    /// Has madsim wake the driver at `at_ns`.
    fn arm(&mut self, at_ns: u64) {
        let Some(driver) = &self.driver else { return };
        let now_ns = self.now_ns();
        if at_ns <= now_ns {
            driver.wake_by_ref();
            return;
        }
        let deadline = self.time.now_instant() + Duration::from_nanos(at_ns - now_ns);
        let mut sleep = std::pin::pin!(self.time.sleep_until(deadline));
        sleep.as_mut().reset(deadline);
        // Polling registers the deadline with the driver's waker; the sleep itself is not needed any more.
        match sleep.poll(&mut Context::from_waker(driver)) {
            Poll::Ready(()) => driver.wake_by_ref(),
            Poll::Pending => self.armed.push(at_ns),
        }
    }

    /// Forgets deadlines that have passed, and arms the next where none is.
    fn rearm(&mut self) {
        let now_ns = self.now_ns();
        while self.armed.last().is_some_and(|at_ns| *at_ns <= now_ns) {
            self.armed.pop();
        }
        if let Some(next_ns) = self.next_ns()
            && self.armed.last().is_none_or(|earliest| next_ns < *earliest)
        {
            self.arm(next_ns);
        }
    }
}

/// Takes the agenda's steps as they fall due; never ends. Runs on madsim's main node, which no fault touches.
pub(crate) struct Driver;

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !limits::may_poll() {
            return Poll::Pending;
        }
        let _at_work = profile::during(Part::Kernel);
        kernel::with(|kernel| {
            if kernel.agenda.driver.is_none() {
                kernel.agenda.driver = Some(context.waker().clone());
            }
        });
        in_a_moment(|| {
            while let Some(control) = kernel::with(take_steps) {
                control();
            }
        });
        limits::after_poll();
        Poll::Pending
    }
}

/// Takes all steps that are due, up to the first that must run outside the kernel's borrow.
fn take_steps(kernel: &mut Kernel) -> Option<Box<dyn FnOnce() + Send>> {
    while let Some(step) = kernel.agenda.pop_due() {
        match step {
            Step::Timer { slot } => kernel.timers.fire(slot),
            Step::Wake(waker) => waker.wake(),
            Step::Net(step) => net::take_step(kernel, step),
            Step::Control(control) => return Some(control),
        }
    }
    kernel.agenda.rearm();
    None
}
