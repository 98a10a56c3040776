//! `reads`: what clients are told of their requests is linearizable, whoever leads.

use crate::linearizability::{Checker, Decision, Effect, History, Model, OperationId, Partition, Verdict};
use crate::names::Names;
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::history::{Event, Fact, Id, Stage};
use sim::plan::Plan;
use std::collections::BTreeMap;

/// Reads are of the present.
pub const LAW: Law = Law {
    name: "reads",
    sentence: "what clients are told of how far their requests are is linearizable: nobody hears of a past that was over \
               when it asked",
    needs: "a client that asks how far its request is, and is told",
    survives: &[Bound::MinorityOfDisks(Keepers::Queue)],
    make: |plan| Box::new(Reads::new(plan)),
};

/// Steps that the search may take for one request. The longest histories of the stack take some hundred.
const BUDGET_STEPS: u64 = 100_000;

/// A request as a sequential object: it is not there, then kept, then over, and in the end forgotten. One that was set aside
/// may be kept once more.
struct Request;

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    /// Somebody asks for it to be kept: the first time takes effect.
    Keep,
    /// Its result is stored.
    End,
    /// It is put back after it was set aside.
    PutBack,
    /// It is forgotten some time after its end.
    Forget,
    /// Somebody asks how far it is.
    Look,
}

/// How far it is, forgotten ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Is(Stage),
    Forgotten,
}

impl Model for Request {
    type Call = Call;
    type Return = Option<Stage>;
    type State = State;
    type Key = ();
    type Next = Option<State>;

    fn initial(&self, (): &()) -> State {
        State::Is(Stage::Unknown)
    }

    fn key(&self, _: &Call) {}

    fn step(&self, state: &State, call: &Call, returned: Option<&Option<Stage>>) -> Option<State> {
        match (call, state) {
            (Call::Keep, State::Is(Stage::Unknown)) => Some(State::Is(Stage::Kept)),
            (Call::Keep, _) => Some(*state),
            (Call::End, State::Is(Stage::Kept)) => Some(State::Is(Stage::Over)),
            (Call::PutBack, State::Is(Stage::Over)) => Some(State::Is(Stage::Kept)),
            (Call::Forget, State::Is(Stage::Over)) => Some(State::Forgotten),
            (Call::End | Call::PutBack | Call::Forget, _) => None,
            (Call::Look, State::Is(stage)) => {
                returned.is_none_or(|seen| *seen == Some(*stage)).then_some(*state)
            }
            (Call::Look, State::Forgotten) => {
                returned.is_none_or(|seen| *seen == Some(Stage::Unknown)).then_some(*state)
            }
        }
    }

    fn effect(&self, call: &Call, _: Option<&Option<Stage>>) -> Effect {
        if *call == Call::Look { Effect::Observes } else { Effect::Depends }
    }

    /// Most requests are asked about by one client, one question after the other: then the order of the answers is one in
    /// which all happened, or else the search has to find another. What was never answered need not have happened.
    fn shortcut(&self, partition: &Partition<'_, Call, Option<Stage>>, _: u64) -> Option<Decision> {
        let answered = |index| Some((partition.returned(index)?, index));
        let mut order: Vec<_> = (0..partition.len()).filter_map(answered).collect();
        order.sort_unstable();
        let mut state = self.initial(&());
        for (_, index) in &order {
            let operation = partition.operation(*index);
            state = self.step(&state, operation.call(), operation.returned())?;
        }
        Some(Decision::Linearizable(order.into_iter().map(|(_, index)| partition.id(index)).collect()))
    }
}

/// The law at work: the history of each request by itself, judged when its client is done with it.
struct Reads {
    names: Names,
    open: BTreeMap<Id, Asked>,
    violations: Violations,
    answered: u64,
    undecided: u64,
}

/// One request's history.
#[derive(Default)]
struct Asked {
    history: History<Call, Option<Stage>>,
    events: Vec<Event>,
    keep: Option<OperationId>,
    is_over: bool,
    /// The latest command that ended it or put it back: what is said of earlier ones was said before.
    reached: Option<u64>,
    looks: BTreeMap<u32, OperationId>,
    has_answers: bool,
}

impl Reads {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            open: BTreeMap::new(),
            violations: Violations::default(),
            answered: 0,
            undecided: 0,
        }
    }

    fn settle(&mut self, at_ns: u64, id: Id) {
        let Some(asked) = self.open.remove(&id).filter(|asked| asked.has_answers) else { return };
        let checker = Checker::new().budget_steps(BUDGET_STEPS);
        match checker.check(&Request, &asked.history) {
            Verdict::Linearizable { .. } => {}
            Verdict::Undecided { .. } => self.undecided += 1,
            Verdict::Violated(_) => {
                let lines = asked.events.iter().map(|event| self.names.line(event)).collect();
                let message =
                    format!("what the client of request {id} was told fits no order of what happened to it");
                self.violations.add_all(at_ns, "stale or lost", Some(id), message, lines);
            }
        }
    }
}

impl Asked {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Submit { .. } if self.keep.is_none() => self.keep = Some(self.history.call(Call::Keep)),
            Fact::Acknowledge { .. } => {
                // Told twice where it was asked twice: the first time counts.
                let _ = self.keep.map(|keep| self.history.returned(keep, None));
            }
            Fact::Finish { position, .. } | Fact::Quarantine { position, .. }
                if !self.is_over && self.reached < Some(position) =>
            {
                (self.is_over, self.reached) = (true, Some(position));
                // Who first says so has just done it, and nobody can have been told before.
                let end = self.history.call(Call::End);
                let _ = self.history.returned(end, None);
                self.history.call(Call::Forget);
            }
            Fact::Redrive { position, .. } if self.is_over && self.reached < Some(position) => {
                (self.is_over, self.reached) = (false, Some(position));
                let back = self.history.call(Call::PutBack);
                let _ = self.history.returned(back, None);
            }
            Fact::Look { question, .. } => {
                let look = self.history.call(Call::Look);
                self.looks.insert(question, look);
            }
            Fact::See { question, stage, .. } => {
                if let Some(look) = self.looks.remove(&question) {
                    let _ = self.history.returned(look, Some(stage));
                    self.has_answers = true;
                }
            }
            _ => return,
        }
        self.events.push(event.clone());
    }
}

impl Invariant for Reads {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Submit { id, attempt: 1 } => self.open.entry(id).or_default().observe(event),
            Fact::Submit { id, .. }
            | Fact::Acknowledge { id }
            | Fact::Finish { id, .. }
            | Fact::Quarantine { id, .. }
            | Fact::Redrive { id, .. }
            | Fact::Look { id, .. } => {
                self.open.get_mut(&id).into_iter().for_each(|asked| asked.observe(event));
            }
            Fact::See { id, .. } => {
                self.answered += 1;
                self.open.get_mut(&id).into_iter().for_each(|asked| asked.observe(event));
            }
            Fact::Receive { id, .. } | Fact::Refuse { id, .. } | Fact::GiveUp { id } => {
                self.settle(event.at_ns, id);
            }
            Fact::End { .. } => {
                let open: Vec<_> = self.open.keys().copied().collect();
                open.into_iter().for_each(|id| self.settle(event.at_ns, id));
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        let undecided = self.undecided;
        let unknown = (undecided > 0).then(|| format!("{undecided} requests would take longer searches"));
        Outcome { violations: self.violations.into_vec(), exercised: self.answered, unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::{Strategy as Search, validate};
    use proptest::prelude::*;

    /// Calls and returns of up to three operations at a time, as chance has them.
    fn histories() -> impl Strategy<Value = History<Call, Option<Stage>>> {
        let call = prop_oneof![Just(Call::Keep), Just(Call::End), Just(Call::Forget), Just(Call::Look)];
        let stage = prop_oneof![Just(Stage::Unknown), Just(Stage::Kept), Just(Stage::Over)];
        proptest::collection::vec((call, stage, 0_usize..4), 0..8).prop_map(|steps| {
            let mut history = History::new();
            let mut open = Vec::new();
            for (call, stage, returns) in steps {
                open.push((history.call(call), (call == Call::Look).then_some(stage)));
                for (operation, seen) in open.drain(..returns.min(open.len())) {
                    history.returned(operation, seen).unwrap();
                }
            }
            history
        })
    }

    proptest! {
        #[test]
        fn the_order_of_the_answers_is_taken_only_where_the_model_allows_it(history in histories()) {
            let by_search = Checker::new().strategy(Search::DepthFirst).check(&Request, &history);
            let is_linearizable = matches!(by_search, Verdict::Linearizable { .. });
            let order = match Checker::new().check(&Request, &history) {
                Verdict::Linearizable { order } => Some(order),
                _ => None,
            };
            prop_assert_eq!(order.is_some(), is_linearizable);
            if let Some(order) = order {
                prop_assert_eq!(validate(&Request, &history, &order), Ok(()));
            }
        }
    }
}
