//! Workbooks that lie about themselves, by accident or not: an error that says what to do, in little memory
//! and no time.

use std::io::{Read, Write};

use rust_xlsxwriter::Workbook;

use super::ods::tests::small;
use super::tests::{sales, sheet};
use super::{biff, compound};
use crate::formats::typed::testing::{mutated, open, refusal};
use crate::tests::fuzzing::seeds;
use crate::tests::memory::{MUCH, peak};

const OLD: &[u8] = include_bytes!("testdata/old.xls");

/// The archive with its parts changed, and all checksums right.
fn repacked(bytes: &[u8], change: impl Fn(&str, String) -> String) -> Vec<u8> {
    let mut from = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut to = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for at in 0..from.len() {
        let mut part = from.by_index(at).unwrap();
        let name = part.name().unwrap().to_string();
        let mut text = String::new();
        part.read_to_string(&mut text).unwrap();
        to.start_file(&name, zip::write::SimpleFileOptions::default())
            .unwrap();
        to.write_all(change(&name, text).as_bytes()).unwrap();
    }
    to.finish().unwrap().into_inner()
}

/// Whole workbooks, and the parts of some as the fuzz entry takes them.
pub(crate) fn all_kinds() -> Vec<(&'static str, Vec<u8>)> {
    let part = |kind: u8, bytes: &[u8], name: &str| {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut part = vec![kind];
        archive
            .by_name(name)
            .unwrap()
            .read_to_end(&mut part)
            .unwrap();
        part
    };
    vec![
        ("sales.xlsx", sales()),
        ("small.ods", small()),
        ("1.content", part(b'1', &small(), "content.xml")),
        ("2.sheet", part(b'2', &sales(), "xl/worksheets/sheet1.xml")),
        ("3.texts", part(b'3', &sales(), "xl/sharedStrings.xml")),
        ("4.styles", part(b'4', &sales(), "xl/styles.xml")),
        ("5.workbook", part(b'5', &sales(), "xl/workbook.xml")),
        ("6.cells", [b"6".to_vec(), stream()].concat()),
    ]
}

/// The most memory that opening and reading takes, and the rows or the reason.
fn measured(name: &str, bytes: &[u8]) -> (usize, Result<Vec<String>, String>) {
    let mut outcome = Ok(Vec::new());
    let most = peak(|| {
        outcome = match open(name, bytes, &[("format", "excel")], None) {
            Err(error) => Err(error.to_string()),
            Ok(opened) => match &opened.error {
                Some(error) => Err(error.to_string()),
                None => Ok(opened.rows()),
            },
        };
    });
    (most, outcome)
}

#[test]
fn a_damaged_workbook_is_an_error_and_never_a_panic() {
    for (name, bytes) in [
        ("s.xlsx", sales()),
        ("s.ods", small()),
        ("old.xls", OLD.to_vec()),
    ] {
        for seed in seeds(300) {
            let (most, _) = measured(name, &mutated(&bytes, seed));
            assert!(most < MUCH, "{name}, seed {seed}: {most} bytes");
        }
    }
}

#[test]
fn damage_inside_the_parts_of_an_archive_too() {
    for (name, bytes) in [("s.xlsx", sales()), ("s.ods", small())] {
        for seed in seeds(300) {
            let bytes = repacked(&bytes, |_, text| {
                String::from_utf8_lossy(&mutated(text.as_bytes(), seed)).into_owned()
            });
            let (most, _) = measured(name, &bytes);
            assert!(most < MUCH, "{name}, seed {seed}: {most} bytes");
        }
    }
}

#[test]
fn what_is_promised_of_shared_texts_must_fit() {
    let bytes = repacked(&sales(), |name, text| {
        if name.ends_with("sharedStrings.xml") {
            text.replace("uniqueCount=\"", "uniqueCount=\"99999999")
        } else {
            text
        }
    });
    let (most, outcome) = measured("s.xlsx", &bytes);
    let message = outcome.unwrap_err();
    assert!(
        message.contains("its shared texts are said to be 99999999") && most < MUCH,
        "{most}: {message}"
    );
    let (most, outcome) = measured(
        "s.xlsx",
        &repacked(&sales(), |name, text| {
            if name.ends_with("sheet1.xml") {
                text.replace(
                    "<dimension ref=\"A1:F6\"",
                    "<dimension ref=\"A1:XFD1048576\"",
                )
            } else {
                text
            }
        }),
    );
    assert_eq!((most < MUCH, outcome.unwrap().len()), (true, 5));
}

#[test]
fn a_part_that_is_read_first_may_not_be_endless() {
    let spaces = " ".repeat(1 << 20);
    let bytes = repacked(&sales(), |name, text| {
        if name.ends_with("styles.xml") {
            text + &spaces.repeat(40)
        } else {
            text
        }
    });
    let message = refusal("s.xlsx", &bytes, &[]);
    assert!(
        message.contains("xl/styles.xml holds") && message.contains("save the sheet as CSV"),
        "{message}"
    );
}

#[test]
fn a_wide_sheet_comes_in_small_pieces_and_a_long_row_is_malformed() {
    let mut book = Workbook::new();
    let wide = book.add_worksheet();
    wide.write_string(0, 16_383, "far").unwrap();
    for row in 0..600 {
        wide.write_string(row, 0, "near").unwrap();
    }
    let bytes = book.save_to_buffer().unwrap();
    peak(|| {
        let opened = open("s.xlsx", &bytes, &[("header", "false")], None).unwrap();
        let rows: usize = opened
            .pieces
            .iter()
            .map(|piece| piece.batch.line.len())
            .sum();
        assert!(
            rows == 600 && opened.pieces.len() > 9,
            "{rows} in {}",
            opened.pieces.len()
        );
        assert!(
            opened
                .pieces
                .iter()
                .all(|piece| piece.batch.line.len() <= 64)
        );
    });

    let long = sheet(&[
        &["a", "b"],
        &["x", "1"],
        &["a text that is longer than the rest", "2"],
        &["y", "3"],
    ]);
    let opened = open("s.xlsx", &long, &[("maxRowBytes", "40")], None).unwrap();
    assert_eq!(opened.rows(), ["2:x|1", "4:y|3"]);
    assert_eq!(
        opened.malformed(),
        ["3:too_long: the row is longer than maxRowBytes"]
    );
    let texts = vec!["x".repeat(30_000); 20];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let many = sheet(&vec![texts.as_slice(); 40]);
    let opened = open(
        "s.xlsx",
        &many,
        &[("header", "false"), ("blockBytes", "1mb")],
        None,
    )
    .unwrap();
    assert!(opened.pieces.len() >= 20, "{}", opened.pieces.len());
    assert_eq!(opened.rows().len(), 40);
}

#[test]
fn a_merged_title_does_not_fill_memory() {
    let title = "long ".repeat(6_000);
    let first = [title.as_str(), ""];
    let mut rows: Vec<&[&str]> = vec![&["", "", "x"]; 10];
    rows[0] = &first;
    let bytes = repacked(&sheet(&rows), |name, text| {
        if name.ends_with("sheet1.xml") {
            let merged = "</sheetData><mergeCells count=\"1\"><mergeCell ref=\"A1:WQK1000001\"/></mergeCells>";
            text.replace("</sheetData>", merged)
        } else {
            text
        }
    });
    let (most, outcome) = measured("s.xlsx", &bytes);
    assert!(most < MUCH && outcome.is_ok(), "{most}");
}

/// The records of old.xls's one stream.
fn stream() -> Vec<u8> {
    compound::cells(OLD).unwrap()
}

/// An .xls of this stream.
fn old(stream: Vec<u8>) -> Vec<u8> {
    compound::wrap(stream).unwrap()
}

/// Where a record of this kind has its data, from `from` on.
fn record(stream: &[u8], kind: u16, from: usize) -> usize {
    let mut at = 0;
    loop {
        let [a, b, c, d] = *stream[at..].first_chunk().unwrap();
        if u16::from_le_bytes([a, b]) == kind && at >= from {
            return at + 4;
        }
        at += 4 + usize::from(u16::from_le_bytes([c, d]));
    }
}

#[test]
fn a_new_compound_file_holds_what_the_old_one_held() {
    let (_, rows) = measured("old.xls", OLD);
    assert_eq!(measured("old.xls", &old(stream())).1, rows);
    assert_eq!(
        compound::cells(&old(stream())).unwrap()[..stream().len()],
        stream()
    );
    for size in [1, 4_095, 4_096, 4_097, 5_000_000] {
        let made: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        let read = compound::cells(&old(made.clone())).unwrap();
        assert!(
            read.starts_with(&made) && read.len() == made.len().max(4096),
            "{size}"
        );
    }
    // More than the sectors that a header can name.
    let huge = || compound::wrap(vec![0; 500 << 20]).unwrap_err();
    peak(|| assert!(huge().contains("save it as .xlsx")));
}

#[test]
fn chains_that_go_in_circles_end() {
    let first = u32::from_le_bytes(*OLD[48..].first_chunk().unwrap()) as usize;
    let table = (u32::from_le_bytes(*OLD[76..].first_chunk().unwrap()) as usize + 1) * 512;
    let mut circle = OLD.to_vec();
    circle[table + first * 4..][..4].copy_from_slice(&(first as u32).to_le_bytes());
    let (most, outcome) = measured("old.xls", &circle);
    let message = outcome.unwrap_err();
    assert!(
        message.contains("goes in a circle") && most < MUCH,
        "{most}: {message}"
    );
    let mut beyond = OLD.to_vec();
    beyond[table + first * 4..][..4].copy_from_slice(&900_000_u32.to_le_bytes());
    let message = measured("old.xls", &beyond).1.unwrap_err();
    assert!(
        message.contains("breaks off after") || message.contains("belongs to no chain"),
        "{message}"
    );
}

#[test]
fn what_a_sheet_says_of_its_size_is_not_believed() {
    let mut spoilt = stream();
    let at = record(&spoilt, 0x0200, 0);
    spoilt[at..at + 12].copy_from_slice(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0xff, 0xff]);
    let (most, outcome) = measured("old.xls", &old(spoilt));
    assert_eq!((most < MUCH, outcome.unwrap().len()), (true, 6));
}

#[test]
fn cells_that_lie_far_apart_are_refused_and_others_not() {
    let mut far = stream();
    // The first number moves to the last column of the last row.
    let at = record(&far, 0x027e, 0);
    far[at..at + 4].fill(0xff);
    let (most, outcome) = measured("old.xls", &old(far.clone()));
    let message = outcome.unwrap_err();
    assert!(
        message.contains("cells lie far apart")
            && message.contains("65536 by 65536")
            && message.contains("save it as .xlsx"),
        "{message}"
    );
    assert!(most < MUCH, "{most}");
    // A thousand rows down, it is a sheet with a gap.
    far[at..at + 4].copy_from_slice(&[0xe8, 3, 0, 0]);
    assert!(measured("old.xls", &old(far)).1.is_ok());
}

#[test]
fn a_long_text_in_many_cells_is_counted_before_it_is_copied() {
    let (mut many, first) = (stream(), record(&stream(), 0x0085, 0));
    let start = u32::from_le_bytes(*many[first..].first_chunk().unwrap()) as usize;
    // A shared text of 65,000 characters over eight records, and a sheet of 20,000 cells that show it.
    let begin = many
        [start..start + 4 + usize::from(u16::from_le_bytes([many[start + 2], many[start + 3]]))]
        .to_vec();
    let texts = record(&many, 0x00fc, 0) - 4;
    let length = usize::from(u16::from_le_bytes([many[texts + 2], many[texts + 3]]));
    let mut table = vec![0xfc, 0, 11, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0xe8, 0xfd, 0];
    for _ in 0..8 {
        table.extend([0x3c, 0, 0xbe, 0x1f, 0]);
        table.extend([b'x'; 8_125]);
    }
    let moved = many.len() - 4 - length + table.len();
    many.splice(texts..texts + 4 + length, table);
    many[first..first + 4].copy_from_slice(&(moved as u32).to_le_bytes());
    many.extend(&begin);
    for row in 0..20_000_u16 {
        many.extend([0xfd, 0, 10, 0]);
        many.extend(row.to_le_bytes());
        many.extend([0; 8]);
    }
    many.extend([0x0a, 0, 0, 0]);
    assert!(
        biff::check(&mut many.clone())
            .unwrap_err()
            .contains("repeat long texts")
    );
    let (most, outcome) = measured("old.xls", &old(many));
    assert!(
        most < MUCH && outcome.unwrap_err().contains("save it as .xlsx"),
        "{most}"
    );
}
