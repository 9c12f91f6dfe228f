//! `tidegate query`: one question in SQL, and how rows are printed; the shell and the quarantine print with it, too.

use std::io::{Read, Write};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use tidegate_pipeline::{CancelToken, PipelineError, QueryResult, TakeRows, Workspace};

use crate::arguments::{Query, RowFormat};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Screen, number, rows};

/// Rows of a table that are printed when no limit is given: about what a person looks at.
pub const TABLE_ROWS: u64 = 200;

/// Runs the command.
///
/// # Errors
/// When the query has mistakes or fails.
pub fn run(arguments: &Query, context: &Context) -> Result<Exit, Failure> {
    let sql = match arguments.sql.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        sql => sql.to_owned(),
    };
    if arguments.live {
        return watch(arguments, sql, context);
    }
    let style = Style::of(arguments.format);
    context.block_on(async {
        let started = Instant::now();
        let workspace = context.open_or_adhoc()?;
        let result = ask(&workspace, &sql).await?;
        let printed = print(result, style, arguments.limit, context.screen()).await?;
        if style == Style::Grid {
            context.screen().remark(&printed.remark(Some(started)));
        }
        Ok(Exit::Done)
    })
}

/// Prints what a query over streams gives, as it comes.
fn watch(arguments: &Query, sql: String, context: &Context) -> Result<Exit, Failure> {
    let workspace = context.open()?;
    let stop = CancelToken::default();
    let (asked, length) = (stop.clone(), arguments.for_length);
    let gone = stop.clone();
    let take: TakeRows = Box::new(move |rows| {
        let mut text = arrow::json::LineDelimitedWriter::new(Vec::new());
        let written = text.write(rows).and_then(|()| text.finish());
        let mut out = std::io::stdout().lock();
        let printed = out.write_all(text.get_ref()).and_then(|()| out.flush());
        if written.is_err() || printed.is_err() {
            // Nobody reads any more.
            gone.cancel();
        }
    });
    let work = async {
        if let Some(length) = length {
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(length).await;
                stop.cancel();
            });
        }
        let watched = workspace.watch(&sql, stop.clone(), take).await;
        watched.map_err(|error| Failure::in_workspace(&workspace, error))
    };
    context.block_on_stoppable(work, move || asked.cancel())?;
    Ok(Exit::Done)
}

/// Starts a query.
///
/// # Errors
/// When it has mistakes, which point into its text.
pub async fn ask(workspace: &Workspace, sql: &str) -> Result<QueryResult, Failure> {
    workspace
        .query(sql)
        .await
        .map_err(|error| Failure::in_workspace(workspace, error))
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A grid that fits the terminal.
    Grid,
    /// A field a line.
    Expanded,
    /// JSON lines.
    Json,
    /// CSV.
    Csv,
}

impl Style {
    /// What `--json` and `--csv` ask for.
    pub fn of(format: RowFormat) -> Self {
        match format {
            RowFormat { json: true, .. } => Self::Json,
            RowFormat { csv: true, .. } => Self::Csv,
            RowFormat { .. } => Self::Grid,
        }
    }
}

/// What was printed.
#[derive(Debug, Clone, Copy)]
pub struct Printed {
    /// Rows on the screen.
    pub rows: u64,
    /// Whether the result had more.
    pub more: bool,
}

impl Printed {
    /// `12 rows in 34 ms`, or what was left out.
    pub fn remark(self, started: Option<Instant>) -> String {
        let time = started
            .map(|started| format!(" in {}", number::duration(started.elapsed())))
            .unwrap_or_default();
        if self.more {
            format!(
                "first {}{time}; there are more: --limit 0 prints all",
                number::counted(self.rows, "row")
            )
        } else {
            format!("{}{time}", number::counted(self.rows, "row"))
        }
    }
}

/// Prints the rows of a result to stdout, at most `limit` (0: all; none: what suits the style).
///
/// # Errors
/// When the query fails while it runs, or the output cannot be written.
pub async fn print(
    result: QueryResult,
    style: Style,
    limit: Option<u64>,
    screen: &Screen,
) -> Result<Printed, Failure> {
    let limit = match (limit, style) {
        (Some(0), _) | (None, Style::Json | Style::Csv) => u64::MAX,
        (Some(limit), _) => limit,
        (None, Style::Grid | Style::Expanded) => TABLE_ROWS,
    };
    match style {
        Style::Json | Style::Csv => stream(result, style, limit, screen).await,
        Style::Grid | Style::Expanded => collect(result, style, limit, screen).await,
    }
}

/// Writes batches as they come, so that a result may be larger than memory.
async fn stream(
    mut result: QueryResult,
    style: Style,
    limit: u64,
    screen: &Screen,
) -> Result<Printed, Failure> {
    let mut printed = Printed {
        rows: 0,
        more: false,
    };
    let mut out = screen.out();
    if style == Style::Csv {
        rows::write_csv(
            &mut out,
            &RecordBatch::new_empty(SchemaRef::clone(&result.schema)),
            true,
        )?;
    }
    while let Some(batch) = result.stream.next().await {
        let (batch, more) = within(batch.map_err(PipelineError::from)?, limit - printed.rows);
        match style {
            Style::Csv => rows::write_csv(&mut out, &batch, false)?,
            _ => rows::write_json(&mut out, &batch)?,
        }
        printed.rows += batch.num_rows() as u64;
        printed.more = more;
        if more {
            break;
        }
    }
    out.flush()?;
    Ok(printed)
}

async fn collect(
    mut result: QueryResult,
    style: Style,
    limit: u64,
    screen: &Screen,
) -> Result<Printed, Failure> {
    let mut printed = Printed {
        rows: 0,
        more: false,
    };
    let mut batches = Vec::new();
    while let Some(batch) = result.stream.next().await {
        let (batch, more) = within(batch.map_err(PipelineError::from)?, limit - printed.rows);
        printed.rows += batch.num_rows() as u64;
        printed.more = more;
        batches.push(batch);
        if more {
            break;
        }
    }
    let mut out = screen.out();
    match style {
        Style::Expanded => rows::write_expanded(&mut out, &result.schema, &batches)?,
        _ => out.write_all(
            rows::grid(&result.schema, &batches)?
                .draw(screen.width())
                .as_bytes(),
        )?,
    }
    out.flush()?;
    Ok(printed)
}

/// The first rows of a batch, and whether there were more.
fn within(batch: RecordBatch, rows: u64) -> (RecordBatch, bool) {
    if (batch.num_rows() as u64) <= rows {
        (batch, false)
    } else {
        (batch.slice(0, rows as usize), true)
    }
}

/// All rows of a query, for a command that looks at them itself.
///
/// # Errors
/// When the query fails.
pub async fn rows(workspace: &Workspace, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
    let mut result = ask(workspace, sql).await?;
    let mut batches = Vec::new();
    while let Some(batch) = result.stream.next().await {
        batches.push(batch.map_err(PipelineError::from)?);
    }
    Ok(batches)
}
