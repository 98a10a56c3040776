//! The `[nodes]` of a scenario: how many of each role, with what, sharing what.

use crate::diagnostics::Diagnostic;
use crate::section::{Section, unknown};
use crate::value::{self, Between, Wrong};
use sim::plan::{CLIENT_ROLE, NodePlan};
use sim::rng::Stream;
use sim::stack::Stack;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// The most nodes that a file may ask for.
pub(crate) const NODES_MAX: u64 = 10_000;
/// The most cores that a file may give a node.
pub(crate) const CORES_MAX: u64 = 1024;
/// The most memory that a file may give a node.
pub(crate) const MEMORY_MAX_BYTES: u64 = 1 << 50;
/// How far a clock may run fast or slow, in parts per million; at -1 000 000 it would stand still.
pub(crate) const DRIFT_MAX: f64 = 999_999.0;
/// What a node has where the file does not say.
const MEMORY_BYTES: u64 = 16 << 30;
const CLIENT_CORES: u32 = 8;

/// The nodes of one role.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleNodes {
    /// The role.
    pub role: String,
    /// How many nodes.
    pub count: u32,
    /// The cores of each.
    pub cores: u32,
    /// The memory of each, in bytes.
    pub memory_bytes: u64,
    /// What they share, by kind of domain.
    pub domains: BTreeMap<String, Placement>,
    /// How far each one's wall clock is from true time, in nanoseconds; drawn node by node.
    pub clock_offset_ns: Between<i64>,
    /// How much faster than true time each one's clock runs; drawn node by node.
    pub clock_drift_parts_per_million: Between<f64>,
}

/// How the nodes of a role are placed over one kind of domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// All in the domain with this value.
    Same(String),
    /// Over this many domains, in turn.
    Spread(u32),
    /// Each in a domain of its own.
    Own,
}

/// What a file says about the nodes of a role; the rest stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoleChange {
    count: Option<u32>,
    cores: Option<u32>,
    memory_bytes: Option<u64>,
    domains: BTreeMap<String, Placement>,
    clock_offset_ns: Option<Between<i64>>,
    clock_drift_parts_per_million: Option<Between<f64>>,
}

impl RoleChange {
    /// `role` with the change.
    pub fn apply(&self, role: &RoleNodes) -> RoleNodes {
        let mut domains = role.domains.clone();
        domains.extend(self.domains.clone());
        let drift = self.clock_drift_parts_per_million;
        RoleNodes {
            role: role.role.clone(),
            count: self.count.unwrap_or(role.count),
            cores: self.cores.unwrap_or(role.cores),
            memory_bytes: self.memory_bytes.unwrap_or(role.memory_bytes),
            domains,
            clock_offset_ns: self.clock_offset_ns.unwrap_or(role.clock_offset_ns),
            clock_drift_parts_per_million: drift.unwrap_or(role.clock_drift_parts_per_million),
        }
    }
}

/// Reads the table `nodes` of a scenario or a variant.
pub(super) fn changes(parent: &Section<'_>, stack: &dyn Stack) -> BTreeMap<String, RoleChange> {
    let mut changes = BTreeMap::new();
    let Some(section) = parent.section("nodes", "the stack") else { return changes };
    for (role, value) in section.entries() {
        let roles = || stack.roles().iter().map(|role| role.name).chain([CLIENT_ROLE]);
        if !roles().any(|known| known == *role.get_ref()) {
            let of = format!("the stack `{}`", stack.name());
            parent.log.push(unknown(role.span(), "role", role.get_ref(), &of, roles()));
        } else if let Some(inner) = section.table_of(role.get_ref(), value, "a role") {
            changes.insert((*role.get_ref()).to_owned(), change(&inner));
        }
    }
    changes
}

fn change(section: &Section<'_>) -> RoleChange {
    let small = |number: Spanned<u64>| u32::try_from(number.into_inner()).expect("bounded when it was read");
    let change = RoleChange {
        count: section.get("count", value::whole(0, NODES_MAX)).map(small),
        cores: section.get("cores", value::whole(1, CORES_MAX)).map(small),
        memory_bytes: section.get("memory", value::bytes(1, MEMORY_MAX_BYTES)).map(Spanned::into_inner),
        domains: domains(section),
        clock_offset_ns: section.get("clock-offset", value::signed_durations).map(Spanned::into_inner),
        clock_drift_parts_per_million: section
            .get("clock-drift", value::numbers(-DRIFT_MAX, DRIFT_MAX))
            .map(Spanned::into_inner),
    };
    section.finish();
    change
}

fn domains(section: &Section<'_>) -> BTreeMap<String, Placement> {
    let Some(inner) = section.section("domains", "the domains") else { return BTreeMap::new() };
    let entries: Vec<_> = inner.entries().collect();
    let placed = entries.into_iter().filter_map(|(kind, value)| {
        check_kind(&inner, &kind);
        match placement(value.get_ref()) {
            Ok(placement) => Some(((*kind.get_ref()).to_owned(), placement)),
            Err(wrong) => {
                inner.wrong(kind.get_ref(), value, wrong);
                None
            }
        }
    });
    placed.collect()
}

/// Refuses a kind of domain whose text would be read as another kind of target.
pub(crate) fn check_kind(section: &Section<'_>, kind: &Spanned<&str>) {
    let name = *kind.get_ref();
    let reserved = ["role", "node", "leader-of", "domain", "any"].contains(&name);
    if reserved || name.is_empty() || name.contains(['=', ' ']) {
        let title = format!("`{name}` cannot be a kind of domain");
        let label = if reserved { "the word means another target" } else { "not a plain word" };
        let problem = Diagnostic::new(kind.span(), title, label);
        section.log.push(problem.help("kinds in use: `power`, `rack`, `zone`, `config`, `release`, `clock`"));
    }
}

fn placement(value: &DeValue<'_>) -> Result<Placement, Wrong> {
    let wrong = || Wrong::expected("a value such as `\"A\"`, `\"spread:3\"` or `\"own\"`");
    let text = value::text(value).map_err(|_| wrong())?;
    match text.strip_prefix("spread:") {
        Some(count) => {
            let count = count.parse().ok().filter(|count| (1..=NODES_MAX).contains(&u64::from(*count)));
            count
                .map(Placement::Spread)
                .ok_or_else(|| wrong().help("`spread:N` places the nodes in turn over N domains, N from 1"))
        }
        None if text == "own" => Ok(Placement::Own),
        None => Ok(Placement::Same(text)),
    }
}

/// The nodes of every role of `stack`, then clients, with `changes` to the defaults.
pub(super) fn of_stack(stack: &dyn Stack, changes: &BTreeMap<String, RoleChange>) -> Vec<RoleNodes> {
    let default = |role: &str, count, cores| RoleNodes {
        role: role.to_owned(),
        count,
        cores,
        memory_bytes: MEMORY_BYTES,
        domains: BTreeMap::new(),
        clock_offset_ns: Between::exactly(0),
        clock_drift_parts_per_million: Between::exactly(0.0),
    };
    let roles = stack.roles().iter().map(|role| default(role.name, role.count, role.cores));
    roles
        .chain([default(CLIENT_ROLE, 1, CLIENT_CORES)])
        .map(|role| match changes.get(&role.role) {
            Some(change) => change.apply(&role),
            None => role,
        })
        .collect()
}

/// The nodes that `roles` stand for in the universe of `seed`.
pub(crate) fn expand(roles: &[RoleNodes], seed: u64) -> Vec<NodePlan> {
    roles.iter().flat_map(|role| (0..role.count).map(move |index| node(role, index, seed))).collect()
}

fn node(role: &RoleNodes, index: u32, seed: u64) -> NodePlan {
    let name = format!("{}-{}", role.role, index + 1);
    let domains = role.domains.iter().map(|(kind, placement)| {
        let value = match placement {
            Placement::Same(value) => value.clone(),
            Placement::Spread(count) => domain_name(kind, index % count),
            Placement::Own => name.clone(),
        };
        (kind.clone(), value)
    });
    let offset = &role.clock_offset_ns;
    let offset_stream = &mut Stream::named(seed, &format!("nodes/{name}/clock-offset"));
    let drift_stream = &mut Stream::named(seed, &format!("nodes/{name}/clock-drift"));
    NodePlan {
        role: role.role.clone(),
        cores: role.cores,
        memory_bytes: role.memory_bytes,
        domains: domains.collect(),
        clock_offset_ns: crate::planner::draw_signed(offset, offset_stream),
        clock_drift_parts_per_million: crate::target::draw_number(
            &role.clock_drift_parts_per_million,
            drift_stream,
        ),
        name,
    }
}

/// The name of the domain number `index` of a kind: feeds are A, B, C, all others their kind's letter and a number.
fn domain_name(kind: &str, index: u32) -> String {
    let letter = u8::try_from(index).ok().filter(|index| kind == "power" && *index < 26);
    match (letter, kind.chars().next()) {
        (Some(index), _) => char::from(b'A' + index).to_string(),
        (None, initial) => format!("{}{}", initial.unwrap_or('d'), index + 1),
    }
}
