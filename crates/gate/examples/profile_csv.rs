//! Profiles a CSV file: `cargo run -p tidegate-gate --example profile_csv -- FILE [--html | --json]`.
//!
//! It reads with the `csv` crate, in batches, and so shows the profiler by itself; `tidegate profile`
//! reads whatever `connect` reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewBuilder};
use tidegate_gate::profile::{self, ProfileOptions, Profiler};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which file?")?;
    let format = arguments.next();
    let started = std::time::Instant::now();
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(&path)?;
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut profiler = Profiler::new(ProfileOptions {
        subject: path,
        ..ProfileOptions::default()
    });
    let mut record = csv::StringRecord::new();
    loop {
        let mut columns: Vec<StringViewBuilder> =
            names.iter().map(|_| StringViewBuilder::new()).collect();
        let mut rows = 0;
        while rows < 8_192 && reader.read_record(&mut record)? {
            for (at, column) in columns.iter_mut().enumerate() {
                column.append_option(record.get(at).filter(|value| !value.is_empty()));
            }
            rows += 1;
        }
        if rows == 0 {
            break;
        }
        let arrays = names
            .iter()
            .zip(&mut columns)
            .map(|(name, column)| (name, Arc::new(column.finish()) as ArrayRef, true));
        profiler.push(&RecordBatch::try_from_iter_with_nullable(arrays)?)?;
    }
    let profile = profiler.finish();
    eprintln!("{} rows in {:.2?}", profile.rows, started.elapsed());
    match format.as_deref() {
        Some("--html") => println!("{}", profile::html::render(&profile)),
        Some("--json") => println!("{}", serde_json::to_string_pretty(&profile)?),
        _ => println!(
            "{}",
            profile::text::render(&profile, &profile::text::TextOptions::default())
        ),
    }
    Ok(())
}
