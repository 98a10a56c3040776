//! Every model by name: what `hogwash calc MODEL key=value …` answers.
//!
//! A model says what its arguments mean, in which unit, and where it comes from; its answer is a list of named values with
//! units, for a person to read or a tool to parse. Unknown names are answered with the nearest known one.

mod arguments;
mod models_of_data;
mod models_of_failure;
mod models_of_service;

pub use arguments::Given;

use super::models::ModelError;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A model that can be asked by name.
#[derive(Debug)]
pub struct Model {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it answers, in one line.
    pub summary: &'static str,
    /// Where it comes from: author, year, section.
    pub source: &'static str,
    /// Its arguments, in the order of its help.
    pub arguments: &'static [Argument],
    /// Arguments that work, for the help.
    pub example: &'static str,
    answer: fn(&Given) -> Result<Vec<AnswerField>, ModelError>,
}

/// One argument of a model.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Argument {
    /// Its key on the command line.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Its unit; "1" for a pure number.
    pub unit: &'static str,
    /// What is taken where it is not given: a value, or the name of another argument. None: it must be given.
    pub default: Option<&'static str>,
    /// How its text is read.
    pub kind: Kind,
    /// What values any question may give it; a model may ask for less, as no more failures than nodes.
    pub range: Range,
}

/// The values of an argument, or of each entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Range {
    /// 0 to 1, ends included.
    Probability,
    /// Between 0 and 1, ends left out.
    Open,
    /// Above 0.
    Positive,
    /// 0 or above.
    NotNegative,
    /// A whole number between two others, both included.
    Whole(u64, u64),
    /// One of a few words.
    Words(&'static [&'static str]),
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probability => formatter.write_str("0 to 1"),
            Self::Open => formatter.write_str("above 0, below 1"),
            Self::Positive => formatter.write_str("above 0"),
            Self::NotNegative => formatter.write_str("0 or above"),
            Self::Whole(least, u64::MAX) => write!(formatter, "{least} or above"),
            Self::Whole(least, most @ 1_000_000..) => write!(formatter, "{least} to {most:e}"),
            Self::Whole(least, most) => write!(formatter, "{least} to {most}"),
            Self::Words(words) => formatter.write_str(&words.join(", ")),
        }
    }
}

/// How the text of an argument is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A number, such as 0.01, 1e-3 or 5%.
    Number,
    /// A whole number, such as 3 or 1e6.
    Count,
    /// Numbers with commas between.
    Numbers,
    /// Whole numbers with commas between.
    Counts,
    /// Times with commas between; a plus after one means that watching ended there, before the event.
    Times,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// What a model answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CalcAnswer {
    /// The model.
    pub model: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// All arguments as they were used, defaults included.
    pub arguments: BTreeMap<&'static str, String>,
    /// The answer.
    pub fields: Vec<AnswerField>,
}

/// One named value of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AnswerField {
    /// Its name, such as `all-fail`.
    pub name: String,
    /// Its value.
    pub value: AnswerValue,
    /// Its unit; "1" for a pure number, empty for words.
    pub unit: &'static str,
}

/// A value of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "value")]
pub enum AnswerValue {
    /// A number.
    Number(f64),
    /// Below this number: what no event seen amounts to.
    Below(f64),
    /// At least this number.
    AtLeast(f64),
    /// A whole number.
    Count(u64),
    /// Words, such as `never`.
    Words(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalcError {
    /// No model has this name.
    #[error("no model is called `{name}`; {}", hint(nearest.as_deref(), "`hogwash calc` names all of them"))]
    UnknownModel {
        /// What was typed.
        name: String,
        /// The model with the nearest name, if one is near.
        nearest: Option<String>,
    },
    /// The model has no such argument.
    #[error("`{model}` has no argument `{name}`; {}", hint(nearest.as_deref(), &format!("it takes {known}")))]
    UnknownArgument {
        /// The model.
        model: &'static str,
        /// What was typed.
        name: String,
        /// The argument with the nearest name, if one is near.
        nearest: Option<String>,
        /// All of its arguments.
        known: String,
    },
    /// Arguments without a default were not given.
    #[error("`{model}` needs {missing}; for example: hogwash calc {model} {example}")]
    MissingArguments {
        /// The model.
        model: &'static str,
        /// Those that are missing, each with its meaning.
        missing: String,
        /// Arguments that work.
        example: &'static str,
    },
    /// The text of an argument cannot be read.
    #[error("`{argument}={text}`: {expected}")]
    Unreadable {
        /// The argument.
        argument: &'static str,
        /// What was typed.
        text: String,
        /// What was expected.
        expected: String,
    },
    /// The model refuses the arguments, or has no answer for them.
    #[error("`{model}`: {error}")]
    Model {
        /// The model.
        model: &'static str,
        /// Why.
        error: ModelError,
    },
}

fn hint(nearest: Option<&str>, otherwise: &str) -> String {
    nearest.map_or_else(|| otherwise.to_owned(), |nearest| format!("did you mean `{nearest}`?"))
}

/// All models, in the order in which a person would read them.
pub fn models() -> impl Iterator<Item = &'static Model> {
    models_of_failure::MODELS.iter().chain(models_of_service::MODELS).chain(models_of_data::MODELS)
}

/// The model of this name.
pub fn model(name: &str) -> Result<&'static Model, CalcError> {
    models().find(|model| model.name == name).ok_or_else(|| CalcError::UnknownModel {
        name: name.to_owned(),
        nearest: nearest(name, models().map(|model| model.name)),
    })
}

/// Asks the model called `name`; `arguments` are the texts of the command line.
pub fn calc(name: &str, arguments: &BTreeMap<String, String>) -> Result<CalcAnswer, CalcError> {
    let model = model(name)?;
    let given = Given::read(model, arguments)?;
    let refused = |error| CalcError::Model { model: model.name, error };
    let fields = (model.answer)(&given).map_err(refused)?;
    if !fields.iter().all(|field| field.value.is_finite()) {
        return Err(refused(ModelError::NotRepresentable { answer: "answer" }));
    }
    Ok(CalcAnswer { model: model.name, source: model.source, arguments: given.texts(), fields })
}

/// The nearest of some names by edits, if it is near enough to be meant.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let typed = name.to_lowercase().replace('_', "-");
    known
        .map(|candidate| (strsim::damerau_levenshtein(&typed, candidate), candidate))
        .filter(|(edits, candidate)| {
            *edits <= candidate.len().max(typed.len()) / 3 || candidate.contains(&typed)
        })
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

impl Argument {
    const fn new(name: &'static str, kind: Kind, unit: &'static str, meaning: &'static str) -> Self {
        let range = match kind {
            Kind::Number | Kind::Numbers | Kind::Times => Range::NotNegative,
            Kind::Count | Kind::Counts => Range::Whole(0, u64::MAX),
            Kind::Choice(words) => Range::Words(words),
        };
        Self { name, meaning, unit, default: None, kind, range }
    }

    /// The same argument, from 0 to 1.
    const fn probability(self) -> Self {
        Self { range: Range::Probability, ..self }
    }

    /// The same argument, from 0 to 1 without the ends.
    const fn open(self) -> Self {
        Self { range: Range::Open, ..self }
    }

    /// The same argument, above 0.
    const fn positive(self) -> Self {
        Self { range: Range::Positive, ..self }
    }

    /// The same argument, between two whole numbers.
    const fn whole(self, least: u64, most: u64) -> Self {
        Self { range: Range::Whole(least, most), ..self }
    }

    /// The same argument, optional.
    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

impl AnswerValue {
    fn is_finite(&self) -> bool {
        match self {
            Self::Number(value) | Self::Below(value) | Self::AtLeast(value) => value.is_finite(),
            Self::Count(_) | Self::Words(_) => true,
        }
    }
}

/// A field that holds a number.
fn number(name: impl Into<String>, value: f64, unit: &'static str) -> AnswerField {
    AnswerField { name: name.into(), value: AnswerValue::Number(value), unit }
}

/// A field that holds words.
fn words(name: impl Into<String>, value: impl Into<String>) -> AnswerField {
    AnswerField { name: name.into(), value: AnswerValue::Words(value.into()), unit: "" }
}
