//! `cargo xtask fuzz`: libFuzzer on each reader and on the DDL, with the toolchain that is there. The
//! sanitizer for addresses is behind a flag of the compiler that a stable one takes, too, when it is told
//! that it may.

use std::path::Path;

use crate::failure::Failure;
use crate::places::{Places, entries, make_folder, read_text};
use crate::process::Call;
use crate::tools;

/// Folders with further seeds of a target: files of the checkout are read where they are.
const MORE_SEEDS: [(&str, &str); 3] = [
    ("ddl", "examples"),
    ("excel", "crates/connect/src/formats/excel/testdata"),
    ("discover", "fuzz/seeds"),
];

/// `cargo xtask fuzz`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One target [default: all, one after the other]
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// List the targets and stop
    #[arg(long)]
    list: bool,
}

/// Fuzzes; a crash fails the task, after the other targets, and leaves its input in `fuzz/artifacts`.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let targets = targets(places)?;
    if arguments.list {
        targets.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    let wanted: Vec<&String> = match &arguments.target {
        None => targets.iter().collect(),
        Some(name) => targets.iter().filter(|target| *target == name).collect(),
    };
    if wanted.is_empty() {
        let name = arguments.target.as_deref().unwrap_or_default();
        let known = targets.join(", ");
        return Err(Failure::form(
            format!("the target `{name}`"),
            format!("there are {known}"),
        ));
    }
    let program = tools::CARGO_FUZZ.ensure(places)?;
    let outcomes: Vec<Result<(), Failure>> = wanted
        .into_iter()
        .map(|target| fuzz(target, arguments.seconds, &program, places))
        .collect();
    outcomes.into_iter().collect()
}

/// The names of `fuzz/fuzz_targets/*.rs`.
fn targets(places: &Places) -> Result<Vec<String>, Failure> {
    let paths = entries(&places.root.join("fuzz/fuzz_targets"))?;
    let stems = paths.iter().filter_map(|path| path.file_stem());
    Ok(stems
        .map(|stem| stem.to_string_lossy().into_owned())
        .collect())
}

fn fuzz(target: &str, seconds: u32, program: &Path, places: &Places) -> Result<(), Failure> {
    let folder = places.root.join("fuzz");
    // What is found to be interesting goes to the cache; the seeds in the repository stay as they are.
    let corpus = places.cache.join("fuzz").join(target);
    make_folder(&corpus)?;
    let mut paths = vec![program.parent().unwrap_or(program).to_path_buf()];
    paths.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let paths =
        std::env::join_paths(paths).map_err(|error| Failure::form("PATH", error.to_string()))?;
    let mut call = Call::cargo()
        .args(["fuzz", "run", "--fuzz-dir"])
        .arg(&folder)
        .arg("--target-dir")
        .arg(places.cache.join("target-fuzz"))
        .args(["--codegen-units", "8"])
        .arg(target)
        .arg(&corpus)
        .env("PATH", paths)
        .env("RUSTC_BOOTSTRAP", "1")
        .without_env("RUSTC")
        .without_env("CARGO_TARGET_DIR")
        .in_folder(&folder);
    let more = MORE_SEEDS.iter().filter(|(name, _)| *name == target);
    let seeds = [folder.join("seeds").join(target)]
        .into_iter()
        .chain(more.map(|(_, path)| places.root.join(path)));
    for seeds in seeds.filter(|seeds| seeds.is_dir()) {
        call = call.arg(seeds);
    }
    call = call.arg("--").arg(format!("-max_total_time={seconds}"));
    // Nothing that a few kilobytes say may take more; the sanitizer itself takes about as much again.
    call = call.args([
        "-rss_limit_mb=3072",
        "-malloc_limit_mb=1536",
        "-max_len=65536",
    ]);
    call = call.args(["-timeout=20", "-print_final_stats=1"]);
    let dictionary = folder.join("dictionaries").join(format!("{target}.dict"));
    if read_text(&dictionary).is_ok() {
        call = call.arg(format!("-dict={}", dictionary.display()));
    }
    call.show()
}
