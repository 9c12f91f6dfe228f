//! Compares the quarantine with the truth about the demo's data: which bad rows were found, which good ones were lost.
//!
//! A row is known by its place. File `n` of `f` holds the rows from `rows·n/f` to `rows·(n+1)/f` in order, behind a header
//! line, and no row goes over several lines; so file and line give the row's number.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use tidegate_pipeline::Workspace;

use crate::commands::query;
use crate::failure::Failure;
use crate::payments::Made;
use crate::terminal::grid::{Grid, Heading};
use crate::terminal::{Screen, number, style};

const HELD: &str = "SELECT CAST(source AS STRING) AS source, CAST(line AS BIGINT) AS line FROM payments__quarantine";
const GOOD: &str = "SELECT count(*) AS good FROM payments";

/// What was found of the truth.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Bad rows of each kind, and how many of them were found.
    kinds: BTreeMap<String, (u64, u64)>,
    /// Good rows that were held back.
    wrongly_held: u64,
    /// Rows that are neither in the table nor in the quarantine, or in both.
    astray: u64,
}

impl Score {
    /// Whether every bad row was found, and no good one lost.
    pub fn is_perfect(&self) -> bool {
        self.wrongly_held == 0
            && self.astray == 0
            && self.kinds.values().all(|(bad, found)| bad == found)
    }

    /// The score for the terminal.
    pub fn draw(&self, screen: &Screen) -> String {
        let mut grid = Grid::new(vec![
            Heading::left("kind of badness"),
            Heading::right("rows"),
            Heading::right("found"),
            Heading::right("missed"),
        ]);
        let line = |kind: &str, bad: u64, found: u64| {
            vec![
                kind.to_owned(),
                number::count(bad),
                number::count(found),
                number::count(bad - found),
            ]
        };
        grid.rows.extend(
            self.kinds
                .iter()
                .map(|(kind, (bad, found))| line(kind, *bad, *found)),
        );
        let (bad, found) = self
            .kinds
            .values()
            .fold((0, 0), |sum, kind| (sum.0 + kind.0, sum.1 + kind.1));
        grid.rows.push(line("all", bad, found));
        let verdict = if self.is_perfect() {
            screen.paint(
                style::GOOD,
                "every bad row was found, and no good row was lost",
            )
        } else {
            let missed = bad - found;
            let text = format!(
                "{missed} bad rows missed, {} good rows held back, {} rows astray: please report this bug",
                self.wrongly_held, self.astray
            );
            screen.paint(style::ERROR, &text)
        };
        format!("{}\n{verdict}\n", grid.draw_open(screen.width()))
    }
}

/// Scores the tables of the workspace.
///
/// # Errors
/// When the tables or the truth cannot be read.
pub async fn score(workspace: &Workspace, made: &Made) -> Result<Score, Failure> {
    let truth = std::fs::read_to_string(&made.truth)
        .map_err(|source| Failure::file("reading", &made.truth, source))?;
    let mut held = HashSet::new();
    for batch in query::rows(workspace, HELD).await? {
        places(&batch, made, &mut held);
    }
    let good = query::rows(workspace, GOOD).await?;
    let good = good.iter().map(count).sum::<u64>();
    Ok(compare(&truth, &held, good, made.rows))
}

fn compare(truth: &str, held: &HashSet<Option<u64>>, good: u64, rows: u64) -> Score {
    let mut score = Score::default();
    let mut found_all = 0;
    for line in truth.lines().skip(1) {
        let mut fields = line.split(',');
        let (Some(row), Some(kind)) = (fields.next(), fields.next()) else {
            continue;
        };
        let found = row.parse().is_ok_and(|row: u64| held.contains(&Some(row)));
        let entry = score.kinds.entry(kind.to_owned()).or_default();
        entry.0 += 1;
        entry.1 += u64::from(found);
        found_all += u64::from(found);
    }
    score.wrongly_held = (held.len() as u64).saturating_sub(found_all);
    score.astray = rows.abs_diff(good + held.len() as u64);
    score
}

/// The numbers of the rows at the places of a batch; none for a place that no row has.
fn places(batch: &RecordBatch, made: &Made, held: &mut HashSet<Option<u64>>) {
    let files: HashMap<&str, u64> = made
        .files
        .iter()
        .zip(0..)
        .filter_map(|(path, n)| Some((name(path)?, n)))
        .collect();
    let texts = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8);
    let (Ok(texts), Some(lines)) = (texts, batch.column(1).as_primitive_opt::<Int64Type>()) else {
        return;
    };
    let Some(texts) = texts.as_string_opt::<i32>() else {
        return;
    };
    for row in 0..batch.num_rows() {
        let file = name(Path::new(texts.value(row))).and_then(|name| files.get(name));
        let behind_header = u64::try_from(lines.value(row) - 1).ok();
        held.insert(match (file, behind_header) {
            (Some(file), Some(line)) => Some(made.rows * file / made.files.len() as u64 + line),
            _ => None,
        });
    }
}

fn name(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

fn count(batch: &RecordBatch) -> u64 {
    let column = batch.column(0).as_primitive_opt::<Int64Type>();
    let first = column
        .filter(|column| !column.is_empty())
        .map(|column| column.value(0));
    first
        .and_then(|count| u64::try_from(count).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_and_a_wrongly_held_row_are_seen() {
        let truth = "row,kind,id,card_id\n3,ts_bad,P3,C\n9,id_dup,P1,C\n";
        let perfect = compare(truth, &HashSet::from([Some(3), Some(9)]), 8, 10);
        assert!(perfect.is_perfect());
        let wrong = compare(truth, &HashSet::from([Some(3), Some(4)]), 7, 10);
        assert_eq!((wrong.wrongly_held, wrong.astray), (1, 1));
        assert_eq!(wrong.kinds["id_dup"], (1, 0));
        assert!(!wrong.is_perfect());
    }
}
