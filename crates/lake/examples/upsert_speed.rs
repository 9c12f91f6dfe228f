//! What upserts cost: `cargo run --release -p tidegate-lake --example upsert_speed -- [folder]`.
//!
//! Into a table of a hundred files with ten million rows: a hundred rows whose keys lie together, a
//! hundred that lie anywhere, new keys only, and a hundred thousand keys of one file. Prints the
//! time to commit and the files that were written anew. With a folder, the table is left there.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use tidegate_lake::{Commit, CommitMode, Lake, Staged, TableSpec};
use tidegate_project::TableName;

/// Files of the table.
const FILES: i64 = 100;

/// Rows of each.
const FILE_ROWS: i64 = 100_000;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let temporary = tempfile::tempdir()?;
    let place = std::env::args().nth(1);
    let place = place.as_deref().or(temporary.path().to_str());
    let place = place.ok_or("a folder that is no text")?;
    let lake = Lake::open(place, &BTreeMap::new()).await?;
    let spec = TableSpec::new(TableName::plain("t"), rows(0..1, 0)?.schema());
    for file in 0..FILES {
        let mut writer = lake.write_plan(&spec, &CommitMode::Append).await?.writer();
        writer.write(&rows(file * FILE_ROWS..(file + 1) * FILE_ROWS, 0)?)?;
        let files = writer.finish()?;
        lake.commit(Commit::append(spec.clone(), files, "speed"))
            .await?;
    }
    let all = FILES * FILE_ROWS;
    measure(
        &lake,
        &spec,
        "100 rows side by side",
        rows(5_000_000..5_000_100, 1)?,
        false,
    )
    .await?;
    let anywhere = (0..100).map(|n| n * all / 100 + n * 7);
    measure(
        &lake,
        &spec,
        "100 rows in 100 files",
        rows(anywhere, 2)?,
        false,
    )
    .await?;
    measure(
        &lake,
        &spec,
        "100 rows known to be new",
        rows(all..all + 100, 3)?,
        true,
    )
    .await?;
    measure(
        &lake,
        &spec,
        "100 rows that are new",
        rows(all + 100..all + 200, 4)?,
        false,
    )
    .await?;
    let most = rows(2 * FILE_ROWS + 10..3 * FILE_ROWS, 5)?;
    measure(&lake, &spec, "99990 rows of one file", most, false).await?;
    Ok(())
}

/// Rows of these keys.
fn rows(keys: impl Iterator<Item = i64> + Clone, value: i64) -> Outcome<RecordBatch> {
    let count = keys.clone().count();
    let other = keys.clone().map(|key| key.wrapping_mul(0x9e37_79b9) >> 3);
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from_iter_values(keys))),
        ("other", Arc::new(Int64Array::from_iter_values(other))),
        ("value", Arc::new(Int64Array::from(vec![value; count]))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// Upserts rows and prints what it took.
async fn measure(
    lake: &Lake,
    spec: &TableSpec,
    what: &str,
    rows: RecordBatch,
    new: bool,
) -> Outcome<()> {
    let before = lake.table(&spec.name).await?.ok_or("the table is gone")?;
    let before = before.files().await?;
    let start = Instant::now();
    let mut writer = lake.upsert_plan(spec, &["id".to_owned()]).await?.writer();
    let new = BooleanArray::from(vec![new; rows.num_rows()]);
    writer.write(&rows, Some(&new))?;
    let Staged { files, mode } = writer.finish()?;
    let commit = Commit {
        mode,
        ..Commit::append(spec.clone(), files, "speed")
    };
    let done = lake.commit(commit).await?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    let after = done.table.files().await?;
    let gone = before
        .iter()
        .filter(|old| !after.iter().any(|file| file.path() == old.path()));
    let rows = done.table.rows().await?.unwrap_or_default();
    println!(
        "{what:>26}: {took:7.1} ms, {} files written anew, {rows} rows",
        gone.count()
    );
    Ok(())
}
