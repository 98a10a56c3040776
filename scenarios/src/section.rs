//! Tables of a TOML file, read key by key. What is wrong is logged and reading goes on, so that one reading finds all of
//! a file's problems; a key that nobody asked for is unknown.

use crate::diagnostics::{Diagnostic, nearest, one_of};
use crate::value::{self, Wrong};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// More syntax errors than this are left out.
const SYNTAX_ERRORS_MAX: usize = 3;
/// A longer table is marked at its first letter where something is missing from it.
const MARKED_MAX: usize = 60;

/// The problems found so far.
#[derive(Default)]
pub struct Log(RefCell<Vec<Diagnostic>>);

impl Log {
    /// One more problem.
    pub fn push(&self, problem: Diagnostic) {
        self.0.borrow_mut().push(problem);
    }

    /// All of them.
    pub fn into_problems(self) -> Vec<Diagnostic> {
        self.0.into_inner()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

/// Parses `source`; syntax errors go to `log`, and what could be read is given all the same.
pub fn parse<'a>(source: &'a str, log: &Log) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(source);
    // After the first in a line, and after a few lines, they tell of the recovery rather than of the file.
    let mut lines = BTreeSet::new();
    for error in errors {
        let span = error.span().unwrap_or(source.len()..source.len());
        let line = source.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
        if lines.len() >= SYNTAX_ERRORS_MAX || !lines.insert(line) {
            continue;
        }
        log.push(Diagnostic::new(span, "this is not TOML", error.message().to_owned()));
    }
    table
}

/// One table of a file.
pub struct Section<'a> {
    /// Where problems go.
    pub log: &'a Log,
    /// Where it begins; absent for the whole file.
    pub place: Option<Range<usize>>,
    table: &'a DeTable<'a>,
    what: String,
    known: RefCell<BTreeSet<String>>,
}

impl<'a> Section<'a> {
    /// The file's outermost table; `what` names it in messages, as "a scenario".
    pub fn root(table: &'a DeTable<'a>, what: &str, log: &'a Log) -> Self {
        Self { log, place: None, table, what: what.to_owned(), known: RefCell::default() }
    }

    fn within(&self, table: &'a DeTable<'a>, place: Range<usize>, what: &str) -> Self {
        Self { log: self.log, place: Some(place), table, what: what.to_owned(), known: RefCell::default() }
    }

    /// Whether the table has `key`; asking makes the key known.
    pub fn raw(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().insert(key.to_owned());
        self.table.get(key)
    }

    /// The value of `key`, where it is there and `convert` takes it.
    pub fn get<T>(
        &self,
        key: &str,
        convert: impl FnOnce(&DeValue<'a>) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        let value = self.raw(key)?;
        match convert(value.get_ref()) {
            Ok(converted) => Some(Spanned::new(value.span(), converted)),
            Err(wrong) => {
                self.wrong(key, value, wrong);
                None
            }
        }
    }

    /// As [`Self::get`], and a problem where the key is missing.
    pub fn need<T>(
        &self,
        key: &str,
        example: &str,
        convert: impl FnOnce(&DeValue<'a>) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        if self.raw(key).is_none() {
            self.missing(key, example);
        }
        self.get(key, convert)
    }

    /// Says that `key` is missing; `example` is a line that would do.
    pub fn missing(&self, key: &str, example: &str) {
        let title = format!("{} needs `{key}`", self.what);
        let problem = match &self.place {
            Some(place) => {
                let end = if place.len() > MARKED_MAX { place.start + 1 } else { place.end };
                Diagnostic::new(place.start..end, title, format!("`{key}` is missing"))
            }
            None => Diagnostic::of_file(title),
        };
        self.log.push(problem.help(format!("add `{example}`")));
    }

    /// The table at `key`.
    pub fn section(&self, key: &str, what: &str) -> Option<Self> {
        let value = self.raw(key)?;
        self.table_of(key, value, what)
    }

    /// The tables at `key`, an array of them.
    pub fn sections(&self, key: &str, what: &str) -> Vec<Self> {
        let Some(value) = self.raw(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            let expected = format!("a list of tables, each headed `[[{key}]]`");
            self.wrong(key, value, Wrong::expected(expected));
            return Vec::new();
        };
        array.iter().filter_map(|item| self.table_of(key, item, what)).collect()
    }

    /// All entries of a table whose keys are free, each made known.
    pub fn entries(
        &self,
    ) -> impl Iterator<Item = (Spanned<&'a str>, &'a Spanned<DeValue<'a>>)> + use<'a, '_> {
        self.table.iter().map(|(key, value)| {
            self.known.borrow_mut().insert(key.get_ref().to_string());
            (Spanned::new(key.span(), key.get_ref().as_ref()), value)
        })
    }

    /// `value`, which `key` names, as a table.
    pub fn table_of(&self, key: &str, value: &'a Spanned<DeValue<'a>>, what: &str) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(self.within(table, value.span(), what)),
            _ => {
                self.wrong(key, value, Wrong::expected("a table"));
                None
            }
        }
    }

    /// Says that `key` has a wrong value.
    pub fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wrong: Wrong) {
        let label = format!("expected {}, found {}", wrong.expected, value::found(value.get_ref()));
        let title = format!("`{key}` has a wrong value");
        self.log.push(Diagnostic::new(value.span(), title, label).helps(wrong.help));
    }

    /// Ends the reading: every key that nobody asked for is a problem.
    pub fn finish(&self) {
        let known = self.known.borrow();
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if !known.contains(name) {
                self.log.push(unknown(key.span(), "key", name, &self.what, known.iter().map(String::as_str)));
            }
        }
    }
}

/// More choices than this are shown only where none of them is near.
const CHOICES_MAX: usize = 20;

/// A problem: `name` is no `sort` (key, role, kind of fault) that `of` has; its `choices` are.
pub fn unknown<'a>(
    span: Range<usize>,
    sort: &str,
    name: &str,
    of: &str,
    choices: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let choices: Vec<&str> = choices.into_iter().collect();
    let mut problem =
        Diagnostic::new(span, format!("unknown {sort} `{name}`"), format!("{of} has no such {sort}"));
    if let Some(near) = nearest(name, choices.iter().copied()) {
        problem = problem.help(format!("did you mean `{near}`?"));
        // A long list would bury the one that was meant.
        if choices.len() > CHOICES_MAX {
            return problem;
        }
    }
    if choices.is_empty() {
        problem.help(format!("{of} has none"))
    } else {
        problem.help(format!("choices: {}", one_of(choices)))
    }
}
