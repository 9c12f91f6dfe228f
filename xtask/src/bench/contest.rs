//! Several contestants, several rounds, in turns.

use std::path::Path;
use std::process::Command;

use super::measure::{self, Cost};
use crate::failure::Failure;
use crate::places::make_folder;

/// Makes what a round needs in the given empty folder (not measured), and the command (measured).
pub type Prepare<'a> = dyn Fn(&Path) -> Result<Command, Failure> + 'a;

/// Who takes part, and how a round is set up for it.
pub struct Contestant<'a> {
    /// The name in the report.
    pub name: String,
    /// Sets a round up.
    pub prepare: Box<Prepare<'a>>,
}

/// What a contestant's rounds cost.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The contestant.
    pub name: String,
    /// One cost a round.
    pub costs: Vec<Cost>,
}

impl Outcome {
    /// Median of the wall times, in seconds.
    pub fn wall_seconds(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.wall_seconds))
    }

    /// Median of the CPU times, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        median(self.costs.iter().map(|cost| cost.cpu_seconds))
    }

    /// Largest peak of all rounds, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.costs
            .iter()
            .map(|cost| cost.peak_bytes)
            .max()
            .unwrap_or(0)
    }
}

/// Lets the contestants run in turns. Each round has a folder of its own, `work/NAME-ROUND`; that of
/// the last round is left for the scoring, the others are removed.
pub fn run(
    contestants: &[Contestant],
    rounds: usize,
    work: &Path,
) -> Result<Vec<Outcome>, Failure> {
    let mut results: Vec<Outcome> = contestants
        .iter()
        .map(|contestant| Outcome {
            name: contestant.name.clone(),
            costs: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        for (contestant, result) in contestants.iter().zip(&mut results) {
            let folder = round_folder(work, &contestant.name);
            if folder.exists() {
                std::fs::remove_dir_all(&folder).map_err(Failure::file("remove", &folder))?;
            }
            make_folder(&folder)?;
            let command = (contestant.prepare)(&folder)?;
            let cost = measure::run(command, &folder.join("output.txt"))?;
            eprintln!(
                "round {}: {:<28} {:>8.2} s wall {:>8.2} s CPU {:>7.0} MB",
                round + 1,
                contestant.name,
                cost.wall_seconds,
                cost.cpu_seconds,
                cost.peak_bytes as f64 / 1e6
            );
            result.costs.push(cost);
        }
    }
    Ok(results)
}

/// Where a contestant's latest round was.
pub fn round_folder(work: &Path, name: &str) -> std::path::PathBuf {
    let plain = |character: char| {
        if character.is_alphanumeric() {
            character
        } else {
            '-'
        }
    };
    work.join(name.chars().map(plain).collect::<String>())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median([].into_iter()).is_nan());
    }
}
