//! `tidegate quarantine`: what was kept out and why, and how it gets back in.

pub mod show;

use std::io::Write;

use tidegate_pipeline::{QuarantineSummary, RetryReport, RetryRequest};

use crate::arguments::{Quarantine, QuarantineRetry};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::grid::{Grid, Heading};
use crate::terminal::{Screen, number, style};

/// Runs the command.
///
/// # Errors
/// When the project has mistakes, there is no such table, or a table cannot be read.
pub fn run(command: &Quarantine, context: &Context) -> Result<Exit, Failure> {
    match command {
        Quarantine::List { json } => list(*json, context),
        Quarantine::Show(arguments) => show::run(arguments, context),
        Quarantine::Retry(arguments) => retry(arguments, context),
    }
}

fn list(json: bool, context: &Context) -> Result<Exit, Failure> {
    let summaries = context.block_on(async {
        let workspace = context.open()?;
        workspace
            .quarantine_list()
            .await
            .map_err(|error| Failure::in_workspace(&workspace, error))
    })?;
    let mut out = context.screen().out();
    if json {
        serde_json::to_writer_pretty(&mut out, &summaries)?;
        writeln!(out)?;
    } else {
        out.write_all(draw_list(&summaries, context.screen()).as_bytes())?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn draw_list(summaries: &[QuarantineSummary], screen: &Screen) -> String {
    let kept: Vec<_> = summaries
        .iter()
        .filter(|summary| summary.held + summary.released > 0)
        .collect();
    if kept.is_empty() {
        return "no rows in quarantine\n".to_owned();
    }
    let mut tables = Grid::new(vec![
        Heading::left("table"),
        Heading::right("held"),
        Heading::right("released"),
    ]);
    let mut reasons = Grid::new(vec![
        Heading::left("table"),
        Heading::left("reason"),
        Heading::left("column"),
        Heading::right("rows"),
        Heading::left("state"),
    ]);
    for summary in &kept {
        tables.rows.push(vec![
            summary.table.clone(),
            number::count(summary.held),
            number::count(summary.released),
        ]);
        reasons.rows.extend(summary.reasons.iter().map(|reason| {
            vec![
                summary.table.clone(),
                reason.constraint.clone(),
                reason.column.clone().unwrap_or_default(),
                number::count(reason.rows),
                reason.outcome.clone(),
            ]
        }));
    }
    let mut text = tables.draw_open(screen.width());
    if !reasons.rows.is_empty() {
        text = text + "\n" + &reasons.draw_open(screen.width());
    }
    if let Some(first) = kept.iter().find(|summary| summary.held > 0) {
        let step = format!("tidegate quarantine show {}", first.table);
        text += &format!("\nnext: {}\n", screen.paint(style::HELP, &step));
    }
    text
}

fn retry(arguments: &QuarantineRetry, context: &Context) -> Result<Exit, Failure> {
    let report = context.block_on(async {
        let workspace = context.open()?;
        let request = RetryRequest {
            table: arguments.table.clone(),
            set: arguments.set.clone(),
            filter: arguments.filter.clone(),
        };
        workspace
            .quarantine_retry(&request)
            .await
            .map_err(|error| Failure::in_workspace(&workspace, error))
    })?;
    let mut out = context.screen().out();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        out.write_all(draw_retry(&report, &arguments.table, context.screen()).as_bytes())?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn draw_retry(report: &RetryReport, table: &str, screen: &Screen) -> String {
    if report.tried == 0 {
        return format!("no held rows of {table} fit\n");
    }
    let dropped = match report.dropped {
        0 => String::new(),
        rows => format!(", {} dropped", number::count(rows)),
    };
    let mut text = format!(
        "{} tried: {}{dropped}, {} still held\n",
        number::counted(report.tried, "row"),
        screen.paint(
            style::GOOD,
            &format!(
                "{} let through into {table}",
                number::count(report.released)
            )
        ),
        number::count(report.still_held),
    );
    if !report.reasons.is_empty() {
        let mut grid = Grid::new(vec![
            Heading::left("still held for"),
            Heading::left("column"),
            Heading::right("rows"),
        ]);
        grid.rows.extend(report.reasons.iter().map(|reason| {
            vec![
                reason.constraint.clone(),
                reason.column.clone().unwrap_or_default(),
                number::count(reason.rows),
            ]
        }));
        text = text + "\n" + &grid.draw_open(screen.width());
    }
    text
}
