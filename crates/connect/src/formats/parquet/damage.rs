//! Parquet files that lie about themselves, by accident or not: an error that says where, in little memory
//! and no time.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::guard::{check_footer, check_pages};
use super::tests::{columns, file};
use crate::formats::typed::testing::{mutated, open, refusal};
use crate::tests::fuzzing::seeds;
use crate::tests::memory::{MUCH, peak};

const AS_PARQUET: [(&str, &str); 1] = [("format", "parquet")];

/// A file of one column of texts, and of the text's bytes in a fixed width.
fn texts(properties: parquet::file::properties::WriterPropertiesBuilder) -> Vec<u8> {
    let texts: Vec<String> = (0..200).map(|n| format!("a text {:08}", n * n)).collect();
    let fixed =
        FixedSizeBinaryArray::try_from_iter(texts.iter().map(|text| &text.as_bytes()[..10]));
    let batch = RecordBatch::try_from_iter([
        (
            "text",
            Arc::new(StringArray::from(texts.clone())) as ArrayRef,
        ),
        ("fixed", Arc::new(fixed.unwrap()) as ArrayRef),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Files of every encoding and compression that there are.
pub(crate) fn all_kinds() -> Vec<Vec<u8>> {
    let new = || WriterProperties::builder().set_dictionary_enabled(false);
    let encoded = |encoding| texts(new().set_column_encoding(ColumnPath::from("text"), encoding));
    vec![
        file(&columns(60), 20),
        texts(new().set_compression(Compression::SNAPPY)),
        texts(
            new()
                .set_compression(Compression::ZSTD(Default::default()))
                .set_writer_version(WriterVersion::PARQUET_2_0),
        ),
        texts(
            new()
                .set_compression(Compression::GZIP(Default::default()))
                .set_dictionary_enabled(true),
        ),
        encoded(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        encoded(Encoding::DELTA_BYTE_ARRAY),
    ]
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_panic() {
    for (kind, bytes) in all_kinds().iter().enumerate() {
        assert_eq!(
            open("t.parquet", bytes, &AS_PARQUET, None)
                .unwrap()
                .error
                .map(|error| error.to_string()),
            None
        );
        let mut whole = 0_usize;
        for seed in seeds(200) {
            let most = peak(|| {
                if let Ok(opened) = open("t.parquet", &mutated(bytes, seed), &AS_PARQUET, None) {
                    opened.rows();
                    whole += usize::from(opened.error.is_none());
                }
            });
            assert!(most < MUCH, "kind {kind}, seed {seed}: {most} bytes");
        }
        let most = seeds(200).count() * 3 / 5;
        assert!(
            whole < most,
            "most damage must be noticed: {whole} went through"
        );
    }
}

/// A file with this footer, and nothing else.
fn with_footer(before: &[u8], footer: &[u8]) -> Vec<u8> {
    let length = (footer.len() as u32).to_le_bytes();
    [before, footer, &length, b"PAR1"].concat()
}

/// What stands before a file's footer, and the footer.
fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (rest, length) = bytes[..bytes.len() - 4].split_last_chunk::<4>().unwrap();
    rest.split_at(rest.len() - u32::from_le_bytes(*length) as usize)
}

#[test]
fn the_lists_of_a_footer_must_fit_into_it() {
    // Field 4, a list of 2,147,483,647 structs.
    let groups = [0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07];
    assert!(
        check_footer(&groups)
            .unwrap_err()
            .contains("a size of 2147483647 where 0 bytes are left")
    );
    let mut message = String::new();
    let most = peak(|| message = refusal("t.parquet", &with_footer(b"PAR1", &groups), &AS_PARQUET));
    assert!(
        message.contains("its footer: a size of 2147483647") && most < MUCH,
        "{most}: {message}"
    );
    for (footer, expected) in [
        (vec![0x18, 0xff, 0xff, 0x03], "a size of 65535"),
        (vec![0x15], "ends within a value"),
        (vec![0x1c; 200], "nested too deep"),
        (vec![0x1e], "unknown kind 14"),
        (vec![0x1b, 0x05, 0x55], "a size of 5"),
    ] {
        let error = check_footer(&footer).unwrap_err();
        assert!(error.contains(expected), "{footer:?}: {error}");
    }
    for bytes in all_kinds() {
        check_footer(parts(&bytes).1).unwrap();
    }
    let longer = [
        &[b'P', b'A', b'R', b'1'][..],
        &900_u32.to_le_bytes(),
        b"PAR1",
    ]
    .concat();
    assert!(refusal("t.parquet", &longer, &AS_PARQUET).contains("said to have 900 bytes"));
}

#[test]
fn values_of_a_fixed_width_must_fit_into_their_column() {
    let bytes = texts(WriterProperties::builder());
    let (before, footer) = parts(&bytes);
    // Type 7 with a length of 10, in the schema.
    let at = footer
        .windows(4)
        .position(|part| part == [0x15, 14, 0x15, 20])
        .unwrap();
    let wide = [
        &footer[..at + 3],
        &[0xfe, 0xff, 0xff, 0xff, 0x0f],
        &footer[at + 4..],
    ]
    .concat();
    let mut message = String::new();
    let most = peak(|| message = refusal("t.parquet", &with_footer(before, &wide), &AS_PARQUET));
    assert!(
        message.contains("row group 1: values of 2147483647 bytes do not fit")
            && message.contains("fixed"),
        "{message}"
    );
    assert!(most < MUCH, "{most}");
}

#[test]
fn the_lengths_before_texts_must_be_as_many_as_the_texts() {
    for bytes in &all_kinds()[4..] {
        // The first page's lengths begin with: blocks of 128, four parts, 200 numbers.
        let at = bytes
            .windows(5)
            .position(|part| part == [0x80, 1, 4, 0xc8, 1])
            .unwrap();
        let mut spoilt = bytes.clone();
        spoilt[at + 3..at + 8].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        let mut message = String::new();
        let most = peak(|| message = refusal("t.parquet", &spoilt, &AS_PARQUET));
        assert!(
            message.contains("page 1: it has other lengths than its values") && most < MUCH,
            "{most}: {message}"
        );
    }
}

/// The first column chunk of a file.
fn chunk(bytes: &[u8]) -> (ColumnChunkMetaData, Bytes) {
    let metadata = ParquetMetaDataReader::decode_metadata(parts(bytes).1).unwrap();
    let column = metadata.row_group(0).column(0).clone();
    let (start, length) = column.byte_range();
    let chunk = Bytes::copy_from_slice(&bytes[start as usize..(start + length) as usize]);
    (column, chunk)
}

#[test]
fn pages_must_fit_into_their_column() {
    for bytes in all_kinds() {
        let (column, chunk) = chunk(&bytes);
        check_pages(&column, 0, &chunk).unwrap();
    }
    let (column, chunk) = chunk(&texts(
        WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(false),
    ));
    let page = |numbers: &[(u8, i64)]| {
        let mut header = Vec::new();
        for (delta, number) in numbers {
            header.push(delta << 4 | 5);
            let mut rest = (number << 1 ^ number >> 63) as u64;
            while rest > 0x7f {
                header.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            header.push(rest as u8);
        }
        header
    };
    let with = |numbers: &[(u8, i64)], tail: &[u8]| {
        let bytes = [page(numbers), tail.to_vec(), chunk.to_vec()].concat();
        check_pages(&column, 200, &bytes.into()).unwrap_err()
    };
    let values = |count: i64| [vec![0x2c], page(&[(1, count)]), vec![0, 0]].concat();
    for (error, expected) in [
        (
            with(&[(1, 0), (1, 10), (1, 1 << 30)], &values(1)),
            "it has 1073741824 bytes, 10 unpacked",
        ),
        (
            with(&[(1, 0), (1, -1), (1, 10)], &values(1)),
            "it has 10 bytes, -1 unpacked",
        ),
        (
            with(&[(1, 0), (1, 1 << 30), (1, 10)], &values(1)),
            "10 bytes claim to hold 1073741824",
        ),
        (
            with(&[(1, 0), (1, 10), (1, 10)], &values(1 << 30)),
            "it claims 1073741824 values of 200",
        ),
        (
            with(
                &[(1, 2), (1, 10), (1, 10)],
                &[vec![0x4c], page(&[(1, 1 << 30)]), vec![0, 0]].concat(),
            ),
            "values in 10 bytes",
        ),
        (with(&[(1, 0), (1, 10)], &[0]), "does not say how long"),
    ] {
        assert!(
            error.contains(expected) && error.contains("column \"text\", page 1"),
            "{error}"
        );
    }
}

#[test]
fn a_file_cut_in_half_or_spoilt_in_a_page_says_where() {
    for bytes in all_kinds() {
        let message = refusal("t.parquet", &bytes[..bytes.len() / 2], &AS_PARQUET);
        assert!(message.contains("breaks off after"), "{message}");
        // The footer is whole, the pages are not.
        let mut spoilt = bytes.clone();
        let end = parts(&bytes).0.len();
        spoilt[4..end].fill(0xff);
        let message = refusal("t.parquet", &spoilt, &AS_PARQUET);
        assert!(
            message.contains("row group 1: column") && message.contains("page 1"),
            "{message}"
        );
        let mut spoilt = bytes.clone();
        spoilt[end..]
            .iter_mut()
            .take(40)
            .for_each(|byte| *byte ^= 0x55);
        assert!(refusal("t.parquet", &spoilt, &AS_PARQUET).contains("its footer"));
    }
}
