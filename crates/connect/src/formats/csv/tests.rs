//! What CSV files do in the wild, one check for each.

use arrow::datatypes::DataType;

use crate::discover::types::timestamp;
use crate::formats::csv::dialect::Dialect;
use crate::tests::{malformed, read, read_wanted, rows};
use crate::{Discovered, Layout};

fn dialect(discovered: &Discovered) -> Dialect {
    match &discovered.layout {
        Layout::Csv(dialect) => dialect.clone(),
        other => panic!("{other:?}"),
    }
}

/// Reads and compares rows and malformed lines, in one block and in tiny ones.
#[track_caller]
fn check(text: &str, options: &[(&str, &str)], good: &[&str], bad: &[&str]) {
    for block in ["1mb", "1", "7"] {
        let mut options = options.to_vec();
        options.extend([("blockBytes", block), ("format", "csv")]);
        let (_, outcome) = read("a.csv", text, &options);
        assert_eq!(outcome.error, None);
        assert_eq!(
            rows(&outcome),
            good,
            "blocks of {block}: {:?}",
            outcome.malformed
        );
        assert_eq!(malformed(&outcome), bad, "blocks of {block}");
    }
}

#[test]
fn empty_is_null_and_quoted_empty_is_not() {
    check("a,b,c\n,\"\",x\n,,\n", &[], &["-||x", "-|-|-"], &[]);
}

#[test]
fn values_of_every_length_survive() {
    let values: Vec<String> = (0..40)
        .map(|length| "abcdefghij".repeat(4)[..length].to_owned())
        .collect();
    let text = values.iter().fold("n,v,q\n".to_owned(), |text, v| {
        text + &format!("x,{v},\"{v},\"\n")
    });
    let good: Vec<String> = values
        .iter()
        .map(|v| format!("x|{}|{v},", if v.is_empty() { "-" } else { v }))
        .collect();
    check(
        &text,
        &[],
        &good.iter().map(String::as_str).collect::<Vec<_>>(),
        &[],
    );
}

#[test]
fn quoted_values_may_hold_anything() {
    check(
        "a,b\n\"x,y\",\"say \"\"hi\"\", then go on\"\n",
        &[],
        &["x,y|say \"hi\", then go on"],
        &[],
    );
    check(
        "a,b\n1,\"two\nlines\"\n2,\"and\r\nmore, of\n\nthem\"\n3,z\n",
        &[],
        &["1|two\nlines", "2|and\r\nmore, of\n\nthem", "3|z"],
        &[],
    );
    check("a,b\n\"\"\"\",\"\"\"x\"\"\"\n", &[], &["\"|\"x\""], &[]);
}

#[test]
fn a_quote_inside_an_unquoted_value_is_a_character() {
    check(
        "a,b\n5\" pipe,x\nit\"s,\"y\"\n",
        &[],
        &["5\" pipe|x", "it\"s|y"],
        &[],
    );
}

#[test]
fn a_quote_that_never_closes_costs_its_line_only() {
    check(
        "a,b,c\n1,\"x,2\n3,y,4\n5,z,6\n",
        &[],
        &["3|y|4", "5|z|6"],
        &["2 broken_quote"],
    );
    // The quote that would close it is the opening one of another row.
    check(
        "a,b,c\n1,\"x,2\n3,\"y, z\",4\n5,z,6\n",
        &[],
        &["3|y, z|4", "5|z|6"],
        &["2 broken_quote"],
    );
    // One row lacks the closing quote, one further down the opening one: what lies between is whole.
    check(
        "a,b,c\n1,\"x,2\n3,y,4\n5,z,6\n7,w\",8\n",
        &[],
        &["3|y|4", "5|z|6", "7|w\"|8"],
        &["2 broken_quote"],
    );
    check(
        "a,b,c\n1,\"x\"y,2\n3,y,4\n",
        &[],
        &["3|y|4"],
        &["2 broken_quote"],
    );
    check("a,b\n1,\"x", &[], &[], &["2 broken_quote"]);
    check(
        "a,b\n1,\"x\n",
        &[("multiLine", "false")],
        &[],
        &["2 broken_quote"],
    );
}

#[test]
fn quotes_are_trusted_when_told() {
    let text = "a,b,c\n1,\"x\n3,y,4\n5\",6\n";
    check(text, &[], &["3|y|4"], &["2 broken_quote", "4 field_count"]);
    check(text, &[("multiLine", "true")], &["1|x\n3,y,4\n5|6"], &[]);
    check(
        "a,b\n1,\"x\ny\"\n2,z\n",
        &[("multiLine", "false")],
        &["2|z"],
        &["2 broken_quote", "3 field_count"],
    );
}

#[test]
fn rows_of_another_length_are_malformed_or_padded() {
    check(
        "a,b,c\n1,2\n1,2,3\n1,2,3,4\n",
        &[],
        &["1|2|3"],
        &["2 field_count", "4 field_count"],
    );
    check(
        "a,b,c\n1,2\n1\n1,2,3,4\n",
        &[("ragged", "pad")],
        &["1|2|-", "1|-|-"],
        &["4 field_count"],
    );
}

#[test]
fn lines_end_in_all_three_ways() {
    check("a,b\r\n1,2\r\n3,\"4\"\r\n", &[], &["1|2", "3|4"], &[]);
    check("a,b\r1,2\r3,\"4\"\r", &[], &["1|2", "3|4"], &[]);
    check("a,b\n1,2\r\n\n\r\n3,4", &[], &["1|2", "3|4"], &[]);
}

#[test]
fn line_numbers_count_physical_lines() {
    let text = "# made by hand\n\na,b\n1,\"x\ny\"\n\nbad\n2,z\n";
    for block in ["1mb", "3"] {
        let (_, outcome) = read("a.csv", text, &[("blockBytes", block)]);
        let lines: Vec<u64> = outcome.rows.iter().map(|row| row.0).collect();
        assert_eq!(
            (lines, malformed(&outcome)),
            (vec![4, 8], vec!["7 field_count".to_owned()])
        );
        assert_eq!(outcome.lines, 8);
        assert_eq!(outcome.rows[0].1, b"1,\"x\ny\"");
    }
}

#[test]
fn delimiters_are_found() {
    for delimiter in [
        ",", ";", "\t", "|", "^", "~", "\u{1}", "||", "|~|", "::", "§",
    ] {
        let line = |fields: [&str; 3]| fields.join(delimiter) + "\n";
        let mut text = line(["id", "name", "price"]);
        for n in 0..20 {
            text += &line([&n.to_string(), &format!("thing number {n}"), "1.5"]);
        }
        let (discovered, outcome) = read("a.csv", &text, &[]);
        assert_eq!(dialect(&discovered).delimiter, delimiter);
        assert_eq!(outcome.rows.len(), 20);
        assert_eq!(rows(&outcome)[3], "3|thing number 3|1.5");
    }
}

#[test]
fn a_decimal_comma_is_no_delimiter() {
    let (discovered, outcome) = read(
        "a.csv",
        "preis;menge;am\n1,50;3;2026-01-31\n12,00;4;2026-02-01\n0,99;5;\n",
        &[],
    );
    assert_eq!(dialect(&discovered).delimiter, ";");
    assert_eq!(rows(&outcome)[0], "1,50|3|2026-01-31");
}

#[test]
fn other_quotes_and_escapes_are_found() {
    let (_, outcome) = read("a.csv", "a,b\n'x, y','it''s'\n'z','w'\n", &[]);
    assert_eq!(rows(&outcome), ["x, y|it's", "z|w"]);
    let (discovered, outcome) = read(
        "a.csv",
        "a,b\n\"x \\\"y\\\"\",\"back\\\\slash\"\n\"z\",\"w, v\"\n",
        &[],
    );
    assert_eq!(dialect(&discovered).escape, Some(b'\\'));
    assert_eq!(rows(&outcome), ["x \"y\"|back\\slash", "z|w, v"]);
    let (_, outcome) = read("a.csv", "a, \"b\"\n1, \"x, y\"\n2, \"z\"\n", &[]);
    assert_eq!(rows(&outcome), ["1|x, y", "2|z"]);
    check("a,b\n\"x\",y\n", &[("quote", "")], &["\"x\"|y"], &[]);
    check(
        "a,b\nx\\,y,z\n",
        &[("quote", ""), ("escape", "\\\\")],
        &["x,y|z"],
        &[],
    );
}

#[test]
fn headers_are_told_from_rows() {
    let header = |text: &str| dialect(&read("a.csv", text, &[]).0).header;
    assert_eq!(header("id,name\n1,x\n2,y\n"), 1);
    assert_eq!(header("1,x\n2,y\n3,z\n"), 0);
    assert_eq!(header("name,city\nalice,paris\nbob,rome\n"), 1);
    assert_eq!(header("alice,paris\nbob,rome\nalice,rome\nbob,paris\n"), 0);
    assert_eq!(header("id,name,created\n"), 1);
    assert_eq!(header("2026-01-01,1\n2026-01-02,2\n"), 0);
    let (_, outcome) = read("a.csv", "1,x\n2,y\n", &[]);
    assert_eq!(
        (outcome.names.clone(), rows(&outcome)),
        (
            vec!["_c0".into(), "_c1".into()],
            vec!["1|x".into(), "2|y".into()]
        )
    );
    let (_, outcome) = read_wanted("a.csv", "1,x\n2,y\n", &[], Some(&["id", "name"]));
    assert_eq!(
        (outcome.names.clone(), rows(&outcome)),
        (
            vec!["id".into(), "name".into()],
            vec!["1|x".into(), "2|y".into()]
        )
    );
    let (_, outcome) = read(
        "a.csv",
        "sales,,costs\nnet,gross,net\n1,2,3\n",
        &[("header", "2")],
    );
    assert_eq!(outcome.names, ["sales_net", "gross", "costs_net"]);
}

#[test]
fn odd_headers_get_usable_names() {
    let (discovered, outcome) = read("a.csv", "id,,id,ID,id_2, x \n1,2,3,4,5,6\n", &[]);
    assert_eq!(
        outcome.names,
        ["id", "column_2", "id_3", "ID_4", "id_2", "x"]
    );
    assert_eq!(rows(&outcome), ["1|2|3|4|5|6"]);
    assert_eq!(discovered.notes.len(), 3, "{:?}", discovered.notes);
}

#[test]
fn what_stands_before_the_header_is_skipped() {
    let text =
        "Report of sales\nmade 2026-01-01 by hand\n\nid,name,price\n1,x,2.5\n2,y,3.5\n3,z,4.5\n";
    let (_, outcome) = read("a.csv", text, &[]);
    assert_eq!(
        (
            outcome.names.join(","),
            rows(&outcome)[0].as_str(),
            outcome.rows[0].0
        ),
        ("id,name,price".into(), "1|x|2.5", 5)
    );
    let text = "# source: shop\n# unit: EUR\nid,price\n1,2\n# a remark, inside\n2,3\n";
    let (_, outcome) = read("a.csv", text, &[]);
    assert_eq!(
        (
            outcome.names.join(","),
            rows(&outcome),
            malformed(&outcome).len()
        ),
        ("id,price".into(), vec!["1|2".into(), "2|3".into()], 0)
    );
    check(
        "x\ny\nid,price\n1,2\n",
        &[("skipRows", "2"), ("header", "true")],
        &["1|2"],
        &[],
    );
    let (_, outcome) = read("a.csv", "#id,name\n1,x\n2,y\n", &[]);
    assert_eq!(outcome.names, ["id", "name"]);
}

#[test]
fn a_delimiter_at_the_end_of_each_row_is_no_column() {
    check("a,b\n1,2,\n3,4,\n5,6,\n", &[], &["1|2", "3|4", "5|6"], &[]);
}

#[test]
fn types_are_found() {
    let text = "i,d,b,day,at,zip,text,big,empty\n\
                1,1.5,true,2026-01-31,2026-01-31T10:00:00Z,01234,x,99999999999999999999,\n\
                -2,2,FALSE,2026-02-01,2026-01-31 10:00:00.123,99999,1y,1,\n";
    let (discovered, _) = read("a.csv", text, &[]);
    let types: Vec<DataType> = discovered
        .columns
        .iter()
        .map(|column| column.data_type.clone())
        .collect();
    let text_type = DataType::Utf8View;
    assert_eq!(
        types,
        [
            DataType::Int64,
            DataType::Float64,
            DataType::Boolean,
            DataType::Date32,
            timestamp(),
            text_type.clone(),
            text_type.clone(),
            text_type.clone(),
            text_type.clone(),
        ]
    );
    let (discovered, _) = read("a.csv", text, &[("inferSchema", "false")]);
    assert!(
        discovered
            .columns
            .iter()
            .all(|column| column.data_type == text_type)
    );
}

#[test]
fn next_to_nothing_is_no_error() {
    for text in ["", "\n", "\u{feff}", "a,b\n", "a,b", "\n\n\n"] {
        let (_, outcome) = read("a.csv", text, &[]);
        assert_eq!(
            (outcome.rows.len(), outcome.malformed.len(), outcome.error),
            (0, 0, None),
            "{text:?}"
        );
    }
}

#[test]
fn zero_bytes_are_data() {
    let (_, outcome) = read("a.csv", "a,b\nx\0y,1\nz,\0\n", &[]);
    assert_eq!(rows(&outcome), ["x\0y|1", "z|\0"]);
}

#[test]
fn very_wide_files_are_read() {
    let count = 50_000;
    let names: Vec<String> = (0..count).map(|n| format!("c{n}")).collect();
    let row = vec!["1"; count].join(",");
    let text = format!("{}\n{row}\n{row}\n1,2\n", names.join(","));
    let (discovered, outcome) = read("a.csv", text, &[("sampleBytes", "64kb")]);
    assert_eq!(
        (
            discovered.columns.len(),
            outcome.rows.len(),
            outcome.malformed.len()
        ),
        (count, 2, 1)
    );
    assert_eq!(outcome.rows[1].2[count - 1].as_deref(), Some("1"));
}

#[test]
fn white_space_is_cut_when_told() {
    let text = "a,b\n  x , y \n  \"p\" ,\" q \"\n";
    check(
        text,
        &[
            ("ignoreLeadingWhiteSpace", "true"),
            ("ignoreTrailingWhiteSpace", "true"),
        ],
        &["x|y", "p| q "],
        &[],
    );
    check("a,b\n x , y \n", &[], &[" x | y "], &[]);
}

#[test]
fn an_independent_reader_agrees_on_clean_files() {
    let mut state = 11u64;
    let mut draw = |limit: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let parts = [
        "a",
        "b c",
        ",",
        "\"",
        "\n",
        "é",
        "12",
        "",
        "long value number one",
        "\r\n",
    ];
    for _ in 0..300 {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["k0", "k1", "k2", "k3"]).unwrap();
        let mut expected = Vec::new();
        for _ in 0..draw(30) {
            let mut cell = || {
                (0..1 + draw(4))
                    .map(|_| parts[draw(10) as usize])
                    .collect::<String>()
            };
            let row = ["x".to_owned() + &cell(), cell(), cell(), cell()];
            writer.write_record(&row).unwrap();
            expected.push(row);
        }
        let text = writer.into_inner().unwrap();
        let options = [
            ("multiLine", "true"),
            ("blockBytes", "50"),
            ("header", "true"),
            ("delimiter", ","),
            ("quote", "\""),
            ("comment", ""),
            ("escape", "\""),
            ("skipRows", "0"),
        ];
        let (_, outcome) = read("a.csv", &text, &options);
        let found: Vec<Vec<String>> = outcome
            .rows
            .iter()
            .map(|row| {
                row.2
                    .iter()
                    .map(|value| value.clone().unwrap_or_default())
                    .collect()
            })
            .collect();
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(&text));
    }
}
