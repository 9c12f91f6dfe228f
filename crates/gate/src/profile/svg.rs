//! Pictures of a profile as inline SVG. Colours come from the page's style sheet, so that they follow
//! its light or dark scheme; every picture carries its content as text for those who cannot see it.

use std::fmt::Write;

use super::html::escape;
use super::report::{Histogram, NumberSummary, share};
use super::suspicion::{grouped, percent};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 120.0;

/// A histogram: a bar an interval, its numbers shown on pointing at it.
pub(super) fn histogram(name: &str, histogram: &Histogram) -> String {
    let most = histogram
        .bins
        .iter()
        .map(|bin| bin.count)
        .max()
        .unwrap_or(0);
    let width = WIDTH / histogram.bins.len().max(1) as f64;
    let mut svg = open(name, "histogram", &describe(histogram), HEIGHT + 18.0);
    for (at, bin) in histogram.bins.iter().enumerate() {
        let height = bar(bin.count, most, HEIGHT);
        let (x, y) = (width * at as f64, HEIGHT - height);
        let _ = write!(
            svg,
            "<rect class=\"bar\" x=\"{:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{height:.2}\"><title>{}: {}</title></rect>",
            x + 0.5,
            (width - 1.0).max(0.5),
            escape(&bin.label),
            grouped(bin.count)
        );
    }
    let _ = write!(
        svg,
        "<line class=\"axis\" x1=\"0\" y1=\"{HEIGHT}\" x2=\"{WIDTH}\" y2=\"{HEIGHT}\"/>"
    );
    if let (Some(first), Some(last)) = (histogram.bins.first(), histogram.bins.last()) {
        let from = first.label.split(" to ").next().unwrap_or_default();
        let to = last.label.rsplit(" to ").next().unwrap_or_default();
        let y = HEIGHT + 14.0;
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{y}\">{}</text><text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
            escape(from),
            escape(to)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn describe(histogram: &Histogram) -> String {
    let bins: Vec<String> = histogram
        .bins
        .iter()
        .filter(|bin| bin.count > 0)
        .map(|bin| format!("{}: {}", bin.label, grouped(bin.count)))
        .collect();
    bins.join("; ")
}

/// A box plot: the middle half as a box, its median as a line, 5 % and 95 % as whiskers.
pub(super) fn box_plot(name: &str, numbers: &NumberSummary) -> Option<String> {
    let at = |q: f64| {
        numbers
            .quantiles
            .iter()
            .find(|quantile| quantile.at == q)
            .map(|quantile| quantile.value)
    };
    let (low, q1, median, q3, high) = (at(0.05)?, at(0.25)?, at(0.5)?, at(0.75)?, at(0.95)?);
    let (from, to) = (at(0.01)?, at(0.99)?);
    if to <= from {
        return None;
    }
    let x = |value: f64| (value - from) / (to - from) * (WIDTH - 8.0) + 4.0;
    let show = super::summary::number;
    let words = format!(
        "median {}, middle half {} to {}, 5 % to 95 % {} to {}",
        show(median),
        show(q1),
        show(q3),
        show(low),
        show(high)
    );
    let mut svg = open(name, "quantiles", &words, 28.0);
    let _ = write!(
        svg,
        "<title>{words}</title><line class=\"whisker\" x1=\"{:.1}\" y1=\"14\" x2=\"{:.1}\" y2=\"14\"/>\
         <rect class=\"box\" x=\"{:.1}\" y=\"4\" width=\"{:.1}\" height=\"20\"/>\
         <line class=\"median\" x1=\"{m:.1}\" y1=\"2\" x2=\"{m:.1}\" y2=\"26\"/></svg>",
        x(low),
        x(high),
        x(q1),
        (x(q3) - x(q1)).max(1.0),
        m = x(median)
    );
    Some(svg)
}

/// A thin bar that shows which share of the rows is there, empty, or missing.
pub(super) fn completeness(name: &str, rows: u64, nulls: u64, empty: u64) -> String {
    let there = rows.saturating_sub(nulls + empty);
    let words = format!(
        "{} filled, {} empty, {} missing",
        percent(share(there, rows)),
        percent(share(empty, rows)),
        percent(share(nulls, rows))
    );
    let mut svg = open(name, "completeness", &words, 6.0);
    let mut x = 0.0;
    for (class, count) in [("filled", there), ("empty", empty), ("missing", nulls)] {
        let width = share(count, rows) * WIDTH;
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"6\"/>"
        );
        x += width;
    }
    svg.push_str("</svg>");
    svg
}

fn open(name: &str, what: &str, words: &str, height: f64) -> String {
    let stretch = if height < 10.0 {
        " preserveAspectRatio=\"none\""
    } else {
        ""
    };
    format!(
        "<svg role=\"img\" aria-label=\"{}: {what}. {}\" viewBox=\"0 0 {WIDTH} {height}\"{stretch} class=\"{what}\">",
        escape(name),
        escape(words)
    )
}

fn bar(count: u64, most: u64, height: f64) -> f64 {
    if count == 0 {
        0.0
    } else {
        (share(count, most) * (height - 2.0)).max(1.5)
    }
}
