//! The software under test, as the world sees it.

use crate::history::{Fact, Id};
use crate::plan::{CLIENT_ROLE, NodePlan};
use crate::rng::Stream;
use crate::{node, time};
use std::collections::BTreeMap;
use std::{future::Future, pin::Pin, sync::Arc};

/// A future that a [`Stack`] hands to its world.
pub type Task<T = ()> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The software under test: what runs on which node, what clients do.
///
/// A stack keeps no state of its own: all state lives in the processes that it boots and on their nodes' disks, since
/// one value of it serves many worlds at once.
pub trait Stack: Send + Sync + 'static {
    /// Its name, kebab-case; plans hold it.
    fn name(&self) -> &'static str;

    /// The roles that nodes can have, `client` not among them.
    fn roles(&self) -> &'static [Role];

    /// The settings that scenarios can change.
    fn settings(&self) -> &'static [Setting];

    /// The names of all [marks](crate::coverage) in its code: those that no run of a batch reaches are told.
    fn marks(&self) -> &'static [&'static str] {
        &[]
    }

    /// Runs the process of `process.node.role`, from its start until it ends or is killed. Called again, with the disk as
    /// it was left, whenever the process starts anew.
    fn boot(&self, process: Process) -> Task;

    /// Runs one client: all its operations, each at its time, until each has an answer or is given up.
    fn client(&self, client: Client) -> Task;

    /// Asks the running stack, over the network, whether nothing is left to do; false also where it does not answer. Where
    /// nothing happens after the clients have their answers, there is nothing to ask.
    fn drained(&self, deployment: Arc<Deployment>) -> Task<bool> {
        let _ = deployment;
        Box::pin(async { true })
    }
}

/// A kind of process.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// Its name, such as `queue`.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub why: &'static str,
    /// How many nodes a scenario gets that does not say.
    pub count: u32,
    /// How many cores each of these has, where the scenario does not say.
    pub cores: u32,
}

/// Something about the stack that a scenario can change.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name, such as `queue.durability`.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub why: &'static str,
    /// The right value.
    pub default: &'static str,
    /// What it can be.
    pub kind: SettingKind,
}

/// What a setting can be.
#[derive(Clone, Copy, Debug)]
pub enum SettingKind {
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A duration, such as `1.5s`.
    Duration,
    /// A whole number of this range.
    Number {
        /// The least that is allowed.
        least: u64,
        /// The most that is allowed.
        most: u64,
    },
    /// Anything: whoever reads it says what it must be.
    Text,
}

impl Setting {
    /// A setting that is one of `words`, of which the first is the default.
    ///
    /// ```
    /// # extern crate hogwash_sim as sim;
    /// use sim::stack::Setting;
    ///
    /// const FSYNC: Setting = Setting::choice("log.fsync", "what a log waits for", &["always", "never"]);
    /// assert_eq!(FSYNC.default, "always");
    /// assert_eq!(FSYNC.check("sometimes").unwrap_err(), "`always` or `never`");
    /// ```
    pub const fn choice(name: &'static str, why: &'static str, words: &'static [&'static str]) -> Self {
        let default = match words {
            [first, ..] => first,
            // Nothing can be set, and nothing is.
            [] => "",
        };
        Self { name, why, default, kind: SettingKind::Choice(words) }
    }

    /// Whether `value` is allowed; otherwise what is.
    ///
    /// # Errors
    /// Words that say what the setting can be, to follow "must be".
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            SettingKind::Flag if matches!(value, "true" | "false") => Ok(()),
            SettingKind::Flag => Err("`true` or `false`".to_owned()),
            SettingKind::Choice(words) if words.contains(&value) => Ok(()),
            SettingKind::Choice(words) => {
                Err(words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "))
            }
            SettingKind::Duration => crate::duration_text::parse(value)
                .map(drop)
                .map_err(|_| "a duration such as `1.5s`".to_owned()),
            SettingKind::Number { least, most } => match value.parse::<u64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                _ => Err(format!("a whole number from {least} to {most}")),
            },
            SettingKind::Text => Ok(()),
        }
    }
}

/// Where everything is: the nodes and the settings, known to every process.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The nodes, in the plan's order.
    pub nodes: Vec<NodePlan>,
    settings: BTreeMap<&'static str, String>,
}

impl Deployment {
    /// The deployment of `nodes` with `changed` settings, all others at their defaults.
    ///
    /// # Errors
    /// The name of the first setting that `stack` does not have or that cannot have its value, and why.
    pub fn new(
        stack: &dyn Stack,
        nodes: Vec<NodePlan>,
        changed: &BTreeMap<String, String>,
    ) -> Result<Self, SettingError> {
        let defaults = stack.settings().iter().map(|setting| (setting.name, setting.default.to_owned()));
        Self { nodes, settings: defaults.collect() }.changed(stack, changed)
    }

    /// The same nodes with `changed` settings.
    ///
    /// # Errors
    /// As [`Deployment::new`].
    pub fn changed(
        mut self,
        stack: &dyn Stack,
        changed: &BTreeMap<String, String>,
    ) -> Result<Self, SettingError> {
        for (name, value) in changed {
            let setting = stack.settings().iter().find(|setting| setting.name == name);
            let setting = setting.ok_or_else(|| SettingError::Unknown(name.clone()))?;
            setting.check(value).map_err(|allowed| SettingError::Value {
                name: name.clone(),
                value: value.clone(),
                allowed,
            })?;
            self.settings.insert(setting.name, value.clone());
        }
        Ok(self)
    }

    /// The nodes of a role, in order.
    pub fn of_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a NodePlan> {
        self.nodes.iter().filter(move |node| node.role == role)
    }

    /// The setting called `name`.
    ///
    /// # Panics
    /// Where the stack does not list it, which is a bug of the stack.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.get(name).unwrap_or_else(|| panic!("the stack lists no setting `{name}`"))
    }

    /// A setting of kind [`SettingKind::Flag`].
    ///
    /// # Panics
    /// Where the stack lists no such setting, which is a bug of the stack.
    pub fn flag(&self, name: &str) -> bool {
        self.setting(name) == "true"
    }

    /// A setting of kind [`SettingKind::Duration`].
    ///
    /// # Panics
    /// Where the stack lists no such setting, or its default is no duration: bugs of the stack.
    pub fn duration(&self, name: &str) -> std::time::Duration {
        let nanoseconds = crate::duration_text::parse(self.setting(name)).expect("checked when it was set");
        std::time::Duration::from_nanos(nanoseconds)
    }

    /// A setting of kind [`SettingKind::Number`].
    ///
    /// # Panics
    /// Where the stack lists no such setting, or its default is no number: bugs of the stack.
    pub fn number(&self, name: &str) -> u64 {
        self.setting(name).parse().expect("checked when it was set")
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The stack has no such setting.
    #[error("there is no setting `{0}`")]
    Unknown(String),
    /// The setting cannot have this value.
    #[error("`{name}` cannot be `{value}`: it must be {allowed}")]
    Value {
        /// The setting.
        name: String,
        /// What it was to be.
        value: String,
        /// What it can be.
        allowed: String,
    },
}

/// What a process is told when it starts.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its node.
    pub node: NodePlan,
    /// Everything else.
    pub deployment: Arc<Deployment>,
    /// How often this node has started a process, counting from 1.
    pub incarnation: u32,
}

/// What a client is told when it starts.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its number among the clients.
    pub index: u32,
    /// Everything else.
    pub deployment: Arc<Deployment>,
    /// What it shall do, in order of time.
    pub operations: Vec<Operation>,
}

/// One request that a client shall make.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its identity: the client's number and the operation's among the client's.
    pub id: Id,
    /// When to make it: since the world began, on a perfect clock, in nanoseconds.
    pub at_ns: u64,
    pub(crate) seed: u64,
}

impl Operation {
    /// The chance that decides what it asks; of this operation alone, from its start at every call.
    pub fn chance(&self) -> Stream {
        Stream::fixed(self.seed, &format!("client-{}/{}", self.id.client(), self.id.operation()))
    }
}

impl Client {
    /// Makes every operation at its time, one after the other, and records what becomes of it: `attempt` is called with the
    /// operation and how often it was tried, this time included, until it says true, at most `attempts` times, with `pause`
    /// between.
    pub async fn submit_each<F>(
        self,
        attempts: u32,
        pause: std::time::Duration,
        attempt: impl Fn(Operation, u32) -> F,
    ) where
        F: Future<Output = bool>,
    {
        for operation in self.operations {
            time::sleep_until(time::Instant::from_nanos(operation.at_ns)).await;
            let id = operation.id;
            let mut acknowledged = false;
            for number in 1..=attempts {
                node::record(Fact::Submit { id, attempt: number });
                acknowledged = attempt(operation, number).await;
                if acknowledged {
                    break;
                }
                time::sleep(pause).await;
            }
            node::record(if acknowledged { Fact::Acknowledge { id } } else { Fact::GiveUp { id } });
        }
    }
}

impl NodePlan {
    /// Whether the node runs the workload's clients.
    pub fn is_client(&self) -> bool {
        self.role == CLIENT_ROLE
    }
}
