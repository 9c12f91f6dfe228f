//! Compressed sources: which compression it is (first bytes, then the name), and a reader that
//! gives the decompressed bytes and, when the stream is cut or damaged, says so with the place,
//! after everything that could be decompressed.

use std::io::{self, BufRead, BufReader, Read};

use crate::error::ConnectError;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, also of several members.
    Gzip,
    /// Zstandard, also of several frames.
    Zstd,
    /// bzip2, also of several streams.
    Bzip2,
    /// xz, also of several streams.
    Xz,
}

impl Compression {
    /// The name, as in the option `compression`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// The compression of this name or file extension.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "none" | "uncompressed" => Self::None,
            "gzip" | "gz" => Self::Gzip,
            "zstd" | "zst" | "zstandard" => Self::Zstd,
            "bzip2" | "bz2" => Self::Bzip2,
            "xz" | "lzma" => Self::Xz,
            _ => return None,
        })
    }

    /// The compression whose mark these first bytes of a file carry.
    #[must_use]
    pub fn from_magic(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// Takes a compression extension off a file name: `a.csv.gz` → (`a.csv`, gzip).
    #[must_use]
    pub fn split_name(name: &str) -> (&str, Self) {
        let lower = name.to_ascii_lowercase();
        for (extension, compression) in [
            (".gz", Self::Gzip),
            (".zst", Self::Zstd),
            (".zstd", Self::Zstd),
            (".bz2", Self::Bzip2),
            (".xz", Self::Xz),
        ] {
            if lower.ends_with(extension) {
                return (&name[..name.len() - extension.len()], compression);
            }
        }
        (name, Self::None)
    }
}

/// Bytes of a file, decompressed; tells the place of a cut or a damage.
pub(crate) struct Decompressor {
    inner: Box<dyn Read + Send>,
    compression: Compression,
    path: String,
    decoded: u64,
}

impl Decompressor {
    /// Reads `raw` (the stored bytes of `path`) as `compression`.
    pub(crate) fn new(
        raw: Box<dyn Read + Send>,
        compression: Compression,
        path: &str,
    ) -> Result<Self, ConnectError> {
        let buffered = BufReader::with_capacity(256 << 10, raw);
        let inner: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(buffered),
            Compression::Gzip => Box::new(GzipMembers::new(buffered)),
            Compression::Zstd => Box::new(
                zstd::stream::read::Decoder::with_buffer(buffered)
                    .map_err(|source| ConnectError::from_io(path, source))?,
            ),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered)),
            Compression::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(buffered)),
        };
        Ok(Self {
            inner,
            compression,
            path: path.to_owned(),
            decoded: 0,
        })
    }

    /// Reads until `buffer` has grown by `wanted` bytes or the stream ends; `Ok(true)` at the end.
    /// On an error, what came out before it is in `buffer`.
    pub(crate) fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        wanted: usize,
    ) -> Result<bool, ConnectError> {
        let before = buffer.len();
        let outcome = (&mut self.inner).take(wanted as u64).read_to_end(buffer);
        self.decoded += (buffer.len() - before) as u64;
        match outcome {
            Ok(_) => Ok(buffer.len() - before < wanted),
            Err(error) => Err(self.explain(error)),
        }
    }

    fn explain(&self, source: io::Error) -> ConnectError {
        let (path, decoded) = (self.path.clone(), self.decoded);
        let source = match source.downcast::<object_store::Error>() {
            Ok(source) => return ConnectError::Store { url: path, source },
            Err(source) => source,
        };
        let compression = self.compression.name();
        let text = source.to_string();
        match self.compression {
            Compression::None => ConnectError::from_io(path, source),
            _ if source.kind() == io::ErrorKind::UnexpectedEof
                || text.contains("incomplete frame")
                || text.contains("premature eof") =>
            {
                ConnectError::Truncated {
                    path,
                    compression,
                    decoded,
                }
            }
            _ => ConnectError::Decompress {
                path,
                compression,
                decoded,
                source,
            },
        }
    }
}

/// gzip members one behind the other. Unlike flate2's own, it ends quietly at zero bytes behind the
/// last member, which tapes and some uploaders leave, as gzip(1) does.
struct GzipMembers<R: BufRead> {
    member: Option<flate2::bufread::GzDecoder<R>>,
}

impl<R: BufRead> GzipMembers<R> {
    fn new(raw: R) -> Self {
        Self {
            member: Some(flate2::bufread::GzDecoder::new(raw)),
        }
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = self.member.as_mut() else {
                return Ok(0);
            };
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(done) = self.member.take() else {
                return Ok(0);
            };
            let mut raw = done.into_inner();
            if at_end(&mut raw)? {
                return Ok(0);
            }
            self.member = Some(flate2::bufread::GzDecoder::new(raw));
        }
    }
}

/// Skips zero bytes; true when nothing else follows.
fn at_end(raw: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = raw.fill_buf()?;
        if buffer.is_empty() {
            return Ok(true);
        }
        let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
        if zeros == 0 {
            return Ok(false);
        }
        raw.consume(zeros);
    }
}
