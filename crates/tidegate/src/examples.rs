//! The example projects, carried inside the binary, so that `tidegate new` and `tidegate demo` need nothing else.
//!
//! What is embedded is `examples/` of the repository, without what a run leaves there. An example whose data is made by
//! a generator (payments) gets its data when it is written out.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use rust_embed::RustEmbed;

use crate::failure::Failure;
use crate::payments::{self, Order};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../examples"]
#[exclude = "*/.tidegate/*"]
#[exclude = "payments/landing/*"]
#[exclude = ".*"]
struct Files;

/// An example one can start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Example {
    /// One table of orders and a report: the start of a project of your own
    Minimal,
    /// Card payments, 20,000 rows, some of them broken in eight ways
    Payments,
    /// Real dirty data: quality measures of hospitals, with typos
    Hospital,
    /// Real dirty data: beers and breweries, with wrong formats and missing values
    Beers,
    /// Live card payments: stolen cards found while they are used
    Fraud,
    /// The queries of Nexmark over live streams, with their known answers
    Nexmark,
    /// Anomalies in seven real series, found as they stream, and scored
    Anomalies,
}

impl Example {
    /// Its name, and that of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Payments => "payments",
            Self::Hospital => "hospital",
            Self::Beers => "beers",
            Self::Fraud => "fraud",
            Self::Nexmark => "nexmark",
            Self::Anomalies => "anomalies",
        }
    }

    /// Its files: the path inside the project, and the content.
    pub fn files(self) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = format!("{}/", self.name());
        let mut files: Vec<_> = Files::iter()
            .filter_map(|path| {
                let inside = path.strip_prefix(folder.as_str())?;
                Some((PathBuf::from(inside), Files::get(&path)?.data.into_owned()))
            })
            .collect();
        files.sort();
        files
    }

    /// Writes its files into `folder`, and its data where that is generated. Gives the paths inside the project.
    ///
    /// # Errors
    /// What the file system says, with the path.
    pub fn write(self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let mut written = self.write_files(folder)?;
        if self == Self::Payments {
            let order = Order {
                rows: 20_000,
                seed: 7,
                bad: 0.015,
                files: 2,
                jsonl: false,
            };
            written.extend(write_payments(&order, folder)?.1);
        }
        Ok(written)
    }

    /// Writes its files, without generated data. Gives the paths inside the project.
    ///
    /// # Errors
    /// What the file system says, with the path.
    pub fn write_files(self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let mut written = Vec::new();
        for (inside, content) in self.files() {
            write_file(&folder.join(&inside), &content)?;
            written.push(inside);
        }
        Ok(written)
    }
}

/// Makes the data of the payments example inside the project `folder`: `landing/payments/*.csv` and `truth.csv`. Gives
/// what was made, and the paths inside the project.
///
/// # Errors
/// What the file system says, with the folder.
pub fn write_payments(
    order: &Order,
    folder: &Path,
) -> Result<(payments::Made, Vec<PathBuf>), Failure> {
    let made = payments::make(
        order,
        &folder.join("landing/payments"),
        &folder.join("truth.csv"),
    )
    .map_err(|source| Failure::file("writing payments into", folder, source))?;
    let paths = made.files.iter().chain([&made.truth]);
    let inside = paths
        .filter_map(|path| path.strip_prefix(folder).ok().map(Path::to_path_buf))
        .collect();
    Ok((made, inside))
}

/// Writes a file and the folders above it.
///
/// # Errors
/// What the file system says, with the path.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|source| Failure::file("making", parent, source))?;
    }
    std::fs::write(path, content).map_err(|source| Failure::file("writing", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_a_project_without_leavings() {
        for example in [Example::Minimal, Example::Payments] {
            let files = example.files();
            let has = |end: &str| {
                files
                    .iter()
                    .any(|(path, _)| path.to_string_lossy().ends_with(end))
            };
            assert!(
                has("tidegate.toml") && has(".sql") && has(".toml"),
                "{}",
                example.name()
            );
            assert!(
                !files.iter().any(|(path, _)| path.starts_with(".tidegate")),
                "{}",
                example.name()
            );
        }
    }
}
