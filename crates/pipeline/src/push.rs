//! `tidegate push`: lines become records of a topic.

use std::io::{BufRead, BufReader, Read};

use tidegate_connect::live::topic::Record;
use tidegate_project::TableKind;

use crate::error::{PipelineError, Result};
use crate::workspace::{Workspace, nearest};

/// How many lines are appended at once, at most.
const LINES_MAX: usize = 5_000;
/// A line longer than this is not taken.
const LINE_BYTES_MAX: usize = 100 << 20;

/// What was pushed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pushed {
    /// Records that are in the topic, durably.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
}

impl Workspace {
    /// Appends each line of `lines` to a topic; empty lines are passed over. With `key`, the field of this name of a JSON
    /// object is the record's key, which decides its partition. Blocks until everything is durable. What stands in the
    /// buffer of `lines` is appended at once, so a pipe that drips is taken as it comes.
    ///
    /// # Errors
    /// [`PipelineError::UnknownTable`] with the nearest topic; a topic that cannot be written; lines that cannot be read.
    pub fn push<R: Read>(
        &self,
        topic: &str,
        key: Option<&str>,
        lines: &mut BufReader<R>,
    ) -> Result<Pushed> {
        let name = self.project.resolve(topic).filter(|name| {
            let table = self.project.table(name);
            table.is_some_and(|table| table.kind == TableKind::Topic)
        });
        let Some(name) = name else {
            let topics = self.project.tables.iter();
            let topics = topics.filter(|table| table.kind == TableKind::Topic);
            return Err(PipelineError::UnknownTable {
                name: topic.to_owned(),
                nearest: nearest(topic, topics.map(|table| table.name.to_string()).collect()),
            });
        };
        let declared = self.project.table(&name);
        let own_key = declared.and_then(|table| table.properties.get("key").cloned());
        let key = key.map(str::to_owned).or(own_key);
        let writer = self.opener().topic(&name)?.writer()?;
        let mut pushed = Pushed::default();
        let mut batch: Vec<Record> = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = lines
                .by_ref()
                .take(LINE_BYTES_MAX as u64)
                .read_until(b'\n', &mut line)
                .map_err(|error| PipelineError::Request(format!("the lines end early: {error}")))?;
            let ended = read == 0;
            let text = line.trim_ascii_end();
            if !text.is_empty() {
                pushed.records += 1;
                pushed.bytes += text.len() as u64;
                batch.push(Record {
                    key: key.as_deref().and_then(|key| key_of(text, key)),
                    value: Some(text.to_vec().into()),
                    timestamp_ms: chrono::Utc::now().timestamp_millis(),
                    headers: Vec::new(),
                });
            }
            // What came together is appended together; nothing waits for what may come.
            let waiting = lines.buffer().contains(&b'\n');
            if !batch.is_empty() && (ended || batch.len() >= LINES_MAX || !waiting) {
                writer.append(&batch)?;
                batch.clear();
            }
            if ended {
                return Ok(pushed);
            }
        }
    }
}

/// The text of a field of a JSON object.
fn key_of(line: &[u8], key: &str) -> Option<bytes::Bytes> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let text = match value.get(key)? {
        serde_json::Value::Null => return None,
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(text.into_bytes().into())
}
