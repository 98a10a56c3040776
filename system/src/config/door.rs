//! Ports between tiers: what a request meets there before it is dealt with, and how it ends.

use super::agent::{Agent, UnderWay};
use super::defect::{Met, Work};
use crate::rpc::Incoming;
use sim::task;
use sim::time::{Instant, timeout};
use std::sync::Arc;
use std::time::Duration;

/// How long a message that nobody waits for may be held up by a defect.
const PATIENCE: Duration = Duration::from_secs(10);

impl Agent {
    /// `handle`, with whatever the process's version has in store for requests before it; `fails` says which replies are of a process
    /// that cannot do what it is for. A request that the version refuses gets no answer, as from a process that failed at it.
    pub(crate) fn door<Q, R, H>(
        self: &Arc<Self>,
        handle: H,
        fails: fn(&R) -> bool,
    ) -> impl Fn(Incoming<Q, R>) + Clone + Send + Sync + 'static
    where
        Q: Send + 'static,
        R: Send + 'static,
        H: Fn(Incoming<Q, R>) + Clone + Send + Sync + 'static,
    {
        let agent = self.clone();
        move |mut incoming| {
            if !agent.follows {
                return handle(incoming);
            }
            let Some(under_way) = agent.begin() else { return };
            let deadline = incoming.deadline;
            if !agent.has_defect() {
                watch(&mut incoming, under_way, fails);
                return handle(incoming);
            }
            let (agent, handle) = (agent.clone(), handle.clone());
            task::spawn(async move {
                let patience = (deadline - Instant::now()).min(PATIENCE);
                match timeout(patience, agent.meet(&Work { options: "" })).await {
                    Ok(Met::Nothing | Met::Spoilt) => {
                        watch(&mut incoming, under_way, fails);
                        handle(incoming);
                    }
                    Ok(Met::Failure) | Err(_) => under_way.end(true),
                }
            });
        }
    }
}

/// Ends the request with its reply.
fn watch<Q, R: 'static>(incoming: &mut Incoming<Q, R>, under_way: UnderWay, fails: fn(&R) -> bool) {
    let mut unanswered = Unanswered { under_way: Some(under_way), deadline: incoming.deadline };
    incoming.replier.watch(move |reply| {
        if let Some(under_way) = unanswered.under_way.take() {
            under_way.end(fails(reply));
        }
    });
}

/// A request that has no reply. One that never gets any failed where its caller has waited for as long as it wanted to; before
/// that its caller is gone, or never waited.
struct Unanswered {
    under_way: Option<UnderWay>,
    deadline: Instant,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            if Instant::now() >= self.deadline { under_way.end(true) } else { under_way.forget() }
        }
    }
}
