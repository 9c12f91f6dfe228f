//! The files of a partition: segments `00000000000000000042.log`, named by the offset of their first record, each with
//! an index `….index` (pairs of offset and place, one for every 64 KiB or so). The index is a hint: what it says is
//! checked against the segment, and without it the segment is gone through.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::batch::{HEAD, Head};

/// The beginning of every segment.
pub(super) const MAGIC: &[u8; 8] = b"TIDELOG\x01";

/// How many bytes may lie between two entries of an index.
pub(super) const INDEX_STEP: u64 = 64 << 10;

/// The path of the segment that begins with this offset.
pub(super) fn path_of(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.log"))
}

/// The path of its index.
pub(super) fn index_of(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.index"))
}

/// The first offsets of the segments there are, in order.
pub(super) fn list(folder: &Path) -> io::Result<Vec<i64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".log"));
        bases.extend(base.and_then(|base| base.parse::<i64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Makes an empty segment, and makes that last.
pub(super) fn create(folder: &Path, base: i64) -> io::Result<File> {
    let path = path_of(folder, base);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(MAGIC)?;
    file.sync_all()?;
    sync_folder(folder)?;
    Ok(file)
}

/// Makes the entries of a folder last.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => File::open(folder)?.sync_all(),
        // Elsewhere folders cannot be opened; the file system sees to it.
        false => Ok(()),
    }
}

/// Where the whole batches of a segment end, and what was seen on the way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Behind the last whole batch.
    pub place: u64,
    /// The offset behind its last record.
    pub end: i64,
}

/// Goes through a segment from `place`, where the record of offset `next` begins, as long as whole batches follow one
/// another.
pub(super) fn scan(file: &mut File, place: u64, next: i64) -> io::Result<Scanned> {
    let length = file.metadata()?.len();
    let mut scanned = Scanned {
        place: place.max(MAGIC.len() as u64),
        end: next,
    };
    let mut head = [0; HEAD];
    let mut batch = Vec::new();
    while scanned.place + HEAD as u64 <= length {
        file.seek(SeekFrom::Start(scanned.place))?;
        file.read_exact(&mut head)?;
        let Some(read) = Head::read(&head) else { break };
        let whole = scanned.place + read.length as u64 <= length;
        if !whole || read.base != scanned.end {
            break;
        }
        batch.clear();
        batch.extend_from_slice(&head);
        batch.resize(read.length, 0);
        file.read_exact(&mut batch[HEAD..])?;
        if !read.is_whole(&batch) {
            break;
        }
        scanned = Scanned {
            place: scanned.place + read.length as u64,
            end: read.end(),
        };
    }
    Ok(scanned)
}

/// The place of the batch that holds `offset` in the segment `base`, or of one before it.
pub(super) fn look_up(folder: &Path, base: i64, offset: i64) -> u64 {
    let bytes = fs::read(index_of(folder, base)).unwrap_or_default();
    let mut best = MAGIC.len() as u64;
    for entry in bytes.chunks_exact(16) {
        let (first, place) = entry.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        if number(first) as i64 <= offset {
            best = best.max(number(place));
        }
    }
    best
}

/// Adds an entry to an index. It may get lost without harm.
pub(super) fn add_to_index(folder: &Path, base: i64, offset: i64, place: u64) {
    let mut entry = [0; 16];
    entry[..8].copy_from_slice(&offset.to_le_bytes());
    entry[8..].copy_from_slice(&place.to_le_bytes());
    let path = index_of(folder, base);
    let added = File::options()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(&entry));
    if let Err(error) = added {
        tracing::debug!(%error, "an entry of the index of a topic was not written");
    }
}
