//! Instants of a log, to the whole second: `2024-03-01T12:00:00Z`, with an offset or without (then in UTC), a date alone, or seconds since 1970.

use std::fmt::Write as _;
use toml::value::{Datetime, Offset};

/// Seconds since 1970, or what was expected instead.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let expected = || {
        format!("`{text}` is not an instant, such as 2024-03-01T12:00:00Z, 2024-03-01 or seconds since 1970")
    };
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        // Five digits of years, either way: all that can be written as a date as well, and no sum below can overflow.
        return if seconds.abs() < 3_000_000_000_000 { Ok(seconds) } else { Err(expected()) };
    }
    let instant: Datetime = text.parse().map_err(|_| expected())?;
    let date = instant.date.ok_or_else(expected)?;
    let mut seconds =
        days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day)) * 86_400;
    if let Some(time) = instant.time {
        seconds += i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60;
        seconds += i64::from(time.second.unwrap_or(0));
    }
    if let Some(Offset::Custom { minutes }) = instant.offset {
        seconds -= i64::from(minutes) * 60;
    }
    Ok(seconds)
}

/// The instant as RFC 3339 writes it, in UTC.
pub fn format(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let mut text = format!("{year:04}-{month:02}-{day:02}");
    write!(text, "T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60).expect("a string takes all");
    text
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Hinnant 2013, "chrono-compatible low-level date algorithms").
///
/// Years start in March here, so that the leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date of a number of days since 1970-01-01, by the same source.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_all_the_forms_that_logs_use() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01", 0),
            ("2024-03-01T12:00:00Z", 1_709_294_400),
            ("2024-03-01 12:00:00", 1_709_294_400),
            ("2024-03-01T14:00:00+02:00", 1_709_294_400),
            ("2024-02-29T23:59:59.5Z", 1_709_251_199),
            ("1969-12-31T23:59:59Z", -1),
            (" 1709294400 ", 1_709_294_400),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in ["", "yesterday", "12:00:00", "2024-13-01", "2023-02-30", "9e99", "99999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writing_and_reading_an_instant_gives_it_back() {
        for seconds in (-5_000_000_000_i64..5_000_000_000).step_by(7_654_321) {
            assert_eq!(parse(&format(seconds)), Ok(seconds));
        }
        assert_eq!(format(1_709_294_400), "2024-03-01T12:00:00Z");
    }
}
