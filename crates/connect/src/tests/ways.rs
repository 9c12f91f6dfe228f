//! Rules that hold for every format: options, columns by name, evolution, partitions, metadata.

use super::{malformed, read, read_wanted, rows};

#[test]
fn columns_are_matched_by_name_whatever_their_order() {
    let (_, outcome) = read_wanted("a.csv", "b,A\n1,2\n", &[], Some(&["a", "b", "c"]));
    assert_eq!(rows(&outcome), ["2|1|-"]);
}

#[test]
fn new_columns_go_where_the_mode_says() {
    let text = "a,b,x\n1,2,\"th\"\"ree\"\n4,5,\n";
    let json = "{\"a\":1,\"b\":2,\"x\":\"th\\\"ree\"}\n{\"b\":5,\"a\":4}\n";
    for (name, text) in [("f.csv", text), ("f.json", json)] {
        let with = |mode| {
            read_wanted(
                name,
                text,
                &[("schemaEvolutionMode", mode)],
                Some(&["a", "b"]),
            )
            .1
        };
        let added = with("addNewColumns");
        assert_eq!(added.names, ["a", "b", "x"]);
        assert_eq!(rows(&added), ["1|2|th\"ree", "4|5|-"]);
        let rescued = with("rescue");
        assert_eq!(rescued.names, ["a", "b", "_rescued_data"]);
        let path = if name.ends_with("csv") {
            "memory:/f.csv"
        } else {
            "memory:/f.json"
        };
        let kept = format!(r#"1|2|{{"x":"th\"ree","_file_path":"{path}"}}"#);
        assert_eq!(rows(&rescued), [kept.as_str(), "4|5|-"]);
        assert_eq!(rows(&with("none")), ["1|2", "4|5"]);
        let refused = with("failOnNewColumns").error.unwrap();
        assert!(refused.contains("new columns x"), "{refused}");
    }
}

#[test]
fn encodings_are_found() {
    let text = "name;city\nMüller;Köln\nGarçon;Orléans\nNuñez;Málaga\n";
    let expected = ["Müller|Köln", "Garçon|Orléans", "Nuñez|Málaga"];
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let units =
        |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let (little, big) = (units(u16::to_le_bytes), units(u16::to_be_bytes));
    let marked = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
    for bytes in [
        text.as_bytes().to_vec(),
        marked(b"\xef\xbb\xbf", text.as_bytes()),
        latin,
        marked(b"\xff\xfe", &little),
        marked(b"\xfe\xff", &big),
        little.clone(),
        big.clone(),
    ] {
        let (discovered, outcome) = read("a.csv", &bytes, &[("blockBytes", "16")]);
        assert_eq!(rows(&outcome), expected, "{}", discovered.encoding.name());
        assert_eq!(outcome.names, ["name", "city"]);
        assert_eq!(outcome.rows[0].0, 2);
    }
}

#[test]
fn a_row_in_another_encoding_is_malformed_and_not_the_file() {
    let bytes = b"a,b\nM\xc3\xbcller,1\nM\xfcller,2\nna\xc3\xafve,3\n";
    let (_, outcome) = read("a.csv", bytes, &[]);
    assert_eq!(rows(&outcome), ["Müller|1", "naïve|3"]);
    assert_eq!(malformed(&outcome), ["3 encoding"]);
    assert_eq!(outcome.malformed[0].1.as_ref(), b"M\xfcller,2");
    let (_, outcome) = read(
        "a.csv",
        b"a,b\nx,1\n\xff\xfe\x81,2\ny,3\n",
        &[("blockBytes", "4")],
    );
    assert_eq!(rows(&outcome), ["x|1", "y|3"]);
    let (_, outcome) = read(
        "a.json",
        b"{\"a\":\"x\"}\n{\"a\":\"\xff\"}\n{\"a\":\"y\"}\n",
        &[],
    );
    assert_eq!(
        (rows(&outcome), malformed(&outcome)),
        (vec!["x".into(), "y".into()], vec!["2 encoding".into()])
    );
    // Half a surrogate pair in UTF-16.
    let mut units: Vec<u16> = "a,b\nx,1\n?,2\ny,3\n".encode_utf16().collect();
    units[8] = 0xd83d;
    let bytes: Vec<u8> = [0xfeff]
        .iter()
        .chain(&units)
        .flat_map(|unit: &u16| unit.to_le_bytes())
        .collect();
    let (_, outcome) = read("a.csv", bytes, &[]);
    assert_eq!(
        (rows(&outcome), malformed(&outcome)),
        (vec!["x|1".into(), "y|3".into()], vec!["3 encoding".into()])
    );
}

#[test]
fn an_encoding_that_shows_late_is_found_in_the_middle() {
    let mut bytes = b"name,n\n".to_vec();
    (0..40_000).for_each(|n| bytes.extend_from_slice(format!("Smith,{n}\n").as_bytes()));
    (0..80_000).for_each(|_| bytes.extend_from_slice(b"M\xfcller,7\n"));
    let (discovered, outcome) = read("a.csv", &bytes, &[]);
    assert_eq!(discovered.encoding.name(), "windows-1252");
    assert_eq!((outcome.rows.len(), outcome.malformed.len()), (120_000, 0));
    assert_eq!(rows(&outcome)[119_999], "Müller|7");
}

#[test]
fn a_million_byte_line_costs_itself_and_little_memory() {
    let long = "x".repeat(3 << 20);
    for (name, text) in [
        ("a.csv", format!("a,b\n1,2\n3,{long}\n5,6\n")),
        (
            "a.json",
            format!(
                "{{\"a\":\"1\",\"b\":\"2\"}}\n{{\"a\":\"{long}\"}}\n{{\"a\":\"5\",\"b\":\"6\"}}\n"
            ),
        ),
        (
            "b.json",
            format!(
                "[{{\"a\":\"1\",\"b\":\"2\"}},\n{{\"a\":\"{long}\"}},\n{{\"a\":\"5\",\"b\":\"6\"}}]\n"
            ),
        ),
    ] {
        for block in ["64kb", "16mb"] {
            let (_, outcome) = read(
                name,
                &text,
                &[("blockBytes", block), ("maxRowBytes", "1mb")],
            );
            assert_eq!(rows(&outcome), ["1|2", "5|6"], "{name} {block}");
            assert_eq!(outcome.malformed.len(), 1, "{name} {block}");
            assert_eq!(outcome.malformed[0].2.name(), "too_long", "{name} {block}");
            assert!(outcome.malformed[0].1.len() <= 1 << 20);
        }
    }
}
