//! The chart: how each figure stands to its target.

use std::fmt::Write;

use super::{Figure, Target};

const ROW_HEIGHT: usize = 24;
const HEAD_HEIGHT: usize = 60;
const NAMES_WIDTH: usize = 560;
const BARS_WIDTH: usize = 420;
const NOTES_WIDTH: usize = 330;
/// Bars end here, in multiples of the target.
const SHOWN_MAX: f64 = 2.0;

/// An SVG of the figures that have a target, a bar each: at 1 and beyond the target is met.
pub(super) fn svg(conditions: &str, figures: &[Figure]) -> String {
    let bars: Vec<(&Figure, Target, f64)> =
        figures.iter().filter_map(|figure| Some((figure, figure.target?, share(figure)?))).collect();
    let (width, height) = (NAMES_WIDTH + BARS_WIDTH + NOTES_WIDTH, HEAD_HEIGHT + bars.len() * ROW_HEIGHT + 16);
    let one = NAMES_WIDTH as f64 + BARS_WIDTH as f64 / SHOWN_MAX;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"16\">Tidelog beside its targets: {}</text>\n\
         <text x=\"{one}\" y=\"{}\" text-anchor=\"middle\">target</text>\n",
        escaped(conditions),
        HEAD_HEIGHT - 8
    );
    for (row, (figure, target, share)) in bars.iter().enumerate() {
        let top = HEAD_HEIGHT + row * ROW_HEIGHT;
        let bar = share.min(SHOWN_MAX) / SHOWN_MAX * BARS_WIDTH as f64;
        let color = if *share >= 1.0 { "#2a9d5c" } else { "#c8553d" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n<rect x=\"{NAMES_WIDTH}\" y=\"{}\" width=\"{bar:.1}\" \
             height=\"{}\" fill=\"{color}\"/>\n<text x=\"{}\" y=\"{}\">{}</text>",
            NAMES_WIDTH - 8,
            top + 16,
            escaped(&figure.name),
            top + 4,
            ROW_HEIGHT - 8,
            NAMES_WIDTH + BARS_WIDTH + 10,
            top + 16,
            escaped(&note(figure, *target)),
        );
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{one}\" x2=\"{one}\" y1=\"{HEAD_HEIGHT}\" y2=\"{}\" stroke=\"black\" stroke-dasharray=\"4 3\"/>\n</svg>",
        height - 12
    );
    svg
}

/// What a figure is of its target, turned over where less is better.
fn share(figure: &Figure) -> Option<f64> {
    let (value, ratio) = (figure.value.median, figure.ratio.map(|ratio| ratio.median));
    let share = match figure.target? {
        Target::RatioAtLeast(least) => ratio? / least,
        Target::RatioAtMost(most) => most / ratio?,
        Target::AtLeast(least) => value / least,
        Target::AtMost(most) => most / value,
    };
    // Nothing at all is less than any most.
    Some(if share.is_finite() { share } else { SHOWN_MAX })
}

fn note(figure: &Figure, target: Target) -> String {
    let value = super::number(figure.value.median);
    let ratio = figure.ratio.map(|ratio| format!(", {:.2} of the limit", ratio.median)).unwrap_or_default();
    format!("{value} {}{ratio} ({})", figure.unit, target.text())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stats::Spread;

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
        assert_eq!(share(0.0, Target::AtMost(2.5)), SHOWN_MAX);
    }

    #[test]
    fn figures_with_a_target_have_a_bar() {
        let svg = svg("2 cores", &[figure(6.0, Some(Target::AtLeast(3.0))), figure(7.0, None)]);
        assert_eq!(svg.matches("#2a9d5c").count() + svg.matches("#c8553d").count(), 1);
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
    }
}
