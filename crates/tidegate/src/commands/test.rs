//! `tidegate test`: runs the project's tests, or makes one of what a table holds.

use std::io::Write;

use tidegate_pipeline::{CaseReport, TestOptions, TestReport};

use crate::arguments::Test;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Screen, number, style};

/// Runs the command.
///
/// # Errors
/// When the project or a test file has mistakes. A test that does not pass is the answer, not an error.
pub fn run(arguments: &Test, context: &Context) -> Result<Exit, Failure> {
    if let Some(table) = &arguments.write {
        return write(table, context);
    }
    let options = TestOptions {
        filter: arguments.filter.clone(),
    };
    let report = context.block_on(async {
        let workspace = context.open()?;
        workspace
            .test(&options)
            .await
            .map_err(|error| Failure::in_workspace(&workspace, error))
    })?;
    let mut out = context.screen().out();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        out.write_all(draw(&report, arguments, context.screen()).as_bytes())?;
    }
    out.flush()?;
    Ok(if report.failed() == 0 {
        Exit::Done
    } else {
        Exit::Data
    })
}

/// Makes a test of what the table and what feeds it hold.
fn write(table: &str, context: &Context) -> Result<Exit, Failure> {
    let path = context.block_on(async {
        let workspace = context.open()?;
        workspace
            .write_test(table)
            .await
            .map_err(|error| Failure::in_workspace(&workspace, error))
    })?;
    let screen = context.screen();
    let mut out = screen.out();
    writeln!(
        out,
        "wrote {}: it says what the project does now; read whether that is right",
        path.display()
    )?;
    writeln!(
        out,
        "\nnext: {}",
        screen.paint(style::HELP, &format!("tidegate test {table}"))
    )?;
    out.flush()?;
    Ok(Exit::Done)
}

fn draw(report: &TestReport, arguments: &Test, screen: &Screen) -> String {
    if report.cases.is_empty() {
        return match &arguments.filter {
            Some(filter) => format!("no test has `{filter}` in its file or name\n"),
            None => {
                "no tests: write tests/*.toml, or make one with `tidegate test --write TABLE`\n"
                    .to_owned()
            }
        };
    }
    let mut text = String::new();
    for case in &report.cases {
        text += &draw_case(case, screen);
    }
    let (all, failed) = (report.cases.len() as u64, report.failed() as u64);
    let summary = if failed == 0 {
        screen.paint(
            style::GOOD,
            &format!("{} passed", number::counted(all, "test")),
        )
    } else {
        screen.paint(
            style::ERROR,
            &format!("{failed} of {} failed", number::counted(all, "test")),
        )
    };
    text + "\n" + &summary + "\n"
}

fn draw_case(case: &CaseReport, screen: &Screen) -> String {
    let passed = case.problem.is_none();
    let mark = if passed {
        screen.paint(style::GOOD, "pass")
    } else {
        screen.paint(style::ERROR, "FAIL")
    };
    let time = screen.paint(style::FAINT, &number::seconds(case.seconds));
    let mut text = format!("{mark}  {}: {}  {time}\n", case.file, case.name);
    for line in case.problem.iter().flat_map(|problem| problem.lines()) {
        let line = match line.trim_start().chars().next() {
            Some('+') => screen.paint(style::GOOD, line),
            Some('-') => screen.paint(style::ERROR, line),
            _ => line.to_owned(),
        };
        text += &format!("      {line}\n");
    }
    text
}
