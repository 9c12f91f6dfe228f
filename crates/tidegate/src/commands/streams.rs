//! `tidegate streams`: how the flows of a running project stand.

use std::io::Write;
use std::time::Duration;

use super::query::{Style, ask, print};
use crate::arguments::Streams;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// What is shown of `system.streams`.
const SHOWN: &str = "SELECT `table`, status, CAST(round(rows_per_second) AS BIGINT) AS `rows/s`, rows_total AS rows, lag, watermark, \
     state_rows, state_bytes, late, quarantined, epoch, updated FROM system.streams ORDER BY `table`";

/// Runs the command.
///
/// # Errors
/// When what the run wrote down cannot be read.
pub fn run(arguments: &Streams, context: &Context) -> Result<Exit, Failure> {
    let style = Style::of(arguments.format);
    let sql = match style {
        Style::Json | Style::Csv => "SELECT * FROM system.streams ORDER BY `table`",
        _ => SHOWN,
    };
    context.block_on(async {
        let workspace = context.open()?;
        loop {
            if arguments.watch && style == Style::Grid {
                let mut out = context.screen().out();
                write!(out, "\x1b[2J\x1b[H")?;
                out.flush()?;
            }
            let result = ask(&workspace, sql).await?;
            let printed = print(result, style, None, context.screen()).await?;
            if !arguments.watch {
                if style == Style::Grid && printed.rows == 0 {
                    let remark = "no stream has been followed yet: `tidegate run --continuous`";
                    context.screen().remark(remark);
                }
                return Ok(Exit::Done);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
}
