//! Collapse that outlives its cause: retries keep a server busy with work that nobody waits for any more.
//!
//! Source: Bronson, Aghayev, Charapko & Zhu, HotOS 2021, "Metastable failures in distributed systems", section 2, its retry example: a server
//! stalls, requests time out and are sent again, and the stale ones are still done. [`Stall::recovery`] is the closed form of the
//! fluid limit; [`Stall::simulate`] goes request by request and knows the safeguards.

use super::{ModelError, count, non_negative, out_of_range, positive, real};
use sim::rng::Stream;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A server that stops for a while under a steady load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    /// λ: new requests a second.
    pub arrivals_per_second: f64,
    /// μ: requests that the server can do a second.
    pub services_per_second: f64,
    /// τ: how long a client waits for an answer.
    pub timeout_seconds: f64,
    /// T: how long the server stops.
    pub stall_seconds: f64,
}

/// What becomes of the service after the stall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recovery {
    /// New requests are answered in time again this many seconds after the stall.
    After(f64),
    /// The load stays above what the server can do, although the cause is gone.
    Never,
}

/// What stands between a stall and a collapse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Safeguard {
    /// First come, first served; one retry at once; stale work is done.
    None,
    /// No retries.
    NoRetries,
    /// The newest request is served first.
    NewestFirst,
    /// The queue holds this many; a request that finds it full is lost, and its client learns so by its timeout.
    QueueCap(u64),
    /// A request that has waited longer than its timeout is dropped when its turn comes.
    ///
    /// Not enough by itself: one that has waited a little less is started and ends too late, so that under a full queue every
    /// request served is wasted.
    DropExpired,
    /// A request that would end after its timeout is dropped when its turn comes.
    DropHopeless,
    /// Retries are at most this share of new requests, with up to `burst` saved up.
    RetryBudget {
        /// Retries allowed for each new request.
        share: f64,
        /// How many unused ones are kept.
        burst: f64,
    },
}

/// What one simulated stall did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// When the last request came whose first attempt was not answered in time, in seconds after the stall; 0 where all that came after
    /// were. None: they still failed at the end.
    pub first_attempts_recover_seconds: Option<f64>,
    /// Likewise for requests none of whose attempts was answered in time.
    pub requests_recover_seconds: Option<f64>,
    /// The share of requests of the last tenth of the time that were answered in time.
    pub answered_at_the_end: f64,
}

impl Stall {
    fn check(&self) -> Result<(), ModelError> {
        positive("arrivals_per_second", self.arrivals_per_second)?;
        positive("services_per_second", self.services_per_second)?;
        positive("timeout_seconds", self.timeout_seconds)?;
        non_negative("stall_seconds", self.stall_seconds)?;
        if self.arrivals_per_second >= self.services_per_second {
            let allowed = format!("below `services_per_second`, which is {}", self.services_per_second);
            return Err(out_of_range("arrivals_per_second", self.arrivals_per_second, allowed));
        }
        Ok(())
    }

    /// The closed form with one retry: (λT + λ(T−τ) − μτ)/(μ − 2λ) seconds, or never from λ = μ/2 on.
    ///
    /// Where the backlog at the end of the stall fits within one timeout, nothing is wrong afterwards.
    pub fn recovery(&self) -> Result<Recovery, ModelError> {
        self.check()?;
        let retried = (self.stall_seconds - self.timeout_seconds).max(0.0);
        let backlog = self.arrivals_per_second * (self.stall_seconds + retried)
            - self.services_per_second * self.timeout_seconds;
        let spare = self.services_per_second - 2.0 * self.arrivals_per_second;
        Ok(if backlog <= 0.0 {
            Recovery::After(0.0)
        } else if spare <= 0.0 {
            Recovery::Never
        } else {
            Recovery::After(super::finite("recovery time", backlog / spare)?)
        })
    }

    /// The longest stall, in seconds, after which a load of half the capacity or more still recovers: τ(λ + μ)/2λ.
    pub fn stall_seconds_survived(&self) -> Result<f64, ModelError> {
        self.check()?;
        let sum = self.arrivals_per_second + self.services_per_second;
        super::finite("longest stall", self.timeout_seconds * sum / (2.0 * self.arrivals_per_second))
    }

    /// Goes through the stall request by request, and on for `horizon_seconds` after it.
    ///
    /// One request comes in each slot of 1/λ, at an instant drawn from `seed`; service takes 1/μ. Times are whole nanoseconds: in
    /// floating point, retries that come τ after an arrival would tie with later arrivals or not by rounding alone, and the rounding would
    /// decide between recovery and collapse.
    pub fn simulate(
        &self,
        safeguard: Safeguard,
        horizon_seconds: f64,
        seed: u64,
    ) -> Result<Outcome, ModelError> {
        self.check()?;
        positive("horizon_seconds", horizon_seconds)?;
        match safeguard {
            Safeguard::QueueCap(places) => drop(count("queue_cap", places, 1, 1_000_000_000)?),
            Safeguard::RetryBudget { share, burst } => {
                non_negative("retry_share", share)?;
                non_negative("retry_burst", burst)?;
            }
            _ => {}
        }
        let requests = self.arrivals_per_second * (self.stall_seconds + horizon_seconds);
        if requests > 1e6 {
            return Err(out_of_range(
                "horizon_seconds",
                horizon_seconds,
                "short enough for at most a million requests",
            ));
        }
        if self.services_per_second > 1e7
            || self.timeout_seconds > 1e6
            || self.stall_seconds > 1e6
            || horizon_seconds > 1e6
        {
            let allowed = "at most 1e7, with times of at most 1e6 s, as the simulation counts nanoseconds";
            return Err(out_of_range("services_per_second", self.services_per_second, allowed));
        }
        Ok(Simulation::new(self, safeguard, horizon_seconds, seed).run())
    }
}

/// One try of one request, in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    request: usize,
    retry: bool,
    sent_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrival(u64),
    Done(Attempt),
    TimedOut(Attempt),
    StallEnds,
}

/// What became of a request.
#[derive(Clone, Copy)]
struct Request {
    sent_ns: u64,
    first_answered: bool,
    answered: bool,
}

struct Simulation {
    safeguard: Safeguard,
    slot_seconds: f64,
    service_ns: u64,
    timeout_ns: u64,
    stall_ns: u64,
    end_ns: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    scheduled: u64,
    queue: VecDeque<Attempt>,
    busy: bool,
    tokens: f64,
    requests: Vec<Request>,
    chance: Stream,
}

impl Simulation {
    fn new(stall: &Stall, safeguard: Safeguard, horizon_seconds: f64, seed: u64) -> Self {
        let stall_ns = nanos(stall.stall_seconds);
        let tokens = if let Safeguard::RetryBudget { burst, .. } = safeguard { burst } else { 0.0 };
        Self {
            safeguard,
            slot_seconds: 1.0 / stall.arrivals_per_second,
            service_ns: nanos(1.0 / stall.services_per_second),
            timeout_ns: nanos(stall.timeout_seconds),
            stall_ns,
            end_ns: stall_ns + nanos(horizon_seconds),
            agenda: BinaryHeap::new(),
            scheduled: 0,
            queue: VecDeque::new(),
            busy: false,
            tokens,
            requests: Vec::new(),
            chance: Stream::named(seed, "collapse"),
        }
    }

    fn run(mut self) -> Outcome {
        self.plan(self.stall_ns, Happening::StallEnds);
        self.plan_arrival(0);
        while let Some(Reverse((now, _, happening))) = self.agenda.pop() {
            if now > self.end_ns {
                break;
            }
            match happening {
                Happening::Arrival(number) => self.arrive(number, now),
                Happening::Done(attempt) => self.finish(attempt, now),
                Happening::TimedOut(attempt) => self.time_out(attempt, now),
                Happening::StallEnds => self.serve(now),
            }
        }
        self.outcome()
    }

    fn plan(&mut self, at_ns: u64, happening: Happening) {
        self.scheduled += 1;
        self.agenda.push(Reverse((at_ns, self.scheduled, happening)));
    }

    fn plan_arrival(&mut self, number: u64) {
        let at_ns = nanos((real(number) + self.chance.unit()) * self.slot_seconds);
        self.plan(at_ns, Happening::Arrival(number));
    }

    fn arrive(&mut self, number: u64, now: u64) {
        if let Safeguard::RetryBudget { share, burst } = self.safeguard {
            self.tokens = (self.tokens + share).min(burst.max(share));
        }
        let request = self.requests.len();
        self.requests.push(Request { sent_ns: now, first_answered: false, answered: false });
        self.send(Attempt { request, retry: false, sent_ns: now }, now);
        self.plan_arrival(number + 1);
    }

    fn send(&mut self, attempt: Attempt, now: u64) {
        self.plan(now + self.timeout_ns, Happening::TimedOut(attempt));
        let full = matches!(self.safeguard, Safeguard::QueueCap(cap) if self.queue.len() as u64 >= cap);
        if !full {
            self.queue.push_back(attempt);
            self.serve(now);
        }
    }

    fn serve(&mut self, now: u64) {
        if self.busy || now < self.stall_ns {
            return;
        }
        while let Some(attempt) = self.next() {
            let waited = now - attempt.sent_ns;
            let dropped = match self.safeguard {
                Safeguard::DropExpired => waited > self.timeout_ns,
                Safeguard::DropHopeless => waited + self.service_ns > self.timeout_ns,
                _ => false,
            };
            if !dropped {
                self.busy = true;
                self.plan(now + self.service_ns, Happening::Done(attempt));
                return;
            }
        }
    }

    fn next(&mut self) -> Option<Attempt> {
        match self.safeguard {
            Safeguard::NewestFirst => self.queue.pop_back(),
            _ => self.queue.pop_front(),
        }
    }

    fn finish(&mut self, attempt: Attempt, now: u64) {
        self.busy = false;
        if now - attempt.sent_ns <= self.timeout_ns {
            let request = &mut self.requests[attempt.request];
            request.answered = true;
            request.first_answered |= !attempt.retry;
        }
        self.serve(now);
    }

    fn time_out(&mut self, attempt: Attempt, now: u64) {
        if attempt.retry || self.requests[attempt.request].answered {
            return;
        }
        let allowed = match self.safeguard {
            Safeguard::NoRetries => false,
            Safeguard::RetryBudget { .. } => self.tokens >= 1.0,
            _ => true,
        };
        if allowed {
            self.tokens -= 1.0;
            self.send(Attempt { retry: true, sent_ns: now, ..attempt }, now);
        }
    }

    fn outcome(&self) -> Outcome {
        // A request of the last moments may still be waiting for its second answer.
        let judged_ns = self.end_ns.saturating_sub(2 * self.timeout_ns + self.service_ns);
        let judged = || self.requests.iter().filter(move |request| request.sent_ns <= judged_ns);
        let settled_ns = judged_ns.saturating_sub((judged_ns.saturating_sub(self.stall_ns)) / 10);
        let recover = |failed: fn(&Request) -> bool| {
            let last = judged().filter(|request| failed(request)).map(|request| request.sent_ns).max();
            match last {
                None => Some(0.0),
                Some(at_ns) if at_ns >= settled_ns => None,
                Some(at_ns) => Some(real(at_ns.saturating_sub(self.stall_ns)) / 1e9),
            }
        };
        let late: Vec<bool> = judged()
            .filter(|request| request.sent_ns >= settled_ns)
            .map(|request| request.answered)
            .collect();
        let answered = late.iter().filter(|answered| **answered).count() as u64;
        Outcome {
            first_attempts_recover_seconds: recover(|request| !request.first_answered),
            requests_recover_seconds: recover(|request| !request.answered),
            answered_at_the_end: if late.is_empty() { 0.0 } else { real(answered) / real(late.len() as u64) },
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are checked to be at most 1e6 s"
)]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Stall = Stall {
        arrivals_per_second: 280.0,
        services_per_second: 300.0,
        timeout_seconds: 1.0,
        stall_seconds: 10.0,
    };

    #[test]
    fn half_the_capacity_is_the_cliff() {
        let at = |arrivals_per_second| Stall { arrivals_per_second, ..STALL }.recovery().unwrap();
        assert!(matches!(at(149.0), Recovery::After(_)));
        assert_eq!(at(150.0), Recovery::Never);
        assert_eq!(at(151.0), Recovery::Never);
    }

    #[test]
    fn the_same_seed_gives_the_same_outcome() {
        let run = |seed| STALL.simulate(Safeguard::NewestFirst, 60.0, seed).unwrap();
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn a_server_that_cannot_carry_its_load_is_refused() {
        let overloaded = Stall { arrivals_per_second: 300.0, ..STALL };
        assert!(
            overloaded
                .recovery()
                .unwrap_err()
                .to_string()
                .contains("below `services_per_second`, which is 300")
        );
        assert!(STALL.simulate(Safeguard::QueueCap(0), 60.0, 0).is_err());
        assert!(STALL.simulate(Safeguard::None, 1e9, 0).is_err());
    }
}
