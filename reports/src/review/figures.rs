//! Numbers as people read them.

/// A number to six digits that count: plain where that is readable, else as a power of ten.
pub fn figure(value: f64) -> String {
    rounded(value, 6)
}

/// A number to three digits that count: what an estimate is good for.
pub fn rough(value: f64) -> String {
    rounded(value, 3)
}

fn rounded(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("`e` is written by the format");
    let exponent: i32 = exponent.parse().expect("an exponent is a whole number");
    if !(-4..7).contains(&exponent) {
        return format!("{}e{exponent}", without_zeros(mantissa));
    }
    let places = usize::try_from(i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exponent).unwrap_or(0);
    without_zeros(&format!("{value:.places$}")).to_owned()
}

/// Zeros after the point say nothing.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_never_padded() {
        for (value, text) in [
            (0.0, "0"),
            (3.0, "3"),
            (0.01, "0.01"),
            (2.997_999_999e-6, "2.998e-6"),
            (0.000_570_123_456, "0.000570123"),
            (123_456.789, "123457"),
            (3_451_833.333, "3451833"),
            (44_511_820.0, "4.45118e7"),
            (999_999.99, "1000000"),
            (-0.5, "-0.5"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!(rough(0.123_456), "0.123");
        assert_eq!(rough(1e-300), "1e-300");
    }
}
