//! Reads the order of puts and appends from the texts of gets.

use std::collections::BTreeMap;

use super::patterns::Found;
use super::{INITIAL, Role, decision};
use crate::linearizability::history::NEVER;
use crate::linearizability::models::{StoreCall, StoreReturn};
use crate::linearizability::partition::Partition;
use crate::linearizability::verdict::Decision;

type Part<'h> = Partition<'h, StoreCall, StoreReturn>;

/// Decides the history of one key of a store whose written texts tell each other apart: all differ, and none is the
/// beginning of another. `None` when they do not; the general search must decide then.
#[must_use]
pub fn decide_store(part: &Part<'_>) -> Option<Decision> {
    let tokens = Tokens::new(part)?;
    let has_stray_answer = (0..part.len()).any(|index| {
        let operation = part.operation(index);
        let is_get = matches!(operation.call(), StoreCall::Get { .. });
        operation.returned().is_some_and(|answer| matches!(answer, StoreReturn::Value(_)) != is_get)
    });
    if has_stray_answer {
        return None;
    }
    let mut spelling = Spelling { tokens, chains: vec![Spelled::new(0)], roles: vec![None; part.len()] };
    let mut chain_of_put = BTreeMap::new();
    let found = (0_u32..).zip(0..part.len()).try_for_each(|(number, index)| {
        let operation = part.operation(index);
        match (operation.call(), operation.returned()) {
            (StoreCall::Get { .. }, Some(StoreReturn::Value(text))) => {
                spelling.read(number, text, &mut chain_of_put)
            }
            _ => Ok(()),
        }
    });
    Some(decision(part, found.map(|()| spelling.into_roles(part))))
}

/// All written texts, sorted.
struct Tokens<'h> {
    sorted: Vec<Token<'h>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Token<'h> {
    text: &'h str,
    operation: u32,
    is_put: bool,
}

impl<'h> Tokens<'h> {
    fn new(part: &Part<'h>) -> Option<Self> {
        let mut sorted = Vec::new();
        for (operation, index) in (0_u32..).zip(0..part.len()) {
            match part.operation(index).call() {
                StoreCall::Get { .. } => {}
                StoreCall::Put { value, .. } => sorted.push(Token { text: value, operation, is_put: true }),
                StoreCall::Append { value, .. } => {
                    sorted.push(Token { text: value, operation, is_put: false })
                }
            }
        }
        sorted.sort_unstable();
        // What begins with a text is sorted right behind it. The empty text begins all, also itself.
        let is_told_apart = !sorted.first().is_some_and(|first| first.text.is_empty())
            && sorted.windows(2).all(|pair| !pair[1].text.starts_with(pair[0].text));
        is_told_apart.then_some(Self { sorted })
    }

    /// The one written text with which `text` begins.
    fn first_of(&self, text: &str) -> Option<Token<'h>> {
        // Whatever lies between a beginning and the whole, in the order of texts, begins alike; so the last text
        // up to `text` is the only candidate.
        let place = self.sorted.partition_point(|token| token.text <= text);
        self.sorted[..place].last().filter(|token| text.starts_with(token.text)).copied()
    }
}

/// One chain as its longest get tells it.
struct Spelled<'h> {
    text: &'h str,
    told_by: u32,
    /// The lengths of the text after each link; the first one is that of the put, or zero.
    lengths: Vec<usize>,
}

impl Spelled<'_> {
    fn new(length: usize) -> Self {
        Self { text: "", told_by: NEVER, lengths: vec![length] }
    }
}

struct Spelling<'h> {
    tokens: Tokens<'h>,
    chains: Vec<Spelled<'h>>,
    roles: Vec<Option<Role>>,
}

impl<'h> Spelling<'h> {
    /// Takes in the text that one get saw.
    fn read(&mut self, get: u32, text: &'h str, chain_of_put: &mut BTreeMap<u32, u32>) -> Result<(), Found> {
        let unwritten = || Found::Unwritten { operation: get };
        let first =
            if text.is_empty() { None } else { Some(self.tokens.first_of(text).ok_or_else(unwritten)?) };
        let chain = match first.filter(|token| token.is_put) {
            None => INITIAL,
            Some(put) => *chain_of_put.entry(put.operation).or_insert_with(|| {
                let chain =
                    u32::try_from(self.chains.len()).expect("there are no more chains than operations");
                self.chains.push(Spelled { text: put.text, ..Spelled::new(put.text.len()) });
                self.roles[put.operation as usize] = Some(Role::Link { chain, link: 0, is_read: false });
                chain
            }),
        };
        let known = self.chains[chain as usize].text;
        if !known.starts_with(text) && !text.starts_with(known) {
            // The put alone is known to begin the text, so some get has told more.
            return Err(Found::Disagree { operations: [self.chains[chain as usize].told_by, get] });
        }
        if text.len() > known.len() {
            self.tell_more(chain, get, text)?;
        }
        let link = self.chains[chain as usize].lengths.binary_search(&text.len()).map_err(|_| unwritten())?;
        let link = u32::try_from(link).expect("there are no more links than operations");
        self.roles[get as usize] = Some(Role::Link { chain, link, is_read: true });
        Ok(())
    }

    fn tell_more(&mut self, chain: u32, get: u32, text: &'h str) -> Result<(), Found> {
        let mut end = self.chains[chain as usize].text.len();
        while end < text.len() {
            let unwritten = || Found::Unwritten { operation: get };
            let token =
                self.tokens.first_of(&text[end..]).filter(|token| !token.is_put).ok_or_else(unwritten)?;
            end += token.text.len();
            let spelled = &mut self.chains[chain as usize];
            let link = u32::try_from(spelled.lengths.len()).expect("there are no more links than operations");
            spelled.lengths.push(end);
            let role = Role::Link { chain, link, is_read: false };
            match self.roles[token.operation as usize].replace(role) {
                Some(Role::Link { chain: other, .. }) if other != chain => {
                    let told_by = self.chains[other as usize].told_by;
                    return Err(Found::Disagree { operations: [told_by, get] });
                }
                // One text holds the same append twice.
                Some(_) => return Err(unwritten()),
                None => {}
            }
        }
        let spelled = &mut self.chains[chain as usize];
        (spelled.text, spelled.told_by) = (text, get);
        Ok(())
    }

    /// Roles for the operations that no get told of.
    fn into_roles(self, part: &Part<'_>) -> Vec<Role> {
        let mut chains = self.chains.len();
        let rest = |(index, role): (usize, Option<Role>)| {
            role.unwrap_or_else(|| match part.operation(index).call() {
                _ if part.deadline(index) == NEVER => Role::LeftOut,
                StoreCall::Get { .. } => Role::Anywhere,
                StoreCall::Put { .. } | StoreCall::Append { .. } => {
                    let chain = u32::try_from(chains).expect("there are no more chains than operations");
                    chains += 1;
                    Role::Link { chain, link: 0, is_read: false }
                }
            })
        };
        self.roles.into_iter().enumerate().map(rest).collect()
    }
}
