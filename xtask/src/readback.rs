//! `cargo xtask readback`: tables written by Tidegate, read by others.
//!
//! A small project with a column of every type is run with the binary; a Python script then reads its
//! tables with deltalake, Polars and DuckDB, and compares values and types with the source, which it
//! reads on its own.

use crate::examples;
use crate::failure::Failure;
use crate::places::{Places, copy_folder};
use crate::process::Call;
use crate::venv::{self, Environment};

/// Runs the project and the script.
pub fn run(places: &Places) -> Result<(), Failure> {
    let binary = examples::binary(false, places)?;
    let python = venv::ensure(Environment::Readback, places)?;
    let folder = tempfile::tempdir().map_err(Failure::file("make", "a temporary folder"))?;
    let source = places.root.join("xtask/python");
    let project = folder.path().join("readback");
    copy_folder(&source.join("readback"), &project)?;
    // Two runs, so that there is more than one version and more than one file.
    for piece in ["first.jsonl", "second.jsonl"] {
        let from = project.join("waiting").join(piece);
        let to = project.join("landing").join(piece);
        std::fs::create_dir_all(project.join("landing")).map_err(Failure::file("make", &to))?;
        std::fs::rename(&from, &to).map_err(Failure::file("move", &from))?;
        Call::new(&binary).arg("run").in_folder(&project).show()?;
    }
    Call::new(python)
        .arg(source.join("readback.py"))
        .arg(&project)
        .show()
}
