//! Reading a topic: segments are read in large parts, and batches that are durable are taken out of them. No lock is
//! taken; a writer in this process rings a bell, and of others the marks are looked at every few milliseconds.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::start::{Place, Start};
use super::super::{Fetched, LiveNote, LiveSource, PartitionState, Positions};
use super::Topic;
use super::batch::{Columns, HEAD, Head};
use super::bell::Bell;
use super::log::Log;
use super::mark::{Mark, MarkFile};
use super::segments;
use crate::error::{ConnectError, Result};

/// How often the marks are looked at while nothing comes.
const LOOK: Duration = Duration::from_millis(3);
/// The least that is read at once.
const READ_MIN: usize = 64 << 10;

/// How a topic is read.
#[derive(Debug, Clone)]
pub struct TopicReadOptions {
    /// Where partitions without a position begin.
    pub start: Start,
    /// Whether records that were removed before they were read stop the reading, or are told as [`LiveNote::Lost`].
    pub fail_on_data_loss: bool,
}

impl Default for TopicReadOptions {
    fn default() -> Self {
        Self {
            start: Start::Earliest,
            fail_on_data_loss: true,
        }
    }
}

/// A topic as a source of records.
pub struct TopicSource {
    topic: Topic,
    options: TopicReadOptions,
    partitions: Vec<Partition>,
    /// The partition whose turn it is.
    turn: usize,
    bell: Arc<Bell>,
    notes: Vec<LiveNote>,
}

struct Partition {
    number: i32,
    folder: PathBuf,
    mark_file: MarkFile,
    mark: Mark,
    /// The next offset to read; before the first poll or seek there is none.
    next: Option<i64>,
    open: Option<Open>,
}

/// The segment that is read.
struct Open {
    base: i64,
    file: File,
    place: u64,
}

impl TopicSource {
    pub(super) fn new(topic: &Topic, options: TopicReadOptions) -> Result<Self> {
        let open = |number| {
            let folder = topic.partition_folder(number);
            let fail = |error| topic.fail("open", error);
            if let Err(error) = Log::recover_if_idle(&folder, topic.options()) {
                // Perhaps we may only read: then what is marked is what there is.
                tracing::debug!(%error, folder = %folder.display(), "the end of a partition was not checked");
            }
            let mut mark_file = MarkFile::open(&folder, false).map_err(fail)?;
            let mark = mark_file.read().map_err(fail)?.unwrap_or(Mark::EMPTY);
            Ok(Partition {
                number,
                folder,
                mark_file,
                mark,
                next: None,
                open: None,
            })
        };
        let partitions = (0..topic.options().partitions).map(open);
        Ok(Self {
            partitions: partitions.collect::<Result<_>>()?,
            topic: topic.clone(),
            options,
            turn: 0,
            bell: Bell::of(topic.folder()),
            notes: Vec::new(),
        })
    }

    /// Looks at all marks; whether there is something to read.
    fn look(&mut self) -> Result<bool> {
        let mut some = false;
        for partition in &mut self.partitions {
            let mark = partition.mark_file.read();
            let mark = mark.map_err(|error| self.topic.fail("look at its end", error))?;
            if let Some(mark) = mark {
                partition.mark = mark;
            }
            some |= partition.next.is_none_or(|next| next != partition.mark.end);
        }
        Ok(some)
    }

    /// Whether the folder is still that of the topic that was opened.
    fn check_there(&self) -> Result<()> {
        let now = Topic::open(self.topic.folder())?;
        match now.shared.id == self.topic.shared.id {
            true => Ok(()),
            false => Err(ConnectError::Recreated {
                source_name: self.topic.label().to_owned(),
            }),
        }
    }

    /// Gives each partition a position that has none yet.
    fn begin(&mut self) -> Result<()> {
        for at in 0..self.partitions.len() {
            if self.partitions[at].next.is_some() {
                continue;
            }
            let partition = &mut self.partitions[at];
            let next = match self.options.start.of(self.topic.name(), partition.number) {
                Place::Earliest => partition.mark.earliest,
                Place::Latest => partition.mark.end,
                Place::Offset(offset) => offset,
                Place::Timestamp(time) => partition
                    .first_since(time)
                    .map_err(|error| self.topic.fail("read", error))?,
            };
            partition.next = Some(next);
        }
        Ok(())
    }

    /// Takes one round over the partitions.
    fn round(&mut self, bytes_max: usize) -> Result<Vec<Fetched>> {
        let mut found = Vec::new();
        let mut left = bytes_max;
        let count = self.partitions.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            if left == 0 && !found.is_empty() {
                self.turn = at;
                return Ok(found);
            }
            self.within(at)?;
            let partition = &mut self.partitions[at];
            let next = partition.next.unwrap_or(0);
            if next >= partition.mark.end {
                continue;
            }
            let fetched = partition.fetch(next, left.max(1), &self.topic)?;
            if let Some(fetched) = fetched {
                left = left.saturating_sub(fetched.bytes());
                partition.next = Some(fetched.next);
                found.push(fetched);
            }
        }
        self.turn = (self.turn + 1) % count.max(1);
        Ok(found)
    }

    /// Sees to it that the next offset of a partition is one that is there.
    fn within(&mut self, at: usize) -> Result<()> {
        let partition = &mut self.partitions[at];
        let (next, mark) = (partition.next.unwrap_or(0), partition.mark);
        if next > mark.end {
            return Err(ConnectError::BehindEnd {
                source_name: self.topic.label().to_owned(),
                partition: partition.number,
                wanted: next,
                end: mark.end,
            });
        }
        if next >= mark.earliest {
            return Ok(());
        }
        if self.options.fail_on_data_loss {
            return Err(ConnectError::Expired {
                source_name: self.topic.label().to_owned(),
                partition: partition.number,
                wanted: next,
                earliest: mark.earliest,
            });
        }
        self.notes.push(LiveNote::Lost {
            topic: Arc::clone(self.topic.name()),
            partition: partition.number,
            from: next,
            to: mark.earliest,
        });
        partition.next = Some(mark.earliest);
        partition.open = None;
        Ok(())
    }
}

impl LiveSource for TopicSource {
    fn name(&self) -> &str {
        self.topic.label()
    }

    fn partitions(&mut self) -> Result<Vec<PartitionState>> {
        self.check_there()?;
        self.look()?;
        let state = |partition: &Partition| PartitionState {
            topic: Arc::clone(self.topic.name()),
            partition: partition.number,
            earliest: partition.mark.earliest,
            end: partition.mark.end,
        };
        Ok(self.partitions.iter().map(state).collect())
    }

    fn assigned(&self) -> Vec<(Arc<str>, i32)> {
        let partitions = self.partitions.iter();
        partitions
            .map(|partition| (Arc::clone(self.topic.name()), partition.number))
            .collect()
    }

    fn seek(&mut self, next: &Positions) -> Result<()> {
        self.look()?;
        let (label, count) = (self.topic.label(), self.partitions.len());
        for (topic, number, _) in next.iter() {
            if topic != self.topic.name() || number < 0 || number as usize >= count {
                return Err(ConnectError::NoPartition {
                    source_name: label.to_owned(),
                    topic: topic.to_string(),
                    partition: number,
                });
            }
        }
        for partition in &mut self.partitions {
            partition.open = None;
            partition.next = next.get(self.topic.name(), partition.number);
        }
        self.begin()
    }

    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Fetched>> {
        let until = Instant::now() + wait;
        loop {
            let rung = self.bell.count();
            if self.look()? {
                self.begin()?;
                let found = self.round(bytes_max)?;
                if !found.is_empty() {
                    return Ok(found);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            self.bell.wait(rung, left.min(LOOK));
        }
    }

    fn notes(&mut self) -> Vec<LiveNote> {
        std::mem::take(&mut self.notes)
    }
}

impl Partition {
    /// Opens the segment in which `offset` stands or will stand.
    fn open_at(&mut self, offset: i64) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let bases = segments::list(&self.folder)?;
        let base = bases.iter().rev().find(|&&base| base <= offset);
        let base = base.copied().unwrap_or(self.mark.segment);
        let mut file = File::open(segments::path_of(&self.folder, base))?;
        let mut place = segments::look_up(&self.folder, base, offset);
        let mut head = [0; HEAD];
        file.seek(SeekFrom::Start(place))?;
        let right = file.read_exact(&mut head).is_ok()
            && Head::read(&head).is_some_and(|head| head.base <= offset);
        if !right {
            place = segments::MAGIC.len() as u64;
        }
        self.open = Some(Open { base, file, place });
        Ok(())
    }

    /// The records from `next` on, about `bytes` of them, as far as they are durable.
    fn fetch(&mut self, next: i64, bytes: usize, topic: &Topic) -> Result<Option<Fetched>> {
        let fail = |error| topic.fail("read", error);
        let end = self.mark.end;
        let mut chunk = Vec::new();
        let mut wanted = bytes.max(READ_MIN);
        loop {
            self.open_at(next).map_err(fail)?;
            let Some(open) = &mut self.open else {
                return Ok(None);
            };
            open.read(&mut chunk, wanted, &self.mark).map_err(fail)?;
            // Those before it, after the place of the index.
            let mut at = 0;
            while let Some(head) = Head::read(&chunk[at..])
                && head.end() <= next
                && at + head.length <= chunk.len()
            {
                at += head.length;
            }
            open.place += at as u64;
            match Head::read(&chunk[at..]) {
                Some(head) if head.length > chunk.len() - at && head.length > wanted => {
                    wanted = head.length;
                }
                Some(_) if at == 0 => break,
                // Behind the last one, if the next segment begins with the next record.
                None if at == chunk.len() && open.base < next && open.is_last(&self.mark) => {
                    return Err(self.damaged(topic, next, "it ends before its last record"));
                }
                None if at == 0 && chunk.is_empty() => {
                    let base = open.base;
                    self.open = None;
                    self.open_at(next).map_err(fail)?;
                    if self.open.as_ref().is_some_and(|open| open.base == base) {
                        return Err(self.damaged(topic, next, "it ends before its last record"));
                    }
                }
                None if at == 0 => {
                    return Err(self.damaged(topic, next, "what stands there is no batch"));
                }
                _ => {}
            }
        }
        self.take(&chunk, next, end, bytes, topic).map(Some)
    }

    /// Takes the batches out of a part of a segment.
    fn take(
        &mut self,
        chunk: &[u8],
        mut next: i64,
        end: i64,
        bytes: usize,
        topic: &Topic,
    ) -> Result<Fetched> {
        let mut columns = Columns::with_capacity(chunk.len().min(bytes.max(READ_MIN)));
        let mut at = 0;
        while next < end && (at == 0 || columns.values.bytes() < bytes) {
            let Some(head) = Head::read(&chunk[at..]) else {
                break;
            };
            let Some(batch) = chunk.get(at..at + head.length) else {
                break;
            };
            if head.base > next || head.end() <= next {
                return Err(self.damaged(topic, next, "its records do not follow one another"));
            }
            if !head.is_whole(batch) {
                return Err(self.damaged(topic, next, "its checksum is wrong"));
            }
            if !columns.values.is_empty()
                && columns.values.bytes() + head.length > super::super::COLUMN_BYTES_MAX
            {
                break;
            }
            columns
                .add(&head, batch, next)
                .map_err(|message| self.damaged(topic, next, &message))?;
            next = head.end();
            at += head.length;
        }
        if columns.values.is_empty() {
            return Err(self.damaged(topic, next, "a batch ends in its middle"));
        }
        if let Some(open) = &mut self.open {
            open.place += at as u64;
        }
        let keys = (!columns.keys.is_all_null()).then(|| columns.keys.finish());
        Ok(Fetched {
            topic: Arc::clone(topic.name()),
            partition: self.number,
            offsets: columns.offsets,
            timestamps_ms: columns.timestamps_ms,
            keys,
            values: columns.values.finish(),
            headers: columns.headers.finish(),
            next,
        })
    }

    fn damaged(&self, topic: &Topic, offset: i64, message: &str) -> ConnectError {
        let base = self.open.as_ref().map_or(0, |open| open.base);
        ConnectError::TopicDamaged {
            topic: topic.label().to_owned(),
            path: segments::path_of(&self.folder, base).display().to_string(),
            offset,
            message: message.to_owned(),
        }
    }

    /// The offset of the first batch with a record of this time or later; the end if there is none.
    fn first_since(&mut self, time: i64) -> io::Result<i64> {
        for base in segments::list(&self.folder)? {
            let mut file = File::open(segments::path_of(&self.folder, base))?;
            let mut place = segments::MAGIC.len() as u64;
            let mut head = [0; HEAD];
            loop {
                file.seek(SeekFrom::Start(place))?;
                if file.read_exact(&mut head).is_err() {
                    break;
                }
                let Some(read) = Head::read(&head) else { break };
                if read.base >= self.mark.end {
                    return Ok(self.mark.end);
                }
                if read.timestamp_max >= time && read.end() > self.mark.earliest {
                    return self.first_in(&mut file, place, &read, time);
                }
                place += read.length as u64;
            }
        }
        Ok(self.mark.end)
    }

    /// The same inside a batch.
    fn first_in(&self, file: &mut File, place: u64, head: &Head, time: i64) -> io::Result<i64> {
        let mut batch = vec![0; head.length];
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(&mut batch)?;
        let mut columns = Columns::with_capacity(0);
        if !head.is_whole(&batch) || columns.add(head, &batch, head.base).is_err() {
            return Ok(head.base);
        }
        let first = columns.timestamps_ms.iter().position(|&at| at >= time);
        Ok(head.base + first.unwrap_or(0) as i64)
    }
}

impl Open {
    /// Reads up to `wanted` bytes from the place on, as far as they are durable.
    fn read(&mut self, chunk: &mut Vec<u8>, wanted: usize, mark: &Mark) -> io::Result<()> {
        let end = match self.is_last(mark) {
            true => mark.place,
            false => self.file.metadata()?.len(),
        };
        let length = (wanted as u64).min(end.saturating_sub(self.place));
        self.file.seek(SeekFrom::Start(self.place))?;
        chunk.clear();
        chunk.reserve_exact(length as usize);
        (&mut self.file).take(length).read_to_end(chunk)?;
        Ok(())
    }

    /// Whether it is the one that is written.
    fn is_last(&self, mark: &Mark) -> bool {
        self.base == mark.segment
    }
}
