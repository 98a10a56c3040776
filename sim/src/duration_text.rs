//! Durations as people write them: `20s`, `1.5ms`, `-2s`, `250us`, `3min`, `2h`, `1d`. Exact to the nanosecond, both ways.

use serde::{Deserialize, Deserializer, Serializer, de};
use thiserror::Error;

const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no duration: write a number and a unit, such as `20s`, `1.5ms`, `250us`, `3min`, `2h` or `1d`"
)]
pub struct DurationError(String);

/// The nanoseconds that `text` stands for.
///
/// # Errors
/// Where `text` is not a number with a unit, is no whole number of nanoseconds, or is over 584 years.
pub fn parse(text: &str) -> Result<u64, DurationError> {
    exact(text).ok_or_else(|| DurationError(text.to_owned()))
}

fn exact(text: &str) -> Option<u64> {
    let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let (number, unit) = text.split_at(split);
    let unit_ns = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 18 {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u128::from(unit_ns) * fraction.parse::<u128>().ok()?;
    if part % scale != 0 {
        return None;
    }
    let total = u128::from(unit_ns).checked_mul(whole.parse::<u64>().ok()?.into())? + part / scale;
    u64::try_from(total).ok()
}

/// `nanoseconds` in the largest unit that holds them with at most three decimals.
pub fn format(nanoseconds: u64) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    for (name, unit_ns) in UNITS {
        let thousandths = u128::from(nanoseconds) * 1000;
        let unit_ns = u128::from(unit_ns);
        if u128::from(nanoseconds) >= unit_ns && thousandths % unit_ns == 0 {
            let (whole, rest) = (thousandths / unit_ns / 1000, thousandths / unit_ns % 1000);
            // Days, hours and minutes read badly with decimals.
            if rest == 0 {
                return format!("{whole}{name}");
            } else if unit_ns <= 1_000_000_000 {
                return format!("{whole}.{}{name}", format!("{rest:03}").trim_end_matches('0'));
            }
        }
    }
    format!("{nanoseconds}ns")
}

/// For serde: writes a duration as text.
///
/// # Errors
/// Those of the serialiser.
pub fn serialize<S: Serializer>(nanoseconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*nanoseconds))
}

/// For serde: reads a duration from text.
///
/// # Errors
/// Where the text is no duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(de::Error::custom)
}

/// Durations with a sign.
pub mod signed {
    use super::{Deserialize, Deserializer, DurationError, Serializer, de};

    /// The signed nanoseconds that `text` stands for.
    ///
    /// # Errors
    /// As [`super::parse`].
    pub fn parse(text: &str) -> Result<i64, DurationError> {
        let (negative, length) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let nanoseconds = super::parse(length).ok().and_then(|value| i64::try_from(value).ok());
        let nanoseconds = nanoseconds.ok_or_else(|| DurationError(text.to_owned()))?;
        Ok(if negative { -nanoseconds } else { nanoseconds })
    }

    /// For serde: writes a signed duration as text.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(nanoseconds: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        let sign = if *nanoseconds < 0 { "-" } else { "" };
        serializer.serialize_str(&format!("{sign}{}", super::format(nanoseconds.unsigned_abs())))
    }

    /// For serde: reads a signed duration from text.
    ///
    /// # Errors
    /// Where the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(parse("20s"), Ok(20_000_000_000));
        assert_eq!(parse("1.5ms"), Ok(1_500_000));
        assert_eq!(parse("3min"), Ok(180_000_000_000));
        assert_eq!(signed::parse("-2s"), Ok(-2_000_000_000));
        for wrong in ["", "s", "20", "20 s", "1.5ns", "-2s", "1e3s", ".5s", "1.s", "99999999999999h", "20sec"]
        {
            assert!(parse(wrong).is_err(), "{wrong} was read");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_to_the_nanosecond(nanoseconds: u64) {
            prop_assert_eq!(parse(&format(nanoseconds)), Ok(nanoseconds));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = parse(&text);
            let _ = signed::parse(&text);
        }
    }
}
