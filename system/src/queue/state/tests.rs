//! The state against a model that keeps a plain list and looks through it.

use super::*;
use proptest::prelude::*;
use sim::history::Id;

const BATCHING: Batching = Batching { lines_max: 3, wait_ns: 300 };
const LIMITS: Limits = Limits {
    waiting_max: 6,
    first: First::Oldest,
    group_lock: true,
    deliveries_max: 3,
    retention_ns: 1_000,
    batching: Some(BATCHING),
};

fn limits(newest_first: bool, group_lock: bool, waiting_max: u64, deliveries_max: u32) -> Limits {
    let first = if newest_first { First::Newest } else { First::Oldest };
    Limits { first, group_lock, waiting_max, deliveries_max, ..LIMITS }
}

/// A state without jobs that a leader gave these limits.
fn bounded(limits: Limits) -> State {
    let mut state = State::new();
    state.apply(Entry { elapsed_ns: 0, commands: vec![Command::Limit(limits)] }, &mut Vec::new());
    state
}

/// When what ended at `ended_ns` is forgotten: after so many retentions, and then at the next full sixty-fourth.
fn forgotten_ns(ended_ns: u64, retentions: u64) -> u64 {
    let step_ns = 1_000 / 64 + 1;
    (ended_ns + 1_000 * retentions).div_ceil(step_ns) * step_ns
}

/// One job, as the model has it.
#[derive(Clone, Debug)]
struct Item {
    key: String,
    request: String,
    body: Digest,
    place: u64,
    group: Option<u32>,
    deliveries: u32,
    redriven_by: Option<u64>,
    at: At,
}

#[derive(Clone, Debug, PartialEq)]
enum At {
    Waiting { from_ns: u64 },
    Leased { token: u64, until_ns: u64, attempt: u64 },
    Over { token: u64, until_ns: u64, output: Option<Digest> },
    Aside { until_ns: u64 },
}

/// The rules again, said as plainly as can be.
#[derive(Default)]
struct Model {
    newest_first: bool,
    group_lock: bool,
    waiting_max: usize,
    deliveries_max: u32,
    clock_ns: u64,
    items: Vec<Item>,
    token: u64,
}

impl Model {
    fn pass(&mut self, elapsed_ns: u64) {
        self.clock_ns += elapsed_ns;
        let now_ns = self.clock_ns;
        for item in &mut self.items {
            if let At::Leased { until_ns, .. } = item.at
                && until_ns <= now_ns
            {
                let aside = At::Aside { until_ns: forgotten_ns(now_ns, 12) };
                item.at =
                    if item.deliveries < self.deliveries_max { At::Waiting { from_ns: 0 } } else { aside };
            }
        }
        self.items.retain(|item| match item.at {
            At::Over { until_ns, .. } | At::Aside { until_ns } => until_ns > now_ns,
            _ => true,
        });
    }

    fn find(&mut self, key: &str) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.key == key)
    }

    fn waiting(&self) -> usize {
        self.items.iter().filter(|item| matches!(item.at, At::Waiting { .. })).count()
    }

    fn lease(&mut self, attempt: u64, most: u32, lease_ns: u64) -> Vec<(String, u64)> {
        let held = |item: &Item| match item.at {
            At::Leased { token, attempt: by, .. } if by == attempt => Some((item.key.clone(), token)),
            _ => None,
        };
        let again: Vec<_> = self.items.iter().filter_map(held).collect();
        if !again.is_empty() {
            return again;
        }
        let (now_ns, mut out) = (self.clock_ns, Vec::new());
        let mut places: Vec<usize> = (0..self.items.len()).collect();
        if self.newest_first {
            places.reverse();
        }
        // Who waits for another of its group is decided before anything is handed out.
        let blocked: Vec<bool> = places.iter().map(|place| self.waits_for_another(*place)).collect();
        for (place, blocked) in places.into_iter().zip(blocked) {
            let item = &mut self.items[place];
            let ready = matches!(item.at, At::Waiting { from_ns } if from_ns <= now_ns) && !blocked;
            if out.len() < most as usize && ready {
                self.token += 1;
                item.deliveries += 1;
                item.at = At::Leased { token: self.token, until_ns: now_ns + lease_ns, attempt };
                out.push((item.key.clone(), self.token));
            }
        }
        out
    }

    /// Whether an earlier item of the same group is not over.
    fn waits_for_another(&self, place: usize) -> bool {
        let group = self.items[place].group;
        let open = |item: &Item| !matches!(item.at, At::Over { .. } | At::Aside { .. });
        self.group_lock
            && group.is_some()
            && self.items[..place].iter().any(|item| item.group == group && open(item))
    }

    fn depth(&self) -> Depth {
        let mut depth = Depth::default();
        for item in &self.items {
            match item.at {
                At::Waiting { .. } => depth.waiting += 1,
                At::Leased { .. } => depth.leased += 1,
                At::Over { .. } => depth.done += 1,
                At::Aside { .. } => depth.quarantined += 1,
            }
        }
        depth
    }
}

#[derive(Clone, Debug)]
enum Do {
    Enqueue { key: u8, group: u32, request: u8, body: u8 },
    Lease { attempt: u64, most: u32, lease_ns: u64 },
    Extend { key: u8, back: u64 },
    GiveBack { key: u8, back: u64, delay_ns: u64 },
    Return { key: u8, back: u64, delay_ns: u64 },
    Finish { key: u8, back: u64, output: Option<u8> },
    Redrive { key: u8, attempt: u64 },
    Pass(u64),
    Limit { newest_first: bool, group_lock: bool, waiting_max: u8, deliveries_max: u32 },
    Snapshot,
}

fn doing() -> impl Strategy<Value = Do> {
    // Tokens are counted back from the key's latest, so that most are right and some are stale.
    let back = || prop_oneof![4 => Just(0_u64), 1 => 1_u64..3];
    prop_oneof![
        5 => (0_u8..12, 0_u32..4, 0_u8..8, 0_u8..4)
            .prop_map(|(key, group, request, body)| Do::Enqueue { key, group, request: request / 7, body }),
        4 => (0_u64..1_000, 0_u32..4, 50_u64..300)
            .prop_map(|(attempt, most, lease_ns)| Do::Lease { attempt, most, lease_ns }),
        1 => (0_u64..3, 0_u32..4).prop_map(|(attempt, most)| Do::Lease { attempt, most, lease_ns: 100 }),
        1 => (0_u8..12, back()).prop_map(|(key, back)| Do::Extend { key, back }),
        1 => (0_u8..12, back(), prop_oneof![Just(0), 1_u64..200])
            .prop_map(|(key, back, delay_ns)| Do::GiveBack { key, back, delay_ns }),
        1 => (0_u8..12, back(), prop_oneof![Just(0), 1_u64..200])
            .prop_map(|(key, back, delay_ns)| Do::Return { key, back, delay_ns }),
        4 => (0_u8..12, back(), proptest::option::of(0_u8..4))
            .prop_map(|(key, back, output)| Do::Finish { key, back, output }),
        2 => (0_u8..12, 0_u64..3).prop_map(|(key, attempt)| Do::Redrive { key, attempt }),
        3 => (0_u64..150).prop_map(Do::Pass),
        1 => (1_000_u64..15_000).prop_map(Do::Pass),
        1 => (any::<bool>(), any::<bool>(), 1_u8..8, 1_u32..5).prop_map(
            |(newest_first, group_lock, waiting_max, deliveries_max)|
            Do::Limit { newest_first, group_lock, waiting_max, deliveries_max }
        ),
        1 => Just(Do::Snapshot),
    ]
}

/// State and model side by side, and what the effects said.
struct Pair {
    state: State,
    model: Model,
    held: BTreeSet<Digest>,
    ended: Vec<String>,
    /// The uses that were entered, by what each used of a core.
    used: Vec<u64>,
}

impl Pair {
    fn blob(&self, content: u8) -> BlobRef {
        BlobRef { digest: Digest::of(&[content]), as_of: self.state.as_of() }
    }

    fn apply(&mut self, elapsed_ns: u64, command: Option<Command>) -> Option<Reply> {
        let mut effects = Vec::new();
        let entry = Entry { elapsed_ns, commands: command.into_iter().collect() };
        let reply = self.state.apply(entry, &mut effects).pop();
        for effect in effects {
            match effect {
                Effect::Hold(digest) => assert!(self.held.insert(digest), "held twice"),
                Effect::Drop { digest, .. } => assert!(self.held.remove(&digest), "dropped twice"),
                Effect::Finished { key, .. } | Effect::Quarantined { key, .. } => self.ended.push(key),
                Effect::Used { amounts, .. } => self.used.push(amounts.cpu_ns),
                Effect::Enqueued { .. } | Effect::Redriven { .. } | Effect::Guarded { .. } => {}
            }
        }
        assert_eq!(self.held, self.state.needed_blobs().collect());
        reply
    }

    /// The latest token that the model gave for `key`, or one that lies `back`.
    fn token(&mut self, key: &str, back: u64) -> u64 {
        let latest = match self.model.find(key).map(|item| item.at.clone()) {
            Some(At::Leased { token, .. } | At::Over { token, .. }) => token,
            _ => self.model.token,
        };
        latest.saturating_sub(back)
    }

    fn step(&mut self, step: Do) {
        match step {
            Do::Enqueue { key, group, request, body } => {
                // Group 0 is none.
                let group = Some(group).filter(|group| *group > 0);
                self.enqueue(&key.to_string(), group, &request.to_string(), body);
            }
            Do::Lease { attempt, most, lease_ns } => {
                let expected = self.model.lease(attempt, most, lease_ns);
                let command = Command::Lease { worker: "worker-1".to_owned(), attempt, most, lease_ns };
                let Some(Reply::Leased(grants)) = self.apply(0, Some(command)) else { panic!("a lease") };
                let grants: Vec<_> = grants.into_iter().map(|grant| (grant.key, grant.token)).collect();
                assert_eq!(grants, expected, "first in, first out; an attempt repeated gives the same");
            }
            Do::Extend { key, back } => {
                let (key, token) = (key.to_string(), self.token(&key.to_string(), back));
                let until_ns = self.model.clock_ns + 77;
                let extended = self.with_lease(&key, token, |item, attempt| {
                    item.at = At::Leased { token, until_ns, attempt };
                });
                let reply = self.apply(0, Some(Command::Extend { key, token, lease_ns: 77 }));
                assert_eq!(reply, Some(if extended { Reply::Done } else { Reply::Fenced }));
            }
            Do::GiveBack { key, back, delay_ns } => {
                let (key, token) = (key.to_string(), self.token(&key.to_string(), back));
                let now_ns = self.model.clock_ns;
                let deliveries_max = self.model.deliveries_max;
                let given = self.with_lease(&key, token, |item, _| {
                    let aside = At::Aside { until_ns: forgotten_ns(now_ns, 12) };
                    let waiting = At::Waiting { from_ns: now_ns + delay_ns };
                    item.at = if item.deliveries < deliveries_max { waiting } else { aside };
                });
                let reply = self.apply(0, Some(Command::GiveBack { key, token, delay_ns }));
                assert_eq!(reply, Some(if given { Reply::Done } else { Reply::Fenced }));
            }
            Do::Return { key, back, delay_ns } => {
                let (key, token) = (key.to_string(), self.token(&key.to_string(), back));
                let now_ns = self.model.clock_ns;
                let returned = self.with_lease(&key, token, |item, _| {
                    item.deliveries -= 1;
                    item.at = At::Waiting { from_ns: now_ns + delay_ns };
                });
                let reply = self.apply(0, Some(Command::Return { key, token, delay_ns }));
                assert_eq!(reply, Some(if returned { Reply::Done } else { Reply::Fenced }));
            }
            Do::Finish { key, back, output } => self.finish(&key.to_string(), back, output),
            Do::Redrive { key, attempt } => self.redrive(&key.to_string(), attempt),
            Do::Pass(elapsed_ns) => {
                self.model.pass(elapsed_ns);
                self.apply(elapsed_ns, None);
            }
            Do::Limit { newest_first, group_lock, waiting_max, deliveries_max } => {
                let limits = limits(newest_first, group_lock, waiting_max.into(), deliveries_max);
                self.apply(0, Some(Command::Limit(limits)));
                let (waiting_max, before) = (waiting_max.into(), std::mem::take(&mut self.model));
                self.model = Model { newest_first, group_lock, waiting_max, deliveries_max, ..before };
            }
            Do::Snapshot => {
                let bytes = self.state.encode();
                let (state, rest) = State::decode(&bytes).expect("it was encoded");
                assert!(rest.is_empty());
                self.state = state;
                assert_eq!(self.state.encode(), bytes);
            }
        }
        let jobs = Depth { unsent_uses: 0, ..self.state.depth() };
        assert_eq!(jobs, self.model.depth());
    }

    fn with_lease(&mut self, key: &str, token: u64, change: impl FnOnce(&mut Item, u64)) -> bool {
        match self.model.find(key) {
            Some(item) => match item.at {
                At::Leased { token: latest, attempt, .. } if latest == token => {
                    change(item, attempt);
                    true
                }
                _ => false,
            },
            None => false,
        }
    }

    fn enqueue(&mut self, key: &str, group: Option<u32>, request: &str, body: u8) {
        let body = self.blob(body);
        let expected = match self.model.find(key) {
            Some(item) if item.request == request && item.body == body.digest => Some((item.place, true)),
            Some(_) => None,
            None => Some((self.state.as_of().position + 1, false)),
        };
        let full = self.model.waiting() >= self.model.waiting_max;
        let id = Id::new(0, key.parse().unwrap());
        let (key, request) = (key.to_owned(), request.to_owned());
        let new = NewJob { id, key: key.clone(), group, request: request.clone(), body };
        let reply = self.apply(0, Some(Command::Enqueue(new))).unwrap();
        match expected {
            None => assert_eq!(reply, Reply::KeyReused),
            Some((_, false)) if full => assert_eq!(reply, Reply::Overloaded),
            Some((position, duplicate)) => {
                assert_eq!(reply, Reply::Enqueued { position, duplicate });
                if !duplicate {
                    let (place, at, body) = (position, At::Waiting { from_ns: 0 }, body.digest);
                    let (deliveries, redriven_by) = (0, None);
                    let new = Item { key, request, body, place, group, deliveries, redriven_by, at };
                    self.model.items.push(new);
                }
            }
        }
    }

    fn redrive(&mut self, key: &str, attempt: u64) {
        let (place, waiting) = (self.state.as_of().position + 1, self.model.waiting());
        let found = self.model.items.iter().position(|item| item.key == key);
        let expected = match found.map(|index| (index, self.model.items[index].clone())) {
            None => Reply::NoSuchJob,
            Some((_, item)) if item.redriven_by == Some(attempt) => Reply::Redriven { position: item.place },
            Some((_, item)) if !matches!(item.at, At::Aside { .. }) => Reply::NotSetAside,
            Some(_) if waiting >= self.model.waiting_max => Reply::Overloaded,
            Some((index, item)) => {
                self.model.items.remove(index);
                let (at, redriven_by) = (At::Waiting { from_ns: 0 }, Some(attempt));
                self.model.items.push(Item { place, deliveries: 0, redriven_by, at, ..item });
                Reply::Redriven { position: place }
            }
        };
        let reply = self.apply(0, Some(Command::Redrive { key: key.to_owned(), attempt }));
        assert_eq!(reply, Some(expected));
    }

    fn finish(&mut self, key: &str, back: u64, output: Option<u8>) {
        let token = self.token(key, back);
        let output = output.map(|content| self.blob(content));
        let digest = output.map(|output| output.digest);
        let until_ns = forgotten_ns(self.model.clock_ns, 1);
        let repeated = self
            .model
            .find(key)
            .is_some_and(|item| matches!(item.at, At::Over { token: by, .. } if by == token));
        let ended = self.with_lease(key, token, |item, _| {
            item.at = At::Over { token, until_ns, output: digest };
        });
        let result = match output {
            Some(output) => JobResult::Output { content_type: "image/png".to_owned(), output },
            None => JobResult::Refused { status: 422, code: "no".to_owned(), message: "no".to_owned() },
        };
        let (before, used_before) = (self.ended.len(), self.used.len());
        let amounts = Amounts { cpu_ns: token, bytes: 1 };
        let reply = self.apply(0, Some(Command::Finish { key: key.to_owned(), token, result, amounts }));
        assert_eq!(reply, Some(if ended || repeated { Reply::Done } else { Reply::Fenced }));
        assert_eq!(self.ended.len() - before, usize::from(ended), "an effect once");
        let uses = usize::from(ended && output.is_some());
        assert_eq!(self.used.len() - used_before, uses, "what has an output is used, once");
        if let Some(At::Over { output: Some(digest), .. }) = self.model.find(key).map(|item| item.at.clone())
        {
            assert!(self.state.needs(digest), "an output that is remembered is kept");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_state_does_what_the_model_says(
        newest_first: bool,
        group_lock: bool,
        steps in proptest::collection::vec(doing(), 1..120),
    ) {
        let state = bounded(limits(newest_first, group_lock, 6, 3));
        let model = Model { newest_first, group_lock, waiting_max: 6, deliveries_max: 3, ..Model::default() };
        let mut pair =
            Pair { state, model, held: BTreeSet::new(), ended: Vec::new(), used: Vec::new() };
        steps.into_iter().for_each(|step| pair.step(step));
        // All uses are on their way in batches, in order, once the last has waited long enough.
        pair.apply(BATCHING.wait_ns, None);
        let batches = pair.state.unsent_uses(usize::MAX);
        prop_assert!(batches.iter().all(|batch| (1..=BATCHING.lines_max).contains(&batch.lines.len())));
        prop_assert!(batches.iter().map(|batch| batch.number).eq(0..pair.state.depth().unsent_uses));
        let sent: Vec<u64> =
            batches.iter().flat_map(|batch| &batch.lines).map(|line| line.amounts.cpu_ns).collect();
        prop_assert_eq!(sent, pair.used);
    }

    #[test]
    fn arbitrary_bytes_are_no_state_or_one_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = State::decode(&bytes);
    }
}

fn state_with_one_job() -> State {
    let mut state = bounded(LIMITS);
    let body = BlobRef { digest: Digest::of(b"body"), as_of: state.as_of() };
    let (id, key, request) = (Id::new(1, 1), "1.1".to_owned(), "w=320".to_owned());
    let commands = vec![Command::Enqueue(NewJob { id, key, group: None, request, body })];
    state.apply(Entry { elapsed_ns: 0, commands }, &mut Vec::new());
    state
}

fn lease(state: &mut State, attempt: u64) -> Vec<Grant> {
    let lease = Command::Lease { worker: "worker-1".to_owned(), attempt, most: 1, lease_ns: 100 };
    match state.apply(Entry { elapsed_ns: 0, commands: vec![lease] }, &mut Vec::new()).pop() {
        Some(Reply::Leased(grants)) => grants,
        other => panic!("{other:?}"),
    }
}

#[test]
fn poison_is_set_aside_after_its_last_delivery_and_says_why() {
    let mut state = state_with_one_job();
    let mut effects = Vec::new();
    for attempt in 1..=3 {
        assert_eq!(lease(&mut state, attempt)[0].delivery, u32::try_from(attempt).unwrap());
        state.apply(Entry { elapsed_ns: 100, commands: vec![] }, &mut effects);
    }
    let reason = "delivered 3 times without a result; at last the lease of worker-1 expired".to_owned();
    let (id, key) = (Id::new(1, 1), "1.1".to_owned());
    assert_eq!(effects, [Effect::Quarantined { id, position: 8, reason, key }]);
    assert_eq!(lease(&mut state, 4), []);
}

#[test]
fn a_body_that_was_dropped_after_it_was_stored_is_asked_for_again() {
    let mut state = state_with_one_job();
    let stored = BlobRef { digest: Digest::of(b"body"), as_of: state.as_of() };
    // The only job that needs the same bytes ends in between.
    let token = lease(&mut state, 1)[0].token;
    let result = JobResult::Refused { status: 422, code: "no".to_owned(), message: "no".to_owned() };
    let finish = Command::Finish { key: "1.1".to_owned(), token, result, amounts: Amounts::default() };
    let mut effects = Vec::new();
    state.apply(Entry { elapsed_ns: 0, commands: vec![finish] }, &mut effects);
    assert!(effects.contains(&Effect::Drop { digest: stored.digest, position: 4 }));
    let (id, key, request) = (Id::new(1, 2), "1.2", "w=320");
    let enqueue = |body| {
        let (key, request) = (key.to_owned(), request.to_owned());
        Command::Enqueue(NewJob { id, key, group: None, request, body })
    };
    let commands = vec![enqueue(stored)];
    assert_eq!(state.apply(Entry { elapsed_ns: 0, commands }, &mut effects), [Reply::BlobGone]);
    let again = BlobRef { as_of: state.as_of(), ..stored };
    let commands = vec![enqueue(again)];
    let replies = state.apply(Entry { elapsed_ns: 0, commands }, &mut effects);
    assert_eq!(replies, [Reply::Enqueued { position: 6, duplicate: false }]);
}

#[test]
fn a_body_that_nobody_claimed_in_time_is_asked_for_again() {
    let mut state = bounded(LIMITS);
    let body = BlobRef { digest: Digest::of(b"body"), as_of: state.as_of() };
    let (id, key, request) = (Id::new(1, 1), "1.1".to_owned(), "w=320".to_owned());
    let commands = vec![Command::Enqueue(NewJob { id, key, group: None, request, body })];
    let late = Entry { elapsed_ns: BLOB_WINDOW_NS, commands };
    assert_eq!(state.apply(late, &mut Vec::new()), [Reply::BlobGone]);
}

#[test]
fn results_are_remembered_for_as_long_as_the_limits_say_last() {
    let mut state = state_with_one_job();
    let token = lease(&mut state, 1)[0].token;
    let result = JobResult::Refused { status: 422, code: "no".to_owned(), message: "no".to_owned() };
    let finish = Command::Finish { key: "1.1".to_owned(), token, result, amounts: Amounts::default() };
    let limit = |retention_ns| Command::Limit(Limits { retention_ns, ..LIMITS });
    state.apply(Entry { elapsed_ns: 0, commands: vec![finish, limit(5_000)] }, &mut Vec::new());
    state.apply(Entry { elapsed_ns: 4_000, commands: vec![] }, &mut Vec::new());
    assert!(state.job("1.1").is_some());
    state.apply(Entry { elapsed_ns: 0, commands: vec![limit(3_000)] }, &mut Vec::new());
    state.apply(Entry { elapsed_ns: 0, commands: vec![] }, &mut Vec::new());
    assert!(state.job("1.1").is_none());
}
