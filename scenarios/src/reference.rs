//! What can stand in a scenario file: one tree of keys, from which come what `hogwash check --explain` prints and the JSON
//! schema that editors read. A test holds every built-in scenario against it.

mod keys;

pub use keys::keys;

use serde_json::{Map, Value, json};
use sim::stack::Stack;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// One key of a table.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// What it can be.
    pub shape: Shape,
    /// Whether it must be there.
    pub needed: bool,
    /// What it is where it is not there.
    pub default: Option<String>,
    /// A line as it may stand in a file.
    pub example: String,
}

/// What a key can be.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Any text.
    Text,
    /// One of these words.
    Choice(Vec<String>),
    /// `true` or `false`.
    Flag,
    /// A number.
    Number(f64, f64),
    /// A whole number.
    Whole(u64, u64),
    /// A text that a person reads as this, such as "a duration".
    Written(&'static str),
    /// As [`Shape::Written`], or a number.
    WrittenOrNumber(&'static str),
    /// One or several texts.
    Texts,
    /// A table with these keys.
    Table(Vec<Key>),
    /// A table whose keys are free, each of the same shape.
    Map(Box<Shape>),
    /// Tables with these keys, each headed `[[name]]`.
    List(Vec<Key>),
    /// One of several.
    Either(Vec<Shape>),
}

/// The keys in words, for people: those of a table below it. A key that several tables have is explained once, where it
/// comes first.
pub fn explain(stack: &dyn Stack) -> String {
    let mut text = "A key that stands in several tables is explained where it comes first.\n".to_owned();
    explain_keys(&mut text, &keys(stack), 0, &mut BTreeSet::new());
    text
}

/// The JSON schema (draft 2020-12) of a scenario for `stack`, as editors read it for TOML.
pub fn schema(stack: &dyn Stack) -> Value {
    let mut schema = table(&keys(stack));
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(format!("a hogwash scenario for the stack `{}`", stack.name()));
    schema
}

impl Shape {
    fn words(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Choice(words) if words.len() > 8 => format!("a word such as `{}`", words[0]),
            Self::Choice(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
            }
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Number(least, most) => format!("a number from {least} to {most}"),
            Self::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Self::Written(words) | Self::WrittenOrNumber(words) => (*words).to_owned(),
            Self::Texts => "a list of texts".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Map(shape) => format!("a table of your own keys, each {}", shape.words()),
            Self::List(_) => "tables, each headed by the key in double brackets".to_owned(),
            Self::Either(shapes) => shapes.iter().map(Self::words).collect::<Vec<_>>().join("; or "),
        }
    }

    /// The keys of the tables that it may be.
    fn keys(&self) -> &[Key] {
        match self {
            Self::Table(keys) | Self::List(keys) => keys,
            Self::Either(shapes) => {
                shapes.iter().map(Self::keys).find(|keys| !keys.is_empty()).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    fn schema(&self) -> Value {
        match self {
            Self::Text | Self::Written(_) => json!({"type": "string"}),
            Self::Choice(words) => json!({"enum": words}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Number(least, most) => json!({"type": "number", "minimum": least, "maximum": most}),
            Self::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
            Self::WrittenOrNumber(_) => json!({"type": ["string", "number"]}),
            Self::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Self::Table(keys) => table(keys),
            Self::Map(shape) => json!({"type": "object", "additionalProperties": shape.schema()}),
            Self::List(keys) => json!({"type": "array", "items": table(keys)}),
            Self::Either(shapes) => json!({"anyOf": shapes.iter().map(Self::schema).collect::<Vec<_>>()}),
        }
    }
}

fn table(keys: &[Key]) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let mut property = key.shape.schema();
        property["description"] = json!(format!("{}: {}", key.why, key.shape.words()));
        property["examples"] = json!([key.example]);
        if let Some(default) = &key.default {
            property["description"] =
                json!(format!("{}: {} (without it: {default})", key.why, key.shape.words()));
        }
        properties.insert(key.name.clone(), property);
    }
    let needed: Vec<&str> = keys.iter().filter(|key| key.needed).map(|key| key.name.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": needed, "additionalProperties": false})
}

fn explain_keys(text: &mut String, keys: &[Key], depth: usize, said: &mut BTreeSet<(String, String)>) {
    let indent = "  ".repeat(depth);
    for key in keys {
        if !said.insert((key.name.clone(), key.why.clone())) {
            continue;
        }
        let need = match (&key.default, key.needed) {
            (Some(default), _) => format!(", {default} where it is not said"),
            (None, true) => ", needed".to_owned(),
            (None, false) => String::new(),
        };
        let _ = writeln!(text, "{indent}{}: {}", key.name, key.why);
        let _ = writeln!(text, "{indent}    {}{need}; as in `{}`", key.shape.words(), key.example);
        explain_keys(text, key.shape.keys(), depth + 1, said);
    }
}
