//! Numbers and ranges as people read them.

use crate::bench::measure::spread::Spread;

/// A number with about three significant digits, and commas between thousands.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        let decimals = if value.abs() < 10.0 { 2 } else { 1 };
        return format!("{value:.decimals$}");
    }
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    format!("{sign}{}", groups.join(","))
}

/// The smallest and the largest value of a spread. Empty if they are the same.
pub(super) fn range(spread: Option<Spread>, text: impl Fn(f64) -> String) -> String {
    spread
        .filter(|spread| spread.min < spread.max)
        .map(|spread| format!("{} to {}", text(spread.min), text(spread.max)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        let numbers = [0.5, 9.994, 10.0, 99.94, 100.0, 1_234.4, 1_234_567.0, -4_321.0].map(number);
        assert_eq!(numbers, ["0.50", "9.99", "10.0", "99.9", "100", "1,234", "1,234,567", "-4,321"]);
    }

    #[test]
    fn a_range_is_shown_if_there_is_one() {
        let spread = Spread { median: 2.0, min: 1.0, max: 1_000.0 };
        assert_eq!(range(Some(spread), number), "1.00 to 1,000");
        assert_eq!(range(Some(Spread::one(2.0)), number), "");
    }
}
