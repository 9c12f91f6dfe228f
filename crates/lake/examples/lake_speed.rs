//! How fast the lake is: `cargo run --release -p tidegate-lake --example lake_speed -- [rows]`.
//!
//! Prints, for rows like card payments: what each compression costs and saves; how long opening and
//! asking ten tables takes; and how a few queries fare over this crate's provider, DataFusion's own
//! Parquet listing of the same files, and the Delta library's provider.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::catalog::TableProvider;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use tidegate_lake::{Commit, CommitMode, DataFile, Lake, TableSpec};
use tidegate_project::TableName;

const BATCH_ROWS: usize = 8192;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let rows = std::env::args()
        .nth(1)
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(1_000_000);
    let folder = tempfile::tempdir()?;
    let place = folder.path().to_str().ok_or("a folder that is no text")?;
    let lake = Lake::open(place, &BTreeMap::new()).await?;
    let batches: Vec<RecordBatch> = (0..rows / BATCH_ROWS)
        .map(|part| payments(part * BATCH_ROWS))
        .collect::<Result<_, _>>()?;
    compressions(&lake, &batches).await?;
    opening(place, &lake, &batches).await?;
    queries(&lake, &folder.path().join("payments_zstd")).await
}

/// Rows beginning with this number.
fn payments(first: usize) -> Outcome<RecordBatch> {
    let numbers = || (first..first + BATCH_ROWS).map(|n| n as u64);
    // Scrambles a number: good enough to look random to an encoder.
    let scramble = |n: u64| {
        let n = (n ^ (n >> 30))
            .wrapping_add(0x9e37_79b9_7f4a_7c15)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    };
    let words = |list: &'static [&'static str]| {
        let pick = move |n: u64| list[scramble(n) as usize % list.len()];
        StringViewArray::from_iter_values(numbers().map(pick))
    };
    let text = |width: usize, spread: u64| {
        let value = move |n: u64| format!("{:0width$}", scramble(n) % spread);
        StringViewArray::from_iter_values(numbers().map(value))
    };
    let amounts = numbers().map(|n| i128::from(scramble(n) % 1_000_000));
    let times = numbers().map(|n| 1_700_000_000_000_000 + n as i64 * 1_234_567);
    let columns: [(&str, ArrayRef); 9] = [
        (
            "id",
            Arc::new(Int64Array::from_iter_values(numbers().map(|n| n as i64))),
        ),
        ("card_id", Arc::new(text(16, 200_000))),
        (
            "amount",
            Arc::new(Decimal128Array::from_iter_values(amounts).with_precision_and_scale(12, 2)?),
        ),
        ("currency", Arc::new(words(&["EUR", "USD", "GBP"]))),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ),
        ("merchant", Arc::new(text(12, 5_000))),
        (
            "country",
            Arc::new(words(&["DE", "FR", "US", "GB", "NL", "IT", "ES", "PL"])),
        ),
        ("note", Arc::new(text(24, u64::MAX))),
        (
            "status",
            Arc::new(words(&["settled", "pending", "declined", "refunded"])),
        ),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn spec(name: &str, batch: &RecordBatch) -> TableSpec {
    TableSpec::new(TableName::plain(name), batch.schema())
}

async fn write(lake: &Lake, spec: &TableSpec, rows: &[RecordBatch]) -> Outcome<Vec<DataFile>> {
    let mut writer = lake.write_plan(spec, &CommitMode::Append).await?.writer();
    for batch in rows {
        writer.write(batch)?;
    }
    Ok(writer.finish()?)
}

async fn compressions(lake: &Lake, batches: &[RecordBatch]) -> Outcome<()> {
    println!("writing {} rows on one thread", batches.len() * BATCH_ROWS);
    for codec in ["zstd", "snappy", "lz4", "none"] {
        let mut spec = spec(&format!("payments_{codec}"), &batches[0]);
        spec.properties
            .insert("tidegate.compression".to_owned(), codec.to_owned());
        let start = Instant::now();
        let files = write(lake, &spec, batches).await?;
        let took = start.elapsed();
        let bytes: u64 = files.iter().map(DataFile::bytes).sum();
        println!(
            "  {codec:>6}: {:6.0} ms, {:6.1} MB",
            millis(took),
            bytes as f64 / 1e6
        );
        lake.commit(Commit::append(spec, files, "speed")).await?;
    }
    Ok(())
}

async fn opening(place: &str, lake: &Lake, batches: &[RecordBatch]) -> Outcome<()> {
    let one = batches[0].slice(0, 10);
    let names: Vec<String> = (0..10).map(|n| format!("small_{n}")).collect();
    for name in &names {
        for _ in 0..15 {
            let spec = spec(name, &one);
            let files = write(lake, &spec, std::slice::from_ref(&one)).await?;
            lake.commit(Commit::append(spec, files, "speed")).await?;
        }
    }
    let fresh = Lake::open(place, &BTreeMap::new()).await?;
    for what in ["opened for the first time", "asked again"] {
        let start = Instant::now();
        for name in &names {
            fresh
                .table(&TableName::plain(name))
                .await?
                .ok_or("a table is gone")?;
        }
        println!(
            "ten tables of 15 versions {what}: {:.1} ms",
            millis(start.elapsed())
        );
    }
    let mut last = None;
    for _ in 0..10 {
        let spec = spec("small_0", &one);
        let files = write(lake, &spec, std::slice::from_ref(&one)).await?;
        let start = Instant::now();
        lake.commit(Commit::append(spec, files, "speed")).await?;
        last = Some(last.unwrap_or(Duration::MAX).min(start.elapsed()));
    }
    println!(
        "a commit: {:.1} ms at best",
        millis(last.unwrap_or_default())
    );
    Ok(())
}

async fn queries(lake: &Lake, folder: &std::path::Path) -> Outcome<()> {
    let table = lake
        .table(&TableName::plain("payments_zstd"))
        .await?
        .ok_or("no table")?;
    let url = url::Url::from_directory_path(folder).map_err(|()| "no folder")?;
    let delta = deltalake::open_table(url).await?.table_provider().await?;
    let queries = [
        "SELECT count(*) FROM t",
        "SELECT min(id), max(id) FROM t",
        "SELECT currency, count(*), sum(amount) FROM t GROUP BY currency",
        "SELECT country, status, avg(amount) FROM t WHERE amount > 5000 GROUP BY country, status",
        "SELECT * FROM t WHERE id = 123456",
        "SELECT card_id, sum(amount) AS s FROM t GROUP BY card_id ORDER BY s DESC LIMIT 10",
        "SELECT * FROM t ORDER BY ts DESC LIMIT 10",
    ];
    println!("queries, best of 5 in ms: lake, DataFusion's listing, Delta library");
    for query in queries {
        let lake = best(table.provider(), query).await?;
        let delta = best(Arc::clone(&delta), query).await?;
        let session = SessionContext::new();
        let path = folder.to_str().ok_or("a folder that is no text")?;
        session
            .register_parquet("t", path, ParquetReadOptions::default())
            .await?;
        let listing = best_of(&session, query).await?;
        println!(
            "  {:8.2} {:8.2} {:8.2}  {query}",
            millis(lake),
            millis(listing),
            millis(delta)
        );
    }
    Ok(())
}

async fn best(provider: Arc<dyn TableProvider>, query: &str) -> Outcome<Duration> {
    let session = SessionContext::new();
    session.register_table("t", provider)?;
    best_of(&session, query).await
}

async fn best_of(session: &SessionContext, query: &str) -> Outcome<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        session.sql(query).await?.collect().await?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
