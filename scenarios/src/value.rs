//! Values as scenario files write them: durations, rates, sizes, and ranges of them from which a plan draws.

use sim::duration_text;
use toml::de::DeValue;

/// A choice still open: a plan draws one of `least` to `most`, both ends possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between<T> {
    /// The least that can be drawn.
    pub least: T,
    /// The most that can be drawn.
    pub most: T,
}

impl<T: Copy + PartialEq> Between<T> {
    /// No choice at all.
    pub fn exactly(value: T) -> Self {
        Self { least: value, most: value }
    }

    /// The value, where there is no choice.
    pub fn fixed(&self) -> Option<T> {
        (self.least == self.most).then_some(self.least)
    }
}

/// What a value should have been.
pub struct Wrong {
    /// What was expected.
    pub expected: String,
    /// Ways out.
    pub help: Vec<String>,
}

impl Wrong {
    /// Something else was expected.
    pub fn expected(expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), help: Vec::new() }
    }

    /// With a way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// What stands in the file, for "expected …, found …".
pub fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() > 40 => "a long text".to_owned(),
        DeValue::String(text) => format!("`{:?}`", text.as_ref()),
        DeValue::Integer(number) => format!("`{number}`"),
        DeValue::Float(number) => format!("`{number}`"),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Any text but an empty one.
pub fn text(value: &DeValue<'_>) -> Result<String, Wrong> {
    match value {
        DeValue::String(text) if !text.trim().is_empty() => Ok(text.to_string()),
        _ => Err(Wrong::expected("a text")),
    }
}

/// A list of texts.
pub fn texts(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let wrong = || Wrong::expected("a list of texts");
    let DeValue::Array(items) = value else { return Err(wrong()) };
    items.iter().map(|item| text(item.get_ref()).map_err(|_| wrong())).collect()
}

/// `true` or `false`.
pub fn flag(value: &DeValue<'_>) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| Wrong::expected("`true` or `false`"))
}

/// A whole number of `least` to `most`.
pub fn whole(least: u64, most: u64) -> impl Fn(&DeValue<'_>) -> Result<u64, Wrong> {
    move |value| {
        let number = match value {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        let inside = number.filter(|number| (least..=most).contains(number));
        inside.ok_or_else(|| Wrong::expected(format!("a whole number from {least} to {most}")))
    }
}

/// A number of `least` to `most`.
pub fn number(least: f64, most: f64) -> impl Fn(&DeValue<'_>) -> Result<f64, Wrong> {
    move |value| {
        let inside = number_of(value).filter(|number| (least..=most).contains(number));
        inside.ok_or_else(|| Wrong::expected(format!("a number from {least} to {most}")))
    }
}

fn number_of(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(digits) if digits.radix() == 10 => digits.as_str().parse().ok(),
        DeValue::Float(digits) => digits.as_str().parse().ok(),
        _ => None,
    }
}

/// A duration of `least` to `most`, in nanoseconds.
pub fn duration(least: u64, most: u64) -> impl Fn(&DeValue<'_>) -> Result<u64, Wrong> {
    move |value| {
        let length = durations(value)?.fixed().filter(|length| (least..=most).contains(length));
        length.ok_or_else(|| {
            let (least, most) = (duration_text::format(least), duration_text::format(most));
            Wrong::expected(format!("a duration from {least} to {most}"))
        })
    }
}

/// A duration such as `20s`, or a range such as `20s..40s`.
pub fn durations(value: &DeValue<'_>) -> Result<Between<u64>, Wrong> {
    between(value, |text| duration_text::parse(text).ok())
        .ok_or_else(|| Wrong::expected("a duration such as `20s`, or a range such as `20s..40s`"))
}

/// As [`durations`], with signs: `-2s`, `-5ms..5ms`.
pub fn signed_durations(value: &DeValue<'_>) -> Result<Between<i64>, Wrong> {
    between(value, |text| duration_text::signed::parse(text).ok())
        .ok_or_else(|| Wrong::expected("a duration such as `-2s`, or a range such as `-5ms..5ms`"))
}

/// A number of `least` to `most`, or a range of such, as text: `"0.2..0.5"`.
pub fn numbers(least: f64, most: f64) -> impl Fn(&DeValue<'_>) -> Result<Between<f64>, Wrong> {
    move |value| {
        let read = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
        let range = number_of(value).map(Between::exactly).or_else(|| between(value, read));
        let inside = range.filter(|range| range.least >= least && range.most <= most);
        inside.ok_or_else(|| {
            Wrong::expected(format!("a number from {least} to {most}, or a range such as `\"A..B\"`"))
        })
    }
}

/// A whole number of `least` to `most`, or a range of such, as text: `"1..3"`.
pub fn wholes(least: u64, most: u64) -> impl Fn(&DeValue<'_>) -> Result<Between<u64>, Wrong> {
    move |value| {
        let range = match value {
            DeValue::Integer(_) => Some(Between::exactly(whole(least, most)(value)?)),
            _ => between(value, |text| text.parse().ok()),
        };
        let inside = range.filter(|range| range.least >= least && range.most <= most);
        inside.ok_or_else(|| {
            Wrong::expected(format!("a whole number from {least} to {most}, or a range such as `\"A..B\"`"))
        })
    }
}

/// Requests a second: `50/s`, `3000/min`, `10/h`, or a number.
pub fn rate(most: f64) -> impl Fn(&DeValue<'_>) -> Result<f64, Wrong> {
    move |value| {
        let per_s = match value {
            DeValue::String(text) => text.split_once('/').and_then(|(count, unit)| {
                let seconds = match unit.trim() {
                    "s" => 1.0,
                    "min" => 60.0,
                    "h" => 3600.0,
                    "d" => 86_400.0,
                    _ => return None,
                };
                Some(count.trim().parse::<f64>().ok()? / seconds)
            }),
            _ => number_of(value),
        };
        let inside = per_s.filter(|per_s| (0.0..=most).contains(per_s));
        inside.ok_or_else(|| Wrong::expected(format!("a rate such as `50/s` or `10/min`, at most {most}/s")))
    }
}

/// Bytes: `8GiB`, `512MB`, or a whole number.
pub fn bytes(least: u64, most: u64) -> impl Fn(&DeValue<'_>) -> Result<u64, Wrong> {
    const UNITS: [(&str, u64); 9] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("KB", 1000),
        ("B", 1),
    ];
    move |value| {
        let size = match value {
            DeValue::Integer(_) => whole(least, most)(value).ok(),
            DeValue::String(text) => {
                UNITS.iter().find_map(|(unit, of)| Some((text.strip_suffix(unit)?, of))).and_then(
                    |(count, of)| count.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(*of)),
                )
            }
            _ => None,
        };
        let inside = size.filter(|size| (least..=most).contains(size));
        inside.ok_or_else(|| Wrong::expected(format!("a size such as `8GiB`, from {least} to {most} bytes")))
    }
}

/// `A..B` or `A`, each end read by `read`; nothing where the ends are the wrong way round.
fn between<T: Copy + PartialOrd>(
    value: &DeValue<'_>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<Between<T>> {
    let text = value.as_str()?;
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let range = Between { least: read(least.trim())?, most: read(most.trim())? };
    (range.least <= range.most).then_some(range)
}
