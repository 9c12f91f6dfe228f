//! The payments that the jobs on streams run on: JSON lines, each file in a folder of its own, since Spark reads
//! folders.

use std::path::{Path, PathBuf};

use super::Setting;
use crate::bench::data::warm;
use crate::failure::Failure;
use crate::places::make_folder;
use crate::process::Call;

/// What `bench/peers/stream_data.py` is asked for.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Events.
    pub rows: u64,
    /// Merchants.
    pub keys: u64,
    /// Whether all merchants are equally likely; a few have most of the payments otherwise.
    pub uniform: bool,
    /// How close the events are; as the generator has it when it is not given.
    pub rows_per_minute: Option<f64>,
}

impl Shape {
    /// Payments of 2,000 merchants, at the generator's rate (about 500 a minute).
    pub fn of_payments(rows: u64) -> Self {
        Self {
            rows,
            keys: 2_000,
            uniform: false,
            rows_per_minute: None,
        }
    }
}

/// Payments in a file.
#[derive(Debug, Clone)]
pub struct Events {
    /// JSON lines, alone in their folder.
    pub file: PathBuf,
}

impl Events {
    /// The folder that holds nothing but the file.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }
}

/// Payments in the cache, made when they are missing.
pub fn cached(shape: &Shape, setting: &Setting) -> Result<Events, Failure> {
    let folder = setting
        .places
        .cache
        .join("bench/data")
        .join(format!("stream-{}", shape.rows));
    if !folder.is_dir() {
        let unfinished = folder.with_file_name("stream-unfinished");
        make(shape, &unfinished, setting)?;
        std::fs::rename(&unfinished, &folder).map_err(Failure::file("move", unfinished))?;
    }
    let file = folder.join("events.jsonl");
    warm(&file)?;
    Ok(Events { file })
}

/// Makes payments in a folder, which is emptied first.
pub fn make(shape: &Shape, folder: &Path, setting: &Setting) -> Result<Events, Failure> {
    eprintln!("making {} events of {} merchants", shape.rows, shape.keys);
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(Failure::file("remove", folder))?;
    }
    make_folder(folder)?;
    let file = folder.join("events.jsonl");
    let mut call = Call::new(&setting.python)
        .arg(setting.places.root.join("bench/peers/stream_data.py"))
        .arg(&file)
        .arg(shape.rows.to_string())
        .args(["--keys", &shape.keys.to_string()]);
    if shape.uniform {
        call = call.arg("--uniform");
    }
    if let Some(rate) = shape.rows_per_minute {
        call = call.args(["--rows-per-minute", &rate.to_string()]);
    }
    call.quiet()?;
    Ok(Events { file })
}
