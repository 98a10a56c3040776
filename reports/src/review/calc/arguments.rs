//! Arguments from their text to typed values.

use super::{Argument, CalcError, Kind, Model, nearest};
use crate::review::models::lifetimes::Observation;
use std::collections::BTreeMap;

/// The most entries of a list.
const ENTRIES_MAX: usize = 10_000;

/// The arguments of one question, read.
#[derive(Debug)]
pub struct Given {
    values: BTreeMap<&'static str, (String, Value)>,
}

#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Count(u64),
    Numbers(Vec<f64>),
    Counts(Vec<u64>),
    Times(Vec<Observation>),
    Choice(&'static str),
}

impl Given {
    /// Reads the arguments of a model; refuses unknown and missing ones.
    pub(super) fn read(model: &'static Model, texts: &BTreeMap<String, String>) -> Result<Self, CalcError> {
        let known = || model.arguments.iter().map(|argument| argument.name);
        if let Some(name) = texts.keys().find(|name| !known().any(|known| known == name.as_str())) {
            return Err(CalcError::UnknownArgument {
                model: model.name,
                name: name.clone(),
                nearest: nearest(name, known()),
                known: known().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            });
        }
        let mut values = BTreeMap::new();
        let mut missing = Vec::new();
        for argument in model.arguments {
            match text_of(argument, texts) {
                Some(text) => {
                    let value = read(argument, text)?;
                    values.insert(argument.name, (text.to_owned(), value));
                }
                None => missing.push(format!("`{}` ({})", argument.name, argument.meaning)),
            }
        }
        if !missing.is_empty() {
            let missing = missing.join(" and ");
            return Err(CalcError::MissingArguments { model: model.name, missing, example: model.example });
        }
        Ok(Self { values })
    }

    /// The texts as they were used, defaults included.
    pub(super) fn texts(&self) -> BTreeMap<&'static str, String> {
        self.values.iter().map(|(name, (text, _))| (*name, text.clone())).collect()
    }

    pub(super) fn number(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Number(number) => *number,
            other => unreachable!("`{name}` was declared as {other:?}, not as a number"),
        }
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        match self.value(name) {
            Value::Count(count) => *count,
            other => unreachable!("`{name}` was declared as {other:?}, not as a count"),
        }
    }

    pub(super) fn numbers(&self, name: &str) -> &[f64] {
        match self.value(name) {
            Value::Numbers(numbers) => numbers,
            other => unreachable!("`{name}` was declared as {other:?}, not as numbers"),
        }
    }

    pub(super) fn counts(&self, name: &str) -> &[u64] {
        match self.value(name) {
            Value::Counts(counts) => counts,
            other => unreachable!("`{name}` was declared as {other:?}, not as counts"),
        }
    }

    pub(super) fn times(&self, name: &str) -> &[Observation] {
        match self.value(name) {
            Value::Times(times) => times,
            other => unreachable!("`{name}` was declared as {other:?}, not as times"),
        }
    }

    pub(super) fn choice(&self, name: &str) -> &'static str {
        match self.value(name) {
            Value::Choice(word) => word,
            other => unreachable!("`{name}` was declared as {other:?}, not as a choice"),
        }
    }

    fn value(&self, name: &str) -> &Value {
        &self.values.get(name).expect("a model asks only for the arguments that it declares").1
    }
}

/// The text given, or that of the default, which may be the text of another argument.
fn text_of<'a>(argument: &Argument, texts: &'a BTreeMap<String, String>) -> Option<&'a str> {
    texts.get(argument.name).map(String::as_str).or_else(|| {
        let default = argument.default?;
        Some(texts.get(default).map_or(default, String::as_str))
    })
}

fn read(argument: &Argument, text: &str) -> Result<Value, CalcError> {
    let unreadable =
        |expected: String| CalcError::Unreadable { argument: argument.name, text: text.to_owned(), expected };
    let entries = || {
        let entries: Vec<&str> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        if entries.len() > ENTRIES_MAX {
            return Err(unreadable(format!("at most {ENTRIES_MAX} entries")));
        }
        Ok(entries)
    };
    let value = match argument.kind {
        Kind::Number => Value::Number(read_number(text).map_err(unreadable)?),
        Kind::Count => Value::Count(read_count(text).map_err(unreadable)?),
        Kind::Numbers => Value::Numbers(
            entries()?.into_iter().map(read_number).collect::<Result<_, _>>().map_err(unreadable)?,
        ),
        Kind::Counts => Value::Counts(
            entries()?.into_iter().map(read_count).collect::<Result<_, _>>().map_err(unreadable)?,
        ),
        Kind::Times => {
            Value::Times(entries()?.into_iter().map(read_time).collect::<Result<_, _>>().map_err(unreadable)?)
        }
        Kind::Choice(words) => match words.iter().find(|word| **word == text) {
            Some(word) => Value::Choice(word),
            None => return Err(unreadable(format!("expected one of {}", words.join(", ")))),
        },
    };
    Ok(value)
}

fn read_number(text: &str) -> Result<f64, String> {
    let (digits, unit) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    match digits.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number / unit),
        _ => Err(format!("`{text}` is not a finite number, such as 0.01, 1e-3 or 5%")),
    }
}

fn read_count(text: &str) -> Result<u64, String> {
    let plain = text.trim().replace('_', "");
    if let Ok(count) = plain.parse::<u64>() {
        return Ok(count);
    }
    match plain.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and between 0 and 2^53"
        )]
        Ok(number) if number.fract() == 0.0 && (0.0..9e15).contains(&number) => Ok(number as u64),
        _ => Err(format!("`{text}` is not a whole number, such as 3, 1_000 or 1e6")),
    }
}

fn read_time(text: &str) -> Result<Observation, String> {
    match text.strip_suffix('+') {
        Some(time) => Ok(Observation::censored(read_number(time)?)),
        None => Ok(Observation::event(read_number(text)?)),
    }
}
