//! The chart: a bar for each figure that has a target.

use std::fmt::Write;

use super::figure::{Figure, Target};
use super::number::number;

const ROW_HEIGHT_PX: usize = 24;
const HEAD_HEIGHT_PX: usize = 60;
const NAMES_WIDTH_PX: usize = 620;
const BARS_WIDTH_PX: usize = 420;
const NOTES_WIDTH_PX: usize = 420;
/// The longest bar, in multiples of the target.
const SHARE_MAX: f64 = 2.0;

/// An SVG image of the figures that have a target. Each has a bar, which reaches the target line if the target is met.
pub(super) fn svg(conditions: &str, figures: &[Figure]) -> String {
    let bars: Vec<(&Figure, Target, f64)> =
        figures.iter().filter_map(|figure| Some((figure, figure.target?, share(figure)?))).collect();
    let (width, height) =
        (NAMES_WIDTH_PX + BARS_WIDTH_PX + NOTES_WIDTH_PX, HEAD_HEIGHT_PX + bars.len() * ROW_HEIGHT_PX + 16);
    let target_x = NAMES_WIDTH_PX as f64 + BARS_WIDTH_PX as f64 / SHARE_MAX;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"16\">Tidelog beside its targets: {}</text>\n\
         <text x=\"{target_x}\" y=\"{}\" text-anchor=\"middle\">target</text>\n",
        escaped(conditions),
        HEAD_HEIGHT_PX - 8
    );
    for (row, (figure, target, share)) in bars.iter().enumerate() {
        let top = HEAD_HEIGHT_PX + row * ROW_HEIGHT_PX;
        let bar = share.min(SHARE_MAX) / SHARE_MAX * BARS_WIDTH_PX as f64;
        let color = if *share >= 1.0 { "#2a9d5c" } else { "#c8553d" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n<rect x=\"{NAMES_WIDTH_PX}\" y=\"{}\" width=\"{bar:.1}\" \
             height=\"{}\" fill=\"{color}\"/>\n<text x=\"{}\" y=\"{}\">{}</text>",
            NAMES_WIDTH_PX - 8,
            top + 16,
            escaped(&figure.name),
            top + 4,
            ROW_HEIGHT_PX - 8,
            NAMES_WIDTH_PX + BARS_WIDTH_PX + 10,
            top + 16,
            escaped(&note(figure, *target)),
        );
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{target_x}\" x2=\"{target_x}\" y1=\"{HEAD_HEIGHT_PX}\" y2=\"{}\" stroke=\"black\" stroke-dasharray=\"4 3\"/>\n</svg>",
        height - 12
    );
    svg
}

/// The value or ratio of a figure as a share of its target, or the inverse of that if less is better: the target is met at
/// 1 and above.
fn share(figure: &Figure) -> Option<f64> {
    let (value, ratio) = (figure.value.median, figure.ratio.map(|ratio| ratio.median));
    let share = match figure.target? {
        Target::RatioAtLeast(least) => ratio? / least,
        Target::RatioAtMost(most) => most / ratio?,
        Target::AtLeast(least) => value / least,
        Target::AtMost(most) => most / value,
    };
    // A value of 0 meets any upper limit.
    Some(if share.is_finite() { share } else { SHARE_MAX })
}

fn note(figure: &Figure, target: Target) -> String {
    let value = number(figure.value.median);
    let ratio = figure.ratio.map(|ratio| format!(", {:.2} of the baseline", ratio.median)).unwrap_or_default();
    format!("{value} {}{ratio} (target {target})", figure.unit)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::spread::Spread;

    fn figure(value: f64, target: Option<Target>) -> Figure {
        let figure = Figure::new("a < b", Spread::one(value), "us").beside(Spread::one(10.0), None);
        Figure { target, ..figure }
    }

    #[test]
    fn one_is_the_target_whichever_way_is_better() {
        let share = |value, target| share(&figure(value, Some(target))).unwrap();
        assert_eq!(share(6.0, Target::RatioAtLeast(0.6)), 1.0);
        assert_eq!(share(5.0, Target::RatioAtMost(1.0)), 2.0);
        assert_eq!(share(5.0, Target::AtMost(2.5)), 0.5);
        assert_eq!(share(0.0, Target::AtMost(2.5)), SHARE_MAX);
    }

    #[test]
    fn figures_with_a_target_have_a_bar() {
        let svg = svg("2 cores", &[figure(6.0, Some(Target::AtLeast(3.0))), figure(7.0, None)]);
        assert_eq!(svg.matches("#2a9d5c").count() + svg.matches("#c8553d").count(), 1);
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
    }
}
