//! What a version says.

use super::defect::Defect;
use crate::ImageStack;
use serde::{Deserialize, Serialize};
use sim::stack::{Deployment, SettingKind, Stack as _};
use std::collections::BTreeMap;

/// The version that every node starts with.
pub(super) const FIRST: u64 = 1;

/// Settings that are a matter of degree and that a version may change, with the least and the most that every process can live with
/// and that leave a safeguard what it is. All others of that kind stay as the deployment has them: all nodes must have the
/// same at any time (`usage.copies`), users were promised it (`auth.revocation-bound`), or it is not theirs.
pub const RANGES: [(&str, &str, &str); 24] = [
    ("api.account-rate", "1", "1000000"),
    ("api.deadline", "1ms", "10min"),
    ("api.max-in-flight", "10", "1000000"),
    ("auth.accounts-max", "1", "100000000"),
    ("auth.cache-entries", "100", "100000000"),
    ("auth.cache-for", "1s", "10min"),
    ("auth.follow-every", "10ms", "5s"),
    ("balancer.attempt-timeout", "100ms", "1min"),
    ("balancer.attempts", "1", "5"),
    ("balancer.hedge-after", "0s", "1min"),
    ("balancer.left-out-percent-max", "10", "90"),
    ("balancer.max-in-flight", "10", "1000000"),
    ("balancer.retries-saved-max", "0", "1000"),
    ("balancer.retry-budget-percent", "0", "50"),
    ("queue.election-timeout", "100ms", "1min"),
    ("queue.lease", "1s", "10min"),
    ("queue.max-deliveries", "2", "20"),
    ("queue.max-waiting", "10", "10000000"),
    ("queue.replace-after", "1s", "24h"),
    ("usage.batch-wait", "10ms", "1min"),
    ("usage.compare-every", "100ms", "10min"),
    ("worker.conversion-cost", "0s", "1min"),
    ("worker.job-timeout", "1s", "1h"),
    ("worker.leases", "0", "100000"),
];

/// Settings that say yes or no, and where neither is the right answer everywhere.
const NO_SAFEGUARDS: [&str; 2] = ["queue.groups", "worker.codec"];
/// What settings of others begin with: of users, and of whoever hands versions out.
const NOT_OF_NODES: [&str; 4] = ["client.", "push.", "rollout.", "config."];

/// One version of what nodes run: settings, and perhaps a defect that nobody knows of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// Its number; later ones are greater.
    pub(crate) version: u64,
    /// How many requests a node takes on at once.
    pub(crate) in_flight_max: u64,
    /// Settings that it changes, by name.
    pub(crate) settings: BTreeMap<String, String>,
    /// What is wrong with it.
    pub(crate) defect: Option<Defect>,
}

impl Document {
    /// What every node starts with.
    pub(super) fn first() -> Self {
        Self { version: FIRST, in_flight_max: u64::from(u32::MAX), settings: BTreeMap::new(), defect: None }
    }

    /// What operators push, as the deployment's settings say.
    pub(super) fn pushed(deployment: &Deployment) -> Self {
        let defective = deployment.setting("push.content") == "defective";
        Self {
            version: FIRST + 1,
            in_flight_max: if deployment.setting("push.content") == "invalid" { 0 } else { 1_000_000 },
            settings: parse(deployment.setting("push.settings")),
            defect: defective.then(|| Defect::of(deployment)),
        }
    }

    /// Whether what operators push is invalid, by what went into its making and not by what validation makes of it: what
    /// [`Document::validate`] must find.
    pub(super) fn pushed_is_invalid(deployment: &Deployment) -> bool {
        let is = |name, value| deployment.setting(name) == value;
        let always_wrong = is("push.effect", "wrong") && is("push.trigger", "always");
        is("push.content", "invalid")
            || is("push.content", "defective") && always_wrong
            || deployment.flag("push.settings-invalid")
    }

    /// What makes it one that no node can run, in words.
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.in_flight_max == 0 {
            return Err("a node that takes no request is of no use".to_owned());
        }
        if self.defect.is_some_and(Defect::shows_on_a_known_input) {
            return Err("the answer to a known input is wrong".to_owned());
        }
        self.settings.iter().try_for_each(|(name, value)| check(name, value))
    }
}

/// The settings of a text such as `queue.lease=20s, api.deadline=5s`.
fn parse(text: &str) -> BTreeMap<String, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pairs = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

/// Whether a version may give a setting this value; otherwise why not. What is a matter of yes and no is a safeguard, and its
/// default the right answer: a version may turn it on, and none turns it off.
fn check(name: &str, value: &str) -> Result<(), String> {
    let settings = ImageStack.settings();
    let setting = settings.iter().find(|setting| setting.name == name);
    let setting = setting.ok_or_else(|| format!("there is no setting `{name}`"))?;
    setting.check(value).map_err(|allowed| format!("`{name}` must be {allowed}"))?;
    let safeguard = matches!(setting.kind, SettingKind::Flag | SettingKind::Choice(_))
        && !NO_SAFEGUARDS.contains(&name)
        && !NOT_OF_NODES.iter().any(|of_others| name.starts_with(of_others));
    if safeguard {
        let right = value == setting.default;
        let wrong = || format!("`{name}` is a safeguard: a version leaves it `{}`", setting.default);
        return right.then_some(()).ok_or_else(wrong);
    }
    let Some((_, least, most)) = RANGES.iter().find(|(named, ..)| *named == name) else {
        return Err(format!("`{name}` is not a version's to change"));
    };
    let within = (amount(least)..=amount(most)).contains(&amount(value));
    within.then_some(()).ok_or_else(|| format!("`{name}` must be from {least} to {most} in a version"))
}

/// How much a value is that was checked: of a duration, the nanoseconds.
fn amount(value: &str) -> Option<u64> {
    value.parse().ok().or_else(|| sim::duration_text::parse(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn validated(text: &str) -> Result<(), String> {
        Document { settings: parse(text), ..Document::first() }.validate()
    }

    #[test]
    fn a_version_changes_what_is_a_matter_of_degree_and_turns_safeguards_on() {
        for good in [
            "",
            "queue.lease=20s",
            " queue.max-deliveries = 7 , balancer.retry-budget-percent=0,",
            "queue.durability=disk, balancer.ejection=true",
        ] {
            assert_eq!(validated(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_version_is_refused_that_no_node_can_run_or_that_turns_a_safeguard_off() {
        for (bad, why) in [
            ("queue.leese=20s", "there is no setting `queue.leese`"),
            ("queue.lease", "`queue.lease` must be a duration such as `1.5s`"),
            ("queue.max-deliveries=0", "`queue.max-deliveries` must be a whole number from 1 to 1000"),
            ("queue.max-deliveries=1000", "`queue.max-deliveries` must be from 2 to 20 in a version"),
            ("queue.election-timeout=0s", "`queue.election-timeout` must be from 100ms to 1min in a version"),
            ("queue.durability=memory", "`queue.durability` is a safeguard: a version leaves it `disk`"),
            (
                "queue.lease=20s, balancer.ejection=false",
                "`balancer.ejection` is a safeguard: a version leaves it `true`",
            ),
            ("queue.spares=1", "`queue.spares` is not a version's to change"),
            ("queue.groups=none", "`queue.groups` is not a version's to change"),
            ("config.validation=true", "`config.validation` is not a version's to change"),
            ("auth.revocation-bound=1h", "`auth.revocation-bound` is not a version's to change"),
        ] {
            assert_eq!(validated(bad), Err(why.to_owned()), "{bad}");
        }
    }

    #[test]
    fn the_ranges_are_of_settings_in_order_and_hold_the_defaults() {
        assert!(RANGES.is_sorted());
        for (name, least, most) in RANGES {
            let setting = ImageStack.settings().iter().find(|setting| setting.name == name).expect(name);
            for value in [least, setting.default, most] {
                assert_eq!(check(name, value), Ok(()), "{name} = {value}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_a_version_panic(text: String, number: u64) {
            let whole = format!("{{\"version\":{number},\"in_flight_max\":0,\"settings\":{{}},\"defect\":null}}");
            prop_assert!(serde_json::from_str::<Document>(&whole).is_ok());
            for text in [text.clone(), whole] {
                if let Ok(version) = serde_json::from_slice::<Document>(text.as_bytes()) {
                    prop_assert!(version.in_flight_max > 0 || version.validate().is_err());
                }
            }
            let _ = validated(&text);
        }
    }
}
