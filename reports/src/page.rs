//! The page of one run: a single HTML file with all its data in it, and no request to any network.

mod data;
mod ledger;

pub use ledger::Ledger;

use invariants::Finding;
use serde::Serialize;
use sim::history::Event;
use sim::plan::Plan;
use std::collections::BTreeMap;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// What a page is made of.
pub struct Page<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// The run's digest.
    pub digest: &'a str,
    /// Every law's finding and the verdicts that were expected, by law.
    pub findings: &'a BTreeMap<String, (Finding, String)>,
    /// The run's events, in order.
    pub events: &'a [Event],
    /// The command that runs it again.
    pub reproduce: &'a str,
    /// What explaining found, where it was asked.
    pub explanation: Option<&'a Explanation>,
}

/// What `explain` found, in words.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// Each fault in words, and whether the run passes without it.
    pub without_fault: Vec<(String, bool)>,
    /// Each safeguard that is off, and whether the run passes with it on.
    pub with_safeguard: Vec<(String, bool)>,
    /// The latest moment from which new chances still save the run, in nanoseconds, and how many of how many they saved.
    pub point_of_no_return: Option<(u64, u32, u32)>,
}

impl Page<'_> {
    /// The whole file.
    ///
    /// # Panics
    /// Never: the data are numbers, texts, lists and maps with text keys, which JSON holds.
    pub fn html(&self) -> String {
        let data = serde_json::to_string(&data::of(self)).expect("the data are of JSON's kinds");
        // `</script>` in a name would end the element that holds the data.
        let data = data.replace('<', "\\u003c");
        TEMPLATE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT).replace("/*DATA*/", &data)
    }
}
