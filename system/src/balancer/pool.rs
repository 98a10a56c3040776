//! The servers behind a load balancer: who is busy, who answers checks, who fails its users.

use super::window::{Count, Window};
use crate::api;
use crate::http::HttpClient;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use sim::history::Fact;
use sim::rng::Stream;
use sim::stack::Deployment;
use sim::time::{Instant, sleep};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a server is asked whether it lives, and how long it may take to say so.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A server is left out after so many checks in a row that failed, and let in again after so many that did not.
const CHECKS_DOWN: u32 = 3;
const CHECKS_UP: u32 = 2;
/// How long a server is ejected for the first time; each next time in a row so much longer, up to the most.
const EJECTION: Duration = Duration::from_secs(15);
const EJECTIONS_MAX: u32 = 6;

/// The servers.
pub(super) struct Pool {
    names: Vec<String>,
    two_choices: bool,
    ejection: bool,
    left_out_percent_max: usize,
    state: Mutex<State>,
}

struct State {
    servers: Vec<Server>,
    chance: Stream,
}

#[derive(Default)]
struct Server {
    under_way: u32,
    /// Checks in a row that said something else than what is believed.
    doubts: u32,
    sick: bool,
    window: Window,
    ejected_until: Option<Instant>,
    /// How often in a row it was ejected.
    ejections: u32,
}

impl Server {
    fn ejected(&self, now: Instant) -> bool {
        self.ejected_until.is_some_and(|until| now < until)
    }
}

/// A server that was chosen for a request, which counts as under way there until this is dropped.
pub(super) struct Chosen {
    pool: Arc<Pool>,
    /// Its place among the servers.
    pub(super) server: usize,
}

impl Pool {
    pub(super) fn new(deployment: &Deployment, chance: Stream) -> Self {
        let names: Vec<_> = deployment.of_role("api").map(|node| node.name.clone()).collect();
        let servers = names.iter().map(|_| Server::default()).collect();
        Self {
            names,
            two_choices: deployment.setting("balancer.choice") == "two",
            ejection: deployment.flag("balancer.ejection"),
            left_out_percent_max: usize::try_from(deployment.number("balancer.left-out-percent-max"))
                .expect("at most 100"),
            state: Mutex::new(State { servers, chance }),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn name(&self, server: usize) -> &str {
        &self.names[server]
    }

    /// Of each server its name, its requests under way, and whether it is left out.
    pub(super) fn load(&self) -> Vec<(&str, u32, bool)> {
        let (state, now) = (self.state(), Instant::now());
        let servers = self.names.iter().zip(&state.servers);
        servers
            .map(|(name, server)| (name.as_str(), server.under_way, server.sick || server.ejected(now)))
            .collect()
    }

    /// Chooses a server for a request that was `tried` at some; none where it was tried at all.
    pub(super) fn choose(self: &Arc<Self>, tried: &BTreeSet<usize>) -> Option<Chosen> {
        let now = Instant::now();
        let mut state = self.state();
        let State { servers, chance } = &mut *state;
        let fit = |server: &Server| !server.sick && !server.ejected(now);
        let left_out = servers.iter().filter(|server| !fit(server)).count();
        let fails_open = left_out * 100 > self.left_out_percent_max * servers.len();
        sim::sometimes!(fails_open, "so many servers seem bad that none is left out");
        let untried = (0..servers.len()).filter(|server| !tried.contains(server));
        let mut open: Vec<_> = untried.filter(|server| fails_open || fit(&servers[*server])).collect();
        if open.is_empty() {
            // Rather one that seems bad than none.
            open = (0..servers.len()).filter(|server| !tried.contains(server)).collect();
        }
        let mut draw = |open: &mut Vec<usize>| {
            let place = chance.below(0..open.len() as u64);
            open.swap_remove(usize::try_from(place).expect("an index"))
        };
        if open.is_empty() {
            return None;
        }
        let mut server = draw(&mut open);
        if self.two_choices && !open.is_empty() {
            let other = draw(&mut open);
            if servers[other].under_way < servers[server].under_way {
                server = other;
            }
        }
        servers[server].under_way += 1;
        Some(Chosen { pool: self.clone(), server })
    }

    /// Notes how a server answered a user's request, and ejects it where it fails far more than the others.
    pub(super) fn answered(&self, server: usize, failed: bool) {
        let now = Instant::now();
        let mut state = self.state();
        let servers = &mut state.servers;
        servers[server].window.add(now, failed);
        if !failed || !self.ejection || servers[server].ejected(now) {
            return;
        }
        let own = servers[server].window.count(now);
        let others = (0..servers.len()).filter(|other| *other != server);
        let others = others.fold(Count::default(), |sum, other| sum + servers[other].window.count(now));
        let left_out = 1 + servers.iter().filter(|server| server.sick || server.ejected(now)).count();
        if !own.is_outlier(others) || left_out * 100 > self.left_out_percent_max * servers.len() {
            return;
        }
        sim::sometimes!("a server is ejected");
        let ejected = &mut servers[server];
        let again = ejected.ejected_until.is_some_and(|until| now - until < EJECTION * EJECTIONS_MAX);
        ejected.ejections = if again { (ejected.ejections + 1).min(EJECTIONS_MAX) } else { 1 };
        ejected.ejected_until = Some(now + EJECTION * ejected.ejections);
        ejected.window.clear();
        let text = format!(
            "{} is ejected for {} s: it failed {} of its last {} requests, the others {} of {}",
            self.names[server],
            (EJECTION * ejected.ejections).as_secs(),
            own.failed,
            own.all,
            others.failed,
            others.all,
        );
        sim::node::record(Fact::Note { text });
    }

    /// Notes what came of a check.
    fn checked(&self, server: usize, well: bool) {
        let mut state = self.state();
        let checked = &mut state.servers[server];
        if well != checked.sick {
            checked.doubts = 0;
            return;
        }
        checked.doubts += 1;
        if checked.doubts >= if checked.sick { CHECKS_UP } else { CHECKS_DOWN } {
            (checked.sick, checked.doubts) = (!checked.sick, 0);
            let does = if checked.sick { "does not answer checks" } else { "answers checks again" };
            sim::node::record(Fact::Note { text: format!("{} {does}", self.names[server]) });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.pool.state().servers[self.server].under_way -= 1;
    }
}

/// Asks a server again and again whether it lives.
pub(super) async fn check_for_ever(pool: Arc<Pool>, server: usize, http: HttpClient) {
    let mut chance = sim::node::stream(&format!("check/{}", pool.name(server)));
    // Many balancers that start together must not ask together for ever.
    sleep(chance.duration(Duration::ZERO..CHECK_INTERVAL)).await;
    loop {
        let begun = Instant::now();
        let request = Request::get("/healthz").body(Full::<Bytes>::default()).expect("made of valid parts");
        let asked = http.request(pool.name(server), api::PORT, request, begun + CHECK_INTERVAL).await;
        pool.checked(server, asked.is_ok_and(|answer| answer.status() == 200));
        sleep((begun + CHECK_INTERVAL) - Instant::now()).await;
    }
}
