//! The fuzz entries over random texts made of the characters that matter. `TIDEGATE_FUZZ=50` runs
//! fifty times as many, from other seeds.

use std::ops::Range;

use crate::formats::{avro, excel, parquet};
use crate::fuzz::{
    fuzz_avro, fuzz_csv, fuzz_discover, fuzz_excel, fuzz_json, fuzz_parquet, fuzz_text,
};

/// Seeds of a number of runs.
pub(crate) fn seeds(runs: u64) -> Range<u64> {
    let more: u64 = std::env::var("TIDEGATE_FUZZ").map_or(1, |text| text.parse().unwrap());
    let first = if more > 1 { 1_000_000 } else { 1 };
    first..first + runs * more
}

/// A small generator of numbers, so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn text(&mut self, parts: &[&[u8]], length: usize) -> Vec<u8> {
        (0..self.below(length))
            .flat_map(|_| parts[self.below(parts.len())].to_vec())
            .collect()
    }
}

fn times(entry: fn(&[u8]), parts: &[&[u8]], start: &[u8], runs: u64) {
    for seed in seeds(runs) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = start.to_vec();
        bytes.extend(random.text(parts, 120));
        let caught = std::panic::catch_unwind(|| entry(&bytes));
        assert!(
            caught.is_ok(),
            "seed {seed}: {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

const CSV: &[&[u8]] = &[
    b",",
    b",",
    b",",
    b"\n",
    b"\n",
    b"\"",
    b"\"",
    b"\"\"",
    b"\",\"",
    b"\"\n",
    b"\r\n",
    b"\r",
    b"a",
    b"1",
    b"x,y\n",
    b"1,2,3\n",
    b"\xff",
    b"\xc3\xa9",
    b"\0",
    b" ",
    b"#",
    b";",
    b"\\",
    b"a long value of text",
    b"\"q,\n r\",",
];

#[test]
fn csv_of_any_bytes() {
    times(fuzz_csv, CSV, b"", 3000);
    times(fuzz_csv, CSV, b"a,b,c\n1,2,3\n", 4000);
    times(fuzz_csv, CSV, b"a;b\n", 1000);
}

#[test]
fn a_quote_that_never_closes_reads_the_same_in_blocks_of_any_size() {
    // Found by the fuzzer: where the look-ahead of a block ended decided about the message.
    let lines = b"a,b\n\"e n\n56\nail77.56\n56\n.164.77.5660.1\n56\nail724.77.56\n56\n".to_vec();
    for more in 0..120 {
        let text = [
            lines.clone(),
            b"56\n7,8\nx".repeat(20),
            vec![b'5'; more],
            b"\n".to_vec(),
        ];
        fuzz_csv(&text.concat());
    }
    fuzz_csv(
        b"m \x00\x00\x00ant,coutr-1;\n\"e n\n56\nail77.56\n56\n56\nail724.77.56\n.164.77.\xef\xbb\xbf560.1\x01\
          \x00\x00\x00\x00\x00\x00\x12\n56\n56\nail724.77.56\n.164.77.56\n56\n56\n56\nail72+example,120.164.77.56\n56\n5\
          \x01\x00\x00\x00\x00\x00\x00&example,120.164.77.56\n64.77.56\n56\n56\n56\nail72+example,120.164.77.56\n",
    );
}

#[test]
fn a_quote_that_closes_beyond_the_limit_reads_the_same_in_blocks_of_any_size() {
    for length in (150..260).step_by(3) {
        let filler = [b"b\nc ".as_slice(), &vec![b'z'; length]].concat();
        for end in [
            "\",2\n",
            "\"x,2\n",
            "\"   x\n",
            "\",\"3\n\"\n",
            "x,\"\"\n",
            "\"\n1,2\n",
        ] {
            fuzz_csv(&[b"a,b\n\"", filler.as_slice(), end.as_bytes(), b"7,8\n9,1\n"].concat());
            fuzz_csv(&[b"a\n\"", filler.as_slice(), end.as_bytes(), b"7\n"].concat());
        }
    }
}

#[test]
fn a_row_that_is_too_long_and_wrong_at_its_end_reads_the_same_in_blocks_of_any_size() {
    // Found by the fuzzer: a small block does not see the bytes beyond the limit.
    for length in 195..210 {
        for end in [b"\x81\r\n!ed;2;5".as_slice(), b"\"\r\n1;2;3", b"\x81"] {
            for start in ["2;\"li", "2;x;", ""] {
                fuzz_csv(&[b"a;b;c\n", start.as_bytes(), &vec![b'z'; length], end].concat());
            }
        }
    }
}

#[test]
fn json_of_any_bytes() {
    let parts: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b":",
        b",",
        b"\n",
        b"\n",
        b"\\",
        b"1",
        b"-0.5",
        b"null",
        b"true",
        b" ",
        b"{\"a\":1}\n",
        b"{\"a\":\"x\\u00e9\"}\n",
        b"{\"a\":[1,{\"b\":2}],\"c\":null}\n",
        b"\"a\"",
        b"\xff",
        b"\xc3\xa9",
        b"\\ud83d",
        b"a long text in a string",
        &[b'y'; 150],
        b"{\"a\":{}}",
        b"},{",
        b"\n{\"a\":",
    ];
    times(fuzz_json, parts, b"", 3000);
    times(fuzz_json, parts, b"{\"a\":1}\n", 3000);
    times(fuzz_json, parts, b"[{\"a\":1},\n{\"a\":", 2000);
}

#[test]
fn text_of_any_bytes() {
    times(fuzz_text, CSV, b"", 1000);
}

#[test]
fn discovery_of_any_bytes() {
    times(fuzz_discover, CSV, b"", 500);
    let marks: [&[u8]; 7] = [
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
        b"BZh91AY",
        b"\xfd7zXZ\0",
        b"\xff\xfe",
        b"\xfe\xff\0a\0,",
        b"[{\"a\":1}",
    ];
    for mark in marks {
        times(fuzz_discover, CSV, mark, 200);
    }
}

#[test]
fn typed_formats_of_any_bytes() {
    let parts: &[&[u8]] = &[
        b"\0",
        b"\x02",
        b"\xff",
        b"\x80",
        b"a",
        b"PAR1",
        b"PK\x03\x04",
        b"\x15",
        b"\x2c",
        b"\x06",
        b"Obj\x01",
    ];
    times(fuzz_parquet, parts, b"PAR1", 500);
    times(fuzz_avro, parts, b"Obj\x01", 500);
    times(fuzz_excel, parts, b"PK\x03\x04", 200);
    times(fuzz_excel, parts, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 200);
    let records: &[&[u8]] = &[
        b"\x09\x08\x04\0\0\x06\x05\0",
        b"\x0a\0\0\0",
        b"\x85\0\x0a\0\x10\0\0\0\0\0\x01\0s",
        b"\xfc\0\x0c\0",
        b"\x3c\0\x04\0",
        b"\x03\x02\x0e\0\0\0\0\0\0\0",
        b"\xfd\0\x0a\0\x01\0\x01\0",
        b"\x06\0\x16\0",
        b"\0",
        b"\x01",
        b"\xff",
        b"abcdefgh",
    ];
    times(fuzz_excel, records, b"6\x09\x08\x04\0\0\x06\x05\0", 2000);
    let tags: &[&[u8]] = &[
        b"<table:table-row table:number-rows-repeated=\"3\">", b"<table:table-row>", b"</table:table-row>", b"<table:table-cell>", b"</table:table-cell>",
        b"<table:table-cell office:value-type=\"float\" office:value=\"1\" table:number-columns-repeated=\"9\"/>", b"<text:p>", b"</text:p>", b"x", b"&amp;", b"<", b"</table:table>",
        b"<table:covered-table-cell/>", b"<office:annotation>", b"<text:s text:c=\"5\"/>",
    ];
    times(fuzz_excel, tags, b"1<office:document-content><office:body><office:spreadsheet><table:table table:name=\"s\">", 1000);
    let tags: &[&[u8]] = &[
        b"<row r=\"1\">",
        b"<row>",
        b"</row>",
        b"<c r=\"B2\">",
        b"<c t=\"s\">",
        b"<c r=\"XFD1048576\" t=\"inlineStr\">",
        b"</c>",
        b"<v>1</v>",
        b"<v>7",
        b"<is><t>x</t></is>",
        b"<f>A1</f>",
        b"</sheetData>",
        b"<mergeCells><mergeCell ref=\"A1:C9\"/></mergeCells>",
        b"&",
        b"<",
    ];
    times(fuzz_excel, tags, b"2<worksheet><sheetData>", 1000);
}

/// `cargo test -p tidegate-connect seeds_are_written -- --ignored` writes the seeds of the typed formats.
#[test]
#[ignore = "writes into fuzz/seeds"]
fn seeds_are_written() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let put = |target: &str, name: &str, bytes: Vec<u8>| {
        std::fs::create_dir_all(folder.join(target)).unwrap();
        std::fs::write(folder.join(target).join(name), bytes).unwrap();
    };
    for (at, bytes) in parquet::damage::all_kinds().into_iter().enumerate() {
        put("parquet", &format!("{at}.parquet"), bytes);
    }
    for (name, bytes) in avro::damage::all_kinds() {
        put("avro", &format!("{name}.avro"), bytes);
    }
    for (name, bytes) in excel::damage::all_kinds() {
        put("excel", name, bytes);
    }
}
