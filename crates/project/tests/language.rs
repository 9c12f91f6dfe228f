//! The language of a project, tested from files.
//!
//! - `tests/ok/*.sql` has no mistake; beside it stands, as `.txt`, what was read.
//! - `tests/errors/*.sql` has mistakes; beside it stands how they are shown.
//! - `tests/projects/*/` are whole folders; `expected.txt` has both.
//!
//! `UPDATE=1 cargo test -p tidegate-project` writes what stands beside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "language/describe.rs"]
mod describe;
#[path = "language/model.rs"]
mod model;
#[path = "language/robust.rs"]
mod robust;
#[path = "language/scale.rs"]
mod scale;

use std::path::{Path, PathBuf};

use describe::describe;
use tidegate_project::{Loaded, Loader, RenderStyle, diagnostic};

/// The folder of the data.
fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder)
}

/// The entries of a data folder, in order.
fn entries(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(data(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// The SQL files of a data folder.
fn scripts(folder: &str) -> Vec<PathBuf> {
    let is_sql = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sql");
    entries(folder).into_iter().filter(is_sql).collect()
}

fn load(path: &Path) -> Loaded {
    let text = std::fs::read_to_string(path).unwrap();
    let label = path.file_name().unwrap().to_string_lossy();
    Loader::new()
        .with_known_tables(|name| name.key() == "outside.known")
        .load_texts(Path::new("/project"), &[(&label, &text)])
}

fn shown(loaded: &Loaded) -> String {
    diagnostic::render_all(
        &loaded.diagnostics,
        &loaded.project.files,
        RenderStyle::default(),
    )
}

/// Compares with the file, or writes it when asked to; gives what is wrong.
fn compare(expected: &Path, actual: &str) -> Option<String> {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(expected, actual).unwrap();
        return None;
    }
    let wanted = std::fs::read_to_string(expected).unwrap_or_default();
    (wanted != actual).then(|| {
        format!(
            "--- {}\nexpected:\n{wanted}\nfound:\n{actual}",
            expected.display()
        )
    })
}

fn report(failures: Vec<String>, count: usize, at_least: usize) {
    assert!(count >= at_least, "only {count} files");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_right_is_read_as_meant() {
    let paths = scripts("ok");
    let mut failures = Vec::new();
    for path in &paths {
        let loaded = load(path);
        if !loaded.diagnostics.is_empty() {
            failures.push(format!("--- {}\n{}", path.display(), shown(&loaded)));
        }
        failures.extend(compare(
            &path.with_extension("txt"),
            &describe(&loaded.project),
        ));
    }
    report(failures, paths.len(), 8);
}

#[test]
fn what_is_wrong_is_shown() {
    let paths = scripts("errors");
    let mut failures = Vec::new();
    for path in &paths {
        let loaded = load(path);
        if loaded.diagnostics.is_empty() {
            failures.push(format!("--- {}: no mistake was found", path.display()));
        }
        failures.extend(compare(&path.with_extension("txt"), &shown(&loaded)));
    }
    report(failures, paths.len(), 20);
}

#[test]
fn whole_folders_are_read() {
    let paths = entries("projects");
    let mut failures = Vec::new();
    for path in &paths {
        let loaded = Loader::new()
            .with_environment(|name| (name == "PASSWORD").then(|| "secret".to_owned()))
            .load(path);
        let root = path.display().to_string();
        let actual = format!("{}\n{}", describe(&loaded.project), shown(&loaded));
        failures.extend(compare(
            &path.join("expected.txt"),
            &actual.replace(&root, "<root>"),
        ));
    }
    report(failures, paths.len(), 4);
}

/// Every code that a text can bring about is brought about by some file.
#[test]
fn every_code_has_an_example() {
    // These need a file system that misbehaves.
    let untested = ["TG0101", "TG0102"];
    let mut seen: Vec<String> = Vec::new();
    for path in entries("errors").into_iter().chain(entries("projects")) {
        let path = match path.is_dir() {
            true => path.join("expected.txt"),
            false => path,
        };
        seen.push(std::fs::read_to_string(path).unwrap_or_default());
    }
    for code in tidegate_project::codes::ALL {
        let found = seen
            .iter()
            .any(|text| text.contains(&format!("[{}]", code.code)));
        assert!(
            found || untested.contains(&code.code),
            "{} has no example",
            code.code
        );
    }
}
