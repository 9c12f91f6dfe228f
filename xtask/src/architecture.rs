//! Holds the crates and their imports to the table of ARCHITECTURE.md, and the sources to the
//! invariants written there as absences. A map that can drift is worse than none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::Failure;
use crate::places::{Places, entries, files_below, read_text};
use crate::process::Call;

/// Package names of the Delta crates start so. Only `lake` may import one.
const DELTA_PREFIXES: [&str; 3] = ["deltalake", "buoyant_kernel", "delta_kernel"];

/// What the sources of a crate must not contain, and why.
const ABSENCES: &[(&str, &[&str], &str)] = &[
    (
        "gate",
        &["std::fs", "tokio::fs", "File::open"],
        "`gate` opens no file",
    ),
    (
        "gate",
        &["object_store", "datafusion", "deltalake"],
        "`gate` knows no table",
    ),
    ("store", &["arrow::", "arrow_"], "`store` knows no Arrow"),
    (
        "project",
        &["tokio", "datafusion"],
        "`project` runs nothing",
    ),
];

/// Places that may do what their crate may not, and why that is no breach of the rule.
/// The key index of `gate` spills to scratch files of its own: it still knows no file of the user.
const EXCEPTIONS: &[(&str, &str)] = &[("crates/gate/src/keys/", "`gate` opens no file")];

/// What only one crate may do.
const MONOPOLIES: &[(&str, &[&str])] = &[
    ("engine", &["SessionContext::new", "SessionContext::from"]),
    ("lake", &["deltalake::", "use deltalake"]),
];

/// Crate → crates that it may import (or does), by folder name.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Checks, and fails with every finding.
pub fn run(places: &Places) -> Result<(), Failure> {
    let findings = check(&places.root)?;
    if findings.is_empty() {
        println!("crates and imports are as ARCHITECTURE.md says");
        return Ok(());
    }
    Err(Failure::Found {
        check: "the crates are not as ARCHITECTURE.md says",
        findings,
    })
}

fn check(root: &Path) -> Result<Vec<String>, Failure> {
    let allowed = read_table(&read_text(&root.join("ARCHITECTURE.md"))?)?;
    let packages = read_packages(root)?;
    let mut findings = compare(&allowed, &imports_of(&packages));
    findings.extend(foreign_delta_imports(&packages));
    findings.extend(check_sources(root)?);
    Ok(findings)
}

/// Reads the table whose columns are `crate`, `it is` and `may import`.
fn read_table(page: &str) -> Result<Imports, Failure> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let mut lines = page.lines();
    let is_head = |line: &str| cells(line) == ["crate", "it is", "may import"];
    if !lines.any(is_head) {
        return Err(Failure::form(
            "ARCHITECTURE.md",
            "it has no table with the columns `crate | it is | may import`",
        ));
    }
    let rows = lines
        .skip(1)
        .take_while(|line| line.trim_start().starts_with('|'));
    let mut imports = Imports::new();
    for row in rows.map(cells) {
        let (Some(name), Some(may_import)) = (row.first(), row.last()) else {
            continue;
        };
        let name = back_ticked(name).into_iter().next().ok_or_else(|| {
            Failure::form(
                format!("the row `{}` of ARCHITECTURE.md", row.join(" | ")),
                "a crate's name stands in back-ticks",
            )
        })?;
        imports.insert(name, back_ticked(may_import));
    }
    Ok(imports)
}

/// The words in back-ticks.
fn back_ticked(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// What is wanted of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a plain import, `dev` or `build` otherwise.
    kind: Option<String>,
}

impl Package {
    /// The folder's name below `crates/`; none for packages elsewhere.
    fn room(&self) -> Option<String> {
        let folder = Path::new(&self.manifest_path).parent()?;
        let is_room = folder.parent()?.file_name()? == "crates";
        is_room.then(|| {
            folder
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
        })?
    }

    fn imports(&self) -> impl Iterator<Item = &str> {
        let is_import = |dependency: &&Dependency| dependency.kind.as_deref() != Some("dev");
        self.dependencies
            .iter()
            .filter(is_import)
            .map(|dependency| dependency.name.as_str())
    }
}

fn read_packages(root: &Path) -> Result<Vec<Package>, Failure> {
    let text = Call::cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .in_folder(root)
        .text()?;
    serde_json::from_str::<Metadata>(&text)
        .map(|metadata| metadata.packages)
        .map_err(|error| Failure::form("the output of `cargo metadata`", error))
}

fn imports_of(packages: &[Package]) -> Imports {
    let rooms = packages
        .iter()
        .filter_map(|package| Some((package.room()?, package)));
    rooms
        .map(|(room, package)| {
            let imports = package.imports();
            let ours = imports.filter_map(|name| name.strip_prefix("tidegate-"));
            (room, ours.map(str::to_owned).collect())
        })
        .collect()
}

/// Where the crates differ from the table.
fn compare(allowed: &Imports, actual: &Imports) -> Vec<String> {
    let mut findings = Vec::new();
    for (room, imports) in actual {
        let Some(may_import) = allowed.get(room) else {
            findings.push(format!("crates/{room} is not in the table"));
            continue;
        };
        for import in imports.difference(may_import) {
            findings.push(format!(
                "`{room}` imports `{import}`, which the table does not allow"
            ));
        }
    }
    for room in allowed.keys().filter(|room| !actual.contains_key(*room)) {
        findings.push(format!(
            "the table lists `{room}`, but there is no crates/{room}"
        ));
    }
    findings
}

fn foreign_delta_imports(packages: &[Package]) -> Vec<String> {
    let is_delta = |name: &&str| DELTA_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let foreign = packages
        .iter()
        .filter(|package| package.room().as_deref() != Some("lake"));
    foreign
        .flat_map(|package| {
            let deltas = package.imports().filter(is_delta);
            deltas.map(|delta| format!("`{}` imports `{delta}`; only `lake` may", package.name))
        })
        .collect()
}

fn check_sources(root: &Path) -> Result<Vec<String>, Failure> {
    let mut findings = Vec::new();
    for room in entries(&root.join("crates"))? {
        let name = room
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut sources = Vec::new();
        for path in files_below(&room.join("src"), "rs")? {
            let text = read_text(&path)?;
            sources.push((path, text));
        }
        let of_tests: BTreeSet<PathBuf> = sources
            .iter()
            .flat_map(|(path, text)| test_modules(path, text))
            .collect();
        for (path, text) in sources {
            if !of_tests.contains(&path) && !of_tests.iter().any(|module| is_inside(&path, module))
            {
                let shown = path
                    .strip_prefix(root)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                findings.extend(check_source(&name, &shown, &text));
            }
        }
    }
    Ok(findings)
}

/// The files of the modules that a file declares under `#[cfg(test)]`.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let stem = path.file_stem().unwrap_or_default();
    let folder = match stem.to_str() {
        Some("lib" | "main" | "mod") => path.with_file_name(""),
        _ => path.with_extension(""),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    let names = declared.filter_map(|pair| {
        let (_, name) = pair[1].split_once("mod ")?;
        name.strip_suffix(';')
    });
    names
        .flat_map(|name| {
            [
                folder.join(format!("{name}.rs")),
                folder.join(name).join("mod.rs"),
            ]
        })
        .collect()
}

/// Whether a file belongs to a module below the given module's file.
fn is_inside(path: &Path, module: &Path) -> bool {
    let folder = match module.ends_with("mod.rs") {
        true => module.with_file_name(""),
        false => module.with_extension(""),
    };
    path.starts_with(folder)
}

/// Where one source file breaks a rule. Comments and tests may name what code may not do.
fn check_source(room: &str, path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(format!(
            "{path} does not open with `//!`: what it is, why, what it leaves to others"
        ));
    }
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let code_lines = || {
        let lines = code.lines().enumerate();
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    };
    let is_excepted = |rule| {
        EXCEPTIONS
            .iter()
            .any(|(place, of)| path.starts_with(place) && *of == rule)
    };
    for (owner, words, rule) in ABSENCES.iter().filter(|(.., rule)| !is_excepted(*rule)) {
        for (number, word) in hits(code_lines(), words).filter(|_| *owner == room) {
            findings.push(format!("{path}:{number} has `{word}`: {rule}"));
        }
    }
    for (owner, words) in MONOPOLIES {
        for (number, word) in hits(code_lines(), words).filter(|_| *owner != room) {
            findings.push(format!("{path}:{number} has `{word}`: only `{owner}` may"));
        }
    }
    findings
}

/// The lines (counted from 1) that hold one of the words, and which.
fn hits<'a>(
    lines: impl Iterator<Item = (usize, &'a str)>,
    words: &'a [&'a str],
) -> impl Iterator<Item = (usize, &'a str)> {
    lines.filter_map(move |(index, line)| {
        let word = words.iter().find(|word| line.contains(**word))?;
        Some((index + 1, *word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A map\n\n| crate | it is | may import |\n|---|---|---|\n\
        | `project` | a `Project` | – |\n| `gate` | verdicts | `project` |\n\nand more | text |\n";

    fn imports(pairs: &[(&str, &[&str])]) -> Imports {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        pairs
            .iter()
            .map(|(room, names)| ((*room).to_owned(), set(names)))
            .collect()
    }

    #[test]
    fn the_table_is_read() {
        let expected = imports(&[("project", &[]), ("gate", &["project"])]);
        assert_eq!(read_table(PAGE).unwrap(), expected);
        assert!(read_table("no table").is_err());
    }

    #[test]
    fn every_difference_is_found() {
        let allowed = read_table(PAGE).unwrap();
        assert_eq!(compare(&allowed, &allowed), Vec::<String>::new());
        let actual = imports(&[("project", &["gate"]), ("lake", &[])]);
        assert_eq!(
            compare(&allowed, &actual),
            [
                "crates/lake is not in the table",
                "`project` imports `gate`, which the table does not allow",
                "the table lists `gate`, but there is no crates/gate",
            ]
        );
    }

    #[test]
    fn a_source_is_held_to_the_absences() {
        let bad = "//! Doc.\nuse std::fs::read;\n// std::fs in a comment\nlet c = SessionContext::new();\n\
                   #[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(
            check_source("gate", "crates/gate/src/lib.rs", bad),
            [
                "crates/gate/src/lib.rs:2 has `std::fs`: `gate` opens no file",
                "crates/gate/src/lib.rs:4 has `SessionContext::new`: only `engine` may",
            ]
        );
        assert_eq!(
            check_source("engine", "a.rs", "//! Doc.\nSessionContext::new()"),
            [""; 0]
        );
        assert_eq!(check_source("engine", "a.rs", "fn main() {}").len(), 1);
    }

    #[test]
    fn modules_of_tests_are_known() {
        let text = "#[cfg(test)]\nmod testing;\n#[cfg(test)]\nmod tests {\n}\nmod other;\n";
        let modules = test_modules(Path::new("src/lib.rs"), text);
        assert_eq!(
            modules,
            [Path::new("src/testing.rs"), Path::new("src/testing/mod.rs")]
        );
        let modules = test_modules(Path::new("src/keys.rs"), text);
        assert_eq!(modules[0], Path::new("src/keys/testing.rs"));
        assert!(is_inside(
            Path::new("src/testing/a.rs"),
            Path::new("src/testing.rs")
        ));
        assert!(!is_inside(
            Path::new("src/testing.rs"),
            Path::new("src/test.rs")
        ));
    }

    #[test]
    fn the_workspace_is_as_architecture_md_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let findings = check(root).unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}
