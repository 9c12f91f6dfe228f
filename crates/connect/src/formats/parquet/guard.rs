//! What is checked before the library reads: it makes room for what a footer or a page says of itself.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, Type as Physical};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

use super::thrift::{Place, pass, varint};

/// A page may say that it is so large without being doubted.
const PAGE_FREE: i64 = 64 << 20;
/// Values may be so wide without being doubted.
const WIDTH_FREE: i64 = 1 << 20;

/// A page's own numbers, by their place in its header.
const PLACES: [Place; 8] = [
    [1, 0],
    [2, 0],
    [3, 0],
    [5, 1],
    [5, 2],
    [7, 1],
    [8, 1],
    [8, 4],
];
/// Encodings of texts that begin with all their lengths.
const WITH_LENGTHS: [i64; 2] = [6, 7];

/// Checks the bytes of a footer.
pub(super) fn check_footer(bytes: &[u8]) -> Result<(), String> {
    pass(bytes, &[]).map(|_| ())
}

/// Checks what a footer says of its row groups.
pub(super) fn check_groups(metadata: &ParquetMetaData) -> Result<(), String> {
    for (at, group) in metadata.row_groups().iter().enumerate() {
        let fail = |message: String| Err(format!("row group {}: {message}", at + 1));
        if group.num_rows() < 0 || group.total_byte_size() < 0 {
            return fail("it has fewer rows or bytes than none".to_owned());
        }
        for column in group.columns() {
            let descriptor = column.column_descr();
            let path = descriptor.path();
            let start = column
                .dictionary_page_offset()
                .unwrap_or(column.data_page_offset());
            let sizes = [
                start,
                column.compressed_size(),
                column.uncompressed_size(),
                column.num_values(),
            ];
            if sizes.iter().any(|size| *size < 0) {
                return fail(format!(
                    "column {path} lies before the file or is smaller than nothing"
                ));
            }
            let width = i64::from(descriptor.type_length());
            if descriptor.physical_type() == Physical::FIXED_LEN_BYTE_ARRAY
                && width > WIDTH_FREE.max(column.uncompressed_size())
            {
                return fail(format!(
                    "values of {width} bytes do not fit the {} of column {path}",
                    column.uncompressed_size()
                ));
            }
        }
    }
    Ok(())
}

/// Checks the headers of the pages of a column chunk of so many rows. True if pages begin with lengths,
/// which are to be checked, too.
pub(super) fn check_pages(
    column: &ColumnChunkMetaData,
    rows: i64,
    chunk: &Bytes,
) -> Result<bool, String> {
    let total = column.num_values().max(rows);
    let (mut at, mut values, mut number, mut lengths) = (0, 0_i64, 0, false);
    while at < chunk.len() && values < total {
        number += 1;
        let fail =
            |message: String| format!("column {}, page {number}: {message}", column.column_path());
        let (picked, length) = pass(&chunk[at..], &PLACES).map_err(fail)?;
        let [
            kind,
            unpacked,
            packed,
            first,
            first_encoding,
            dictionary,
            second,
            second_encoding,
        ] = picked;
        at += length;
        let left = (chunk.len() - at) as i64;
        let (Some(unpacked), Some(packed)) = (unpacked, packed) else {
            return Err(fail("it does not say how long it is".to_owned()));
        };
        if !(0..=left).contains(&packed) || unpacked < 0 {
            return Err(fail(format!(
                "it says that it has {packed} bytes, {unpacked} unpacked; {left} are left"
            )));
        }
        if unpacked > most(column, packed) {
            return Err(fail(format!("{packed} bytes claim to hold {unpacked}")));
        }
        // A value of a dictionary takes a byte at least; a value on a page may take none.
        if dictionary.is_some_and(|count| !(0..=unpacked).contains(&count)) {
            return Err(fail(format!(
                "it claims {dictionary:?} values in {unpacked} bytes"
            )));
        }
        let (count, encoding) = match kind {
            Some(0) => (first.unwrap_or(0), first_encoding),
            Some(3) => (second.unwrap_or(0), second_encoding),
            _ => (0, None),
        };
        lengths |= encoding.is_some_and(|encoding| WITH_LENGTHS.contains(&encoding));
        if !(0..=total - values).contains(&count) {
            return Err(fail(format!(
                "it claims {count} values of {total}, {values} of which were before"
            )));
        }
        values += count;
        at += packed as usize;
    }
    Ok(lengths)
}

/// Checks the lengths with which pages of texts begin: room is made for as many as there are said to be.
pub(super) fn check_lengths<R: ChunkReader + 'static>(
    column: &ColumnChunkMetaData,
    rows: i64,
    reader: &Arc<R>,
) -> Result<(), String> {
    let pages = SerializedPageReader::new(Arc::clone(reader), column, rows as usize, None);
    let mut pages = pages.map_err(|error| error.to_string())?;
    let descriptor = column.column_descr();
    let mut number = 0;
    let mut values = 0_u64;
    while values < column.num_values().max(rows) as u64 {
        number += 1;
        let fail = |message: &str| {
            Err(format!(
                "column {}, page {number}: {message}",
                column.column_path()
            ))
        };
        let page = match pages.get_next_page() {
            Ok(Some(page)) => page,
            Ok(None) => break,
            Err(error) => return fail(&error.to_string()),
        };
        if page.page_type() != PageType::DICTIONARY_PAGE {
            values += u64::from(page.num_values()).max(1);
        }
        let levels = match &page {
            Page::DictionaryPage { .. } => continue,
            Page::DataPage {
                buf,
                num_values,
                def_level_encoding,
                rep_level_encoding,
                ..
            } => [
                (descriptor.max_rep_level(), rep_level_encoding),
                (descriptor.max_def_level(), def_level_encoding),
            ]
            .into_iter()
            .try_fold(0, |at, (level, encoding)| {
                Some(at + level_bytes(buf.get(at..)?, level, *encoding, *num_values)?)
            }),
            Page::DataPageV2 {
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => Some(*def_levels_byte_len as usize + *rep_levels_byte_len as usize),
        };
        let Some(texts) = levels.and_then(|levels| page.buffer().get(levels..)) else {
            return fail("its levels are longer than it is");
        };
        let lengths = |bytes: &[u8]| delta_bytes(bytes, u64::from(page.num_values()));
        let fits = match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => lengths(texts).is_some(),
            Encoding::DELTA_BYTE_ARRAY => {
                let second = lengths(texts).and_then(|first| texts.get(first..));
                second.is_some_and(|second| lengths(second).is_some())
            }
            _ => true,
        };
        if !fits {
            return fail("it has other lengths than its values");
        }
    }
    Ok(())
}

/// The bytes of the levels at the beginning of a page.
#[expect(deprecated, reason = "old files have levels of this encoding")]
fn level_bytes(bytes: &[u8], max_level: i16, encoding: Encoding, values: u32) -> Option<usize> {
    match encoding {
        _ if max_level == 0 => Some(0),
        Encoding::BIT_PACKED => {
            let bits = 16 - max_level.leading_zeros();
            Some((values as usize * bits as usize).div_ceil(8))
        }
        _ => Some(u32::from_le_bytes(*bytes.first_chunk()?) as usize + 4),
    }
}

/// The bytes of delta-encoded numbers, of which there may be so many.
fn delta_bytes(bytes: &[u8], most: u64) -> Option<usize> {
    let mut at = 0;
    let mut next = || {
        let (number, length) = varint(bytes.get(at..)?)?;
        at += length;
        Some(number)
    };
    let (block, parts, count, _) = (next()?, next()?, next()?, next()?);
    if count > most || block == 0 || parts == 0 || parts > bytes.len() as u64 {
        return None;
    }
    let part = block / parts;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        at += varint(bytes.get(at..)?)?.1;
        let widths = bytes.get(at..at + parts as usize)?;
        at += widths.len();
        for width in widths {
            // What is behind the last number is not there.
            if left > 0 {
                at += usize::try_from(u64::from(*width).checked_mul(part)? / 8).ok()?;
            }
            left = left.saturating_sub(part);
        }
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}

/// The most bytes that so many can be unpacked to.
fn most(column: &ColumnChunkMetaData, packed: i64) -> i64 {
    let times = match column.compression() {
        Compression::UNCOMPRESSED => 1,
        Compression::SNAPPY => 32,
        Compression::LZ4 | Compression::LZ4_RAW => 256,
        Compression::GZIP(_) => 1_100,
        _ => i64::MAX,
    };
    let by_codec = packed.saturating_mul(times).saturating_add(1 << 20);
    by_codec.min(PAGE_FREE.max(column.uncompressed_size()))
}
