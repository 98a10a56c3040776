//! Small histories of clients that use a real sequential object, drawn from bytes; some lose replies or crash, and in
//! some histories an answer is replaced by another one.

use hogwash_invariants::linearizability::models::{
    Counter, CounterCall, CounterReturn, Lock, LockCall, LockReturn, Queue, QueueCall, QueueReturn, Register,
    RegisterCall, RegisterReturn, Registers, RegistersStep, Seen, Store, StoreCall, StoreReturn,
};
use hogwash_invariants::linearizability::{History, HistoryOf, Interval, Model};

/// Bytes to draw from; zeros when they run out.
pub(crate) struct Draw<'b> {
    bytes: std::slice::Iter<'b, u8>,
}

impl<'b> Draw<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    pub(crate) fn below(&mut self, bound: u8) -> u8 {
        self.bytes.next().copied().unwrap_or_default() % bound
    }

    fn is_over(&self) -> bool {
        self.bytes.len() == 0
    }
}

/// A model whose calls can be drawn and carried out.
pub(crate) trait Object: Model {
    /// Something to ask for; `number` is different each time.
    fn draw_call(&self, draw: &mut Draw<'_>, number: u8) -> Self::Call;

    /// Something that might be answered, right or wrong.
    fn draw_return(&self, call: &Self::Call, draw: &mut Draw<'_>) -> Self::Return;

    /// What is answered in `state`.
    fn answer(&self, state: &Self::State, call: &Self::Call) -> Self::Return;
}

struct Client<M: Model> {
    operation: usize,
    call: M::Call,
    effect: Option<M::Return>,
}

/// A history of up to four clients at a time; at most `operations_max` operations.
pub(crate) fn history<M: Object>(object: &M, bytes: &[u8], operations_max: usize) -> HistoryOf<M> {
    let mut draw = Draw::new(bytes);
    let mut intervals: Vec<Interval<M::Call, M::Return>> = Vec::new();
    let mut objects: Vec<(M::Key, M::State)> = Vec::new();
    let mut clients: [Option<Client<M>>; 4] = [None, None, None, None];
    let mut time = 0;
    // In some histories much gets lost.
    let luck = [3, 6, 20][usize::from(draw.below(3))];
    while !draw.is_over() {
        time += 1;
        let client = &mut clients[usize::from(draw.below(4))];
        match client.take() {
            None if intervals.len() < operations_max => {
                let number = u8::try_from(intervals.len()).expect("histories are small");
                let call = object.draw_call(&mut draw, number);
                *client = Some(Client { operation: intervals.len(), call: call.clone(), effect: None });
                intervals.push(Interval { call, returned: None, called_at: time, returned_at: None });
            }
            None => {}
            Some(Client { operation, call, effect: None }) => {
                if draw.below(luck) == 0 {
                    // It crashes without effect.
                    continue;
                }
                let state = state_of(object, &mut objects, &call);
                let answer = object.answer(state, &call);
                let next = object.step(state, &call, Some(&answer)).into_iter().next();
                *state = next.expect("what an object answers is a step");
                *client = Some(Client { operation, call, effect: Some(answer) });
            }
            Some(Client { operation, effect, .. }) => match draw.below(luck) {
                // It crashes after its effect, or its answer gets lost on the way.
                0 => {}
                1 => intervals[operation].returned_at = Some(time),
                _ => {
                    intervals[operation].returned_at = Some(time);
                    intervals[operation].returned = effect;
                }
            },
        }
    }
    for _ in 0..draw_wrong(bytes) {
        let wrong = Draw::new(&bytes[bytes.len() / 2..]).below(u8::MAX);
        let place = usize::from(wrong) % intervals.len().max(1);
        if let Some(interval) = intervals.get_mut(place).filter(|interval| interval.returned.is_some()) {
            interval.returned =
                Some(object.draw_return(&interval.call, &mut Draw::new(&bytes[bytes.len() / 3..])));
        }
    }
    History::from_intervals(intervals).expect("time goes on")
}

/// How many answers to replace.
fn draw_wrong(bytes: &[u8]) -> u8 {
    bytes.last().map_or(0, |last| last % 2)
}

fn state_of<'s, M: Object>(
    object: &M,
    objects: &'s mut Vec<(M::Key, M::State)>,
    call: &M::Call,
) -> &'s mut M::State {
    let key = object.key(call);
    let place = objects.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
        let initial = object.initial(&key);
        objects.push((key, initial));
        objects.len() - 1
    });
    &mut objects[place].1
}

/// A register of few values, so that many writes are alike.
impl Object for Register<u8> {
    fn draw_call(&self, draw: &mut Draw<'_>, _: u8) -> RegisterCall<u8> {
        match draw.below(5) {
            0 | 1 => RegisterCall::Read,
            2 | 3 => RegisterCall::Write(draw.below(3)),
            _ => RegisterCall::CompareAndSet {
                expected: Some(draw.below(4)).filter(|value| *value < 3),
                new: draw.below(3),
            },
        }
    }

    fn draw_return(&self, call: &RegisterCall<u8>, draw: &mut Draw<'_>) -> RegisterReturn<u8> {
        match call {
            RegisterCall::Read => RegisterReturn::Value(Some(draw.below(4)).filter(|value| *value < 3)),
            RegisterCall::Write(_) => RegisterReturn::Written,
            RegisterCall::CompareAndSet { .. } => {
                [RegisterReturn::Exchanged, RegisterReturn::Kept][usize::from(draw.below(2))].clone()
            }
        }
    }

    fn answer(&self, state: &Option<u8>, call: &RegisterCall<u8>) -> RegisterReturn<u8> {
        match call {
            RegisterCall::Read => RegisterReturn::Value(*state),
            RegisterCall::Write(_) => RegisterReturn::Written,
            RegisterCall::CompareAndSet { expected, .. } if expected == state => RegisterReturn::Exchanged,
            RegisterCall::CompareAndSet { .. } => RegisterReturn::Kept,
        }
    }
}

/// A register to which each value is written once, so that reads name their writes.
impl Object for Register<u16> {
    fn draw_call(&self, draw: &mut Draw<'_>, number: u8) -> RegisterCall<u16> {
        let new = u16::from(number) + 1;
        match draw.below(6) {
            0..3 => RegisterCall::Read,
            3 | 4 => RegisterCall::Write(new),
            _ => {
                let back = u16::from(draw.below(4)) + 1;
                RegisterCall::CompareAndSet {
                    expected: new.checked_sub(back).filter(|value| *value > 0),
                    new,
                }
            }
        }
    }

    fn draw_return(&self, call: &RegisterCall<u16>, draw: &mut Draw<'_>) -> RegisterReturn<u16> {
        match call {
            RegisterCall::Read => {
                RegisterReturn::Value(Some(u16::from(draw.below(9))).filter(|value| *value > 0))
            }
            RegisterCall::Write(_) => RegisterReturn::Written,
            RegisterCall::CompareAndSet { .. } => RegisterReturn::Exchanged,
        }
    }

    fn answer(&self, state: &Option<u16>, call: &RegisterCall<u16>) -> RegisterReturn<u16> {
        match call {
            RegisterCall::Read => RegisterReturn::Value(*state),
            RegisterCall::Write(_) => RegisterReturn::Written,
            RegisterCall::CompareAndSet { expected, .. } if expected == state => RegisterReturn::Exchanged,
            RegisterCall::CompareAndSet { .. } => RegisterReturn::Kept,
        }
    }
}

/// How the texts that are written to a store differ.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Texts {
    /// All differ, and none begins another.
    ToldApart,
    /// Few texts, some of which begin others.
    Alike,
}

/// A store with such texts, on two keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreOf(pub(crate) Texts);

impl StoreOf {
    fn text(self, draw: &mut Draw<'_>, number: u8) -> String {
        match self.0 {
            Texts::ToldApart => format!("{number}."),
            Texts::Alike => ["a", "b", "ab", ""][usize::from(draw.below(4))].to_owned(),
        }
    }
}

impl Model for StoreOf {
    type Call = StoreCall;
    type Return = StoreReturn;
    type State = String;
    type Key = String;
    type Next = Option<String>;

    fn initial(&self, key: &String) -> String {
        Store.initial(key)
    }

    fn key(&self, call: &StoreCall) -> String {
        Store.key(call)
    }

    fn step(&self, state: &String, call: &StoreCall, returned: Option<&StoreReturn>) -> Option<String> {
        Store.step(state, call, returned)
    }

    fn effect(
        &self,
        call: &StoreCall,
        returned: Option<&StoreReturn>,
    ) -> hogwash_invariants::linearizability::Effect {
        Store.effect(call, returned)
    }

    fn shortcut(
        &self,
        partition: &hogwash_invariants::linearizability::Partition<'_, StoreCall, StoreReturn>,
        budget_steps: u64,
    ) -> Option<hogwash_invariants::linearizability::Decision> {
        Store.shortcut(partition, budget_steps)
    }
}

impl Object for StoreOf {
    fn draw_call(&self, draw: &mut Draw<'_>, number: u8) -> StoreCall {
        let key = ["x", "x", "y"][usize::from(draw.below(3))].to_owned();
        match draw.below(5) {
            0 | 1 => StoreCall::Get { key },
            2 => StoreCall::Put { key, value: self.text(draw, number) },
            _ => StoreCall::Append { key, value: self.text(draw, number) },
        }
    }

    fn draw_return(&self, call: &StoreCall, draw: &mut Draw<'_>) -> StoreReturn {
        if let StoreCall::Get { .. } = call {
            let parts = draw.below(3);
            StoreReturn::Value(
                (0..parts)
                    .map(|_| {
                        let number = draw.below(6);
                        self.text(draw, number)
                    })
                    .collect(),
            )
        } else {
            StoreReturn::Done
        }
    }

    fn answer(&self, state: &String, call: &StoreCall) -> StoreReturn {
        if let StoreCall::Get { .. } = call { StoreReturn::Value(state.clone()) } else { StoreReturn::Done }
    }
}

/// Items that all differ; `Queue<i8>` has few.
impl Object for Queue<u8> {
    fn draw_call(&self, draw: &mut Draw<'_>, number: u8) -> QueueCall<u8> {
        if draw.below(2) == 0 { QueueCall::Dequeue } else { QueueCall::Enqueue(number) }
    }

    fn draw_return(&self, call: &QueueCall<u8>, draw: &mut Draw<'_>) -> QueueReturn<u8> {
        match call {
            QueueCall::Enqueue(_) => QueueReturn::Enqueued,
            QueueCall::Dequeue => QueueReturn::Dequeued(Some(draw.below(9)).filter(|item| *item < 8)),
        }
    }

    fn answer(&self, state: &Self::State, call: &QueueCall<u8>) -> QueueReturn<u8> {
        match call {
            QueueCall::Enqueue(_) => QueueReturn::Enqueued,
            QueueCall::Dequeue => QueueReturn::Dequeued(state.front().copied()),
        }
    }
}

impl Object for Queue<i8> {
    fn draw_call(&self, draw: &mut Draw<'_>, _: u8) -> QueueCall<i8> {
        match draw.below(4) {
            0 | 1 => QueueCall::Dequeue,
            2 => QueueCall::Enqueue(1),
            _ => QueueCall::Enqueue(2),
        }
    }

    fn draw_return(&self, call: &QueueCall<i8>, draw: &mut Draw<'_>) -> QueueReturn<i8> {
        match call {
            QueueCall::Enqueue(_) => QueueReturn::Enqueued,
            QueueCall::Dequeue => QueueReturn::Dequeued([None, Some(1), Some(2)][usize::from(draw.below(3))]),
        }
    }

    fn answer(&self, state: &Self::State, call: &QueueCall<i8>) -> QueueReturn<i8> {
        match call {
            QueueCall::Enqueue(_) => QueueReturn::Enqueued,
            QueueCall::Dequeue => QueueReturn::Dequeued(state.front().copied()),
        }
    }
}

impl Object for Lock<u8> {
    fn draw_call(&self, draw: &mut Draw<'_>, _: u8) -> LockCall<u8> {
        let owner = draw.below(2);
        if draw.below(2) == 0 { LockCall::Acquire(owner) } else { LockCall::Release(owner) }
    }

    fn draw_return(&self, _: &LockCall<u8>, draw: &mut Draw<'_>) -> LockReturn {
        [LockReturn::Done, LockReturn::Refused][usize::from(draw.below(2))]
    }

    fn answer(&self, state: &Option<u8>, call: &LockCall<u8>) -> LockReturn {
        let is_done = match call {
            LockCall::Acquire(_) => state.is_none(),
            LockCall::Release(owner) => *state == Some(*owner),
        };
        if is_done { LockReturn::Done } else { LockReturn::Refused }
    }
}

impl Object for Counter {
    fn draw_call(&self, draw: &mut Draw<'_>, _: u8) -> CounterCall {
        match draw.below(3) {
            0 => CounterCall::Read,
            _ => CounterCall::Add(i64::from(draw.below(4)) - 1),
        }
    }

    fn draw_return(&self, call: &CounterCall, draw: &mut Draw<'_>) -> CounterReturn {
        match call {
            CounterCall::Add(_) if draw.below(2) == 0 => CounterReturn::Added,
            _ => CounterReturn::Sum(i64::from(draw.below(7)) - 2),
        }
    }

    fn answer(&self, state: &i64, call: &CounterCall) -> CounterReturn {
        match call {
            // Some additions tell the sum.
            CounterCall::Add(2) => CounterReturn::Sum(*state + 2),
            CounterCall::Add(_) => CounterReturn::Added,
            CounterCall::Read => CounterReturn::Sum(*state),
        }
    }
}

impl Object for Registers<u8> {
    fn draw_call(&self, draw: &mut Draw<'_>, _: u8) -> Vec<RegistersStep<u8>> {
        (0..=draw.below(2))
            .map(|_| {
                let name = ["x", "y"][usize::from(draw.below(2))].to_owned();
                match draw.below(4) {
                    0 | 1 => RegistersStep::Read(name),
                    value => RegistersStep::Write(name, value),
                }
            })
            .collect()
    }

    fn draw_return(&self, call: &Vec<RegistersStep<u8>>, draw: &mut Draw<'_>) -> Vec<Seen<u8>> {
        let reads = call.iter().filter(|step| matches!(step, RegistersStep::Read(_)));
        reads
            .map(|_| match draw.below(5) {
                4 => Seen::Unknown,
                value => Seen::Value(Some(value)),
            })
            .collect()
    }

    fn answer(&self, state: &Self::State, call: &Vec<RegistersStep<u8>>) -> Vec<Seen<u8>> {
        let mut state = state.clone();
        let mut seen = Vec::new();
        for step in call {
            match step {
                RegistersStep::Read(name) => {
                    seen.push(Seen::Value(Some(state.get(name).copied().unwrap_or(0))))
                }
                RegistersStep::Write(name, value) => {
                    state.insert(name.clone(), *value);
                }
            }
        }
        seen
    }
}
