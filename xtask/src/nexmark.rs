//! The fixed input of Nexmark, shuffled: rows of the three streams arrive out of order, by no more than the delay of
//! their watermarks, and in several lots. What the answers are must not hang on that.
//!
//! The project `examples/nexmark` carries one such order; `cargo xtask examples` makes others and runs it again.

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::Failure;
use crate::places::{make_folder, read_text, write};
use crate::process::Call;

/// The seed of the order that the example carries.
const SEED_CARRIED: u64 = 1;

/// Other orders that are tried.
pub const SEEDS: std::ops::RangeInclusive<u64> = SEED_CARRIED + 1..=SEED_CARRIED + 3;

/// By how much a row may come after a younger one: the delay in `tables/30_windows.sql`.
const DELAY_MS: u64 = 4_000;

/// Lots with rows; one more follows with the ticks that close the windows.
const LOTS: usize = 4;

/// The streams, as files in `data/` and folders in `arrivals/<lot>/`.
const STREAMS: [&str; 3] = ["person", "auction", "bid"];

/// How many queries are compared.
const QUERIES: usize = 27;

/// After all rows: nothing but a time.
const TICK: &str = "{\"date_time\":\"2015-07-15 00:01:00\"}\n";

/// Puts other arrivals in place of those that the project carries.
pub fn shuffle(project: &Path, seed: u64) -> Result<(), Failure> {
    let arrivals = project.join("arrivals");
    std::fs::remove_dir_all(&arrivals).map_err(Failure::file("remove", &arrivals))?;
    for (inside, text) in self::arrivals(&project.join("data"), seed)? {
        let file = arrivals.join(inside);
        make_folder(file.parent().unwrap_or(&arrivals))?;
        write(&file, text)?;
    }
    Ok(())
}

/// Fails unless every query has its answer: the project's own promise holds only once all has come.
pub fn judge(project: &Path, binary: &Path) -> Result<(), Failure> {
    let question =
        "SELECT count(*) AS queries FROM score WHERE complete AND missing + unexpected = 0";
    let query = Call::new(binary)
        .in_folder(project)
        .args(["query", "--json", question]);
    let told = query.text()?;
    let exact = format!("{{\"queries\":{QUERIES}}}");
    match told.trim() == exact {
        true => Ok(()),
        false => Err(Failure::form(
            "the score",
            format!("{told} where {exact} was expected"),
        )),
    }
}

/// The files of `arrivals/`, by their paths in it.
fn arrivals(data: &Path, seed: u64) -> Result<BTreeMap<String, String>, Failure> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut rows = Vec::new();
    for stream in STREAMS {
        let file = data.join(stream).with_extension("jsonl");
        for line in read_text(&file)?.lines() {
            let arrives = millisecond(line)? + random.u64(0..=DELAY_MS);
            rows.push((arrives, stream, line.to_owned()));
        }
    }
    rows.sort_by_key(|(arrives, ..)| *arrives);
    let mut files = BTreeMap::<String, String>::new();
    let lot_rows = rows.len().div_ceil(LOTS).max(1);
    for (at, (_, stream, line)) in rows.iter().enumerate() {
        let lot = at / lot_rows + 1;
        let file = files.entry(format!("{lot}/{stream}/{lot}.jsonl"));
        let text = file.or_default();
        text.push_str(line);
        text.push('\n');
    }
    let last = LOTS + 1;
    files.extend(STREAMS.map(|stream| (format!("{last}/{stream}/{last}.jsonl"), TICK.to_owned())));
    Ok(files)
}

/// The millisecond of the day of a row's `date_time`.
fn millisecond(line: &str) -> Result<u64, Failure> {
    let row: serde_json::Value =
        serde_json::from_str(line).map_err(|error| Failure::form(line, error))?;
    let read = || {
        let time = row.get("date_time")?.as_str()?.split_once(' ')?.1;
        let (whole, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let parts = whole.split(':').map(|part| part.parse::<u64>().ok());
        let [hour, minute, second] = parts.collect::<Option<Vec<_>>>()?.try_into().ok()?;
        let seconds = (hour * 60 + minute) * 60 + second;
        Some(seconds * 1_000 + format!("{fraction:0<3}").parse::<u64>().ok()?)
    };
    read().ok_or_else(|| Failure::form(line, "expected a date_time such as 2015-07-15 00:00:01.5"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_millisecond() {
        let at = |time| millisecond(&format!("{{\"date_time\":\"2015-07-15 {time}\"}}"));
        assert_eq!(at("00:00:02").unwrap(), 2_000);
        assert_eq!(at("01:02:03.05").unwrap(), 3_723_050);
        assert!(at("soon").is_err());
    }

    /// And so one who looks for how they were made finds it here.
    #[test]
    fn the_arrivals_that_the_example_carries_are_made_here() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/nexmark");
        for (inside, text) in arrivals(&example.join("data"), SEED_CARRIED).unwrap() {
            let file = example.join("arrivals").join(inside);
            assert_eq!(read_text(&file).unwrap(), text, "{}", file.display());
        }
    }
}
