//! Tables that change some fields of a struct with defaults, whatever its fields are: a new field of the network or the
//! disk can be set in files without a line here.

use crate::diagnostics::Diagnostic;
use crate::section::Section;
use crate::value::{self, Wrong};
use serde::{Serialize, de::DeserializeOwned};
use toml::de::DeValue;

/// Fields with bounds of their own; others are at least 0, whole numbers at least 1.
const BOUNDS: [(&str, f64, f64); 2] = [("slow-tail", 0.0, 1.0), ("jitter", 0.0, 1e6)];

/// The defaults of `T`, changed as `section` says; `complete` asks for every field. Nothing where a field is wrong.
pub(crate) fn overlay<T>(section: &Section<'_>, complete: bool) -> Option<T>
where
    T: Default + Serialize + DeserializeOwned,
{
    let defaults = toml::Table::try_from(T::default()).expect("a plan's part is a table");
    let mut table = defaults.clone();
    let mut whole = true;
    for (key, default) in &defaults {
        if section.raw(key).is_some() {
            match section.get(key, |value| read(key, default, value)) {
                Some(value) => drop(table.insert(key.clone(), value.into_inner())),
                None => whole = false,
            }
        } else if complete {
            section.missing(key, &format!("{key} = {default}"));
            whole = false;
        }
    }
    section.finish();
    if !whole {
        return None;
    }
    let part = table.try_into();
    part.map_err(|error| {
        let place = section.place.clone().unwrap_or_default();
        section.log.push(Diagnostic::new(place, "a value is not possible", error.message().to_owned()));
    })
    .ok()
}

/// `value` as a field is whose default is `default`.
fn read(key: &str, default: &toml::Value, value: &DeValue<'_>) -> Result<toml::Value, Wrong> {
    Ok(match default {
        toml::Value::String(_) => {
            let length = value::duration(0, super::DURATION_MAX_NS)(value)?;
            toml::Value::String(sim::duration_text::format(length))
        }
        toml::Value::Float(_) => {
            let bounds = BOUNDS.iter().find(|(name, _, _)| *name == key);
            let (least, most) = bounds.map_or((0.0, 1e15), |(_, least, most)| (*least, *most));
            toml::Value::Float(value::number(least, most)(value)?)
        }
        toml::Value::Integer(_) => {
            let most = if key.ends_with("-bytes") || key.contains("bytes-per-s") { 1 << 50 } else { 1 << 30 };
            let number = if key.contains("bytes") {
                value::bytes(1, most)(value)?
            } else {
                value::whole(1, most)(value)?
            };
            toml::Value::Integer(i64::try_from(number).expect("at most 2^50"))
        }
        toml::Value::Boolean(_) => toml::Value::Boolean(value::flag(value)?),
        other => return Err(Wrong::expected(format!("a value such as `{other}`"))),
    })
}
