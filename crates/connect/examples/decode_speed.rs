//! How fast a file is decoded on one thread: `decode_speed PATH [TIMES]`. Prints what was found,
//! the rows, and MB per second of processor time (so that a busy machine does not matter much) of
//! decoding alone, and of reading and decoding.
#![allow(clippy::print_stdout, reason = "it is a program that prints")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_connect::{ReadOptions, Reading, Slice, discover, list};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give a path")?;
    let times: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let options = Arc::new(ReadOptions::default());
    let files = list(Path::new("."), &path, &options).await?;
    let discovered = Arc::new(discover(&files, &options).await?);
    println!("{} {:?}", discovered.format.name(), discovered.layout);
    for column in &discovered.columns {
        println!(
            "  {} {} ({})",
            column.name, column.data_type, column.evidence
        );
    }
    let handle = tokio::runtime::Handle::current();
    let reading = Reading::new(discovered, options, None);
    tokio::task::spawn_blocking(move || {
        for _ in 0..times {
            if let Err(error) = read(&reading, &files, &handle) {
                println!("{error}");
            }
        }
    })
    .await?;
    Ok(())
}

fn read(
    reading: &Reading,
    files: &[tidegate_connect::FileEntry],
    handle: &tokio::runtime::Handle,
) -> Result<(), tidegate_connect::ConnectError> {
    let (mut rows, mut malformed, mut bytes, mut pieces) = (0, 0, 0, 0);
    let mut decoding = Duration::ZERO;
    let started = processor_time();
    for file in files {
        let mut skip = 0;
        for piece in reading.pieces(Slice::whole(&Arc::new(file.clone())), handle.clone()) {
            let piece = piece?;
            let begun = processor_time();
            let decoded = piece.decode(skip)?;
            decoding += processor_time() - begun;
            skip = decoded.overrun;
            bytes += piece.bytes();
            rows += decoded.batch.columns.num_rows();
            malformed += decoded.batch.malformed.len();
            pieces += 1;
        }
    }
    let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    println!(
        "{rows} rows, {malformed} malformed, {pieces} pieces, {:.1} MB: decoding {:.0} MB/s, with reading {:.0} MB/s",
        bytes as f64 / 1e6,
        rate(decoding),
        rate(processor_time() - started),
    );
    Ok(())
}

/// The processor time of this thread, or where the system does not tell it, the time.
fn processor_time() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(
        || START.get_or_init(Instant::now).elapsed(),
        Duration::from_nanos,
    )
}
