//! Embedded topics: records in a folder, for those without a broker.
//!
//! A topic is a folder with `topic.json` and a folder for each partition, in which segments stand ([`segments`]) with
//! batches of records in columns ([`batch`]). Several processes may append at once, each under the lock of the
//! partition; a record is durable before it is acknowledged, and readers see it then ([`mark`]). Readers take no lock.
//!
//! Which columns a record has, and who may read it, is left to others: here it is bytes.

mod batch;
mod bell;
mod log;
mod mark;
mod partitioner;
mod segments;
mod source;
#[cfg(test)]
mod tests;
mod writer;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::partitioner::partition_of;
pub use self::source::{TopicReadOptions, TopicSource};
pub use self::writer::TopicWriter;
use crate::error::{ConnectError, Result};

/// The version of the folder's form.
const VERSION: u32 = 1;
/// Most partitions of a topic.
const PARTITIONS_MAX: i32 = 4096;

/// How batches in a topic are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicCompression {
    /// Not at all.
    #[default]
    None = 0,
    /// LZ4: fast.
    Lz4 = 1,
    /// Zstandard: small.
    Zstd = 2,
}

/// How a topic is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicOptions {
    /// How many partitions there are (1 to 4096).
    pub partitions: i32,
    /// Segments that nobody has written to for so many milliseconds are removed; without it they stay.
    pub retention_ms: Option<u64>,
    /// The oldest segments of a partition are removed when it takes more bytes than this; without it they stay.
    pub retention_bytes: Option<u64>,
    /// A new segment begins when one has so many bytes.
    pub segment_bytes: u64,
    /// How batches are packed.
    pub compression: TopicCompression,
}

impl Default for TopicOptions {
    fn default() -> Self {
        Self {
            partitions: 1,
            retention_ms: None,
            retention_bytes: None,
            segment_bytes: 64 << 20,
            compression: TopicCompression::None,
        }
    }
}

/// What `topic.json` holds.
#[derive(Serialize, Deserialize)]
struct Description {
    version: u32,
    /// Tells a topic from one that was made later in the same folder.
    id: uuid::Uuid,
    #[serde(flatten)]
    options: TopicOptions,
}

/// A record to be appended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The key, which decides the partition.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// Its time: milliseconds since 1970 in UTC.
    pub timestamp_ms: i64,
    /// Names and values beside it.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl Record {
    /// Bytes of all its parts.
    fn bytes(&self) -> usize {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.len() + length(value) + 8)
            .sum();
        length(&self.key) + length(&self.value) + headers
    }
}

/// A topic in a folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Topic {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    name: Arc<str>,
    label: String,
    id: uuid::Uuid,
    options: TopicOptions,
}

impl Topic {
    /// Makes a topic in `folder`, whose last part is its name. If it is there already with the same partitions, it is
    /// opened, and takes over the other options.
    ///
    /// # Errors
    /// [`ConnectError::TopicDiffers`] if it has another number of partitions; if an option cannot be, or the folder
    /// cannot be written.
    pub fn create(folder: &Path, options: &TopicOptions) -> Result<Self> {
        check(options)?;
        let label = label_of(folder);
        let fail = |source| ConnectError::Topic {
            topic: label.clone(),
            doing: "make it",
            source,
        };
        fs::create_dir_all(folder).map_err(fail)?;
        let guard = fs::File::create(folder.join("lock")).map_err(fail)?;
        guard.lock().map_err(fail)?;
        let id = match Self::open(folder) {
            Ok(there) if there.options() == options => return Ok(there),
            Ok(there) if there.options().partitions != options.partitions => {
                return Err(ConnectError::TopicDiffers {
                    topic: label,
                    there: there.options().partitions,
                    wanted: options.partitions,
                });
            }
            Ok(there) => there.shared.id,
            Err(ConnectError::NoTopic { .. }) => uuid::Uuid::now_v7(),
            Err(error) => return Err(error),
        };
        let description = Description {
            version: VERSION,
            id,
            options: options.clone(),
        };
        for partition in 0..options.partitions {
            let folder = folder.join(partition.to_string());
            log::Log::open(&folder, options).map_err(fail)?;
            segments::sync_folder(&folder).map_err(fail)?;
        }
        write_description(folder, &description).map_err(fail)?;
        Self::open(folder)
    }

    /// Opens the topic in `folder`.
    ///
    /// # Errors
    /// [`ConnectError::NoTopic`] if there is none; if it cannot be read, or was made by a later Tidegate.
    pub fn open(folder: &Path) -> Result<Self> {
        let label = label_of(folder);
        let fail = |source| ConnectError::Topic {
            topic: label.clone(),
            doing: "open it",
            source,
        };
        let text = match fs::read(folder.join("topic.json")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ConnectError::NoTopic {
                    topic: label,
                    path: folder.display().to_string(),
                });
            }
            Err(error) => return Err(fail(error)),
        };
        let description: Description = serde_json::from_slice(&text)
            .map_err(|error| fail(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        if description.version > VERSION {
            let message = format!(
                "its form is {}, and this Tidegate knows forms up to {VERSION}; use a newer Tidegate",
                description.version
            );
            return Err(fail(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        check(&description.options)?;
        Ok(Self {
            shared: Arc::new(Shared {
                folder: folder.to_path_buf(),
                name: name_of(folder).into(),
                label,
                id: description.id,
                options: description.options,
            }),
        })
    }

    /// Its name: the last part of its folder.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// How it is kept.
    #[must_use]
    pub fn options(&self) -> &TopicOptions {
        &self.shared.options
    }

    /// A writer. What writers that were killed left unfinished is cut off.
    ///
    /// # Errors
    /// If a partition cannot be opened for writing.
    pub fn writer(&self) -> Result<TopicWriter> {
        TopicWriter::new(self)
    }

    /// A source of its records.
    ///
    /// # Errors
    /// If a partition cannot be opened.
    pub fn source(&self, options: TopicReadOptions) -> Result<TopicSource> {
        TopicSource::new(self, options)
    }

    /// Removes segments that are older than `retention_ms` at `now`, and the oldest of those that take more than
    /// `retention_bytes`. Writers do the same whenever they begin a new segment.
    ///
    /// # Errors
    /// If a partition cannot be written.
    pub fn retain(&self, now: SystemTime) -> Result<()> {
        for partition in 0..self.options().partitions {
            log::Log::open(&self.partition_folder(partition), self.options())
                .and_then(|mut log| log.retain(now))
                .map_err(|error| self.fail("remove old records", error))?;
        }
        Ok(())
    }

    /// "topic payments".
    fn label(&self) -> &str {
        &self.shared.label
    }

    fn partition_folder(&self, partition: i32) -> PathBuf {
        self.shared.folder.join(partition.to_string())
    }

    fn fail(&self, doing: &'static str, source: io::Error) -> ConnectError {
        ConnectError::Topic {
            topic: self.label().to_owned(),
            doing,
            source,
        }
    }
}

fn name_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    name.to_string_lossy().into_owned()
}

fn label_of(folder: &Path) -> String {
    format!("topic {}", name_of(folder))
}

fn check(options: &TopicOptions) -> Result<()> {
    let refuse = |name, value: String, expected: &str| {
        Err(ConnectError::OptionValue {
            name,
            value,
            expected: expected.to_owned(),
        })
    };
    if !(1..=PARTITIONS_MAX).contains(&options.partitions) {
        let value = options.partitions.to_string();
        return refuse("partitions", value, "a number from 1 to 4096");
    }
    if !(1 << 10..=1 << 32).contains(&options.segment_bytes) {
        let value = options.segment_bytes.to_string();
        return refuse("segmentBytes", value, "a size from 1 KiB to 4 GiB");
    }
    Ok(())
}

/// Writes `topic.json` at once or not at all.
fn write_description(folder: &Path, description: &Description) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(description)?;
    let path = folder.join("topic.json.new");
    let mut file = fs::File::create(&path)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&path, folder.join("topic.json"))?;
    segments::sync_folder(folder)
}
