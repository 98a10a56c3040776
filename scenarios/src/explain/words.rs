//! An explanation in plain words.

use super::{Explanation, Moment, NoReturn, WithSafeguard, WithoutFault};
use sim::duration_text::readable;

impl Explanation {
    /// For people: each fault, each safeguard, the point of no return; what belongs to the line above is indented.
    pub fn lines(&self) -> Vec<String> {
        let law = &self.invariant;
        let mut lines = vec![format!("why {law} is broken:")];
        if self.faults.is_empty() {
            lines.push("  no fault is needed".to_owned());
        }
        for fault in &self.faults {
            lines.push(format!("  fault: {}", fault.what));
            lines.push(format!("    {}", fault.words(law)));
        }
        for safeguard in &self.safeguards {
            lines.push(format!("  {}", safeguard.words(law)));
            lines.push(format!("    it says {}", safeguard.why));
        }
        lines.push(format!("  {}", self.no_return.words()));
        lines
    }
}

impl WithoutFault {
    fn words(&self, law: &str) -> String {
        match (self.passes, self.passes_if_not_shared) {
            (true, None) => format!("without it, {law} holds"),
            (true, Some(true)) => {
                format!("without it, {law} holds, and so it does where it hits any one of these nodes alone")
            }
            (true, Some(false)) => {
                format!("without it, {law} holds; one of these nodes alone is enough to break it")
            }
            (false, _) => format!("without it, {law} is broken all the same"),
        }
    }
}

impl WithSafeguard {
    fn words(&self, law: &str) -> String {
        let Self { setting, value, default, .. } = self;
        let outcome = if self.passes { "holds" } else { "is broken all the same" };
        format!("setting: {setting} is {value}; with its default, {default}, {law} {outcome}")
    }
}

impl NoReturn {
    fn words(&self) -> String {
        let Some(at_ns) = self.at_ns else {
            let of = self.tried.first().map_or(0, |moment| moment.of);
            return format!(
                "point of no return: the start; other chance saved none of {of} runs, so requests, faults and settings decide"
            );
        };
        let at = readable(at_ns);
        let saved = self.tried.iter().find(|moment| moment.at_ns == at_ns);
        let saved = saved.map_or(String::new(), |Moment { saved, of, .. }| format!("{saved} of {of} runs"));
        let lost = self.tried.iter().find(|moment| moment.at_ns > at_ns);
        let lost = lost.map_or(String::new(), |moment| {
            format!(", from {} on none of {}", readable(moment.at_ns), moment.of)
        });
        format!("point of no return: {at}; other chance from there on saved {saved}{lost}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explanation() -> Explanation {
        let fault = |name: &str, what: &str, passes, passes_if_not_shared| WithoutFault {
            name: name.to_owned(),
            what: what.to_owned(),
            passes,
            passes_if_not_shared,
        };
        let moment = |at_ns, saved| Moment { at_ns, saved, of: 8 };
        Explanation {
            v: super::super::EXPLANATION_VERSION,
            invariant: "delivery".to_owned(),
            fingerprint: "delivery-1f2e3d4c".to_owned(),
            faults: vec![
                fault("feed", "queue-1 and queue-2 lose power (they share power=A)", true, Some(true)),
                fault("rack", "api-1 and api-2 lose power (they share rack=r1)", true, Some(false)),
                fault("cut", "nothing passes between api-1 and queue-1", true, None),
                fault("slow", "the disk of queue-1 is 10 times slower", false, None),
            ],
            safeguards: vec![WithSafeguard {
                setting: "queue.durability".to_owned(),
                value: "memory".to_owned(),
                default: "disk".to_owned(),
                why: "whether the queue syncs to disk".to_owned(),
                passes: true,
            }],
            no_return: NoReturn {
                at_ns: Some(39_750_123_456),
                tried: vec![moment(0, 8), moment(39_750_123_456, 3), moment(40_000_000_000, 0)],
            },
        }
    }

    #[test]
    fn an_explanation_reads_as_sentences() {
        insta::assert_snapshot!(explanation().lines().join("\n"));
    }

    #[test]
    fn where_chance_decides_nothing_the_words_say_what_does() {
        let mut explanation = explanation();
        explanation.faults.clear();
        explanation.safeguards[0].passes = false;
        explanation.no_return.at_ns = None;
        insta::assert_snapshot!(explanation.lines().join("\n"));
    }
}
