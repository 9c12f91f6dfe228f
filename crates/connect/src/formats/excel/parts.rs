//! Workbooks around a part of one, for fuzzing: archives whose checksums are right, and the one stream
//! of an .xls.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::compound;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const SHEET: &str = r#"<worksheet><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row><row r="2"><c r="A2" s="1"><v>46000</v></c><c r="B2" s="0"><v>2.5</v></c></row></sheetData></worksheet>"#;
const TEXTS: &str = r#"<sst uniqueCount="2"><si><t>one</t></si><si><t>two</t></si></sst>"#;
const STYLES: &str = r#"<styleSheet><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#;
const BOOK: &str = r#"<workbook xmlns:r="x"><sheets><sheet name="s" sheetId="1" r:id="rId1"/></sheets></workbook>"#;

/// A workbook of this part: of .ods its content (1); of .xlsx a sheet (2), its texts (3), styles (4)
/// or the workbook itself (5); of .xls the stream of cells (6).
pub(crate) fn workbook(kind: u8, part: &[u8]) -> Option<Vec<u8>> {
    let part = |wanted: u8, otherwise: &str| {
        if kind == wanted {
            part.to_vec()
        } else {
            format!("{HEAD}{otherwise}").into_bytes()
        }
    };
    match kind {
        b'1' => packed(&[
            (
                "mimetype",
                b"application/vnd.oasis.opendocument.spreadsheet".to_vec(),
            ),
            ("META-INF/manifest.xml", b"<manifest/>".to_vec()),
            ("content.xml", part(b'1', "")),
        ]),
        b'2'..=b'5' => {
            let relation = |id: &str, kind: &str, target: &str| {
                format!(r#"<Relationship Id="{id}" Type="{RELATIONS}/{kind}" Target="{target}"/>"#)
            };
            let relations =
                |all: String| format!("{HEAD}<Relationships>{all}</Relationships>").into_bytes();
            packed(&[
                (
                    "_rels/.rels",
                    relations(relation("rId1", "officeDocument", "xl/workbook.xml")),
                ),
                (
                    "xl/_rels/workbook.xml.rels",
                    relations(relation("rId1", "worksheet", "worksheets/sheet1.xml")),
                ),
                ("xl/worksheets/sheet1.xml", part(b'2', SHEET)),
                ("xl/sharedStrings.xml", part(b'3', TEXTS)),
                ("xl/styles.xml", part(b'4', STYLES)),
                ("xl/workbook.xml", part(b'5', BOOK)),
            ])
        }
        b'6' => compound::wrap(part(b'6', "")).ok(),
        _ => None,
    }
}

fn packed(parts: &[(&str, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in parts {
        archive.start_file(*name, stored).ok()?;
        archive.write_all(content).ok()?;
    }
    Some(archive.finish().ok()?.into_inner())
}
