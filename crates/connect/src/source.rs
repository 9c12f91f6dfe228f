//! One file, opened: its bytes by range or in sequence, from a local disk or an object store, as
//! blocking calls. Decoders run on threads of their own; what is remote goes through a Tokio handle.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::compression::{Compression, Decompressor};
use crate::error::{ConnectError, Result};
use crate::listing::{FileEntry, refuse_special};
use crate::options::ReadOptions;

/// How much is asked of an object store at once.
const REMOTE_CHUNK_BYTES: u64 = 8 << 20;

/// A file, opened for reading. Cheap to clone. Its methods block: never call them from async code.
#[derive(Clone)]
pub(crate) struct Source {
    file: Arc<FileEntry>,
    access: Access,
    compression: Compression,
}

#[derive(Clone)]
enum Access {
    /// For tests and fuzzing, and for files that must be whole in memory anyway.
    Memory(Bytes),
    Local(PathBuf),
    Remote {
        store: Arc<dyn ObjectStore>,
        path: ObjectPath,
        handle: Handle,
    },
}

/// The beginning of a file, decompressed but not transcoded.
pub(crate) struct Head {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether that is all there is.
    pub complete: bool,
}

impl Source {
    /// Opens `file`; its compression is told from its first bytes unless `options` say it.
    pub(crate) fn open(
        file: &Arc<FileEntry>,
        options: &ReadOptions,
        handle: &Handle,
    ) -> Result<Self> {
        let access = match file.local_path() {
            Some(path) => {
                refuse_special(&path)?;
                Access::Local(path)
            }
            None => {
                let (store, path) = options.stores.open(&file.parsed_url()?, &options.store)?;
                Access::Remote {
                    store,
                    path,
                    handle: handle.clone(),
                }
            }
        };
        let mut source = Self {
            file: Arc::clone(file),
            access,
            compression: Compression::None,
        };
        source.compression = match options.compression {
            Some(given) => given,
            None => {
                let magic = source.read_range(0, file.size.min(8))?;
                Compression::from_magic(&magic).unwrap_or_default()
            }
        };
        Ok(source)
    }

    /// Bytes in memory as a file of this name.
    pub(crate) fn memory(name: &str, bytes: Bytes, options: &ReadOptions) -> Self {
        let file = FileEntry {
            url: format!("memory:/{name}"),
            size: bytes.len() as u64,
            modified: chrono::DateTime::UNIX_EPOCH,
            partitions: Vec::new(),
        };
        let told = Compression::from_magic(&bytes);
        Self {
            file: Arc::new(file),
            compression: options.compression.or(told).unwrap_or_default(),
            access: Access::Memory(bytes),
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> &Arc<FileEntry> {
        &self.file
    }

    /// The path or URL, for messages.
    pub(crate) fn name(&self) -> String {
        self.file.display()
    }

    /// The stored size in bytes, as listed.
    pub(crate) fn size(&self) -> u64 {
        self.file.size
    }

    /// How it is compressed.
    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    /// Its path, if it is on a local disk.
    pub(crate) fn local_path(&self) -> Option<&Path> {
        match &self.access {
            Access::Local(path) => Some(path),
            Access::Memory(_) | Access::Remote { .. } => None,
        }
    }

    /// The stored bytes from `from` up to `to` (fewer if the file ends before).
    pub(crate) fn read_range(&self, from: u64, to: u64) -> Result<Bytes> {
        let to = to.max(from);
        match &self.access {
            Access::Memory(bytes) => Ok(part(bytes, from, to)),
            Access::Local(path) => {
                let fail = |error| ConnectError::from_io(path.display().to_string(), error);
                let mut file = File::open(path).map_err(fail)?;
                file.seek(SeekFrom::Start(from)).map_err(fail)?;
                let mut bytes =
                    Vec::with_capacity(usize::try_from(to - from).unwrap_or(0).min(64 << 20));
                file.take(to - from).read_to_end(&mut bytes).map_err(fail)?;
                Ok(bytes.into())
            }
            Access::Remote {
                store,
                path,
                handle,
            } => {
                let to = to.min(self.size());
                if from >= to {
                    return Ok(Bytes::new());
                }
                handle
                    .block_on(store.get_range(path, from..to))
                    .map_err(|source| ConnectError::Store {
                        url: self.name(),
                        source,
                    })
            }
        }
    }

    /// All stored bytes, decompressed.
    pub(crate) fn read_all(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.decompressed()?.fill(&mut bytes, usize::MAX / 2)?;
        Ok(bytes)
    }

    /// The stored bytes from `from` up to `to`, one after the other.
    pub(crate) fn stored(&self, from: u64, to: u64) -> Result<Box<dyn Read + Send>> {
        match &self.access {
            Access::Memory(bytes) => Ok(Box::new(io::Cursor::new(part(bytes, from, to)))),
            Access::Local(path) => {
                let fail = |error| ConnectError::from_io(path.display().to_string(), error);
                let mut file = File::open(path).map_err(fail)?;
                file.seek(SeekFrom::Start(from)).map_err(fail)?;
                Ok(Box::new(file.take(to.saturating_sub(from))))
            }
            Access::Remote {
                store,
                path,
                handle,
            } => Ok(Box::new(RemoteReader::new(
                Arc::clone(store),
                path.clone(),
                handle.clone(),
                from,
                to.min(self.size()),
            ))),
        }
    }

    /// The whole file, decompressed, one byte after the other.
    pub(crate) fn decompressed(&self) -> Result<Decompressor> {
        self.decompressed_part(0, u64::MAX)
    }

    /// The stored bytes from `from` up to `to`, decompressed.
    pub(crate) fn decompressed_part(&self, from: u64, to: u64) -> Result<Decompressor> {
        let to = if to == u64::MAX && self.local_path().is_none() {
            self.size()
        } else {
            to
        };
        Decompressor::new(self.stored(from, to)?, self.compression, &self.name())
    }

    /// The first `limit` decompressed bytes. A cut or damaged stream gives what came before.
    pub(crate) fn head(&self, limit: usize) -> Result<Head> {
        let mut bytes = Vec::new();
        let mut reader = self.decompressed()?;
        let complete = match reader.fill(&mut bytes, limit) {
            Ok(complete) => complete,
            Err(ConnectError::Truncated { .. } | ConnectError::Decompress { .. })
                if !bytes.is_empty() =>
            {
                false
            }
            Err(error) => return Err(error),
        };
        Ok(Head { bytes, complete })
    }
}

fn part(bytes: &Bytes, from: u64, to: u64) -> Bytes {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(place(from)..place(to).max(place(from)))
}

/// Reads an object in order; the next chunk is fetched while this one is consumed.
struct RemoteReader {
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    handle: Handle,
    next: u64,
    to: u64,
    chunk: Bytes,
    coming: Option<JoinHandle<object_store::Result<Bytes>>>,
}

impl RemoteReader {
    fn new(
        store: Arc<dyn ObjectStore>,
        path: ObjectPath,
        handle: Handle,
        from: u64,
        to: u64,
    ) -> Self {
        let mut reader = Self {
            store,
            path,
            handle,
            next: from,
            to,
            chunk: Bytes::new(),
            coming: None,
        };
        reader.request();
        reader
    }

    fn request(&mut self) {
        let end = self.to.min(self.next + REMOTE_CHUNK_BYTES);
        if self.next >= end {
            return;
        }
        let (store, path, range) = (Arc::clone(&self.store), self.path.clone(), self.next..end);
        self.next = end;
        self.coming = Some(
            self.handle
                .spawn(async move { store.get_range(&path, range).await }),
        );
    }
}

impl Read for RemoteReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            let Some(coming) = self.coming.take() else {
                return Ok(0);
            };
            self.chunk = self
                .handle
                .block_on(coming)
                .map_err(io::Error::other)?
                .map_err(io::Error::other)?;
            self.request();
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

impl Drop for RemoteReader {
    fn drop(&mut self) {
        if let Some(coming) = self.coming.take() {
            coming.abort();
        }
    }
}
