//! `tidegate quarantine show`: each row as it was written, where it stood, and every reason.

use std::io::Write;
use std::path::Path;

use arrow::array::RecordBatch;
use serde::Deserialize;
use tidegate_pipeline::Workspace;

use crate::arguments::QuarantineShow;
use crate::commands::query::{self, Style};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::grid::{cut, one_line};
use crate::terminal::{Screen, number, rows, style};

/// Rows shown when no limit is given.
const ROWS: u64 = 20;

/// Runs the command.
///
/// # Errors
/// When there is no such table, or the condition has mistakes.
pub fn run(arguments: &QuarantineShow, context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let workspace = context.open()?;
        let style = Style::of(arguments.format);
        if style != Style::Grid {
            let result = query::ask(&workspace, &select("*", arguments, "")).await?;
            query::print(result, style, arguments.limit, context.screen()).await?;
            return Ok(Exit::Done);
        }
        let limit = arguments.limit.unwrap_or(ROWS);
        let (held, more) = held(&workspace, arguments, limit).await?;
        let screen = context.screen();
        let mut out = screen.out();
        if held.is_empty() {
            writeln!(
                out,
                "no rows{}",
                if arguments.filter.is_some() {
                    " fit"
                } else {
                    " in quarantine"
                }
            )?;
        }
        for row in &held {
            out.write_all(draw(row, &workspace.project().root, screen).as_bytes())?;
        }
        out.flush()?;
        if more {
            screen.remark(&format!(
                "first {}; there are more: --limit 0 prints all, --where picks some",
                number::counted(held.len() as u64, "row")
            ));
        }
        Ok(Exit::Done)
    })
}

/// A row of a quarantine, as far as it is shown.
#[derive(Debug, Deserialize)]
pub struct Held {
    source: Option<String>,
    line: Option<i64>,
    raw: Option<String>,
    state: Option<String>,
    note: Option<String>,
    reasons: Option<Vec<Reason>>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    constraint: Option<String>,
    column: Option<String>,
    value: Option<String>,
    message: Option<String>,
}

fn select(columns: &str, arguments: &QuarantineShow, tail: &str) -> String {
    let condition = arguments
        .filter
        .as_ref()
        .map(|filter| format!(" WHERE ({filter})"))
        .unwrap_or_default();
    format!(
        "SELECT {columns} FROM {}{condition} ORDER BY source, line{tail}",
        quarantine_of(&arguments.table)
    )
}

/// `payments` → `payments__quarantine`, also of a qualified or back-ticked name.
pub fn quarantine_of(table: &str) -> String {
    if table.ends_with("__quarantine") {
        return table.to_owned();
    }
    match table.strip_suffix('`') {
        Some(open) => format!("{open}__quarantine`"),
        None => format!("{table}__quarantine"),
    }
}

/// The rows to show (all for a limit of 0), and whether there are more.
///
/// # Errors
/// When the query fails.
pub async fn held(
    workspace: &Workspace,
    arguments: &QuarantineShow,
    limit: u64,
) -> Result<(Vec<Held>, bool), Failure> {
    let tail = if limit == 0 {
        String::new()
    } else {
        format!(" LIMIT {}", limit + 1)
    };
    let sql = select("source, line, raw, state, note, reasons", arguments, &tail);
    let mut held = parse(&query::rows(workspace, &sql).await?)?;
    let more = limit > 0 && held.len() as u64 > limit;
    if more {
        held.truncate(limit as usize);
    }
    Ok((held, more))
}

/// By way of JSON, so that it does not matter which of Arrow's string and list types a reader gives.
fn parse(batches: &[RecordBatch]) -> Result<Vec<Held>, Failure> {
    let mut text = Vec::new();
    for batch in batches {
        rows::write_json(&mut text, batch)?;
    }
    let lines = serde_json::Deserializer::from_slice(&text).into_iter();
    Ok(lines.collect::<Result<_, _>>()?)
}

/// A row with its place, its text and its reasons.
pub fn draw(row: &Held, root: &Path, screen: &Screen) -> String {
    let width = screen
        .width()
        .unwrap_or(usize::MAX)
        .saturating_sub(4)
        .max(20);
    let source = one_line(inside(row.source.as_deref().unwrap_or("?"), root));
    let place = row
        .line
        .map_or_else(|| source.clone(), |line| format!("{source}:{line}"));
    let state = match row.state.as_deref() {
        Some("held") | None => String::new(),
        Some(state) => format!("  ({state})"),
    };
    let mut text = format!("{}{state}\n", screen.paint(style::HEADING, &place));
    let raw = one_line(row.raw.as_deref().unwrap_or_default().trim_end());
    text += &format!("    {}\n", cut(&raw, width));
    for reason in row.reasons.iter().flatten() {
        text += &format!("    {}\n", draw_reason(reason, screen));
    }
    if let Some(note) = &row.note {
        text += &format!("    {}\n", screen.paint(style::FAINT, &one_line(note)));
    }
    text.push('\n');
    text
}

/// The path inside the project, where it is there.
fn inside<'s>(source: &'s str, root: &Path) -> &'s str {
    let root = std::path::absolute(root).ok();
    let inside = root
        .and_then(|root| Path::new(source).strip_prefix(root).ok())
        .and_then(Path::to_str);
    inside.unwrap_or(source)
}

fn draw_reason(reason: &Reason, screen: &Screen) -> String {
    let name = reason.constraint.as_deref().unwrap_or("?");
    let message = one_line(reason.message.as_deref().unwrap_or_default());
    let mut line = screen.paint(style::WARNING, name);
    match (&reason.column, &reason.value) {
        (Some(column), Some(value)) if !message.contains(value.as_str()) => {
            line += &format!(" {column} = '{}'", cut(&one_line(value), 60));
        }
        (Some(column), _) if !names(&message, column) => line += &format!(" {column}"),
        _ => {}
    }
    if message.is_empty() {
        line
    } else {
        format!("{line}: {message}")
    }
}

/// Whether the message names the column, as a word of its own.
fn names(message: &str, column: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    message.match_indices(column).any(|(at, found)| {
        !message[..at].ends_with(part_of_word)
            && !message[at + found.len()..].starts_with(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Colour;

    #[test]
    fn a_column_is_named_only_where_it_is_a_word() {
        let message = "'x' is not a valid BIGINT";
        assert!(!names(message, "id") && !names(message, "n"));
        assert!(names("id is NULL", "id") && names("the key id = 1", "id"));
    }

    #[test]
    fn a_row_is_shown_with_every_reason() {
        let row: Held = serde_json::from_str(
            r#"{"source":"/shop/landing/a.csv","line":7,"raw":"1,abc\u001b[2J,ZZZ\n","state":"held","note":null,"reasons":[
                {"constraint":"type","column":"amount","value":"abc","message":"`abc` is not a number"},
                {"constraint":"known","column":"currency","value":"ZZZ","message":"currency IN ('EUR')"}]}"#,
        )
        .unwrap();
        assert_eq!(
            draw(&row, Path::new("/shop"), &Screen::new(Colour::Never)),
            "landing/a.csv:7\n    1,abc\\u{1b}[2J,ZZZ\n    type amount: `abc` is not a number\n    \
             known currency = 'ZZZ': currency IN ('EUR')\n\n"
        );
    }

    #[test]
    fn quarantine_tables_have_their_tables_name() {
        assert_eq!(
            quarantine_of("sales.payments"),
            "sales.payments__quarantine"
        );
        assert_eq!(quarantine_of("`a b`"), "`a b__quarantine`");
        assert_eq!(
            quarantine_of("payments__quarantine"),
            "payments__quarantine"
        );
    }
}
