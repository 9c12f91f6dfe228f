//! JSON as it comes, one check for each way.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use crate::discover::types::timestamp;
use crate::tests::{malformed, read, read_wanted, rows};
use crate::{JsonLayout, Layout};

/// Reads and compares rows and malformed lines, in one block and in small ones.
#[track_caller]
fn check(text: &str, good: &[&str], bad: &[&str]) {
    for block in ["1mb", "1", "30"] {
        let (_, outcome) = read("a.json", text, &[("blockBytes", block)]);
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
fn every_value_becomes_the_text_it_is_written_as() {
    check(
        "{\"s\":\"a \\\"b\\\" \\u00e9\",\"n\":1.50,\"e\":1e400,\"t\":true,\"z\":null,\"l\":[1, {\"x\":null}],\"o\":{\"k\":\"v\"}}\n",
        &["a \"b\" é|1.50|1e400|true|-|[1, {\"x\":null}]|{\"k\":\"v\"}"],
        &[],
    );
    check(
        "{\"a\":\"\",\"b\":\"123456789012\"}\n{\"b\":\"1234567890123\"}\n",
        &["|123456789012", "-|1234567890123"],
        &[],
    );
}

#[test]
fn keys_may_come_in_any_order_and_be_missing() {
    check(
        "{\"a\":1,\"b\":2}\n{\"b\":3,\"a\":4}\n{}\n{\"b\":5}\n",
        &["1|2", "4|3", "-|-", "-|5"],
        &[],
    );
    check(
        "{ \"a\" : 1 , \"b\" : [ ] }\r\n{\"\\u0061\":2}\n",
        &["1|[ ]", "2|-"],
        &[],
    );
}

#[test]
fn of_a_key_written_twice_the_last_value_counts() {
    check("{\"a\":1,\"a\":2}\n{\"a\":3}\n", &["2", "3"], &[]);
}

#[test]
fn broken_lines_cost_themselves() {
    check(
        "{\"a\":1}\n{\"a\":\n{\"a\":2\n{\"a\":\"x}\n{\"a\":2} x\n[1]\n7\nnonsense\n{\"a\":\"\\ud800\"}\n{\"a\":3}",
        &["1", "3"],
        &[
            "2 json", "3 json", "4 json", "5 json", "6 json", "7 json", "8 json", "9 json",
        ],
    );
}

#[test]
fn a_new_key_in_a_broken_row_leaves_no_trace_in_others() {
    let (_, outcome) = read_wanted(
        "a.json",
        "{\"a\":1}\n{\"a\":2,\"b\":3,,}\n{\"a\":4}\n",
        &[],
        Some(&["a"]),
    );
    assert_eq!(
        (rows(&outcome), outcome.names.len()),
        (vec!["1".to_owned(), "4".to_owned()], 1)
    );
    let text = "{\"a\":1,\"z\":null}\n{\"a\":2,\"y\":3}\n{\"a\":4,\"z\":5}\n";
    let (_, outcome) = read_wanted("a.json", text, &[], Some(&["a"]));
    assert_eq!(outcome.names, ["a", "y", "z"]);
}

#[test]
fn arrays_and_values_in_a_stream_are_cut_into_rows() {
    let expected = &["1|x", "2|y, }z", "3|-"];
    for text in [
        "[{\"a\":1,\"b\":\"x\"},{\"a\":2,\"b\":\"y, }z\"},{\"a\":3}]",
        "[\n  {\n    \"a\": 1,\n    \"b\": \"x\"\n  },\n  {\n    \"a\": 2,\n    \"b\": \"y, }z\"\n  },\n  {\n    \"a\": 3\n  }\n]\n",
        "{\n \"a\": 1, \"b\": \"x\"\n}\n{\n \"a\": 2, \"b\": \"y, }z\"\n}\n{\n \"a\": 3}",
        "[\n{\"a\":1,\"b\":\"x\"},\n{\"a\":2,\"b\":\"y, }z\"},\n{\"a\":3}\n]\n",
    ] {
        check(text, expected, &[]);
    }
    let (discovered, outcome) = read("a.json", "[\n {\"a\":1},\n {\"a\":2}]", &[]);
    assert_eq!(discovered.layout, Layout::Json(JsonLayout::Stream));
    assert_eq!(
        outcome.rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        [2, 3]
    );
    check("[]", &[], &[]);
}

#[test]
fn a_broken_element_of_an_array_costs_itself() {
    check(
        "[{\"a\":1},{\"a\":},{\"a\":2},{\"a\" 3},{\"a\":4}]",
        &["1", "2", "4"],
        &["1 json", "1 json"],
    );
    check(
        "[\n{\"a\":1},\n{\"a\":\"x,\n{\"a\":2},\n{\"a\":[1,2,\n{\"a\":3}\n]",
        &["1", "2", "3"],
        &["3 json", "5 json"],
    );
    check(
        "[\n  {\n    \"a\": 1\n  },\n  {\n    \"a\": \"x,\n    \"l\": [\n      {\n        \"a\": 9\n      }\n    ]\n  },\n  {\n    \"a\": 2\n  }\n]\n",
        &["1", "2"],
        &["5 json"],
    );
    check("[{\"a\":1},{\"a\":2},{\"a\":", &["1", "2"], &["1 json"]);
}

#[test]
fn nesting_without_end_is_malformed_and_no_crash() {
    let deep = "[".repeat(10_000);
    let text = format!(
        "{{\"a\":1}}\n{{\"a\":{deep}}}\n{{\"a\":{deep}{}}}\n{{\"a\":2}}\n",
        "]".repeat(10_000)
    );
    check(&text, &["1", "2"], &["2 json", "3 json"]);
    let objects = format!("[{{\"a\":1}},\n{}", "{\"a\":".repeat(10_000));
    let (_, outcome) = read("a.json", &objects, &[]);
    assert_eq!(rows(&outcome)[0], "1");
    let (_, outcome) = read("b.json", &deep, &[]);
    assert_eq!(outcome.rows.len(), 0);
}

#[test]
fn types_are_found() {
    let text = "{\"i\":1,\"n\":1,\"b\":true,\"d\":\"2026-01-31\",\"t\":\"2026-01-31T10:00:00Z\",\"s\":\"12\",\"m\":1,\
                \"o\":{\"y\":1,\"x\":\"z\"},\"l\":[1,2.5],\"e\":[],\"z\":null,\"h\":18446744073709551615}\n\
                {\"i\":2,\"n\":1.5,\"b\":false,\"d\":\"2026-02-01\",\"t\":\"2026-02-01\",\"s\":\"x\",\"m\":\"x\",\
                \"o\":{\"w\":[{\"q\":true}]},\"l\":null}\n";
    let (discovered, _) = read("a.json", text, &[]);
    let found = |name: &str| {
        discovered
            .columns
            .iter()
            .find(|column| column.name == name)
            .unwrap()
            .data_type
            .clone()
    };
    let field = |name: &str, kind| Field::new(name, kind, true);
    let list = |kind| DataType::List(Arc::new(field("element", kind)));
    assert_eq!(found("i"), DataType::Int64);
    assert_eq!(found("n"), DataType::Float64);
    assert_eq!(found("b"), DataType::Boolean);
    assert_eq!(found("d"), DataType::Date32);
    assert_eq!(found("t"), timestamp());
    assert_eq!(
        (found("s"), found("m"), found("z")),
        (DataType::Utf8View, DataType::Utf8View, DataType::Utf8View)
    );
    assert_eq!(found("l"), list(DataType::Float64));
    assert_eq!(found("e"), list(DataType::Utf8View));
    assert_eq!(found("h"), DataType::Decimal128(38, 0));
    let inner = DataType::Struct(vec![field("q", DataType::Boolean)].into());
    let fields = vec![
        field("y", DataType::Int64),
        field("x", DataType::Utf8View),
        field("w", list(inner)),
    ];
    assert_eq!(found("o"), DataType::Struct(fields.into()));
    let names: Vec<&str> = discovered
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names[..4], ["i", "n", "b", "d"]);
}

#[test]
fn no_end_of_new_keys_ends_in_the_rescued_column() {
    let text: String = (0..3000)
        .map(|n| format!("{{\"a\":1,\"k{n}\":{n}}}\n"))
        .collect();
    let (_, outcome) = read_wanted("a.json", text, &[], Some(&["a"]));
    assert_eq!(outcome.rows.len(), 3000);
    assert_eq!(outcome.names.len(), 1002);
    let last = outcome.rows[2999].2.last().unwrap().clone().unwrap();
    assert_eq!(last, "{\"k2999\":2999,\"_file_path\":\"memory:/a.json\"}");
}
