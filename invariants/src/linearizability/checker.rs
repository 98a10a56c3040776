//! Decides whether a history is linearizable: part by part, by a shortcut where the model has one, and else by
//! searches that compete.

use super::depth_first::DepthFirst;
use super::history::{HistoryOf, OperationId};
use super::just_in_time::JustInTime;
use super::model::Model;
use super::partition::{Partition, partitions};
use super::problem::{Problem, Transitions};
use super::search::{Outcome, Search};
use super::verdict::{Decision, Stuck, Verdict, Violation};

/// Enough for every public history that we know of; a step takes some tens of nanoseconds and bytes.
const BUDGET_DEFAULT: u64 = 1 << 24;
/// Most histories are decided by the first search before a second one is worth its setting up.
const SLICE_FIRST: u64 = 1 << 14;

/// Which searches take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The model's shortcut, then the searches in competition.
    #[default]
    Portfolio,
    /// Only the search along time.
    JustInTime,
    /// Only the depth-first search.
    DepthFirst,
    /// Only the depth-first search, without any reduction beyond its cache: for comparison.
    Plain,
}

/// A check with its settings.
///
/// The same history gives the same verdict after the same number of steps, on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checker {
    budget_steps: u64,
    strategy: Strategy,
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

/// Checks with the default settings.
///
/// # Panics
/// When the model breaks the promise of its [`Model::effect`].
pub fn check<M: Model>(model: &M, history: &HistoryOf<M>) -> Verdict {
    Checker::new().check(model, history)
}

impl Checker {
    /// The default settings.
    #[must_use]
    pub fn new() -> Self {
        Self { budget_steps: BUDGET_DEFAULT, strategy: Strategy::default() }
    }

    /// Gives up after about so many steps of search; [`Verdict::Undecided`] is the answer then.
    #[must_use]
    pub fn budget_steps(self, budget_steps: u64) -> Self {
        Self { budget_steps, ..self }
    }

    /// Chooses the searches that take part.
    #[must_use]
    pub fn strategy(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }

    /// Checks `history` against `model`.
    ///
    /// # Panics
    /// When the model breaks the promise of its [`Model::effect`].
    pub fn check<M: Model>(&self, model: &M, history: &HistoryOf<M>) -> Verdict {
        let mut orders = Vec::new();
        let mut contests = Vec::new();
        for (key, part) in partitions(model, history) {
            let shortcut = match self.strategy {
                Strategy::Portfolio => model.shortcut(&part, self.budget_steps),
                _ => None,
            };
            match shortcut {
                Some(Decision::Linearizable(order)) => orders.push(order),
                Some(Decision::Violated(violation)) => return Verdict::Violated(violation),
                None => contests.push((key, part)),
            }
        }
        let contests = contests.into_iter().map(|(key, part)| Contest::new(model, &key, part)).collect();
        match self.compete(contests) {
            Ok(found) => orders.extend(found),
            Err(verdict) => return verdict,
        }
        Verdict::Linearizable { order: merged(history, orders) }
    }

    /// The longest prefix that can be explained and the operation that cannot, also where [`check`](Self::check) finds
    /// a pattern by a shortcut. `None` when the history is linearizable, or when the budget runs out.
    ///
    /// # Panics
    /// When the model breaks the promise of its [`Model::effect`].
    pub fn longest_prefix<M: Model>(&self, model: &M, history: &HistoryOf<M>) -> Option<Stuck> {
        let by = |strategy| self.strategy(strategy).check(model, history);
        let verdict = match by(Strategy::JustInTime) {
            Verdict::Undecided { .. } => by(Strategy::DepthFirst),
            decided => decided,
        };
        match verdict {
            Verdict::Violated(Violation::Stuck(stuck)) => Some(stuck),
            _ => None,
        }
    }

    /// Decides one part by search alone.
    pub(crate) fn decide<M: Model>(
        &self,
        model: &M,
        key: &M::Key,
        part: Partition<'_, M::Call, M::Return>,
    ) -> Option<Decision> {
        match self.compete(vec![Contest::new(model, key, part)]) {
            Ok(mut orders) => orders.pop().map(Decision::Linearizable),
            Err(Verdict::Violated(violation)) => Some(Decision::Violated(violation)),
            Err(_) => None,
        }
    }

    /// Lets the searches of all parts take turns, so that a part that fails fast ends the whole.
    fn compete<M: Model>(&self, mut contests: Vec<Contest<'_, M>>) -> Result<Vec<Vec<OperationId>>, Verdict> {
        let mut orders = Vec::new();
        let mut steps = 0;
        let mut slice = SLICE_FIRST;
        while !contests.is_empty() {
            let mut unfinished = Vec::new();
            for mut contest in contests {
                match contest.turn(self.strategy, slice, self.budget_steps, &mut steps) {
                    Outcome::Order(order) => orders.push(order),
                    Outcome::Stuck(stuck) => return Err(Verdict::Violated(Violation::Stuck(stuck))),
                    Outcome::Unfinished if steps >= self.budget_steps => {
                        return Err(Verdict::Undecided { steps });
                    }
                    Outcome::Unfinished => unfinished.push(contest),
                }
            }
            contests = unfinished;
            slice *= 2;
        }
        Ok(orders)
    }
}

/// One part and the searches that try to decide it.
struct Contest<'h, M: Model> {
    problem: Problem<'h, M>,
    transitions: Transitions<'h, M>,
    initial: u32,
    searches: Vec<Box<dyn Search<M>>>,
    turns: u32,
}

impl<'h, M: Model> Contest<'h, M> {
    fn new(model: &'h M, key: &M::Key, part: Partition<'h, M::Call, M::Return>) -> Self {
        let (problem, mut transitions) = Problem::new(model, part);
        let initial = transitions.initial(key);
        Self { problem, transitions, initial, searches: Vec::new(), turns: 0 }
    }

    fn turn(&mut self, strategy: Strategy, slice: u64, budget_steps: u64, steps: &mut u64) -> Outcome {
        self.enter(strategy);
        for search in &mut self.searches {
            let before = search.steps();
            let left = budget_steps.saturating_sub(*steps);
            let outcome = search.run(&self.problem, &mut self.transitions, slice.min(left));
            *steps += search.steps() - before;
            if !matches!(outcome, Outcome::Unfinished) {
                return outcome;
            }
        }
        Outcome::Unfinished
    }

    /// Brings in the search along time first, and the depth-first one when that is no quick win.
    fn enter(&mut self, strategy: Strategy) {
        self.turns += 1;
        if self.turns == 1 && matches!(strategy, Strategy::Portfolio | Strategy::JustInTime) {
            self.searches.extend(along_time(&self.problem, self.initial));
        }
        let is_alone = self.searches.is_empty();
        let is_due = match strategy {
            Strategy::Portfolio => is_alone || self.turns == 2,
            // Too many operations under way for the search along time leave only this one.
            Strategy::JustInTime | Strategy::DepthFirst | Strategy::Plain => is_alone,
        };
        if is_due {
            let search = DepthFirst::new(&self.problem, self.initial, strategy == Strategy::Plain);
            self.searches.push(Box::new(search));
        }
    }
}

fn along_time<M: Model>(problem: &Problem<'_, M>, initial: u32) -> Option<Box<dyn Search<M>>> {
    fn boxed<const N: usize, M: Model>(problem: &Problem<'_, M>, initial: u32) -> Option<Box<dyn Search<M>>> {
        Some(Box::new(JustInTime::<N>::new(problem, initial)?))
    }
    boxed::<1, M>(problem, initial)
        .or_else(|| boxed::<2, M>(problem, initial))
        .or_else(|| boxed::<8, M>(problem, initial))
        .or_else(|| boxed::<32, M>(problem, initial))
}

/// One order from those of the parts. Each operation gets the earliest moment at which its part's order allows it:
/// the latest call so far in that order. That is before its own return, since the order respects real time; so
/// sorting by these moments respects real time across the parts as well.
fn merged<Call, Return>(
    history: &super::history::History<Call, Return>,
    mut orders: Vec<Vec<OperationId>>,
) -> Vec<OperationId> {
    if orders.len() == 1 {
        return orders.remove(0);
    }
    let mut moments = Vec::with_capacity(history.len());
    for order in orders {
        let mut latest = 0;
        for operation in order {
            latest = latest.max(history.operations()[operation.index()].called_at());
            moments.push((latest, operation));
        }
    }
    // Stable: within one part, operations of one moment stay in their order.
    moments.sort_by_key(|(moment, _)| *moment);
    moments.into_iter().map(|(_, operation)| operation).collect()
}
