//! Request and reply over the network, side by side with peers in one run: hogwash's streams, madsim's `Endpoint`,
//! turmoil's TCP. Prints messages a second and ratios; run it with `cargo bench -p hogwash-sim --bench network`.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

#[cfg(live)]
fn main() {}

#[cfg(not(live))]
fn main() {
    bench::main();
}

#[cfg(not(live))]
mod bench {
    use bytes::Bytes;
    use sim::net::{TcpListener, TcpStream};
    use sim::plan::{DiskPlan, NetworkPlan, NodePlan, Objectives, PLAN_VERSION, Plan, Workload};
    use sim::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    extern crate hogwash_sim as sim;

    const MESSAGE: &[u8] = &[7; 32];
    const PORT: u16 = 7;

    pub(crate) fn main() {
        // Each peer is measured several times, in turn, and its fastest is taken: the machine may be busy.
        println!(
            "request and reply of 32 bytes, ten times as many for the faster; pairs a second, best of 3"
        );
        for pairs in [10_u32, 100] {
            let rounds = 20_000 / pairs;
            let mut best = [0.0_f64; 3];
            for _ in 0..3 {
                let measured = [
                    hogwash(pairs, rounds * 10),
                    madsim(pairs, rounds * 10),
                    turmoil(pairs, (rounds / 10).max(2)),
                ];
                for (best, one) in best.iter_mut().zip(measured) {
                    *best = best.max(one);
                }
            }
            let [ours, theirs, others] = best;
            println!(
                "{pairs:>4} pairs of nodes: hogwash {ours:>9.0}/s, madsim's Endpoint {theirs:>9.0}/s, turmoil's TCP {others:>9.0}/s"
            );
            println!("     hogwash is {:.1} times madsim, {:.1} times turmoil", ours / theirs, ours / others);
        }
    }

    fn per_second(pairs: u32, rounds: u32, wall: Duration) -> f64 {
        f64::from(pairs) * f64::from(rounds) / wall.as_secs_f64()
    }

    struct PingPong {
        rounds: u32,
    }

    const ROLES: [Role; 2] = [
        Role { name: "server", why: "answers", count: 1, cores: 1 },
        Role { name: "caller", why: "asks", count: 1, cores: 1 },
    ];

    impl Stack for PingPong {
        fn name(&self) -> &'static str {
            "ping-pong"
        }

        fn roles(&self) -> &'static [Role] {
            &ROLES
        }

        fn settings(&self) -> &'static [Setting] {
            &[]
        }

        fn boot(&self, process: Process) -> Task {
            let rounds = self.rounds;
            Box::pin(async move {
                let number = process.node.name.split_once('-').unwrap().1.to_owned();
                if process.node.role == "server" {
                    let (mut stream, _) = TcpListener::bind(PORT).await.unwrap().accept().await.unwrap();
                    while let Some(bytes) = stream.receive().await.unwrap() {
                        stream.send(bytes).await.unwrap();
                    }
                } else {
                    sim::time::sleep(Duration::from_millis(1)).await;
                    let mut stream = TcpStream::connect(&format!("server-{number}"), PORT).await.unwrap();
                    for _ in 0..rounds {
                        stream.send(Bytes::from_static(MESSAGE)).await.unwrap();
                        assert_eq!(stream.receive().await.unwrap().unwrap().len(), MESSAGE.len());
                    }
                }
                std::future::pending::<()>().await;
            })
        }

        fn client(&self, _: Client) -> Task {
            Box::pin(async {})
        }

        fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
            Box::pin(async { true })
        }
    }

    fn hogwash(pairs: u32, rounds: u32) -> f64 {
        let node = |role: &str, number: u32| NodePlan {
            name: format!("{role}-{number}"),
            role: role.to_owned(),
            cores: 1,
            memory_bytes: 1 << 30,
            domains: BTreeMap::new(),
            clock_offset_ns: 0,
            clock_drift_parts_per_million: 0.0,
        };
        let nodes = (0..pairs).flat_map(|number| [node("server", number), node("caller", number)]);
        let plan = Plan {
            version: PLAN_VERSION,
            stack: "ping-pong".to_owned(),
            scenario: "bench/network".to_owned(),
            variant: None,
            seed: 0,
            // Long enough for all rounds: about 120 µs each.
            duration_ns: u64::from(rounds) * 1_000_000 + 1_000_000_000,
            drain_ns: 1,
            expect: BTreeMap::new(),
            objectives: Objectives::default(),
            settings: BTreeMap::new(),
            workload: Workload { clients: 0, rate_per_s: 0.0, ..Workload::default() },
            network: NetworkPlan::default(),
            disk: DiskPlan::default(),
            byte_scale: 1,
            nodes: nodes.collect(),
            faults: Vec::new(),
        };
        let begun = Instant::now();
        let outcome = sim::world::run(&plan, Arc::new(PingPong { rounds }), None, vec![]).unwrap();
        let wall = begun.elapsed();
        assert!(outcome.messages >= u64::from(pairs) * u64::from(rounds) * 2, "all rounds were made");
        per_second(pairs, rounds, wall)
    }

    fn madsim(pairs: u32, rounds: u32) -> f64 {
        use madsim::net::Endpoint;
        use madsim::runtime::Runtime;

        let thread = std::thread::spawn(move || {
            let runtime = Runtime::with_seed_and_config(0, madsim::Config::default());
            let mut callers = Vec::new();
            for pair in 0..pairs {
                let address = |last: u32| format!("10.0.{pair}.{last}:{PORT}");
                let (server, caller) = (address(1), address(2));
                let ip = |address: &str| address.split_once(':').unwrap().0.parse().unwrap();
                let node = runtime.create_node().ip(ip(&server)).build();
                let bound = server.clone();
                node.spawn(async move {
                    let endpoint = Endpoint::bind(bound).await.unwrap();
                    let mut buffer = [0; 64];
                    loop {
                        let (length, from) = endpoint.recv_from(1, &mut buffer).await.unwrap();
                        endpoint.send_to(from, 2, &buffer[..length]).await.unwrap();
                    }
                });
                let node = runtime.create_node().ip(ip(&caller)).build();
                callers.push(node.spawn(async move {
                    madsim::time::sleep(Duration::from_millis(5)).await;
                    let endpoint = Endpoint::bind(caller).await.unwrap();
                    let mut buffer = [0; 64];
                    for _ in 0..rounds {
                        endpoint.send_to(server.as_str(), 1, MESSAGE).await.unwrap();
                        endpoint.recv_from(2, &mut buffer).await.unwrap();
                    }
                }));
            }
            let begun = Instant::now();
            runtime.block_on(async move {
                for caller in callers {
                    caller.await.unwrap();
                }
            });
            begun.elapsed()
        });
        per_second(pairs, rounds, thread.join().unwrap())
    }

    fn turmoil(pairs: u32, rounds: u32) -> f64 {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let mut world = turmoil::Builder::new()
            .simulation_duration(Duration::from_secs(1_000_000))
            .tick_duration(Duration::from_millis(1))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(2))
            .build();
        for pair in 0..pairs {
            world.host(format!("server-{pair}"), || async {
                let listener = turmoil::net::TcpListener::bind(("0.0.0.0", PORT)).await?;
                let (mut stream, _) = listener.accept().await?;
                let mut buffer = [0; MESSAGE.len()];
                while stream.read_exact(&mut buffer).await.is_ok() {
                    stream.write_all(&buffer).await?;
                }
                Ok(())
            });
            world.client(format!("caller-{pair}"), async move {
                let mut stream = turmoil::net::TcpStream::connect((format!("server-{pair}"), PORT)).await?;
                let mut buffer = [0; MESSAGE.len()];
                for _ in 0..rounds {
                    stream.write_all(MESSAGE).await?;
                    stream.read_exact(&mut buffer).await?;
                }
                Ok(())
            });
        }
        let begun = Instant::now();
        world.run().unwrap();
        per_second(pairs, rounds, begun.elapsed())
    }
}
