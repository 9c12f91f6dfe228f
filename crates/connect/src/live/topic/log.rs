//! A partition, as its writers see it: appending under the lock of its folder, cutting off what a killed writer left
//! unfinished, rolling segments, and removing old ones.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::TopicOptions;
use super::batch;
use super::mark::{Mark, MarkFile};
use super::segments;

/// A partition, open for appending.
pub(super) struct Log {
    folder: PathBuf,
    options: TopicOptions,
    lock: File,
    mark_file: MarkFile,
    /// The segment that is written, by its first offset.
    current: Option<(i64, File)>,
    /// Up to where the current segment is in its index.
    indexed: u64,
    recovered: bool,
}

impl Log {
    /// Opens a partition's folder; makes it if it is new.
    pub(super) fn open(folder: &Path, options: &TopicOptions) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join("lock"))?;
        lock.lock()?;
        let opened = MarkFile::open(folder, true);
        let mut log = Self {
            folder: folder.to_path_buf(),
            options: options.clone(),
            lock,
            mark_file: opened?,
            current: None,
            indexed: 0,
            recovered: false,
        };
        let state = log.refresh();
        log.lock.unlock()?;
        state.map(|_| log)
    }

    /// Makes the end right where nobody is writing, so that readers see what a killed writer had made durable.
    pub(super) fn recover_if_idle(folder: &Path, options: &TopicOptions) -> io::Result<()> {
        let lock = File::options().write(true).open(folder.join("lock"))?;
        if lock.try_lock().is_err() {
            return Ok(());
        }
        lock.unlock()?;
        drop(lock);
        Self::open(folder, options).map(drop)
    }

    /// Appends batches, one behind the other, and returns when they are durable: the offset of the first record of
    /// each.
    pub(super) fn append(&mut self, batches: &mut [Vec<u8>]) -> io::Result<Vec<i64>> {
        self.lock.lock()?;
        let appended = self.append_locked(batches);
        let unlocked = self.lock.unlock();
        if appended.is_err() {
            // What is on the disk now is found out anew.
            self.recovered = false;
        }
        let bases = appended?;
        unlocked.map(|()| bases)
    }

    fn append_locked(&mut self, batches: &mut [Vec<u8>]) -> io::Result<Vec<i64>> {
        let mut mark = self.refresh()?;
        if self.is_full(&mark)? {
            mark = self.roll(mark)?;
        }
        let base = mark.segment;
        self.open_segment(base)?;
        let (old, start) = (mark, mark.place);
        let mut bases = Vec::with_capacity(batches.len());
        let mut entries = Vec::new();
        for batch in batches.iter_mut() {
            batch::set_base(batch, mark.end);
            bases.push(mark.end);
            if mark.place >= self.indexed + segments::INDEX_STEP {
                entries.push((mark.end, mark.place));
                self.indexed = mark.place;
            }
            let count = batch::Head::read(batch).map_or(0, |head| i64::from(head.count));
            mark.end += count;
            mark.place += batch.len() as u64;
        }
        let Some((_, file)) = &mut self.current else {
            return Err(io::Error::other("the segment is not open"));
        };
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(start))?;
            batches.iter().try_for_each(|batch| file.write_all(batch))?;
            fail(file)?;
            file.sync_data()
        };
        if let Err(error) = write(file) {
            // A full disk: the unfinished batch must not be in the way of the next one.
            let _ = file.set_len(old.place);
            return Err(error);
        }
        for (offset, place) in entries {
            segments::add_to_index(&self.folder, base, offset, place);
        }
        self.mark_file.write(mark)?;
        Ok(bases)
    }

    /// The mark, after the end was made right if another writer did not come to its own.
    fn refresh(&mut self) -> io::Result<Mark> {
        let mark = self.mark_file.read()?;
        if let (true, Some(mark)) = (self.recovered, mark) {
            let length = match &self.current {
                Some((base, file)) if *base == mark.segment => file.metadata()?.len(),
                _ => fs::metadata(segments::path_of(&self.folder, mark.segment))?.len(),
            };
            let newer = mark.end != mark.segment
                && segments::path_of(&self.folder, mark.end).try_exists()?;
            if length == mark.place && !newer {
                return Ok(mark);
            }
        }
        let mark = self.recover(mark)?;
        self.recovered = true;
        Ok(mark)
    }

    /// Finds the end of what is whole, cuts off what follows it, and moves the mark there.
    fn recover(&mut self, old: Option<Mark>) -> io::Result<Mark> {
        self.current = None;
        let bases = segments::list(&self.folder)?;
        let first = bases.first().copied();
        let mut mark = match (old, bases.last()) {
            (Some(mark), Some(_)) if bases.contains(&mark.segment) => mark,
            (_, Some(&last)) => Mark {
                end: last,
                segment: last,
                earliest: first.unwrap_or(last),
                ..Mark::EMPTY
            },
            (old, None) => {
                // Nothing was written yet, or all segments were taken away.
                let end = old.map_or(0, |mark| mark.end);
                segments::create(&self.folder, end)?;
                Mark {
                    end,
                    segment: end,
                    earliest: end,
                    ..Mark::EMPTY
                }
            }
        };
        loop {
            let path = segments::path_of(&self.folder, mark.segment);
            let mut file = File::options().read(true).write(true).open(&path)?;
            let length = file.metadata()?.len();
            if length < segments::MAGIC.len() as u64 {
                file = segments::create(&self.folder, mark.segment)?;
            }
            let scanned = segments::scan(&mut file, mark.place, mark.end)?;
            if scanned.place < length {
                let cut = length - scanned.place;
                tracing::info!(path = %path.display(), bytes = cut, "cut off a batch that a writer did not finish");
                file.set_len(scanned.place)?;
            }
            file.sync_all()?;
            mark.place = scanned.place;
            mark.end = scanned.end;
            if mark.segment == mark.end || !bases.contains(&mark.end) {
                break;
            }
            mark.segment = mark.end;
            mark.place = segments::MAGIC.len() as u64;
        }
        self.mark_file.write(mark)?;
        Ok(mark)
    }

    fn open_segment(&mut self, base: i64) -> io::Result<()> {
        if self.current.as_ref().is_some_and(|(open, _)| *open == base) {
            return Ok(());
        }
        let path = segments::path_of(&self.folder, base);
        let file = File::options().read(true).write(true).open(path)?;
        self.indexed = segments::look_up(&self.folder, base, i64::MAX);
        self.current = Some((base, file));
        Ok(())
    }

    /// Whether the next batch belongs into a new segment.
    fn is_full(&self, mark: &Mark) -> io::Result<bool> {
        if mark.place <= segments::MAGIC.len() as u64 {
            return Ok(false);
        }
        if mark.place >= self.options.segment_bytes {
            return Ok(true);
        }
        let Some(retention_ms) = self.options.retention_ms else {
            return Ok(false);
        };
        // Only whole segments are removed: one that is written for long would keep its old records.
        let path = segments::path_of(&self.folder, mark.segment);
        let made = fs::metadata(path)?.created();
        let age = made.ok().and_then(|made| made.elapsed().ok());
        Ok(age.is_some_and(|age| age > Duration::from_millis(retention_ms / 4).max(MINUTE)))
    }

    fn roll(&mut self, mut mark: Mark) -> io::Result<Mark> {
        segments::create(&self.folder, mark.end)?;
        mark.segment = mark.end;
        mark.place = segments::MAGIC.len() as u64;
        self.current = None;
        self.indexed = 0;
        self.remove_old(mark, SystemTime::now())
    }

    /// Removes whole segments that are too old or too many; see [`super::Topic::retain`].
    pub(super) fn retain(&mut self, now: SystemTime) -> io::Result<()> {
        self.lock.lock()?;
        let kept = self.retain_locked(now);
        self.lock.unlock()?;
        kept
    }

    fn retain_locked(&mut self, now: SystemTime) -> io::Result<()> {
        let mark = self.refresh()?;
        let path = segments::path_of(&self.folder, mark.segment);
        let written = mark.place > segments::MAGIC.len() as u64;
        if written && self.is_old(&path, now)? {
            self.roll(mark)?;
        }
        let mark = self.refresh()?;
        self.remove_old(mark, now).map(drop)
    }

    fn is_old(&self, path: &Path, now: SystemTime) -> io::Result<bool> {
        let Some(retention_ms) = self.options.retention_ms else {
            return Ok(false);
        };
        let age = now.duration_since(fs::metadata(path)?.modified()?);
        Ok(age.is_ok_and(|age| age > Duration::from_millis(retention_ms)))
    }

    /// Moves the mark's beginning, then removes the segments before it.
    fn remove_old(&mut self, mut mark: Mark, now: SystemTime) -> io::Result<Mark> {
        let bases = segments::list(&self.folder)?;
        let mut sizes = Vec::with_capacity(bases.len());
        for &base in &bases {
            sizes.push(fs::metadata(segments::path_of(&self.folder, base))?.len());
        }
        let mut total: u64 = sizes.iter().sum();
        let mut gone = Vec::new();
        for (at, &base) in bases.iter().enumerate() {
            let next = bases.get(at + 1).copied().unwrap_or(mark.end);
            let path = segments::path_of(&self.folder, base);
            let too_much = self
                .options
                .retention_bytes
                .is_some_and(|most| total > most);
            let left = base < mark.earliest && next <= mark.earliest;
            if base >= mark.segment || !(left || too_much || self.is_old(&path, now)?) {
                break;
            }
            total -= sizes[at];
            mark.earliest = mark.earliest.max(next);
            gone.push(base);
        }
        self.mark_file.write(mark)?;
        for base in gone {
            fs::remove_file(segments::path_of(&self.folder, base))?;
            let _ = fs::remove_file(segments::index_of(&self.folder, base));
        }
        Ok(mark)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Where the tests let a write fail.
#[cfg(test)]
fn fail(_file: &File) -> io::Result<()> {
    match super::tests::FAIL_WRITES.get() {
        true => Err(io::Error::from(io::ErrorKind::StorageFull)),
        false => Ok(()),
    }
}

#[cfg(not(test))]
fn fail(_file: &File) -> io::Result<()> {
    Ok(())
}
