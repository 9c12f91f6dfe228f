//! Python environments in the cache folder, each made from a file of pinned requirements.
//!
//! An environment is made anew when its requirements change, and by one process at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::failure::Failure;
use crate::places::{Places, make_folder, read_text, write};
use crate::process::Call;

/// `cargo xtask venv`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which environment
    #[arg(value_enum, default_value = "readback")]
    environment: Environment,
}

/// The environments there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    /// Readers of Delta tables: deltalake, Polars, DuckDB, PyArrow
    Readback,
    /// An S3 server, and clients of object stores
    Stores,
    /// Foreign clients of Kafka, writers of Avro and Protocol Buffers
    Streams,
    /// The peers of the benchmarks that need no Java: pandas, Polars, DuckDB, PyArrow
    Data,
    /// PySpark with its pipelines; needs Java 17
    Spark,
    /// Flink with its Python interface; needs Java 17
    Flink,
    /// Bytewax
    Bytewax,
    /// maturin, which builds the wheel
    Dist,
}

impl Environment {
    fn name(self) -> &'static str {
        match self {
            Self::Readback => "readback",
            Self::Stores => "stores",
            Self::Streams => "streams",
            Self::Data => "data",
            Self::Spark => "spark",
            Self::Flink => "flink",
            Self::Bytewax => "bytewax",
            Self::Dist => "dist",
        }
    }

    fn requirements(self, root: &Path) -> PathBuf {
        let folder = match self {
            Self::Readback | Self::Stores | Self::Streams | Self::Dist => root.join("xtask/python"),
            Self::Data | Self::Spark | Self::Flink | Self::Bytewax => root.join("bench/peers"),
        };
        folder.join(format!("{}.requirements.txt", self.name()))
    }
}

/// Makes an environment and prints the path of its Python.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let python = ensure(arguments.environment, places)?;
    println!("{}", python.display());
    Ok(())
}

/// The Python of an environment, which is made if it is missing or out of date.
pub fn ensure(environment: Environment, places: &Places) -> Result<PathBuf, Failure> {
    let folder = places.cache.join("venvs").join(environment.name());
    let requirements = environment.requirements(&places.root);
    let wanted = read_text(&requirements)?;
    let python = python_of(&folder);
    let stamp = folder.join("tidegate-requirements.txt");
    make_folder(&places.cache.join("venvs"))?;
    let _lock = lock(&folder.with_extension("lock"))?;
    let made = std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted);
    if made && python.is_file() {
        return Ok(python);
    }
    eprintln!("making the Python environment `{}`", environment.name());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(Failure::file("remove", &folder))?;
    }
    Call::new(find_python()?)
        .args(["-m", "venv"])
        .arg(&folder)
        .or_say("install Python 3.11 or later with its venv module (Debian: python3-venv)")
        .quiet()?;
    Call::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(["--disable-pip-version-check", "--requirement"])
        .arg(&requirements)
        .quiet()?;
    write(&stamp, &wanted)?;
    Ok(python)
}

/// The Python inside an environment.
fn python_of(folder: &Path) -> PathBuf {
    match cfg!(windows) {
        true => folder.join("Scripts/python.exe"),
        false => folder.join("bin/python"),
    }
}

/// A Python that is new enough for the pinned packages.
fn find_python() -> Result<&'static str, Failure> {
    const CANDIDATES: [&str; 6] = [
        "python3",
        "python",
        "python3.11",
        "python3.12",
        "python3.13",
        "python3.14",
    ];
    let is_new_enough = |program: &&str| {
        Call::new(program)
            .args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"])
            .quiet()
            .is_ok()
    };
    CANDIDATES.into_iter().find(is_new_enough).ok_or_else(|| {
        Failure::form(
            "PATH",
            "no Python 3.11 or later is in it; install python3 and python3-venv",
        )
    })
}

/// Holds a lock file until the returned file is dropped.
pub fn lock(path: &Path) -> Result<File, Failure> {
    let file = File::create(path).map_err(Failure::file("make", path))?;
    file.lock().map_err(Failure::file("lock", path))?;
    Ok(file)
}
