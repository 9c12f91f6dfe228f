//! `cargo xtask examples`: the projects in `examples/`, run as their README says, with the binary.
//!
//! Each is copied to a temporary folder, checked, run by the `sh` blocks of its own README.md (so that
//! what a newcomer is told to type is what is tested), and its `tests/` are run. The examples on real
//! dirty data promise their own precision and recall: their run fails when they find less. Nexmark's is run again with
//! its streams in other orders of arrival.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::nexmark;
use crate::places::{Places, copy_folder, entries, make_folder, read_text};
use crate::process::Call;

/// `cargo xtask examples`
#[derive(Debug, Default, clap::Args)]
pub struct Arguments {
    /// Only these [default: all]
    names: Vec<String>,
    /// With the optimised binary
    #[arg(long)]
    release: bool,
    /// With this binary, which is there already and named `tidegate`, and nothing is built
    #[arg(long, conflicts_with = "release")]
    binary: Option<PathBuf>,
}

/// Runs the examples, and fails with all that failed.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let binary = match &arguments.binary {
        Some(binary) => std::path::absolute(binary).map_err(Failure::file("find", binary))?,
        None => binary(arguments.release, places)?,
    };
    let folders = entries(&places.root.join("examples"))?;
    let is_project = |folder: &PathBuf| folder.join("tidegate.toml").is_file();
    let mut failed = Vec::new();
    let mut ran = 0;
    for folder in folders.into_iter().filter(is_project) {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !arguments.names.is_empty() && !arguments.names.contains(&name) {
            continue;
        }
        println!("-- examples/{name}");
        ran += 1;
        let orders = (name == "nexmark").then_some(nexmark::SEEDS);
        let orders = orders.into_iter().flatten().map(Some);
        for order in std::iter::once(None).chain(orders) {
            if let Err(failure) = run_one(&folder, &name, order, &binary) {
                println!("error: {failure}");
                let order = order.map(|seed| format!(", order of seed {seed}"));
                failed.push(format!("examples/{name}{}", order.unwrap_or_default()));
            }
        }
    }
    match failed.is_empty() {
        true if ran > 0 => Ok(()),
        true => Err(Failure::form(
            "the names",
            "no such folder in examples/ holds a tidegate.toml",
        )),
        false => Err(Failure::Found {
            check: "examples that do not run",
            findings: failed,
        }),
    }
}

/// Builds the binary, with the features of the whole workspace, as the tests were built.
pub fn binary(release: bool, places: &Places) -> Result<PathBuf, Failure> {
    let profile = if release { "release" } else { "debug" };
    let mut build = Call::cargo().args(["build", "--quiet", "--workspace", "--bin", "tidegate"]);
    if release {
        build = build.arg("--release");
    }
    build.in_folder(&places.root).show()?;
    Ok(places.binary(profile))
}

/// Runs a copy of an example; with an `order`, its rows arrive in another one than that which it carries.
fn run_one(example: &Path, name: &str, order: Option<u64>, binary: &Path) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("make", "a temporary folder"))?;
    let project = folder.path().join(name);
    copy_folder(example, &project)?;
    if name == "payments" {
        make_payments(folder.path(), &project, binary)?;
    }
    if let Some(seed) = order {
        println!("-- with the order of arrival of seed {seed}");
        nexmark::shuffle(&project, seed)?;
    }
    let tidegate = || Call::new(binary).in_folder(&project);
    tidegate().arg("check").show()?;
    let readme = project.join("README.md");
    match readme.is_file() {
        true => run_readme(&read_text(&readme)?, &project, binary)?,
        false => tidegate().arg("run").show()?,
    }
    if name == "nexmark" {
        nexmark::judge(&project, binary)?;
    }
    if project.join("tests").is_dir() {
        tidegate().arg("test").show()?;
    }
    // Nothing is new now: the second run must find that out, and change nothing.
    tidegate().arg("run").show()
}

/// The payments are not kept in the repository: a generator makes them.
fn make_payments(folder: &Path, project: &Path, binary: &Path) -> Result<(), Failure> {
    let prefix = folder.join("made");
    Call::new(binary)
        .args(["demo", "--rows", "20000", "--generate"])
        .arg(&prefix)
        .quiet()?;
    let landing = project.join("landing/payments");
    make_folder(&landing)?;
    let made = prefix.with_extension("csv");
    std::fs::rename(&made, landing.join("payments.csv")).map_err(Failure::file("move", made))
}

/// Runs the `sh` blocks of a README in the project's folder. `tidegate new` is left out: it is what
/// made the folder.
fn run_readme(readme: &str, project: &Path, binary: &Path) -> Result<(), Failure> {
    let mut path = vec![binary.parent().unwrap_or(Path::new(".")).to_owned()];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let path = std::env::join_paths(path).map_err(|error| Failure::form("PATH", error))?;
    for block in shell_blocks(readme) {
        println!("{}", block.trim_end());
        Call::new("sh")
            .args(["-eu", "-c", &block])
            .env("PATH", &path)
            .in_folder(project)
            .show_output()?;
    }
    Ok(())
}

/// The texts of the fenced blocks marked `sh`.
fn shell_blocks(readme: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while lines.any(|line| line.trim_end() == "```sh") {
        let block = lines.by_ref().take_while(|line| !line.starts_with("```"));
        let kept = block.filter(|line| !line.starts_with("tidegate new "));
        blocks.push(kept.flat_map(|line| [line, "\n"]).collect());
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_blocks_are_taken_out_of_a_readme() {
        let readme = "# A\n```sh\ntidegate new x && cd x\ntidegate run\n```\ntext\n```sql\nSELECT 1\n```\n```sh\nls \\\n  -l\n```\n";
        assert_eq!(shell_blocks(readme), ["tidegate run\n", "ls \\\n  -l\n"]);
    }
}
