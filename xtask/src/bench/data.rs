//! The dirty payments that the benchmarks run on, made by the binary's own generator and kept in the
//! cache.

use std::path::{Path, PathBuf};

use crate::examples;
use crate::failure::Failure;
use crate::places::{Places, make_folder};
use crate::process::Call;

/// `cargo xtask demo-data`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Rows to make
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// The same seed makes the same rows
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// JSON lines instead of CSV
    #[arg(long)]
    jsonl: bool,
    /// PREFIX.csv and PREFIX.truth.csv
    #[arg(value_name = "PREFIX", default_value = "payments")]
    prefix: PathBuf,
}

/// Makes data where it is asked for.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let binary = examples::binary(false, places)?;
    generate(
        &binary,
        arguments.rows,
        arguments.seed,
        arguments.jsonl,
        &arguments.prefix,
    )
}

/// Payments of so many rows.
#[derive(Debug, Clone)]
pub struct Payments {
    /// The data.
    pub csv: PathBuf,
    /// `row,kind,id,card_id` of each bad row.
    pub truth: PathBuf,
    /// Data rows.
    pub rows: u64,
}

/// The payments of the cache, made when they are missing.
pub fn payments(binary: &Path, rows: u64, places: &Places) -> Result<Payments, Failure> {
    let folder = places.cache.join("bench/data");
    make_folder(&folder)?;
    let prefix = folder.join(format!("payments-{rows}"));
    let made = Payments {
        csv: prefix.with_extension("csv"),
        truth: prefix.with_extension("truth.csv"),
        rows,
    };
    if !made.csv.is_file() || !made.truth.is_file() {
        eprintln!("making {rows} payments");
        let unfinished = folder.join("unfinished");
        generate(binary, rows, 7, false, &unfinished)?;
        for (from, to) in [("truth.csv", &made.truth), ("csv", &made.csv)] {
            let from = unfinished.with_extension(from);
            std::fs::rename(&from, to).map_err(Failure::file("move", from))?;
        }
    }
    warm(&made.csv)?;
    Ok(made)
}

fn generate(
    binary: &Path,
    rows: u64,
    seed: u64,
    jsonl: bool,
    prefix: &Path,
) -> Result<(), Failure> {
    let mut call = Call::new(binary)
        .args([
            "demo",
            "--rows",
            &rows.to_string(),
            "--seed",
            &seed.to_string(),
        ])
        .arg("--generate")
        .arg(prefix);
    if jsonl {
        call = call.arg("--jsonl");
    }
    call.quiet()
}

/// Reads a file once, so that no contestant pays for the disk.
pub fn warm(path: &Path) -> Result<(), Failure> {
    let mut file = std::fs::File::open(path).map_err(Failure::file("open", path))?;
    std::io::copy(&mut file, &mut std::io::sink()).map_err(Failure::file("read", path))?;
    Ok(())
}
