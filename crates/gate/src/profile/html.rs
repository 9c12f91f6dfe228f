//! A profile as one self-contained page: no scripts, no fonts, no pictures from anywhere else.
//!
//! It follows the reader's light or dark scheme and font size, can be walked by headings and by
//! keyboard, prints, and every value of the data is escaped on its way in.

use std::fmt::Write;

use super::report::{ColumnProfile, Profile, Suspicion};
use super::suspicion::{grouped, percent, rows};
use super::{summary, svg, text};

const STYLE: &str = include_str!("style.css");

/// Draws a profile as an HTML page.
pub fn render(profile: &Profile) -> String {
    let subject = if profile.subject.is_empty() {
        "Profile"
    } else {
        &profile.subject
    };
    let mut page = String::with_capacity(8_192 + profile.columns.len() * 4_096);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{subject} – profile</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#columns\">Skip to the columns</a>\n<header><h1>{subject}</h1>\n<p>{rows} × {columns} columns. {suspicious}</p></header>\n<main>\n",
        subject = escape(subject),
        rows = rows(profile.rows),
        columns = profile.columns.len(),
        suspicious = match profile.suspicious_values() {
            0 => "Nothing looks wrong.".to_owned(),
            count => format!("{} suspicious values.", grouped(count)),
        },
    );
    overview(&mut page, profile);
    worst(&mut page, profile);
    page.push_str("<h2 id=\"columns\">Columns</h2>\n");
    for (index, column) in profile.columns.iter().enumerate() {
        card(&mut page, column, index);
    }
    page.push_str("</main>\n<footer><p>Made by Tidegate. Counts marked ~ are estimates: distinct values by HyperLogLog, quantiles by t-digest, frequent values by Misra–Gries.</p></footer>\n</body>\n</html>\n");
    page
}

/// The table of all columns, each a link to its card.
fn overview(page: &mut String, profile: &Profile) {
    page.push_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All columns\"><table><caption>All columns</caption><thead><tr><th scope=\"col\">Column</th><th scope=\"col\">Looks like</th>\
         <th scope=\"col\" class=\"number\">Missing</th><th scope=\"col\" class=\"number\">Distinct</th>\
         <th scope=\"col\">From</th><th scope=\"col\">To</th><th scope=\"col\">Suspicious</th></tr></thead>\n<tbody>\n",
    );
    for (index, column) in profile.columns.iter().enumerate() {
        let suspicious: Vec<&str> = column
            .suspicions
            .iter()
            .map(|suspicion| suspicion.kind.words())
            .collect();
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\"><a href=\"#column-{index}\">{}</a></th><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"value\">{}</td><td class=\"value\">{}</td><td>{}</td></tr>",
            escape(&column.name),
            escape(text::kind_of(column)),
            percent(column.null_share()),
            text::distinct(column),
            escape(&short(column.min.as_deref().unwrap_or_default(), 40)),
            escape(&short(column.max.as_deref().unwrap_or_default(), 40)),
            escape(&suspicious.join(", ")),
        );
    }
    page.push_str("</tbody></table></div>\n");
}

/// What to look at first.
fn worst(page: &mut String, profile: &Profile) {
    let mut all: Vec<(usize, &ColumnProfile, &Suspicion)> = Vec::new();
    for (index, column) in profile.columns.iter().enumerate() {
        all.extend(
            column
                .suspicions
                .iter()
                .map(|suspicion| (index, column, suspicion)),
        );
    }
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|(_, _, suspicion)| (suspicion.kind, std::cmp::Reverse(suspicion.rows)));
    page.push_str("<h2>What to look at first</h2>\n<ul class=\"worst\">\n");
    for (index, column, suspicion) in all.into_iter().take(12) {
        let _ = writeln!(
            page,
            "<li><a href=\"#column-{index}\">{}</a> <span class=\"kind\">{}</span> {}</li>",
            escape(&column.name),
            suspicion.kind.words(),
            escape(&suspicion.message)
        );
    }
    page.push_str("</ul>\n");
}

fn card(page: &mut String, column: &ColumnProfile, index: usize) {
    let _ = write!(
        page,
        "<section class=\"card\" aria-labelledby=\"column-{index}\">\n<h3 id=\"column-{index}\">{}</h3>\n<p class=\"facts\">{}</p>\n{}\n<div class=\"pictures\">\n",
        escape(&column.name),
        escape(&text::facts(column).join(" · ")),
        svg::completeness(&column.name, column.rows, column.nulls, column.empty),
    );
    if let Some(histogram) = &column.histogram {
        let of = match histogram.of {
            super::HistogramOf::Value => "values",
            super::HistogramOf::Time => "moments",
            super::HistogramOf::Length => "lengths in characters",
        };
        let _ = write!(
            page,
            "<figure>{}<figcaption>Distribution of {of}",
            svg::histogram(&column.name, histogram)
        );
        for (count, side) in [(histogram.below, "below"), (histogram.above, "above")] {
            if count > 0 {
                let _ = write!(page, "; {} {side}", grouped(count));
            }
        }
        page.push_str("</figcaption></figure>\n");
    }
    if let Some(plot) = column
        .numbers
        .as_ref()
        .and_then(|numbers| svg::box_plot(&column.name, numbers))
    {
        let _ = writeln!(
            page,
            "<figure>{plot}<figcaption>5 %, quarter, median, three quarters, 95 %</figcaption></figure>"
        );
    }
    page.push_str("</div>\n");
    suspicions(page, column);
    page.push_str("<div class=\"tables\">\n");
    quantiles(page, column);
    top_values(page, column);
    formats(page, column);
    page.push_str("</div>\n</section>\n");
}

fn suspicions(page: &mut String, column: &ColumnProfile) {
    for suspicion in &column.suspicions {
        let _ = write!(
            page,
            "<details class=\"suspicion\"><summary><span class=\"kind\">{}</span> {}</summary>\n<table><thead><tr><th scope=\"col\">Value</th><th scope=\"col\" class=\"number\">Rows</th><th scope=\"col\" class=\"number\">First row</th><th scope=\"col\">Note</th></tr></thead><tbody>\n",
            suspicion.kind.words(),
            escape(&suspicion.message)
        );
        for example in &suspicion.examples {
            let _ = writeln!(
                page,
                "<tr><td class=\"value\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
                escape(&short(&example.value, 160)),
                grouped(example.count),
                grouped(example.row),
                escape(&short(example.note.as_deref().unwrap_or_default(), 200))
            );
        }
        page.push_str("</tbody></table></details>\n");
    }
}

fn quantiles(page: &mut String, column: &ColumnProfile) {
    let mut cells: Vec<(String, String)> = Vec::new();
    if let Some(numbers) = &column.numbers {
        cells.push(("smallest".to_owned(), summary::number(numbers.min)));
        cells.extend(
            numbers
                .quantiles
                .iter()
                .map(|q| (percent(q.at), summary::number(q.value))),
        );
        cells.push(("largest".to_owned(), summary::number(numbers.max)));
        cells.push(("mean".to_owned(), summary::number(numbers.mean)));
        cells.push((
            "standard deviation".to_owned(),
            summary::number(numbers.standard_deviation),
        ));
    } else if let Some(times) = &column.times {
        cells.push(("earliest".to_owned(), times.min.clone()));
        cells.extend(
            times
                .quantiles
                .iter()
                .map(|q| (percent(q.at), q.value.clone())),
        );
        cells.push(("latest".to_owned(), times.max.clone()));
    }
    if cells.is_empty() {
        return;
    }
    page.push_str("<table><caption>Quantiles</caption><tbody>\n");
    for (name, value) in cells {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td></tr>",
            escape(&name),
            escape(&value)
        );
    }
    page.push_str("</tbody></table>\n");
}

fn top_values(page: &mut String, column: &ColumnProfile) {
    if column.top.is_empty()
        || (column.distinct.exact && column.top.iter().all(|top| top.count == 1))
    {
        return;
    }
    let error = match column.top_count_error {
        0 => String::new(),
        error => format!(" (counts up to {} too low)", grouped(error)),
    };
    let _ = writeln!(
        page,
        "<table><caption>Most frequent values{error}</caption><tbody>"
    );
    for top in &column.top {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\" class=\"value\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            escape(&short(&top.value, 60)),
            grouped(top.count),
            percent(top.share)
        );
    }
    page.push_str("</tbody></table>\n");
}

fn formats(page: &mut String, column: &ColumnProfile) {
    if column.formats.is_empty() || column.numbers.is_some() {
        return;
    }
    page.push_str("<table><caption>Formats: 9 a digit, a and A letters</caption><tbody>\n");
    for format in &column.formats {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\" class=\"value\">{}</th><td class=\"value\">{}</td><td class=\"number\">{}</td></tr>",
            escape(&short(&format.format, 40)),
            escape(&short(&format.example, 40)),
            grouped(format.count)
        );
    }
    page.push_str("</tbody></table>\n");
}

/// At most so many characters, an ellipsis at the end if something is left out.
fn short(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Text that can stand between tags and in attributes; control characters become visible.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(character),
            odd if odd.is_control() || super::tally::is_odd_control(odd) => {
                safe.extend(odd.escape_default())
            }
            plain => safe.push(plain),
        }
    }
    safe
}
