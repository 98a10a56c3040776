//! What a scenario's fault hits: a domain, some nodes, a role, whoever leads. Choices are drawn when a plan is made.

use crate::diagnostics::{Diagnostic, nearest, one_of};
use crate::scenario::ANY;
use crate::section::Section;
use crate::value::{self, Between, Wrong};
use sim::fault::{LEADER_OF, WHERE_IT_HAPPENED};
use sim::plan::{CLIENT_ROLE, NodePlan};
use sim::rng::Stream;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::DeValue;

/// What a fault hits, with choices still open.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The nodes with these names.
    Nodes(Vec<String>),
    /// All nodes that share `kind=value`, or a drawn fraction of them.
    Domain {
        /// The kind of domain, such as `power`.
        kind: String,
        /// Its value; drawn among those that there are where it is left open.
        value: Option<String>,
        /// How much of it is hit, 0 to 1.
        fraction: Option<Between<f64>>,
    },
    /// The nodes of a role, or drawn ones of them.
    Role {
        /// The role.
        role: String,
        /// How many; all where it does not say.
        count: Option<Between<u64>>,
    },
    /// The node of this role that leads when the fault begins.
    LeaderOf(String),
    /// Drawn ones of all nodes that are no client's.
    Any(Between<u64>),
    /// Every node.
    All,
    /// Whatever is drawn: one node, some of a role, a domain.
    Open,
    /// The other side of links whose one side is open: mostly every node, else as [`Target::Open`].
    OpenPeers,
}

/// The nodes that a target came to stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) nodes: Vec<String>,
    /// The domain, `kind=value`, that they share.
    pub(crate) shared: Option<String>,
}

const KEYS: [&str; 6] = ["domain", "nodes", "role", "leader-of", "any", "target"];

impl Target {
    /// The target that the keys of `section` say, the fault's own table; a problem where none or two do.
    pub(crate) fn of_section(section: &Section<'_>) -> Option<Spanned<Self>> {
        let given: Vec<&str> = KEYS.into_iter().filter(|key| section.raw(key).is_some()).collect();
        let fraction = section.get("fraction", value::numbers(0.0, 1.0));
        let count = section.get("count", value::wholes(1, 10_000));
        let [key] = given[..] else {
            if given.is_empty() {
                let place = section.place.clone().unwrap_or_default();
                section.log.push(
                    Diagnostic::new(place, "a fault needs a target", "nothing says what is hit").help(
                        "add `domain = \"power=A\"`, `role = \"queue\"`, `nodes = [\"queue-1\"]` or `leader-of = \"queue\"`",
                    ),
                );
            } else {
                let value = section.raw(given[1]).expect("it is given");
                let label = format!("`{}` is given already", given[0]);
                let title = "a fault has one target".to_owned();
                section.log.push(Diagnostic::new(value.span(), title, label));
            }
            return None;
        };
        let mut target = section.get(key, |value| Self::of_key(key, value))?;
        match (target.get_mut(), fraction, count) {
            (Self::Domain { fraction, .. }, drawn, None) => *fraction = drawn.map(Spanned::into_inner),
            (Self::Role { count, .. }, None, drawn) => *count = drawn.map(Spanned::into_inner),
            (_, None, None) => {}
            (_, fraction, count) => {
                let (name, of, span) = match (fraction, count) {
                    (Some(fraction), _) => ("fraction", "domain", fraction.span()),
                    (_, count) => ("count", "role", count.expect("one is given").span()),
                };
                let title = format!("`{name}` goes with `{of}`");
                let label = format!("the target is `{key}`");
                section.log.push(Diagnostic::new(span, title, label));
                return None;
            }
        }
        Some(target)
    }

    fn of_key(key: &str, value: &DeValue<'_>) -> Result<Self, Wrong> {
        match key {
            "domain" => domain(&value::text(value)?),
            "nodes" => Ok(Self::Nodes(value::texts(value)?)),
            "target" if value.as_str() == Some(ANY) => Ok(Self::Open),
            "target" => Err(Wrong::expected("`any`")),
            "role" => Ok(Self::Role { role: value::text(value)?, count: None }),
            "leader-of" => Ok(Self::LeaderOf(value::text(value)?)),
            _ => Ok(Self::Any(value::wholes(1, 10_000)(value)?)),
        }
    }

    /// One side of a link: a text such as `role=queue`, a table as in node faults, or a list of texts.
    pub(crate) fn of_side(section: &Section<'_>, key: &str) -> Vec<Spanned<Self>> {
        let Some(value) = section.raw(key) else {
            section.missing(key, &format!("{key} = \"role=queue\""));
            return Vec::new();
        };
        match value.get_ref() {
            DeValue::Table(_) => {
                let Some(inner) = section.table_of(key, value, "a target") else { return Vec::new() };
                let target = Self::of_section(&inner);
                inner.finish();
                target.into_iter().collect()
            }
            DeValue::Array(items) if !items.is_empty() => {
                items.iter().filter_map(|item| Self::of_item(section, key, item)).collect()
            }
            _ => Self::of_item(section, key, value).into_iter().collect(),
        }
    }

    fn of_item(section: &Section<'_>, key: &str, item: &Spanned<DeValue<'_>>) -> Option<Spanned<Self>> {
        match value::text(item.get_ref()).and_then(|text| Self::of_text(&text)) {
            Ok(target) => Some(Spanned::new(item.span(), target)),
            Err(_) => {
                let wrong = Wrong::expected("a target").help(
                    "a target is `role=queue`, `domain=power=A` or `power=A`, `node=queue-1`, `leader-of=queue`, `any=2`, `any` or `all`",
                );
                section.wrong(key, item, wrong);
                None
            }
        }
    }

    fn of_text(text: &str) -> Result<Self, Wrong> {
        let wrong = || Wrong::expected("a target");
        match text {
            "all" => return Ok(Self::All),
            ANY => return Ok(Self::Open),
            WHERE_IT_HAPPENED => return Ok(Self::Nodes(vec![text.to_owned()])),
            _ => {}
        }
        let (key, rest) = text.split_once('=').ok_or_else(wrong)?;
        match key {
            _ if rest.is_empty() => Err(wrong()),
            "role" => Ok(Self::Role { role: rest.to_owned(), count: None }),
            "node" => Ok(Self::Nodes(vec![rest.to_owned()])),
            "leader-of" => Ok(Self::LeaderOf(rest.to_owned())),
            "any" => value::wholes(1, 10_000)(&DeValue::String(rest.into())).map(Self::Any),
            "domain" => domain(rest),
            _ => domain(text),
        }
    }

    /// What keeps the target from being any of `nodes`: what is wrong, and ways out.
    pub(crate) fn check(&self, nodes: &[NodePlan]) -> Result<(), (String, Vec<String>)> {
        match self {
            Self::Nodes(names) => names.iter().try_for_each(|name| check_node(name, nodes)),
            Self::Domain { kind, value, .. } => check_domain(kind, value.as_deref(), nodes),
            Self::Role { role, count } => {
                let there = check_role(role, nodes)?;
                match count {
                    Some(count) if count.most > there => Err((
                        format!("there are only {there} nodes of role `{role}`"),
                        vec![format!("ask for at most {there}, or raise `nodes.{role}.count`")],
                    )),
                    _ => Ok(()),
                }
            }
            Self::LeaderOf(role) => check_planned(&format!("{LEADER_OF}{role}"), nodes),
            Self::Any(count) => {
                let there = u64::try_from(nodes.iter().filter(|node| !node.is_client()).count()).unwrap_or(0);
                let enough = count.most <= there;
                enough.then_some(()).ok_or_else(|| (format!("there are only {there} nodes"), Vec::new()))
            }
            Self::All | Self::Open | Self::OpenPeers => Ok(()),
        }
    }

    /// Whether it is the node on which happened what set the fault off.
    pub(crate) fn is_where_it_happened(&self) -> bool {
        matches!(self, Self::Nodes(names) if names.iter().any(|name| name == WHERE_IT_HAPPENED))
    }

    /// The nodes among `nodes` that it stands for; `stream` gives each choice a stream of its own.
    pub(crate) fn resolve(&self, nodes: &[NodePlan], stream: impl Fn(&str) -> Stream) -> Resolved {
        let names = |pick: &dyn Fn(&&NodePlan) -> bool| -> Vec<String> {
            nodes.iter().filter(pick).map(|node| node.name.clone()).collect()
        };
        let alone = |nodes| Resolved { nodes, shared: None };
        match self {
            Self::Nodes(names) => alone(names.clone()),
            Self::LeaderOf(role) => alone(vec![format!("{LEADER_OF}{role}")]),
            Self::All => alone(names(&|_| true)),
            Self::Open => open(nodes, &stream).resolve(nodes, stream),
            Self::OpenPeers if stream("peers").chance(ALL_PEERS) => alone(names(&|_| true)),
            Self::OpenPeers => open(nodes, &stream).resolve(nodes, stream),
            Self::Any(count) => alone(some_of(names(&|node| !node.is_client()), count, &stream)),
            Self::Role { role, count } => {
                let all = names(&|node| node.role == *role);
                alone(match count {
                    Some(count) => some_of(all, count, &stream),
                    None => all,
                })
            }
            Self::Domain { kind, value, fraction } => {
                let values = values_of(kind, nodes);
                let drawn = stream("value").pick(&values).map(|value| (*value).to_owned());
                let value = value.clone().or(drawn).unwrap_or_default();
                let all = names(&|node| node.domains.get(kind) == Some(&value));
                let nodes = match fraction {
                    Some(fraction) => {
                        let share = draw_number(fraction, &mut stream("fraction"));
                        // At least one: a fault that hits nothing is none.
                        #[expect(clippy::cast_precision_loss, reason = "a few nodes")]
                        let exact = share * all.len() as f64;
                        #[expect(
                            clippy::cast_possible_truncation,
                            clippy::cast_sign_loss,
                            reason = "a share of a few nodes"
                        )]
                        let count = (exact.round() as u64).max(1);
                        some_of(all, &Between::exactly(count), &stream)
                    }
                    None => all,
                };
                Resolved { nodes, shared: Some(format!("{kind}={value}")) }
            }
        }
    }
}

/// The chance that the other side of a link fault that is open is every node.
const ALL_PEERS: f64 = 0.6;

/// A target drawn among all: in equal parts a node, some nodes of a role, and what shares a domain.
fn open(nodes: &[NodePlan], stream: &impl Fn(&str) -> Stream) -> Target {
    let serving = || nodes.iter().filter(|node| !node.is_client());
    let roles: BTreeSet<&str> = serving().map(|node| node.role.as_str()).collect();
    let kinds: BTreeSet<&str> = serving().flat_map(|node| node.domains.keys()).map(String::as_str).collect();
    let (roles, kinds): (Vec<&str>, Vec<&str>) = (roles.into_iter().collect(), kinds.into_iter().collect());
    let sort = stream("sort").below(0..3);
    if let (1, Some(role)) = (sort, stream("role").pick(&roles)) {
        let there = serving().filter(|node| node.role == **role).count();
        let count = Between { least: 1, most: u64::try_from(there).unwrap_or(u64::MAX) };
        return Target::Role { role: (*role).to_owned(), count: Some(count) };
    }
    if let (2, Some(kind)) = (sort, stream("kind").pick(&kinds)) {
        return Target::Domain { kind: (*kind).to_owned(), value: None, fraction: None };
    }
    Target::Any(Between::exactly(1))
}

/// A number of `range`, with few decimals, so that people can read plans.
pub(crate) fn draw_number(range: &Between<f64>, stream: &mut Stream) -> f64 {
    let width = range.most - range.least;
    let drawn = range.least + stream.unit() * width;
    let steps_per_one = match width {
        1000.0.. => 1.0,
        10.0.. => 1e2,
        _ => 1e4,
    };
    let rounded = (drawn * steps_per_one).round() / steps_per_one;
    if (range.least..=range.most).contains(&rounded) { rounded } else { drawn }
}

/// A whole number of `range`, both ends possible.
pub(crate) fn draw_whole(range: &Between<u64>, stream: &mut Stream) -> u64 {
    stream.below(range.least..range.most.saturating_add(1))
}

/// A duration of `range`, with few decimals where the range is wide, so that people can read plans.
pub(crate) fn draw_duration(range: &Between<u64>, stream: &mut Stream) -> u64 {
    const MILLISECOND: u64 = 1_000_000;
    let drawn = draw_whole(range, stream);
    let unit = match range.most - range.least {
        0..MILLISECOND => 1,
        MILLISECOND..1_000_000_000 => 1_000,
        _ => MILLISECOND,
    };
    (drawn / unit * unit).max(range.least)
}

/// A drawn number of `names`, drawn, in their order.
fn some_of(mut names: Vec<String>, count: &Between<u64>, stream: &impl Fn(&str) -> Stream) -> Vec<String> {
    let count = usize::try_from(draw_whole(count, &mut stream("count"))).unwrap_or(usize::MAX);
    let order = names.clone();
    stream("which").shuffle(&mut names);
    names.truncate(count);
    order.into_iter().filter(|name| names.contains(name)).collect()
}

fn domain(text: &str) -> Result<Target, Wrong> {
    let (kind, value) = text.split_once('=').map_or((text, None), |(kind, value)| (kind, Some(value)));
    if kind.is_empty() || value.is_some_and(str::is_empty) {
        return Err(Wrong::expected("a domain such as `power=A`, or a kind such as `power` to draw one"));
    }
    Ok(Target::Domain { kind: kind.to_owned(), value: value.map(str::to_owned), fraction: None })
}

fn check_node(name: &str, nodes: &[NodePlan]) -> Result<(), (String, Vec<String>)> {
    if name == WHERE_IT_HAPPENED || nodes.iter().any(|node| node.name == name) {
        return Ok(());
    }
    let near = nearest(name, nodes.iter().map(|node| node.name.as_str()));
    let help = near.map_or_else(|| choices(nodes), |near| format!("did you mean `{near}`?"));
    Err((format!("no node is called `{name}`"), vec![help]))
}

fn choices(nodes: &[NodePlan]) -> String {
    let shown = nodes.iter().take(12).map(|node| node.name.as_str());
    let more = if nodes.len() > 12 { " and so on" } else { "" };
    format!("nodes: {}{more}", one_of(shown))
}

/// How many nodes have `role`.
pub(crate) fn check_role(role: &str, nodes: &[NodePlan]) -> Result<u64, (String, Vec<String>)> {
    let there = nodes.iter().filter(|node| node.role == role).count();
    if there == 0 {
        let roles: BTreeSet<&str> = nodes.iter().map(|node| node.role.as_str()).collect();
        let near = nearest(role, roles.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let help = near.into_iter().chain([format!("roles: {}", one_of(roles))]).collect();
        return Err((format!("no node has the role `{role}`"), help));
    }
    Ok(u64::try_from(there).unwrap_or(u64::MAX))
}

fn values_of<'a>(kind: &str, nodes: &'a [NodePlan]) -> Vec<&'a str> {
    let values: BTreeSet<&str> =
        nodes.iter().filter_map(|node| node.domains.get(kind)).map(String::as_str).collect();
    values.into_iter().collect()
}

fn check_domain(kind: &str, value: Option<&str>, nodes: &[NodePlan]) -> Result<(), (String, Vec<String>)> {
    let values = values_of(kind, nodes);
    if value.map_or(!values.is_empty(), |value| values.contains(&value)) {
        return Ok(());
    }
    if values.is_empty() {
        let kinds: BTreeSet<&str> =
            nodes.iter().flat_map(|node| node.domains.keys()).map(String::as_str).collect();
        let near = nearest(kind, kinds.iter().copied()).map(|near| format!("did you mean `{near}=…`?"));
        let there = if kinds.is_empty() {
            format!("give nodes one: `queue = {{ domains = {{ {kind} = \"A\" }} }}` under `[nodes]`")
        } else {
            format!("kinds of domain here: {}", one_of(kinds))
        };
        return Err((
            format!("no node has a domain of kind `{kind}`"),
            near.into_iter().chain([there]).collect(),
        ));
    }
    let wanted = value.unwrap_or_default();
    let pairs: Vec<String> = values.iter().take(12).map(|value| format!("{kind}={value}")).collect();
    let help = format!("domains here: {}", one_of(pairs.iter().map(String::as_str)));
    Err((format!("no node has the domain `{kind}={wanted}`"), vec![help]))
}

/// Whether `name` may stand among a plan's targets: a node, or the leader of a role that there is.
pub(crate) fn check_planned(name: &str, nodes: &[NodePlan]) -> Result<(), (String, Vec<String>)> {
    match name.strip_prefix(LEADER_OF) {
        Some(CLIENT_ROLE) => Err(("clients have no leader".to_owned(), Vec::new())),
        Some(role) => check_role(role, nodes).map(drop),
        None => check_node(name, nodes),
    }
}
