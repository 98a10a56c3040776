//! Ports between tiers: what a request meets there before it is dealt with.

use super::agent::Agent;
use super::defect::{Met, Work};
use crate::rpc::Incoming;
use sim::task;
use sim::time::{Instant, timeout};
use std::sync::Arc;
use std::time::Duration;

/// How long a message that nobody waits for may be held up by a defect.
const PATIENCE: Duration = Duration::from_secs(10);

impl Agent {
    /// `handle`, with whatever the process's version has in store for requests before it. One that the version refuses gets no
    /// answer, as from a process that failed at it.
    pub(crate) fn door<Q, R, H>(
        self: &Arc<Self>,
        handle: H,
    ) -> impl Fn(Incoming<Q, R>) + Clone + Send + Sync + 'static
    where
        Q: Send + 'static,
        R: Send + 'static,
        H: Fn(Incoming<Q, R>) + Clone + Send + Sync + 'static,
    {
        let agent = self.clone();
        move |incoming| {
            if !agent.follows {
                return handle(incoming);
            }
            let Some(under_way) = agent.begin() else { return };
            if !agent.has_defect() {
                under_way.end(false);
                return handle(incoming);
            }
            let (agent, handle) = (agent.clone(), handle.clone());
            task::spawn(async move {
                let patience = (incoming.deadline - Instant::now()).min(PATIENCE);
                let met = timeout(patience, agent.meet(&Work { options: "" })).await;
                let failed = !matches!(met, Ok(Met::Nothing | Met::Spoilt));
                under_way.end(failed);
                if !failed {
                    handle(incoming);
                }
            });
        }
    }
}
