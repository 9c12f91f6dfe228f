//! Parquet, Avro and workbooks of any bytes. A library's panic is an error of the file's; what must not
//! be is an endless loop, memory out of proportion, or a row that is lost when pieces are small.

use super::{Outcome, block_of, wholly};
use crate::formats::Format;
use crate::formats::excel::parts;
use crate::options::ReadOptions;

/// Parquet of any bytes.
pub fn fuzz_parquet(bytes: &[u8]) {
    if let Some((outcome, _)) = wholly(bytes, options(Format::Parquet, 1 << 20)) {
        in_order(&outcome);
    }
}

/// Avro of any bytes, as one piece and as a piece for each block.
pub fn fuzz_avro(bytes: &[u8]) {
    same_in_pieces(bytes, Format::Avro, block_of(bytes));
}

/// A workbook of any bytes: as they are, or, since nothing gets through an archive's checksums, as the
/// part of one that its first byte says.
pub fn fuzz_excel(bytes: &[u8]) {
    let packed = match bytes.split_first() {
        Some((kind @ (b'1'..=b'9'), part)) => parts::workbook(*kind, part),
        _ => Some(bytes.to_vec()),
    };
    if let Some(packed) = packed {
        same_in_pieces(&packed, Format::Excel, block_of(bytes) * 8);
    }
}

fn options(format: Format, block_bytes: usize) -> ReadOptions {
    ReadOptions {
        format: Some(format),
        block_bytes: Some(block_bytes),
        max_row_bytes: Some(1 << 20),
        ..ReadOptions::default()
    }
}

fn same_in_pieces(bytes: &[u8], format: Format, block: usize) {
    let whole = wholly(bytes, options(format, 1 << 20));
    let pieces = wholly(bytes, options(format, block.max(1)));
    let (Some((whole, _)), Some((pieces, _))) = (whole, pieces) else {
        return;
    };
    in_order(&whole);
    assert_eq!(whole.error.is_some(), pieces.error.is_some());
    // Small pieces give more of what stands before an error.
    let rows = |outcome: &Outcome| outcome.rows.len().min(whole.rows.len());
    assert_eq!(whole.rows[..rows(&whole)], pieces.rows[..rows(&pieces)]);
    if whole.error.is_none() {
        assert_eq!(
            whole, pieces,
            "the result depends on the size of the pieces ({block})"
        );
    }
}

/// Every row has its own line, in order.
fn in_order(outcome: &Outcome) {
    let lines: Vec<u64> = outcome.rows.iter().map(|row| row.0).collect();
    assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(lines.first().is_none_or(|line| *line > 0));
    assert!(lines.last().is_none_or(|line| *line <= outcome.lines));
}
