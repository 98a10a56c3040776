use super::mend::{Other, level, mend_once};
use super::*;
use crate::ImageStack;
use crate::archive::Archive;
use proptest::prelude::*;
use sim::stack::Deployment;
use sim::time::{sleep, timeout};
use std::collections::BTreeSet;
use std::future::Future;

const CONTENT: Bytes = Bytes::from_static(b"what is owed");

/// A node as it starts from its disk, with a retention of so many seconds.
async fn start(retention_s: u64) -> Node {
    let retention = ("archive.retention".to_owned(), format!("{retention_s}s"));
    let deployment = Deployment::new(&ImageStack, Vec::new(), &BTreeMap::from([retention])).unwrap();
    Node::read(Ages::read(&deployment).await.unwrap()).await.unwrap()
}

/// Another node, at a port of this one, that answers as `answer` does.
async fn other<F: Future<Output = (Response, Bytes)> + Send + 'static>(
    port: u16,
    answer: impl Fn(Request) -> F + Clone + Send + Sync + 'static,
) -> Other {
    let listener = TcpListener::bind(port).await.unwrap();
    task::spawn(rpc::listen(listener, move |incoming: Incoming<Request, Response>| {
        let answer = answer(incoming.request);
        task::spawn(async move {
            let (response, blob) = answer.await;
            incoming.replier.reply(response, blob);
        });
    }));
    Remote::new("node-1", port, PATIENCE)
}

fn entry(came: Came) -> Entry {
    Entry { hash: *blake3::hash(&CONTENT).as_bytes(), note: 7, state: State::Kept(came) }
}

fn names(names: &[&str]) -> (Response, Bytes) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    (Response::Names { names, sure: true }, Bytes::new())
}

#[test]
fn a_receipt_counts_as_the_object_and_does_not_bring_it_back() {
    sim::world::alone(1, async {
        let node = start(10).await;
        node.put("bill-0", 7, &CONTENT).await.unwrap();
        sleep(Duration::from_secs(9)).await;
        node.put("bill-1", 7, &CONTENT).await.unwrap();
        sleep(Duration::from_secs(1) + WRITE).await;
        node.discard().await.unwrap();
        // Again, as the process after this one does.
        for node in [node, start(10).await] {
            let hash = *blake3::hash(&CONTENT).as_bytes();
            let gone = (Response::Discarded { hash, note: 7 }, Bytes::new());
            assert_eq!(node.get("bill-0").await.unwrap(), gone);
            assert_eq!(node.put("bill-0", 7, &CONTENT).await.unwrap(), Response::Stored);
            assert_eq!(node.put("bill-0", 7, &Bytes::new()).await.unwrap(), Response::Taken);
            assert_eq!(node.get("bill-0").await.unwrap(), gone);
            assert!(matches!(node.get("bill-1").await.unwrap(), (Response::Found { .. }, _)));
        }
    });
}

#[test]
fn what_is_put_again_is_kept_for_as_long_again() {
    sim::world::alone(1, async {
        let node = start(10).await;
        node.put("bill-0", 7, &CONTENT).await.unwrap();
        sleep(Duration::from_secs(9)).await;
        node.put("bill-0", 7, &CONTENT).await.unwrap();
        // By the process after this one, too.
        let node = start(10).await;
        sleep(Duration::from_secs(9)).await;
        node.discard().await.unwrap();
        assert!(matches!(node.get("bill-0").await.unwrap(), (Response::Found { .. }, _)));
        sleep(Duration::from_secs(1) + WRITE).await;
        node.discard().await.unwrap();
        assert!(matches!(node.get("bill-0").await.unwrap(), (Response::Discarded { .. }, _)));
    });
}

#[test]
fn what_is_put_again_while_others_are_discarded_is_kept() {
    sim::world::alone(1, async {
        let (node, content) = (start(10).await, CONTENT);
        for name in ["bill-0", "bill-1"] {
            node.put(name, 7, &content).await.unwrap();
        }
        sleep(Duration::from_secs(11)).await;
        // It comes once the first of the two is being written.
        let (discarded, put) = tokio::join!(node.discard(), node.put("bill-1", 7, &content));
        assert_eq!((discarded.unwrap(), put.unwrap()), ((), Response::Stored));
        assert!(matches!(node.get("bill-0").await.unwrap(), (Response::Discarded { .. }, _)));
        assert!(matches!(node.get("bill-1").await.unwrap(), (Response::Found { .. }, _)));
    });
}

#[test]
fn what_comes_from_another_node_is_came_elsewhere_as_it_is_there() {
    sim::world::alone(1, async {
        let node = start(10).await;
        node.copy("bill-0", entry(node.ages.came_elsewhere(8_000_000_000)), &CONTENT).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        node.discard().await.unwrap();
        assert!(matches!(node.get("bill-0").await.unwrap(), (Response::Discarded { .. }, _)));
    });
}

#[test]
fn what_comes_from_another_node_when_its_retention_is_over_becomes_a_receipt_at_once() {
    sim::world::alone(1, async {
        let node = start(10).await;
        // It waited for the disk, or was read there just before it was discarded.
        let old = entry(node.ages.came_elsewhere(9_000_000_000));
        sleep(Duration::from_secs(1)).await;
        node.copy("bill-0", old, &CONTENT).await.unwrap();
        assert!(matches!(node.get("bill-0").await.unwrap(), (Response::Discarded { .. }, _)));
    });
}

#[test]
fn time_that_nobody_noted_does_not_count() {
    let age_ns = sim::world::alone(1, async {
        let node = start(1000).await;
        node.put("bill-0", 7, &CONTENT).await.unwrap();
        let noting = timeout(Duration::from_secs(90), node.ages.note());
        assert!(noting.await.is_err());
        let node = start(1000).await;
        match node.get("bill-0").await.unwrap() {
            (Response::Found { age_ns, .. }, _) => age_ns,
            (response, _) => panic!("{response:?}"),
        }
    });
    // A minute of the ninety seconds; the rest is what disks take.
    assert!((59_000_000_000..61_000_000_000).contains(&age_ns), "{age_ns}");
}

#[test]
fn a_receipt_is_taken_where_the_object_is_not_to_be_had() {
    sim::world::alone(1, async {
        let node = start(10).await;
        let receipt = other(1, async |request| match request {
            Request::Names { .. } => names(&["bill-0", "bill-1"]),
            _ => (Response::Discarded { hash: *blake3::hash(&CONTENT).as_bytes(), note: 7 }, Bytes::new()),
        });
        let object = other(2, async |request| match request {
            Request::Names { .. } => names(&["bill-1"]),
            _ => (Response::Found { age_ns: 1, note: 7 }, CONTENT),
        });
        mend_once(&node, &[receipt.await, object.await]).await.unwrap();
        assert!(matches!(node.get("bill-0").await.unwrap(), (Response::Discarded { .. }, _)));
        assert!(matches!(node.get("bill-1").await.unwrap(), (Response::Found { .. }, _)));
        assert!(node.sure.load(Ordering::Relaxed));
    });
}

#[test]
fn a_node_is_not_sure_after_a_round_in_which_it_found_damage() {
    sim::world::alone(1, async {
        let node = Arc::new(start(10).await);
        node.put("bill-0", 7, &CONTENT).await.unwrap();
        let whole = other(1, async |request| match request {
            Request::Names { .. } => names(&["bill-0"]),
            _ => (Response::Found { age_ns: 0, note: 7 }, CONTENT),
        });
        // It has nothing; while it is asked, somebody finds that this node's copy has rotted, which the first was asked about before.
        let damaged = node.clone();
        let late = other(2, move |_| {
            let node = damaged.clone();
            async move {
                if node.damages.load(Ordering::Relaxed) == 0 {
                    fs::write(&path("bill-0"), Bytes::from_static(b"rot")).await.unwrap();
                    assert_eq!(node.get("bill-0").await.unwrap().0, Response::Unsure);
                }
                names(&[])
            }
        });
        let others = [whole.await, late.await];
        mend_once(&node, &others).await.unwrap();
        assert_eq!(node.get("bill-0").await.unwrap().0, Response::Unsure);
        mend_once(&node, &others).await.unwrap();
        assert!(node.sure.load(Ordering::Relaxed));
        assert!(matches!(node.get("bill-0").await.unwrap(), (Response::Found { .. }, _)));
    });
}

/// Another node, at a port of this one, that has objects of these names.
async fn other_with(port: u16, names: &BTreeSet<String>) -> Other {
    let entry = Entry { hash: *blake3::hash(&CONTENT).as_bytes(), note: 7, state: State::Discarded };
    let mut node = start(10).await;
    node.objects = names.iter().map(|name| (name.clone(), entry)).collect::<BTreeMap<_, _>>().into();
    node.sure = AtomicBool::new(true);
    let node = Arc::new(node);
    let answer = move |request| {
        let node = node.clone();
        async move {
            match request {
                Request::Names { after, most } => (node.names(after, most).await, Bytes::new()),
                _ => (Response::Found { age_ns: 0, note: 7 }, CONTENT),
            }
        }
    };
    other(port, answer).await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn names_are_the_same_however_few_come_at_a_time(
        nodes in prop::collection::vec(prop::collection::btree_set("[a-c]{1,2}", 0..10), 3),
        after in "[a-c]{0,2}",
        most in 1_u32..5,
    ) {
        let mut expected = BTreeMap::new();
        for name in nodes.iter().flatten().filter(|name| **name > after) {
            *expected.entry(name.clone()).or_insert(0) += 1;
        }
        let holders = sim::world::alone(1, async move {
            let mut remotes = Vec::new();
            for (port, names) in (1..).zip(&nodes) {
                remotes.push(other_with(port, names).await);
            }
            Archive { remotes }.holders(&after, most).await
        });
        prop_assert_eq!(holders, Ok(expected));
    }
}

#[test]
fn a_node_fetches_all_that_another_has_however_few_names_come_at_a_time() {
    sim::world::alone(1, async {
        for (port, most) in [(1, 1), (2, 2), (3, 5), (4, 9)] {
            let names = (0..5).map(|number| format!("bill-{most}-{number}")).collect();
            let (node, other) = (start(10).await, other_with(port, &names).await);
            assert!(level(&node, &other, &mut BTreeMap::new(), most).await.unwrap());
            let has = node.objects.lock().await.keys().filter(|name| names.contains(*name)).count();
            assert_eq!(has, names.len());
        }
    });
}
