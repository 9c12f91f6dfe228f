//! The report at the end of a run: rows by table, rows by reason, what to know, and where to look next.

use std::fmt::Write as _;

use tidegate_pipeline::{Outcome, TableReport, UpdateReport, UpdateStatus};

use crate::terminal::grid::{Grid, Heading, one_line};
use crate::terminal::{Screen, number, style};

use super::quarantines;

/// Below this many rows a rate says more about start-up than about the run.
const RATE_ROWS_MIN: u64 = 10_000;

/// The whole report as text.
pub fn draw(report: &UpdateReport, screen: &Screen) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n", headline(report, screen));
    text += &tables(report).draw_open(screen.width());
    let reasons = reasons(report);
    if !reasons.rows.is_empty() {
        text.push('\n');
        text += &reasons.draw_open(screen.width());
    }
    text += &failures(report, screen);
    text += &notes(report, screen);
    text += &next(report, screen);
    text
}

fn headline(report: &UpdateReport, screen: &Screen) -> String {
    let (style, word) = match report.status {
        UpdateStatus::Succeeded => (style::GOOD, "succeeded"),
        UpdateStatus::Failed => (style::ERROR, "failed"),
        UpdateStatus::Cancelled => (style::WARNING, "was interrupted"),
    };
    let mut line = format!(
        "run {} {} in {}",
        short(&report.run),
        screen.paint(style, word),
        number::seconds(report.seconds)
    );
    let rows: u64 = report
        .tables
        .iter()
        .filter(|table| table.files > 0)
        .map(|table| table.rows_in)
        .sum();
    let bytes: u64 = report.tables.iter().map(|table| table.bytes).sum();
    let files: u64 = report.tables.iter().map(|table| table.files).sum();
    if files > 0 {
        let _ = write!(
            line,
            ": {}, {}",
            number::counted(files, "file"),
            number::bytes(bytes)
        );
        if rows >= RATE_ROWS_MIN {
            let _ = write!(
                line,
                ", {} rows/s",
                number::rate(rows as f64 / report.seconds)
            );
        }
    } else if report
        .tables
        .iter()
        .all(|table| matches!(table.outcome, Outcome::Skipped | Outcome::Defined))
    {
        line += ": nothing new";
    }
    line
}

/// The last eight characters of an id, as `tidegate runs` shows it.
pub fn short(run: &str) -> &str {
    run.get(run.len().saturating_sub(8)..).unwrap_or(run)
}

fn tables(report: &UpdateReport) -> Grid {
    let mut grid = Grid::new(vec![
        Heading::left("table"),
        Heading::right("rows in"),
        Heading::right("good"),
        Heading::right("repaired"),
        Heading::right("quarantined"),
        Heading::right("dropped"),
        Heading::right("time"),
        Heading::left(""),
    ]);
    for table in &report.tables {
        grid.rows.push(table_row(table));
    }
    grid
}

fn table_row(table: &TableReport) -> Vec<String> {
    let (moved, word) = match &table.outcome {
        Outcome::Refreshed => (
            true,
            table
                .version
                .map(|version| format!("version {version}"))
                .unwrap_or_default(),
        ),
        Outcome::Skipped => (false, "nothing new".to_owned()),
        Outcome::Defined => (false, table.kind.to_owned()),
        Outcome::Failed { .. } => (false, "failed".to_owned()),
        Outcome::Blocked { by } => (false, format!("left as it was: {by} failed")),
    };
    let count = |number: u64| {
        if moved || number > 0 {
            number::count(number)
        } else {
            String::new()
        }
    };
    let time = if moved {
        number::seconds(table.seconds)
    } else {
        String::new()
    };
    vec![
        one_line(&table.table),
        count(table.rows_in),
        count(table.good),
        count(table.repaired),
        count(table.quarantined),
        count(table.dropped),
        time,
        word,
    ]
}

fn reasons(report: &UpdateReport) -> Grid {
    let mut grid = Grid::new(vec![
        Heading::left("table"),
        Heading::left("reason"),
        Heading::left("column"),
        Heading::right("rows"),
        Heading::right("share"),
        Heading::left("outcome"),
    ]);
    for table in &report.tables {
        for reason in &table.reasons {
            grid.rows.push(vec![
                one_line(&table.table),
                one_line(&reason.constraint),
                reason.column.as_deref().map(one_line).unwrap_or_default(),
                number::count(reason.rows),
                number::share(reason.rows, table.rows_in),
                reason.outcome.clone(),
            ]);
        }
    }
    grid
}

fn failures(report: &UpdateReport, screen: &Screen) -> String {
    let mut text = String::new();
    for table in &report.tables {
        if let Outcome::Failed { error } = &table.outcome {
            let _ = write!(
                text,
                "\n{}: {}: {}\n",
                screen.paint(style::ERROR, "error"),
                table.table,
                error.trim_end()
            );
        }
    }
    text
}

fn notes(report: &UpdateReport, screen: &Screen) -> String {
    let mut text = String::new();
    for table in &report.tables {
        for note in &table.notes {
            if text.is_empty() {
                text.push('\n');
            }
            let (word, note) = match note.strip_prefix("alert: ") {
                Some(alert) => ("alert", alert),
                None => ("note", note.as_str()),
            };
            let _ = writeln!(
                text,
                "{}: {}: {note}",
                screen.paint(style::WARNING, word),
                table.table
            );
        }
    }
    text
}

/// Where to look next: the commands, ready to be typed.
fn next(report: &UpdateReport, screen: &Screen) -> String {
    let mut steps: Vec<String> = quarantines(report)
        .map(|table| format!("tidegate quarantine show {table}"))
        .collect();
    if report.status == UpdateStatus::Failed {
        steps.push(format!("tidegate runs {}", short(&report.run)));
    }
    let mut text = String::new();
    for (place, step) in steps.iter().take(3).enumerate() {
        let lead = if place == 0 { "\nnext:" } else { "     " };
        let _ = writeln!(text, "{lead} {}", screen.paint(style::HELP, step));
    }
    text
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::ReasonCount;

    use super::*;
    use crate::arguments::Colour;

    fn report() -> UpdateReport {
        let mut payments = TableReport::new("payments", "streaming table");
        payments.outcome = Outcome::Refreshed;
        payments.version = Some(1);
        (
            payments.rows_in,
            payments.good,
            payments.quarantined,
            payments.dropped,
        ) = (100_000, 98_500, 1_490, 10);
        (payments.files, payments.bytes, payments.seconds) = (4, 11_000_000, 1.25);
        payments.reasons.push(ReasonCount {
            constraint: "type".to_owned(),
            column: Some("amount".to_owned()),
            outcome: "quarantined".to_owned(),
            rows: 190,
            passed: 98_310,
        });
        payments
            .notes
            .push("the column `note` is in no file".to_owned());
        let mut daily = TableReport::new("daily", "materialized view");
        daily.outcome = Outcome::Failed {
            error: "the disk is full".to_owned(),
        };
        let mut weekly = TableReport::new("weekly", "materialized view");
        weekly.outcome = Outcome::Blocked {
            by: "daily".to_owned(),
        };
        UpdateReport {
            run: "0199-aaaa-7d1c9a02".to_owned(),
            status: UpdateStatus::Failed,
            seconds: 1.5,
            tables: vec![
                payments,
                daily,
                weekly,
                TableReport::new("idle", "streaming table"),
            ],
        }
    }

    #[test]
    fn the_report_says_what_happened_and_where_to_look() {
        let text = draw(&report(), &Screen::new(Colour::Never));
        for said in [
            "run 7d1c9a02 failed",
            "98,500",
            "1,490",
            "left as it was: daily failed",
            "nothing new",
            "0.19 %",
            "error: daily: the disk is full",
            "note: payments: the column `note` is in no file",
            "next: tidegate quarantine show payments",
            "tidegate runs 7d1c9a02",
        ] {
            assert!(text.contains(said), "`{said}` is not said:\n{text}");
        }
    }
}
