//! The mark of a partition: how far its records are durable. A writer moves it after its records are on the disk, and
//! readers show nothing behind it. A file of 40 bytes, read often and cheaply: it is how a reader in another process
//! learns that there is more.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How far the records of a partition are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The offset of the next record to be written.
    pub end: i64,
    /// The segment it will stand in, by its first offset.
    pub segment: i64,
    /// The place in it.
    pub place: u64,
    /// The first offset that can still be read.
    pub earliest: i64,
}

const BYTES: usize = 40;

impl Mark {
    /// The mark of an empty partition.
    pub(super) const EMPTY: Self = Self {
        end: 0,
        segment: 0,
        place: super::segments::MAGIC.len() as u64,
        earliest: 0,
    };

    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[0..8].copy_from_slice(&self.end.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.place.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.earliest.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..32]);
        bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Option<Self> {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let checksum = crc32c::crc32c(&bytes[..32]);
        (word(32) as u32 == checksum).then(|| Self {
            end: word(0) as i64,
            segment: word(8) as i64,
            place: word(16),
            earliest: word(24) as i64,
        })
    }
}

/// The file of the mark.
pub(super) struct MarkFile {
    file: File,
}

impl MarkFile {
    /// Opens it in the folder of a partition, for writing too if `write`.
    pub(super) fn open(folder: &Path, write: bool) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(write)
            .create(write)
            .truncate(false)
            .open(folder.join("durable"))?;
        Ok(Self { file })
    }

    /// The mark; `None` if there is none, or it is damaged.
    pub(super) fn read(&mut self) -> io::Result<Option<Mark>> {
        // It may be read while it is written: then it is there at the next try.
        for _ in 0..20 {
            let mut bytes = [0; BYTES];
            self.file.seek(SeekFrom::Start(0))?;
            match self.file.read_exact(&mut bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(mark) = Mark::from_bytes(&bytes) {
                return Ok(Some(mark));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    /// Moves the mark.
    pub(super) fn write(&mut self, mark: Mark) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&mark.to_bytes())
    }
}
