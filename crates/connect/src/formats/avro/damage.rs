//! Avro files that lie about themselves, by accident or not: an error that says where, in little memory
//! and no time.

use std::io::Write;

use arrow_avro::compression::CompressionCodec;

use super::schema::Schema;
use super::tests::file;
use crate::formats::typed::testing::{mutated, open, refusal};
use crate::tests::fuzzing::seeds;
use crate::tests::memory::{MUCH, peak};

/// A number as Avro writes it.
pub(super) fn zigzag(number: i64) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A text as Avro writes it.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [zigzag(text.len() as i64), text.as_bytes().to_vec()].concat()
}

/// A file by hand: blocks of so many rows, which may be a lie.
pub(crate) fn ocf(schema: &str, codec: &str, blocks: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let sync = [7; 16];
    let mut bytes = b"Obj\x01\x04".to_vec();
    for (key, value) in [("avro.schema", schema), ("avro.codec", codec)] {
        bytes.extend([text(key), text(value)].concat());
    }
    bytes.extend([vec![0], sync.to_vec()].concat());
    for (rows, content) in blocks {
        let frame = [zigzag(*rows), zigzag(content.len() as i64), content.clone()];
        bytes.extend([frame.concat(), sync.to_vec()].concat());
    }
    bytes
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"r","fields":[{fields}]}}"#)
}

/// The reason why a file of one field and one block is refused.
fn reason(kind: &str, rows: i64, content: &[u8]) -> String {
    let schema = record(&format!(r#"{{"name":"f","type":{kind}}}"#));
    let bytes = ocf(&schema, "null", &[(rows, content.to_vec())]);
    let mut message = String::new();
    let most = peak(|| message = refusal("t.avro", &bytes, &[]));
    assert!(most < MUCH, "{most} bytes for {kind}: {message}");
    message
}

/// Files of every compression, and one of every type.
pub(crate) fn all_kinds() -> Vec<(&'static str, Vec<u8>)> {
    let schema = record(
        r#"{"name":"many","type":["null","int","string",{"type":"fixed","name":"four","size":4}]},
           {"name":"list","type":{"type":"array","items":["null","double"]}},
           {"name":"map","type":{"type":"map","values":{"type":"enum","name":"e","symbols":["a","b"]}}},
           {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
           {"name":"day","type":{"type":"int","logicalType":"date"}},
           {"name":"inner","type":["null",{"type":"record","name":"i","fields":[{"name":"x","type":"four"},{"name":"y","type":"float"}]}]}"#,
    );
    let first = [
        vec![4],
        text("t"),
        vec![2, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0],
        vec![1, 6],
        text("k"),
        vec![2, 0],
        vec![4, 1, 0x2c],
        vec![60],
        vec![2, 1, 2, 3, 4, 0, 0, 0x80, 0x3f],
    ];
    let second = [
        vec![6, 9, 9, 9, 9],
        vec![0],
        vec![0],
        vec![2, 5],
        vec![0],
        vec![0],
    ];
    let rows = [first.concat(), second.concat()].concat();
    vec![
        ("null", file(6, None)),
        ("deflate", file(6, Some(CompressionCodec::Deflate))),
        ("snappy", file(6, Some(CompressionCodec::Snappy))),
        ("zstandard", file(6, Some(CompressionCodec::ZStandard))),
        ("bzip2", file(2, Some(CompressionCodec::Bzip2))),
        ("xz", file(2, Some(CompressionCodec::Xz))),
        (
            "types",
            ocf(&schema, "null", &[(2, rows.clone()), (4, rows.repeat(2))]),
        ),
    ]
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_panic() {
    for (kind, bytes) in all_kinds() {
        let opened = open("t.avro", &bytes, &[], None).unwrap();
        assert!(opened.error.is_none(), "{kind}: {:?}", opened.error);
        for seed in seeds(200) {
            let most = peak(|| {
                if let Ok(opened) = open(
                    "t.avro",
                    &mutated(&bytes, seed),
                    &[("format", "avro")],
                    None,
                ) {
                    opened.rows();
                }
            });
            assert!(most < MUCH, "{kind}, seed {seed}: {most} bytes");
        }
    }
}

#[test]
fn what_a_block_says_must_fit_its_bytes() {
    for (kind, rows, content, expected) in [
        (
            r#""string""#,
            1,
            [zigzag(1 << 40), b"x".to_vec()].concat(),
            "a length of 1099511627776 where 1 bytes are left",
        ),
        (r#""bytes""#, 1, zigzag(-4), "a length of -4"),
        (
            r#""string""#,
            2,
            text("a"),
            "row 2 of it, field f: a number that breaks off",
        ),
        (
            r#""string""#,
            1,
            [text("a"), text("b")].concat(),
            "2 bytes are left behind the last row",
        ),
        (r#""int""#, 1, zigzag(1 << 33), "is no int"),
        (r#""long""#, 1, vec![0xff; 12], "longer than 64 bits"),
        (r#""boolean""#, 1, vec![3], "neither true nor false"),
        (r#"["null","int"]"#, 1, vec![6, 0], "number 3 of 2 branches"),
        (
            r#"["null","int","string"]"#,
            1,
            vec![1],
            "number -1 of 3 branches",
        ),
        (
            r#"{"type":"enum","name":"e","symbols":["a"]}"#,
            1,
            vec![2],
            "number 1 of 1 symbols",
        ),
        (
            r#"{"type":"array","items":"int"}"#,
            1,
            zigzag(1 << 40),
            "1099511627776 items cannot stand",
        ),
        (
            r#"{"type":"array","items":"null"}"#,
            1,
            [zigzag(i64::from(i32::MAX)), vec![0]].concat(),
            "too much memory",
        ),
        (
            r#"{"type":"map","values":"int"}"#,
            1,
            [zigzag(-1), zigzag(9), text("k"), vec![2, 0]].concat(),
            "a length of 9",
        ),
        (
            r#"{"type":"array","items":"int"}"#,
            1,
            [zigzag(-1), zigzag(2), vec![2, 0]].concat(),
            "another size than they say",
        ),
        (
            r#"{"type":"fixed","name":"x","size":2000000000}"#,
            1,
            vec![0; 5],
            "2000000000 bytes are wanted, 5 are left",
        ),
        // A NULL costs one byte here and two billion there.
        (
            r#"["null",{"type":"fixed","name":"x","size":2000000000}]"#,
            9,
            vec![0; 9],
            "row 1 of it, field f: the rows up to here take too much memory",
        ),
        (
            r#""null""#,
            1 << 30,
            Vec::new(),
            "claims 1073741824 rows in 0 bytes",
        ),
        (
            r#""null""#,
            1,
            vec![0],
            "1 bytes are left behind the last row",
        ),
    ] {
        let message = reason(kind, rows, &content);
        assert!(
            message.contains(expected) && message.contains("byte "),
            "{kind}: {message}"
        );
    }
}

#[test]
fn a_field_inside_others_is_named() {
    let kind = r#"{"type":"record","name":"i","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"}]}"#;
    let message = reason(kind, 1, &[2, 9]);
    assert!(
        message.contains("row 1 of it, field f.b: a length of -5"),
        "{message}"
    );
}

#[test]
fn a_block_is_unpacked_to_no_more_than_it_may_hold() {
    let schema = record(r#"{"name":"f","type":"bytes"}"#);
    let claims = [vec![0xff, 0xff, 0xff, 0xff, 0x0f], vec![0; 20]].concat();
    let message = refusal(
        "t.avro",
        &ocf(&schema, "snappy", &[(1, claims.clone())]),
        &[],
    );
    assert!(
        message.contains("20 bytes claim to hold 4294967295") || message.contains("21 bytes claim"),
        "{message}"
    );
    let most = peak(|| {
        refusal(
            "t.avro",
            &ocf(&schema, "snappy", &[(1, claims.clone())]),
            &[],
        );
    });
    assert!(most < MUCH, "{most}");

    let mut bomb = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    // 64 MiB of no rows are an error, not a table.
    let message = refusal(
        "t.avro",
        &ocf(&schema, "deflate", &[(0, bomb.clone()), (1, bomb)]),
        &[],
    );
    assert!(
        message.contains("67108864 bytes are left behind the last row"),
        "{message}"
    );
    for codec in ["deflate", "snappy", "zstandard", "bzip2", "xz"] {
        let message = refusal("t.avro", &ocf(&schema, codec, &[(1, vec![9; 40])]), &[]);
        assert!(message.contains("the block at byte"), "{codec}: {message}");
    }
    let unknown = refusal("t.avro", &ocf(&schema, "lzo", &[]), &[]);
    assert!(unknown.contains("lzo"), "{unknown}");
}

#[test]
fn a_schema_that_cannot_be_columns_is_refused() {
    let inside = record(r#"{"name":"next","type":["null","r"]}"#);
    assert!(
        refusal("t.avro", &ocf(&inside, "null", &[]), &[])
            .contains("the type r is used before it is complete")
    );
    // Each type holds the one before ten times.
    let mut fields = r#"{"name":"f0","type":{"type":"record","name":"t0","fields":[{"name":"n","type":"int"}]}}"#.to_owned();
    for level in 1..12 {
        let inner: Vec<String> = (0..10)
            .map(|n| format!(r#"{{"name":"g{n}","type":"t{}"}}"#, level - 1))
            .collect();
        fields += &format!(
            r#",{{"name":"f{level}","type":{{"type":"record","name":"t{level}","fields":[{}]}}}}"#,
            inner.join(",")
        );
    }
    let laughs = ocf(&record(&fields), "null", &[]);
    let most = peak(|| assert!(refusal("t.avro", &laughs, &[]).contains("more than 20000 types")));
    assert!(most < MUCH, "{most}");
    let mut deep = r#""int""#.to_owned();
    for _ in 0..60 {
        deep = format!(r#"{{"type":"array","items":{deep}}}"#);
    }
    assert!(
        refusal(
            "t.avro",
            &ocf(
                &record(&format!(r#"{{"name":"d","type":{deep}}}"#)),
                "null",
                &[]
            ),
            &[]
        )
        .contains("nested more than 40 deep")
    );
    for (schema, expected) in [
        ("{", "its schema"),
        (r#""string""#, "a row is no record"),
        (
            r#"{"type":"record","name":"r","fields":[{"name":"x"}]}"#,
            "lacks its name or its type",
        ),
        (
            r#"{"type":"record","name":"r","fields":[{"name":"x","type":{"type":"fixed","name":"f"}}]}"#,
            "has no size",
        ),
        (
            r#"{"type":"record","name":"r","fields":[{"name":"x","type":7}]}"#,
            "7 is no type",
        ),
    ] {
        let message = refusal("t.avro", &ocf(schema, "null", &[]), &[]);
        assert!(message.contains(expected), "{schema}: {message}");
    }
}

#[test]
fn as_deep_as_is_allowed_can_be_read() {
    let mut deep = r#""int""#.to_owned();
    let mut row = vec![2];
    for level in 0..19 {
        deep = format!(
            r#"{{"type":"record","name":"r{level}","fields":[{{"name":"f","type":["null",{deep}]}}]}}"#
        );
        row.insert(0, 2);
    }
    let schema = record(&format!(r#"{{"name":"f","type":{deep}}}"#));
    assert!(Schema::parse(&schema).is_ok());
    let opened = open("t.avro", &ocf(&schema, "null", &[(1, row)]), &[], None).unwrap();
    assert!(opened.error.is_none(), "{:?}", opened.error);
    assert!(opened.rows()[0].ends_with(&format!("{{f: 1{}", "}".repeat(19))));
}
#[test]
fn a_header_that_claims_more_than_there_is_is_refused() {
    for (map, name) in [
        (zigzag(1 << 60), "entries"),
        ([zigzag(1), zigzag(1 << 60)].concat(), "a key"),
        ([zigzag(1), zigzag(-1)].concat(), "a negative key"),
        (
            [zigzag(1), text("avro.schema"), zigzag(i64::MAX)].concat(),
            "a schema",
        ),
        (
            [zigzag(i64::MIN), zigzag(1 << 60)].concat(),
            "a run of entries",
        ),
        ([zigzag(0), vec![7; 16]].concat(), "nothing"),
        (
            [zigzag(1), text("avro.schema"), text("\u{1}")].concat(),
            "no JSON",
        ),
    ] {
        let bytes = [b"Obj\x01".to_vec(), map, vec![0; 40]].concat();
        let mut message = String::new();
        let most = peak(|| message = refusal("t.avro", &bytes, &[]));
        assert!(
            message.contains("its header") || message.contains("its schema"),
            "{name}: {message}"
        );
        assert!(most < MUCH, "{name}: {most}");
    }
}
