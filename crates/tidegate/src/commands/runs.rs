//! `tidegate runs`: the latest runs, or what one did.

use std::io::Write;

use serde_json::{Value, json};
use tidegate_store::{ExpectationResult, FlowRun, Run, RunStatus, Store};

use crate::arguments::Runs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::grid::{Grid, Heading};
use crate::terminal::{Screen, number, style};

/// Runs the command.
///
/// # Errors
/// When there is no such run, or the history cannot be read.
pub fn run(arguments: &Runs, context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let workspace = context.open()?;
        match &arguments.id {
            Some(id) => {
                show(
                    workspace.store().await?,
                    id,
                    arguments.json,
                    context.screen(),
                )
                .await
            }
            None => list(workspace.store().await?, arguments, context.screen()).await,
        }
    })?;
    Ok(Exit::Done)
}

async fn list(store: &Store, arguments: &Runs, screen: &Screen) -> Result<(), Failure> {
    let runs = store.list_runs(arguments.limit).await?;
    if arguments.json {
        return print_json(&serde_json::to_value(&runs)?, screen);
    }
    let mut out = screen.out();
    if runs.is_empty() {
        writeln!(out, "no runs yet: `tidegate run` makes the first")?;
    } else {
        let mut grid = Grid::new(vec![
            Heading::left("run"),
            Heading::left("started (UTC)"),
            Heading::right("time"),
            Heading::left("kind"),
            Heading::left("status"),
            Heading::left("asked for"),
        ]);
        grid.rows.extend(runs.iter().map(|run| {
            vec![
                run.id.short().to_owned(),
                time(run.started_micros),
                run.seconds().map(number::seconds).unwrap_or_default(),
                run.kind.to_string(),
                run.status.to_string(),
                asked(&run.arguments),
            ]
        }));
        out.write_all(grid.draw_open(screen.width()).as_bytes())?;
    }
    out.flush()?;
    Ok(())
}

async fn show(store: &Store, id: &str, as_json: bool, screen: &Screen) -> Result<(), Failure> {
    let run = store.run(id).await?;
    let flows = store.flows_of(&run.id).await?;
    let expectations = store.expectations_of(&run.id).await?;
    if as_json {
        return print_json(
            &json!({ "run": run, "flows": flows, "expectations": expectations }),
            screen,
        );
    }
    let mut out = screen.out();
    writeln!(out, "{}", headline(&run, screen))?;
    if !flows.is_empty() {
        write!(out, "\n{}", flow_grid(&flows).draw_open(screen.width()))?;
    }
    if !expectations.is_empty() {
        write!(
            out,
            "\n{}",
            expectation_grid(&expectations).draw_open(screen.width())
        )?;
    }
    for flow in flows.iter().filter(|flow| flow.error.is_some()) {
        let message = flow.error.as_ref().map(message).unwrap_or_default();
        writeln!(
            out,
            "\n{}: {}: {message}",
            screen.paint(style::ERROR, "error"),
            flow.table
        )?;
    }
    if let Some(error) = &run.error {
        writeln!(
            out,
            "\n{}: {}",
            screen.paint(style::ERROR, "error"),
            message(error)
        )?;
    }
    out.flush()?;
    Ok(())
}

fn headline(run: &Run, screen: &Screen) -> String {
    let style = match run.status {
        RunStatus::Succeeded => style::GOOD,
        RunStatus::Failed | RunStatus::Interrupted => style::ERROR,
        RunStatus::Running | RunStatus::Cancelled => style::WARNING,
    };
    let ended = run
        .seconds()
        .map(|seconds| format!(", took {}", number::seconds(seconds)))
        .unwrap_or_default();
    format!(
        "{} {} {}: started {} UTC{ended}",
        run.kind,
        run.id,
        screen.paint(style, run.status.as_str()),
        time(run.started_micros)
    )
}

fn flow_grid(flows: &[FlowRun]) -> Grid {
    let mut grid = Grid::new(vec![
        Heading::left("table"),
        Heading::left("flow"),
        Heading::right("rows in"),
        Heading::right("good"),
        Heading::right("repaired"),
        Heading::right("quarantined"),
        Heading::right("dropped"),
        Heading::right("bytes"),
        Heading::right("time"),
        Heading::left("status"),
    ]);
    grid.rows.extend(flows.iter().map(|flow| {
        let status = match &flow.skipped_reason {
            Some(reason) => format!("{}: {reason}", flow.status),
            None => flow.status.to_string(),
        };
        vec![
            flow.table.clone(),
            if flow.flow == flow.table {
                String::new()
            } else {
                flow.flow.clone()
            },
            number::count(flow.rows_in),
            number::count(flow.good),
            number::count(flow.repaired),
            number::count(flow.quarantined),
            number::count(flow.dropped),
            if flow.bytes == 0 {
                String::new()
            } else {
                number::bytes(flow.bytes)
            },
            number::seconds(flow.seconds),
            status,
        ]
    }));
    grid
}

fn expectation_grid(expectations: &[ExpectationResult]) -> Grid {
    let mut grid = Grid::new(vec![
        Heading::left("table"),
        Heading::left("expectation"),
        Heading::right("passed"),
        Heading::right("failed"),
        Heading::right("share"),
        Heading::left("on violation"),
    ]);
    grid.rows.extend(expectations.iter().map(|expectation| {
        vec![
            expectation.table.clone(),
            expectation.constraint.clone(),
            number::count(expectation.passed),
            number::count(expectation.failed),
            number::share(expectation.failed, expectation.passed + expectation.failed),
            expectation.outcome.to_string().replace('_', " "),
        ]
    }));
    grid
}

/// `2026-10-05 10:00:00`
fn time(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros)
        .map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}

/// The arguments of a run in a few words.
fn asked(arguments: &Value) -> String {
    match arguments {
        Value::Object(map) => {
            let shown = map.iter().filter(|(_, value)| !is_empty(value));
            shown
                .map(|(key, value)| format!("{key}: {}", plain(value)))
                .collect::<Vec<_>>()
                .join(", ")
        }
        Value::Null => String::new(),
        other => plain(other),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty() || text == "none",
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The sentence of a recorded error.
fn message(error: &Value) -> String {
    match error {
        Value::Object(map) => map.get("message").map_or_else(|| error.to_string(), plain),
        other => plain(other),
    }
}

fn print_json(value: &Value, screen: &Screen) -> Result<(), Failure> {
    let mut out = screen.out();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}
