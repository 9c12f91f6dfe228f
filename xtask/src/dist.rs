//! `cargo xtask dist`: the optimised binary, and a wheel that carries it.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::places::{Places, entries, make_folder};
use crate::process::Call;
use crate::venv::{self, Environment};

/// `cargo xtask dist`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the wheel goes [default: dist below the target folder]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Only the binary, no wheel
    #[arg(long)]
    no_wheel: bool,
}

/// Builds both, and tries the wheel in an environment of its own.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    release_binary(places)?;
    let binary = places.binary("release");
    let bytes = std::fs::metadata(&binary)
        .map_err(Failure::file("look at", &binary))?
        .len();
    println!("{} ({:.1} MB)", binary.display(), bytes as f64 / 1e6);
    if arguments.no_wheel {
        return Ok(());
    }
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| places.target.join("dist"));
    make_folder(&out)?;
    let python = venv::ensure(Environment::Dist, places)?;
    Call::new(&python)
        .args(["-m", "maturin", "build", "--release", "--out"])
        .arg(&out)
        .env("CARGO_TARGET_DIR", &places.target)
        .in_folder(&places.root)
        .show()?;
    let wheel = newest_wheel(&out)?;
    try_wheel(&python, &wheel)?;
    println!("{}", wheel.display());
    Ok(())
}

/// Builds the binary that is measured and shipped.
pub fn release_binary(places: &Places) -> Result<PathBuf, Failure> {
    Call::cargo()
        .args(["build", "--release", "--package", "tidegate"])
        .in_folder(&places.root)
        .show()?;
    Ok(places.binary("release"))
}

fn newest_wheel(folder: &std::path::Path) -> Result<PathBuf, Failure> {
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|end| end == "whl");
    let age = |path: &PathBuf| path.metadata().and_then(|about| about.modified()).ok();
    entries(folder)?
        .into_iter()
        .filter(is_wheel)
        .max_by_key(age)
        .ok_or_else(|| Failure::form(folder.display().to_string(), "it holds no wheel"))
}

/// Installs the wheel where nothing else is, and calls what it brought.
fn try_wheel(python: &std::path::Path, wheel: &std::path::Path) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("make", "a temporary folder"))?;
    Call::new(python)
        .args(["-m", "venv"])
        .arg(folder.path())
        .quiet()?;
    let bin = folder
        .path()
        .join(if cfg!(windows) { "Scripts" } else { "bin" });
    Call::new(bin.join("python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--disable-pip-version-check",
        ])
        .arg(wheel)
        .quiet()?;
    let version = Call::new(bin.join("tidegate")).arg("--version").text()?;
    println!("installed from the wheel: {}", version.trim());
    Ok(())
}
