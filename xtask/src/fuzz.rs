//! `cargo xtask fuzz`: libFuzzer on each reader and on the DDL, with the nightly toolchain.

use crate::failure::Failure;
use crate::places::{Places, entries, make_folder, read_text};
use crate::process::Call;
use crate::tools;

/// `cargo xtask fuzz`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One target [default: all, one after the other]
    target: Option<String>,
    /// Seconds for each target
    #[arg(default_value_t = 60)]
    seconds: u32,
    /// List the targets and stop
    #[arg(long)]
    list: bool,
}

/// Fuzzes; a crash fails the task and leaves its input in `fuzz/artifacts`.
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
    for target in wanted {
        fuzz(target, arguments.seconds, &program, places)?;
    }
    Ok(())
}

/// The names of `fuzz/fuzz_targets/*.rs`.
fn targets(places: &Places) -> Result<Vec<String>, Failure> {
    let paths = entries(&places.root.join("fuzz/fuzz_targets"))?;
    let stems = paths.iter().filter_map(|path| path.file_stem());
    Ok(stems
        .map(|stem| stem.to_string_lossy().into_owned())
        .collect())
}

fn fuzz(
    target: &str,
    seconds: u32,
    program: &std::path::Path,
    places: &Places,
) -> Result<(), Failure> {
    let folder = places.root.join("fuzz");
    // What is found to be interesting goes to the cache; the seeds in the repository stay as they are.
    let corpus = places.cache.join("fuzz").join(target);
    make_folder(&corpus)?;
    let mut call = Call::new(program)
        .args(["fuzz", "run", "--fuzz-dir"])
        .arg(&folder)
        .args(["--target-dir"])
        .arg(places.cache.join("target-fuzz"))
        .arg(target)
        .arg(&corpus)
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .without_env("CARGO")
        .without_env("RUSTC")
        .in_folder(&folder);
    let seeds = folder.join("seeds").join(target);
    if seeds.is_dir() {
        call = call.arg(seeds);
    }
    call = call.arg("--").arg(format!("-max_total_time={seconds}"));
    call = call.args(["-rss_limit_mb=4096", "-timeout=20", "-print_final_stats=1"]);
    let dictionary = folder.join("dictionaries").join(format!("{target}.dict"));
    if read_text(&dictionary).is_ok() {
        call = call.arg(format!("-dict={}", dictionary.display()));
    }
    call.show()
}
