//! The page of one run: a single HTML file with all its data in it, and no request to any network.
//!
//! Everything that can be read is there without its script; the script only zooms, moves and shows details.

mod data;
mod picture;
mod sections;
mod sign;
mod story;

pub(crate) use data::{Down, downs, fault_times, groups};

use crate::markup::{self, Markup};
use crate::past::PastRun;
use crate::sharing::{Sharing, SharingObserver};
use scenarios::{library, plan_file};
use sim::history::Observer;
use sim::plan::Plan;
use sim::stack::Stack;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// What a page is made of.
pub struct Page<'a> {
    run: &'a PastRun,
    reproduce: String,
    shrink: String,
    why: Vec<String>,
    settings: Vec<ChangedSetting>,
    sharing: Vec<Sharing>,
}

/// A setting of the stack that is not at its default.
struct ChangedSetting {
    name: String,
    value: String,
    default: String,
    why: String,
}

impl<'a> Page<'a> {
    /// The page of `run`, on `stack`; `call` are the words that call this program.
    pub fn of(run: &'a PastRun, stack: &dyn Stack, call: &str) -> Self {
        let place = run.folder.display();
        Self {
            run,
            reproduce: format!("{call} replay {place}"),
            shrink: format!("{call} shrink {place}"),
            why: why(&run.plan, stack),
            settings: changed_settings(&run.plan, stack),
            sharing: sharing(run),
        }
    }

    /// The whole file.
    pub fn html(&self) -> String {
        let data = data::of(self);
        let mut body = Markup::default();
        sections::write(self, &data, &mut body);
        let mut title = Markup::default();
        title.text(format_args!("{}: {}", sections::headline(&data), self.run.title()));
        fill(&[
            ("TITLE", &title.finish()),
            ("STYLE", STYLE),
            ("BODY", &body.finish()),
            ("DATA", &markup::json_in_script(&data)),
            ("SCRIPT", SCRIPT),
        ])
    }

    /// The plan as a file, for whoever has nothing but the page.
    fn plan_text(&self) -> String {
        plan_file::write(&self.run.plan)
    }
}

/// The template with its places filled, in their order: no part is searched for the places of others.
fn fill(parts: &[(&str, &str)]) -> String {
    let (mut rest, mut whole) = (TEMPLATE, String::new());
    for (name, part) in parts {
        let place = format!("/*{name}*/");
        let (before, after) = rest.split_once(&place).expect("the template has all places, in this order");
        whole.push_str(before);
        whole.push_str(part);
        rest = after;
    }
    whole.push_str(rest);
    whole
}

/// What the scenario and its variant say that they show, where they are built in.
fn why(plan: &Plan, stack: &dyn Stack) -> Vec<String> {
    let built_in = library::BUILT_IN.iter().any(|(name, _)| *name == plan.scenario);
    let Some(scenario) = built_in.then(|| library::find(&plan.scenario, stack).ok()).flatten() else {
        return Vec::new();
    };
    let variant = scenario.variants.iter().find(|variant| Some(&variant.name) == plan.variant.as_ref());
    let whys = [Some(&scenario.why), variant.map(|variant| &variant.why)];
    whys.into_iter().flatten().map(|why| why.trim().to_owned()).collect()
}

fn changed_settings(plan: &Plan, stack: &dyn Stack) -> Vec<ChangedSetting> {
    let changed = |(name, value): (&String, &String)| {
        let setting = stack.settings().iter().find(|setting| setting.name == name)?;
        (setting.default != value).then(|| ChangedSetting {
            name: name.clone(),
            value: value.clone(),
            default: setting.default.to_owned(),
            why: setting.why.to_owned(),
        })
    };
    plan.settings.iter().filter_map(changed).collect()
}

/// P^N beside what happened, of the roles with more than one node that were down at all.
fn sharing(run: &PastRun) -> Vec<Sharing> {
    let (mut observer, measured) = SharingObserver::new(&run.plan);
    run.events().for_each(|event| observer.observe(&event));
    let measured = measured.lock().expect("no observer panics");
    measured.iter().filter(|sharing| sharing.nodes > 1).cloned().collect()
}
