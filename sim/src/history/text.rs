//! Histories as text: one event a line, for people, for tests and for other tools.
//!
//! ```text
//! 1.5s queue-2 enqueue id=3.17 position=42
//! 2s world healed
//! 2.1s queue-1 note text="two words"
//! ```
//!
//! ```
//! # extern crate hogwash_sim as sim;
//! use sim::history::{Fact, from_text, to_text};
//!
//! let events = from_text("1.5s queue-2 enqueue id=3.17 position=42", &["queue-1", "queue-2"])?;
//! assert!(matches!(events[0].fact, Fact::Enqueue { position: 42, .. }));
//! assert_eq!(to_text(&events[0], |_| "queue-2".to_owned()), "1.5s queue-2 enqueue id=3.17 position=42");
//! # Ok::<(), sim::history::TextError>(())
//! ```

use super::{Event, Fact, NodeIndex, WORLD};
use crate::duration_text;
use thiserror::Error;

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}: `{text}`")]
pub struct TextError {
    /// The line, counting from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
    /// The line itself.
    pub text: String,
}

/// `event` as one line; `name` names its node.
pub fn to_text(event: &Event, name: impl Fn(NodeIndex) -> String) -> String {
    let node = if event.node == WORLD { "world".to_owned() } else { name(event.node) };
    let mut line = format!("{} {node} {}", duration_text::format(event.at_ns), event.fact.word());
    for (field, value) in event.fact.fields() {
        let plain = !value.is_empty() && !value.contains([' ', '"', '\\', '\n']);
        let value = if plain { value } else { format!("{value:?}") };
        line.push_str(&format!(" {field}={value}"));
    }
    line
}

/// The events of `text`, one a line; empty lines and those that begin with `#` are passed over. `nodes` names the nodes.
///
/// # Errors
/// At the first line that is no event.
pub fn from_text(text: &str, nodes: &[&str]) -> Result<Vec<Event>, TextError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let read = |(line, content): (usize, &str)| {
        event(content, nodes).map_err(|problem| TextError { line, problem, text: content.to_owned() })
    };
    lines.map(read).collect()
}

fn event(line: &str, nodes: &[&str]) -> Result<Event, &'static str> {
    let words = words(line).ok_or("a quoted value does not end")?;
    let [at, node, word, fields @ ..] = words.as_slice() else {
        return Err("a time, a node and a word are needed");
    };
    let at_ns = duration_text::parse(at).map_err(|_| "the first word is no time, such as `1.5s`")?;
    let node = match nodes.iter().position(|name| name == node) {
        Some(position) => NodeIndex(u32::try_from(position).map_err(|_| "too many nodes")?),
        None if node == "world" => WORLD,
        None => return Err("the second word is no node"),
    };
    let fields: Option<Vec<_>> = fields
        .iter()
        .map(|field| field.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let fields = fields.ok_or("a field is `name=value`")?;
    let fact = Fact::from_fields(word, &fields).ok_or("there is no such event with these fields")?;
    Ok(Event { at_ns, node, fact })
}

/// The words of a line; a double quote begins text up to the next, with backslash escapes, blanks included.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quoted => match letters.next()? {
                'n' => word.push('\n'),
                escaped => word.push(escaped),
            },
            '"' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            letter => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Digest, Down, Id, Recorder, read};
    use proptest::prelude::*;
    use std::sync::{Arc, Mutex};

    fn facts() -> impl Strategy<Value = Fact> {
        let id = any::<u64>().prop_map(Id);
        let digest = any::<[u8; 16]>().prop_map(Digest);
        prop_oneof![
            any::<u32>().prop_map(|incarnation| Fact::Boot { incarnation }),
            Just(Fact::Exit { cause: Down::PowerLoss }),
            "[ -~]*".prop_map(|text| Fact::Note { text }),
            (any::<u32>(), proptest::collection::vec((0_u32..9).prop_map(NodeIndex), 0..4))
                .prop_map(|(fault, nodes)| Fact::FaultStart { fault, nodes }),
            (any::<u64>(), any::<bool>())
                .prop_map(|(unsynced_bytes, synced)| Fact::DiskLoss { unsynced_bytes, synced }),
            (id.clone(), any::<u64>(), proptest::option::of(digest.clone()))
                .prop_map(|(id, position, output)| Fact::Finish { id, position, output }),
            (id, digest).prop_map(|(id, output)| Fact::Receive { id, output }),
        ]
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = (0_u64..1 << 40, prop_oneof![Just(WORLD), (0_u32..3).prop_map(NodeIndex)], facts());
        proptest::collection::vec(event, 0..20).prop_map(|mut drawn| {
            drawn.sort_by_key(|(at_ns, ..)| *at_ns);
            drawn.into_iter().map(|(at_ns, node, fact)| Event { at_ns, node, fact }).collect()
        })
    }

    const NODES: [&str; 3] = ["queue-1", "queue-2", "api-1"];

    proptest! {
        #[test]
        fn histories_survive_their_text_and_their_bytes(events in events()) {
            let name = |node: NodeIndex| NODES[node.0 as usize].to_owned();
            let text: String = events.iter().map(|event| to_text(event, name) + "\n").collect();
            prop_assert_eq!(&from_text(&text, &NODES).unwrap(), &events);

            let bytes = Arc::new(Mutex::new(Vec::new()));
            let kept = bytes.clone();
            let sink = Box::new(move |chunk: &[u8]| kept.lock().unwrap().extend_from_slice(chunk));
            let mut recorder = Recorder::new(Some(sink), vec![]);
            events.iter().cloned().for_each(|event| recorder.record(event));
            let (digest, count, _) = recorder.finish();
            let bytes = bytes.lock().unwrap();
            prop_assert_eq!(read(&bytes).unwrap().collect::<Result<Vec<_>, _>>().unwrap(), events);
            prop_assert_eq!(digest, blake3::hash(&bytes).to_hex().to_string());
            prop_assert!(count <= 20);
        }

        #[test]
        fn no_bytes_and_no_text_panic(bytes: Vec<u8>, text: String) {
            if let Ok(events) = read(&bytes) {
                let _ = events.count();
            }
            let _ = from_text(&text, &NODES);
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = from_text("# a comment\n\n1s queue-1 enqueue id=0.1\n", &NODES).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 3: there is no such event with these fields: `1s queue-1 enqueue id=0.1`"
        );
        for wrong in [
            "soon queue-1 healed",
            "1s nowhere healed",
            "1s world",
            "1s world note text=\"a",
            "1s world healed a=b",
        ] {
            assert!(from_text(wrong, &NODES).is_err(), "{wrong}");
        }
    }
}
