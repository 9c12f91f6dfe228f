//! A profile drawn for a terminal: one line a column, then each column with its bars and suspicions.
//!
//! It fits the given width, counting wide characters as two cells, and shows control characters as
//! escapes, so that no value can disturb the terminal.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::report::{ColumnProfile, Histogram, Profile, Suspicion, share};
use super::summary::number;
use super::suspicion::{grouped, percent, rows};

/// How a profile is drawn.
#[derive(Clone, Copy, Debug)]
pub struct TextOptions {
    /// Cells in a line; at least 40 are used.
    pub width: usize,
    /// Whether to use colour and bold type (ANSI sequences).
    pub color: bool,
    /// Whether to show each column's details, or only the table of all columns.
    pub details: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            width: 100,
            color: false,
            details: true,
        }
    }
}

/// Draws a profile.
pub fn render(profile: &Profile, options: &TextOptions) -> String {
    let mut page = Page {
        text: String::new(),
        width: options.width.max(40),
        color: options.color,
    };
    page.title(profile);
    page.overview(profile);
    if options.details {
        for column in &profile.columns {
            page.column(column);
        }
    }
    page.text
}

/// Style of a piece of text.
#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Warning,
    Bar,
}

struct Page {
    text: String,
    width: usize,
    color: bool,
}

impl Page {
    fn styled(&self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Warning => "33",
            Style::Bar => "36",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn title(&mut self, profile: &Profile) {
        let subject = if profile.subject.is_empty() {
            "profile"
        } else {
            &profile.subject
        };
        let title = self.styled(Style::Bold, &printable(subject));
        let columns = profile.columns.len();
        let suspicious = match profile.suspicious_values() {
            0 => "nothing suspicious".to_owned(),
            count => format!("{} suspicious values", grouped(count)),
        };
        let line = format!(
            "{title}  {} × {columns} columns, {suspicious}",
            rows(profile.rows)
        );
        self.line(&line);
        self.line("");
    }

    /// A table with one line a column; the widest cells give way first.
    fn overview(&mut self, profile: &Profile) {
        let name_width = profile
            .columns
            .iter()
            .map(|column| column.name.width())
            .max()
            .unwrap_or(0)
            .clamp(6, self.width / 4);
        let range_width = self
            .width
            .saturating_sub(name_width + 2 + 18 + 2 + 7 + 2 + 10 + 2 + 2 + 10 + 3)
            .max(8);
        let head = format!(
            "{}  {:<18}  {:>7}  {:>10}  {}  {:<10}",
            fit("column", name_width),
            "looks like",
            "missing",
            "distinct",
            fit("from … to", range_width),
            "spread"
        );
        let head = self.styled(Style::Dim, head.trim_end());
        self.line(&head);
        for column in &profile.columns {
            let mark = if column.suspicions.is_empty() {
                " ".to_owned()
            } else {
                self.styled(Style::Warning, "!")
            };
            let spark = self.styled(Style::Bar, &spark(column));
            let line = format!(
                "{}  {}  {:>7}  {:>10}  {}  {spark} {mark}",
                fit(&printable(&column.name), name_width),
                fit(kind_of(column), 18),
                percent(column.null_share()),
                distinct(column),
                fit(&range(column), range_width),
            );
            self.line(&line);
        }
    }

    fn column(&mut self, column: &ColumnProfile) {
        let name = self.styled(Style::Bold, &printable(&column.name));
        self.line("");
        let facts = facts(column).join(" · ");
        let room = self.width.saturating_sub(column.name.width() + 2);
        let line = format!(
            "{name}  {}",
            self.styled(Style::Dim, fit(&facts, room).trim_end())
        );
        self.line(&line);
        if is_categorical(column) {
            self.top_values(column);
        } else if let Some(histogram) = &column.histogram {
            self.histogram(histogram);
        }
        for suspicion in &column.suspicions {
            self.suspicion(suspicion);
        }
    }

    fn top_values(&mut self, column: &ColumnProfile) {
        let most = column.top.first().map_or(0, |top| top.count);
        let labels: Vec<(String, u64)> = column
            .top
            .iter()
            .take(8)
            .map(|top| (quoted(&top.value), top.count))
            .collect();
        self.bars(&labels, most, column.rows);
        let shown: u64 = column.top.iter().take(8).map(|top| top.count).sum();
        let rest = (column.rows - column.nulls - column.empty).saturating_sub(shown);
        if rest > 0 && column.top_count_error == 0 {
            let line = format!(
                "  {} with {} other values",
                rows(rest),
                grouped(column.distinct.count.saturating_sub(8))
            );
            let line = self.styled(Style::Dim, &line);
            self.line(&line);
        }
    }

    fn histogram(&mut self, histogram: &Histogram) {
        let bins = coarser(histogram, 10);
        let most = bins.iter().map(|bin| bin.1).max().unwrap_or(0);
        let total = bins.iter().map(|bin| bin.1).sum::<u64>() + histogram.below + histogram.above;
        self.bars(&bins, most, total);
        for (count, side) in [(histogram.below, "below"), (histogram.above, "above")] {
            if count > 0 {
                let line = self.styled(Style::Dim, &format!("  {} {side} these", rows(count)));
                self.line(&line);
            }
        }
    }

    fn bars(&mut self, labels: &[(String, u64)], most: u64, total: u64) {
        let label_width = labels
            .iter()
            .map(|(label, _)| label.width())
            .max()
            .unwrap_or(0)
            .min(self.width / 3);
        let bar_width = self
            .width
            .saturating_sub(label_width + 2 + 2 + 20)
            .clamp(8, 48);
        for (label, count) in labels {
            let bar = self.styled(
                Style::Bar,
                &fit(&bar(share(*count, most), bar_width), bar_width),
            );
            let line = format!(
                "  {}  {bar} {:>10} {:>7}",
                fit(label, label_width),
                grouped(*count),
                percent(share(*count, total))
            );
            self.line(&line);
        }
    }

    fn suspicion(&mut self, suspicion: &Suspicion) {
        let head = self.styled(Style::Warning, &format!("! {}", suspicion.kind.words()));
        let indent = suspicion.kind.words().width() + 6;
        let mut lines = wrap(&suspicion.message, self.width.saturating_sub(indent)).into_iter();
        let line = format!("  {head}  {}", lines.next().unwrap_or_default());
        self.line(&line);
        for more in lines {
            let line = format!("{}{more}", " ".repeat(indent));
            self.line(&line);
        }
        for example in suspicion.examples.iter().take(4) {
            let place = if example.count == 1 {
                format!("row {}", grouped(example.row))
            } else {
                format!(
                    "{}, first row {}",
                    rows(example.count),
                    grouped(example.row)
                )
            };
            let note = example
                .note
                .as_deref()
                .map(|note| format!(": {}", printable(note)))
                .unwrap_or_default();
            let room = self
                .width
                .saturating_sub(place.width() + note.width().min(self.width / 2) + 6)
                .max(12);
            let value = clip(&quoted(&example.value), room);
            let line = clip(&format!("    {value} {place}{note}"), self.width);
            let line = self.styled(Style::Dim, &line);
            self.line(&line);
        }
    }
}

/// What a column's values look like, in words.
pub(super) fn kind_of(column: &ColumnProfile) -> &str {
    match &column.looks_like {
        _ if column.data_type != "STRING" => &column.data_type,
        Some(looks) => looks.kind.words(),
        None if column.rows == column.nulls + column.empty => "nothing",
        None => "mixed",
    }
}

/// The number of distinct values, marked if it is an estimate.
pub(super) fn distinct(column: &ColumnProfile) -> String {
    let mark = if column.distinct.exact { "" } else { "~" };
    format!("{mark}{}", grouped(column.distinct.count))
}

/// From the smallest value to the largest.
fn range(column: &ColumnProfile) -> String {
    match (&column.min, &column.max) {
        (Some(min), Some(max)) if min == max => printable(min),
        (Some(min), Some(max)) => format!("{} … {}", printable(min), printable(max)),
        _ => String::new(),
    }
}

/// The facts of a column, each a short phrase.
pub(super) fn facts(column: &ColumnProfile) -> Vec<String> {
    let mut facts = Vec::new();
    match &column.looks_like {
        Some(looks) if column.data_type == "STRING" => facts.push(format!(
            "{} of {}",
            percent(looks.share),
            looks.kind.words()
        )),
        _ => facts.push(column.data_type.clone()),
    }
    facts.push(format!("{} missing", percent(column.null_share())));
    if column.empty > 0 {
        facts.push(format!("{} empty", grouped(column.empty)));
    }
    facts.push(format!("{} distinct", distinct(column)));
    if let Some(numbers) = &column.numbers {
        let at = |q: f64| {
            numbers
                .quantiles
                .iter()
                .find(|quantile| quantile.at == q)
                .map_or_else(String::new, |quantile| number(quantile.value))
        };
        facts.push(format!("median {} ({} to {})", at(0.5), at(0.25), at(0.75)));
        facts.push(format!(
            "mean {} ± {}",
            number(numbers.mean),
            number(numbers.standard_deviation)
        ));
    } else if let Some(lengths) = &column.lengths
        && column.times.is_none()
    {
        facts.push(if lengths.min == lengths.max {
            format!("length {}", lengths.min)
        } else {
            format!("length {} to {}", lengths.min, lengths.max)
        });
    }
    facts
}

/// Whether the frequent values tell more than a histogram.
pub(super) fn is_categorical(column: &ColumnProfile) -> bool {
    let values = column.rows - column.nulls - column.empty;
    let few = column.distinct.count <= 12;
    let repeated = column.top.iter().take(8).map(|top| top.count).sum::<u64>() * 5 >= values;
    !column.top.is_empty()
        && (few || (repeated && column.numbers.is_none() && column.times.is_none()))
}

/// Neighbouring bins put together until at most `limit` are left.
fn coarser(histogram: &Histogram, limit: usize) -> Vec<(String, u64)> {
    let step = histogram.bins.len().div_ceil(limit).max(1);
    let group = |bins: &[super::report::Bin]| {
        let count = bins.iter().map(|bin| bin.count).sum();
        let first = bins.first().map_or("", |bin| bin.label.as_str());
        let last = bins.last().map_or("", |bin| bin.label.as_str());
        let from = first.split(" to ").next().unwrap_or(first);
        let to = last.rsplit(" to ").next().unwrap_or(last);
        (
            if from == to {
                from.to_owned()
            } else {
                format!("{from} to {to}")
            },
            count,
        )
    };
    histogram.bins.chunks(step).map(group).collect()
}

/// Ten little bars: the histogram, or the frequent values.
fn spark(column: &ColumnProfile) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let counts: Vec<u64> = match &column.histogram {
        Some(histogram) if !is_categorical(column) => coarser(histogram, 10)
            .into_iter()
            .map(|bin| bin.1)
            .collect(),
        _ => column.top.iter().take(10).map(|top| top.count).collect(),
    };
    let most = counts.iter().copied().max().unwrap_or(0);
    let level = |count: u64| {
        if count == 0 {
            ' '
        } else {
            LEVELS[((share(count, most) * 8.0).ceil() as usize).clamp(1, 8) - 1]
        }
    };
    fit(&counts.into_iter().map(level).collect::<String>(), 10)
}

/// A bar in eighths of a cell.
fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// A value in quotes, with control characters escaped.
fn quoted(value: &str) -> String {
    format!("\u{201c}{}\u{201d}", printable(value))
}

/// Text without anything that a terminal would obey.
fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if super::tally::is_odd_control(character) || character.is_control() {
            let _ = write!(safe, "{}", character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// At most `width` cells, an ellipsis at the end if something is left out.
fn clip(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 0;
    for character in text.chars() {
        let cells = character.width().unwrap_or(0);
        if used + cells + 1 > width {
            break;
        }
        used += cells;
        clipped.push(character);
    }
    clipped.push('…');
    clipped
}

/// Exactly `width` cells.
fn fit(text: &str, width: usize) -> String {
    let mut fitted = clip(text, width);
    let missing = width.saturating_sub(fitted.width());
    fitted.extend(std::iter::repeat_n(' ', missing));
    fitted
}

/// Lines of at most `width` cells, broken between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let used = lines.last().map_or(0, |line| line.width());
        if used > 0 && used + 1 + word.width() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&clip(&printable(word), width.max(8)));
        }
    }
    lines
}
