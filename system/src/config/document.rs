//! What a version says.

use super::defect::Defect;
use crate::ImageStack;
use serde::{Deserialize, Serialize};
use sim::stack::{Deployment, SettingKind, Stack as _};
use std::collections::BTreeMap;

/// The version that every node starts with.
pub(super) const FIRST: u64 = 1;

/// Settings that no version may change, by how their names begin, and why.
const FIXED: [(&str, &str); 15] = [
    ("client.", "clients are configured by their own"),
    ("push.", "how versions are handed out is not theirs to say"),
    ("rollout.", "how versions are handed out is not theirs to say"),
    ("config.", "how versions are handed out is not theirs to say"),
    ("queue.spares", "all nodes must have the same at any time"),
    ("usage.copies", "all nodes must have the same at any time"),
    ("usage.write-acks", "all nodes must have the same at any time"),
    ("usage.read-acks", "all nodes must have the same at any time"),
    ("usage.batch-lines", "all nodes must have the same at any time"),
    ("billing.period", "all nodes must have the same at any time"),
    ("queue.retention", "users were promised it"),
    ("archive.retention", "users were promised it"),
    ("auth.revocation-bound", "users were promised it"),
    ("auth.enrolment-bound", "users were promised it"),
    ("auth.address-key-for", "users were promised it"),
];

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

    /// Whether what operators push is invalid, by what went into its making: what [`Document::validate`] must find.
    pub(super) fn pushed_is_invalid(deployment: &Deployment) -> bool {
        let is = |name, value| deployment.setting(name) == value;
        let always_wrong = is("push.effect", "wrong") && is("push.trigger", "always");
        let settings = parse(deployment.setting("push.settings"));
        let invalid_settings = settings.iter().any(|(name, value)| check(name, value).is_err());
        is("push.content", "invalid") || is("push.content", "defective") && always_wrong || invalid_settings
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

/// Whether a version may give a setting this value; otherwise why not. What is a matter of degree may be changed, as far as the
/// setting goes. What is a matter of yes and no is a safeguard, and its default the right answer: no version turns it off.
fn check(name: &str, value: &str) -> Result<(), String> {
    let settings = ImageStack.settings();
    let setting = settings.iter().find(|setting| setting.name == name);
    let setting = setting.ok_or_else(|| format!("there is no setting `{name}`"))?;
    if let Some((_, why)) = FIXED.iter().find(|(fixed, _)| name.starts_with(fixed)) {
        return Err(format!("`{name}` is not a version's to change: {why}"));
    }
    setting.check(value).map_err(|allowed| format!("`{name}` must be {allowed}"))?;
    let safeguard = matches!(setting.kind, SettingKind::Flag | SettingKind::Choice(_));
    if safeguard && value != setting.default {
        return Err(format!("`{name}` is a safeguard: it must stay `{}`", setting.default));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn validated(text: &str) -> Result<(), String> {
        Document { settings: parse(text), ..Document::first() }.validate()
    }

    #[test]
    fn a_version_changes_what_is_a_matter_of_degree() {
        for good in ["", "queue.lease=20s", " queue.max-deliveries = 7 , balancer.retry-budget-percent=0,"] {
            assert_eq!(validated(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_version_is_refused_that_no_node_can_run_or_that_turns_a_safeguard_off() {
        for (bad, why) in [
            ("queue.leese=20s", "there is no setting `queue.leese`"),
            ("queue.lease", "`queue.lease` must be a duration such as `1.5s`"),
            ("queue.max-deliveries=0", "`queue.max-deliveries` must be a whole number from 1 to 1000"),
            ("queue.durability=memory", "`queue.durability` is a safeguard: it must stay `disk`"),
            (
                "queue.lease=20s, balancer.ejection=false",
                "`balancer.ejection` is a safeguard: it must stay `true`",
            ),
            (
                "queue.spares=1",
                "`queue.spares` is not a version's to change: all nodes must have the same at any time",
            ),
            (
                "config.validation=false",
                "`config.validation` is not a version's to change: how versions are handed out is not theirs to say",
            ),
        ] {
            assert_eq!(validated(bad), Err(why.to_owned()), "{bad}");
        }
    }

    #[test]
    fn whatever_no_version_may_change_is_a_setting() {
        for (fixed, _) in FIXED {
            assert!(ImageStack.settings().iter().any(|setting| setting.name.starts_with(fixed)), "{fixed}");
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

        #[test]
        fn what_a_version_may_set_every_process_can_be_configured_with(place: prop::sample::Index, value in "[a-z0-9]{1,6}") {
            let setting = place.get(ImageStack.settings());
            if check(setting.name, &value).is_ok() {
                let changed = [(setting.name.to_owned(), value)].into();
                prop_assert!(Deployment::new(&ImageStack, Vec::new(), &changed).is_ok());
            }
        }
    }
}
