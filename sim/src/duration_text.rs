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
/// ```
/// # extern crate hogwash_sim as sim;
/// use sim::duration_text::{format, parse};
///
/// assert_eq!(parse("1.5s"), Ok(1_500_000_000));
/// assert_eq!(format(1_500_000_000), "1.5s");
/// assert!(parse("1.5").is_err());
/// ```
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

/// `nanoseconds` in the largest unit that it is one of at least, exactly.
pub fn format(nanoseconds: u64) -> String {
    for (name, unit_ns) in UNITS {
        let (whole, rest) = (nanoseconds / unit_ns, nanoseconds % unit_ns);
        // Days, hours and minutes read badly with decimals.
        if whole > 0 && rest == 0 {
            return format!("{whole}{name}");
        } else if whole > 0 && unit_ns <= 1_000_000_000 {
            let decimals = usize::try_from(unit_ns.ilog10()).expect("at most 9");
            return format!("{whole}.{}{name}", format!("{rest:0decimals$}").trim_end_matches('0'));
        }
    }
    "0s".to_owned()
}

/// `nanoseconds` for people: as [`format()`], rounded to three decimals.
pub fn readable(nanoseconds: u64) -> String {
    let unit_ns = UNITS
        .iter()
        .map(|(_, unit_ns)| *unit_ns)
        .find(|unit_ns| *unit_ns <= nanoseconds && *unit_ns <= 1_000_000_000);
    let grain_ns = unit_ns.map_or(1, |unit_ns| (unit_ns / 1000).max(1));
    let rounded = nanoseconds.saturating_add(grain_ns / 2) / grain_ns * grain_ns;
    format(rounded)
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

/// Durations that may be missing.
pub mod optional {
    use super::{Deserialize, Deserializer, Serializer, de};

    /// For serde: writes a duration as text, where there is one.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(nanoseconds: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match nanoseconds {
            Some(nanoseconds) => serializer.serialize_str(&super::format(*nanoseconds)),
            None => serializer.serialize_none(),
        }
    }

    /// For serde: reads a duration from text, where there is one.
    ///
    /// # Errors
    /// Where the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse(&text).map_err(de::Error::custom)).transpose()
    }
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

    #[test]
    fn durations_are_written_in_the_unit_that_people_think_in() {
        for (nanoseconds, exact, rounded) in [
            (0, "0s", "0s"),
            (999, "999ns", "999ns"),
            (1_500, "1.5us", "1.5us"),
            (80_000, "80us", "80us"),
            (1_234_567, "1.234567ms", "1.235ms"),
            (39_994_000_000, "39.994s", "39.994s"),
            (50_751_742_600, "50.7517426s", "50.752s"),
            (120_000_000_000, "2min", "2min"),
            (120_000_400_000, "120.0004s", "2min"),
            (7_200_000_000_001, "7200.000000001s", "2h"),
            (999_999_999, "999.999999ms", "1s"),
        ] {
            assert_eq!((format(nanoseconds).as_str(), readable(nanoseconds).as_str()), (exact, rounded));
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
