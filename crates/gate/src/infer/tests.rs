//! Contracts of samples whose answers are known, and of the real dirty tables, cell by cell.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringViewArray};
use arrow::datatypes::TimeUnit;

use super::*;

fn batch(columns: &[(&str, Vec<String>)]) -> RecordBatch {
    let array = |values: &[String]| {
        Arc::new(StringViewArray::from_iter(
            values
                .iter()
                .map(|value| Some(value).filter(|value| !value.is_empty())),
        )) as ArrayRef
    };
    RecordBatch::try_from_iter_with_nullable(
        columns
            .iter()
            .map(|(name, values)| (*name, array(values), true)),
    )
    .unwrap()
}

fn contract(columns: &[(&str, Vec<String>)]) -> InferredContract {
    infer(&[batch(columns)], &InferOptions::default()).unwrap()
}

fn strings<T: ToString>(values: impl Iterator<Item = T>) -> Vec<String> {
    values.map(|value| value.to_string()).collect()
}

/// The type found for values under a name.
fn type_of(name: &str, values: Vec<String>) -> DataType {
    contract(&[(name, values)]).columns.remove(0).data_type
}

fn expression(contract: &InferredContract, name: &str) -> String {
    let found = contract
        .constraints
        .iter()
        .find(|constraint| constraint.name == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {:?}", contract.constraints))
        .expression
        .clone()
}

#[test]
fn types_are_the_narrowest_that_surely_hold() {
    let n = || 1..=200_u64;
    assert_eq!(type_of("count", strings(n())), DataType::Int32);
    assert_eq!(type_of("order_id", strings(n())), DataType::Int64);
    assert_eq!(
        type_of("bytes", strings(n().map(|n| n * 10_000_000_000))),
        DataType::Int64
    );
    assert_eq!(
        type_of(
            "huge",
            strings(n().map(|n| format!("{n}00000000000000000000")))
        ),
        DataType::Decimal128(38, 0)
    );
    assert_eq!(
        type_of("amount", strings(n().map(|n| format!("{n}.5")))),
        DataType::Decimal128(12, 2)
    );
    assert_eq!(
        type_of("x", strings(n().map(|n| format!("{n}.{:02}", n % 100)))),
        DataType::Decimal128(12, 2)
    );
    assert_eq!(
        type_of("ratio", strings(n().map(|n| n as f64 / 7.0))),
        DataType::Float64
    );
    assert_eq!(
        type_of("x", strings(n().map(|n| format!("{n}e-3")))),
        DataType::Float64
    );
    assert_eq!(
        type_of(
            "open",
            strings(n().map(|n| if n % 3 == 0 { "yes" } else { "no" }))
        ),
        DataType::Boolean
    );
    assert_eq!(
        type_of("is_open", strings(n().map(|n| n % 2))),
        DataType::Boolean
    );
    assert_eq!(
        type_of("kind", strings(n().map(|n| n % 2))),
        DataType::Int32
    );
    assert_eq!(
        type_of(
            "sex",
            strings(n().map(|n| if n % 2 == 0 { "f" } else { "m" }))
        ),
        DataType::Utf8View
    );
    assert_eq!(
        type_of(
            "when",
            strings(n().map(|n| format!("2026-01-{:02}", n % 28 + 1)))
        ),
        DataType::Date32
    );
    assert_eq!(
        type_of(
            "birth_date",
            strings(n().map(|n| format!("199{}01{:02}", n % 10, n % 28 + 1)))
        ),
        DataType::Date32
    );
    assert_eq!(
        type_of(
            "when",
            strings(n().map(|n| format!("2026-01-02T03:04:{:02}Z", n % 60)))
        ),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    );
}

#[test]
fn codes_stay_text() {
    let n = || 1..=200_u64;
    assert_eq!(
        type_of("sku", strings(n().map(|n| format!("{n:05}")))),
        DataType::Utf8View
    );
    assert_eq!(
        type_of("anything", strings(n().map(|n| format!("{n:04}")))),
        DataType::Utf8View
    );
    assert_eq!(
        type_of("zip", strings(n().map(|n| 35_000 + n))),
        DataType::Utf8View
    );
    assert_eq!(
        type_of("PhoneNumber", strings(n().map(|n| 2_053_258_100 + n))),
        DataType::Utf8View
    );
    let zip = contract(&[(
        "zip",
        strings(n().map(|n| {
            if n == 7 {
                "3x007".to_owned()
            } else {
                (35_000 + n).to_string()
            }
        })),
    )]);
    assert_eq!(expression(&zip, "zip_format"), "zip RLIKE '^[0-9]{5}$'");
    assert_eq!(
        zip.findings
            .iter()
            .map(|finding| (finding.row, finding.kind))
            .collect::<Vec<_>>(),
        [(6, FindingKind::Constraint)]
    );
}

#[test]
fn too_little_is_no_evidence() {
    let few = contract(&[
        ("id", strings(1..=10)),
        ("state", strings((0..10).map(|_| "al"))),
    ]);
    assert!(
        few.constraints.is_empty()
            && few
                .columns
                .iter()
                .all(|column| !column.not_null && !column.primary_key)
    );
    assert_eq!(few.columns[0].data_type, DataType::Utf8View);
    for empty in [
        infer(&[], &InferOptions::default()).unwrap(),
        contract(&[("a", vec![])]),
        contract(&[("a", vec![String::new(); 50])]),
    ] {
        assert!(empty.constraints.is_empty() && empty.findings.is_empty());
        assert!(
            empty
                .to_sql(&SqlOptions::default())
                .contains("CREATE OR REFRESH STREAMING TABLE")
        );
    }
}

#[test]
fn the_key_is_unique_and_meant_to_identify() {
    let columns = [
        ("index", strings(1..=100)),
        ("id", strings((1..=100).map(|n| n * 7))),
        ("price", strings((1..=100).map(|n| format!("{n}.99")))),
    ];
    let found = contract(&columns);
    assert_eq!(
        found
            .columns
            .iter()
            .map(|column| column.primary_key)
            .collect::<Vec<_>>(),
        [false, true, false]
    );

    let mut twice = strings(1..=300);
    twice[299] = "7".to_owned();
    let found = contract(&[("order_id", twice)]);
    assert!(found.columns[0].primary_key);
    assert_eq!(
        found
            .findings
            .iter()
            .map(|finding| (finding.row, finding.kind))
            .collect::<Vec<_>>(),
        [(299, FindingKind::DuplicateKey)]
    );

    let none = contract(&[
        ("customer_id", strings((1..=100).map(|n| n % 40))),
        ("name", strings((1..=100).map(|n| format!("name {n}")))),
    ]);
    assert!(none.columns.iter().all(|column| !column.primary_key));
}

#[test]
fn a_closed_set_is_accepted_and_its_slips_are_not() {
    let mut values = strings((0..600).map(|n| ["surgery", "pneumonia", "heart attack"][n % 3]));
    values[10] = "pneumoniq".to_owned();
    let found = contract(&[("condition", values.clone())]);
    assert_eq!(
        expression(&found, "condition_known"),
        "condition IN ('surgery', 'heart attack', 'pneumonia')"
    );
    assert_eq!(
        found
            .findings
            .iter()
            .map(|finding| finding.row)
            .collect::<Vec<_>>(),
        [10]
    );
    assert!(
        found.constraints[0]
            .evidence
            .concat()
            .contains("'pneumoniq' for 'pneumonia'")
    );

    for n in 0..20 {
        values[n * 7] = char::from(b'a' + n as u8).to_string().repeat(n + 3);
    }
    assert!(
        contract(&[("condition", values)]).constraints.is_empty(),
        "a set that still grows is not closed"
    );
}

#[test]
fn nullable_columns_may_be_null() {
    let values = strings((0..300).map(|n| {
        if n % 5 == 0 {
            ""
        } else {
            ["EUR", "USD"][n % 2]
        }
    }));
    let found = contract(&[("currency", values)]);
    assert!(!found.columns[0].not_null);
    assert_eq!(
        expression(&found, "currency_known"),
        "currency IS NULL OR currency IN ('USD', 'EUR')"
    );
}

#[test]
fn ranges_leave_room_and_leave_out_wild_values() {
    let mut ages = strings((0..500).map(|n| 18 + n * 7 % 60));
    ages[3] = "4000".to_owned();
    let found = contract(&[("age", ages)]);
    assert_eq!(expression(&found, "age_range"), "age >= 0 AND age <= 100");
    assert_eq!(
        found
            .findings
            .iter()
            .map(|finding| finding.row)
            .collect::<Vec<_>>(),
        [3]
    );

    let mut amounts = strings((1..=500_u64).map(|n| format!("{}.50", n * n * n / 1_000)));
    amounts[40] = "-5.00".to_owned();
    assert_eq!(
        expression(&contract(&[("amount", amounts)]), "amount_range"),
        "amount > 0 AND amount <= 200000"
    );

    let mut days = strings((0..200).map(|n| format!("202{}-03-{:02}", n % 4, n % 28 + 1)));
    days[9] = "1900-01-01".to_owned();
    assert_eq!(
        expression(&contract(&[("day", days)]), "day_range"),
        "day >= DATE '2020-01-01'"
    );
}

#[test]
fn formats_are_of_codes_and_not_of_words() {
    let codes = strings((0..200).map(|n| format!("AB-{:04}", n * 37 % 9_000)));
    assert_eq!(
        expression(&contract(&[("code", codes)]), "code_format"),
        "code RLIKE '^AB-[0-9]{4}$'"
    );
    let emails = strings((0..200).map(|n| {
        if n == 3 {
            "someone at example".to_owned()
        } else {
            format!("u{n}@example.org")
        }
    }));
    assert_eq!(
        expression(&contract(&[("email", emails)]), "email_format"),
        "email RLIKE '^[^@ ]+@[^@ ]+[.][^@ .]+$'"
    );
    let counts = strings((0..200).map(|n| format!("{} patients", n * 7)));
    assert_eq!(
        expression(&contract(&[("sample", counts)]), "sample_format"),
        "sample RLIKE '^[0-9]{1,4} patients$'"
    );
    let words = ["Fort", "Saint", "Lake", "North", "Mount", "Big", "New"];
    let names = strings((0..400).map(|n| {
        format!(
            "{} {}ville",
            words[n % 7],
            ["Cook", "Smith", "Wood", "Green", "Jack"][n / 7 % 5].repeat(n % 3 + 1)
        )
    }));
    assert!(contract(&[("city", names)]).constraints.is_empty());
}

#[test]
fn the_reader_is_told_what_it_needs() {
    let n = || 1..=100_u64;
    let found = contract(&[
        ("price", strings(n().map(|n| format!("€{n}.{n:03},50")))),
        (
            "day",
            strings(n().map(|n| format!("{:02}/01/2026", n % 28 + 1))),
        ),
        (
            "score",
            strings(n().map(|n| {
                if n % 9 == 0 {
                    "n/a".to_owned()
                } else {
                    n.to_string()
                }
            })),
        ),
    ]);
    let options: Vec<(&str, &str)> = found
        .read_options
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        options,
        [
            ("currency", "signs"),
            ("dateOrder", "dmy"),
            ("decimalSeparator", ","),
            ("nullValue", "n/a"),
            ("thousandsSeparator", ".")
        ]
    );
    assert_eq!(found.columns[0].data_type, DataType::Decimal128(12, 2));
    assert_eq!(found.columns[2].data_type, DataType::Int32);

    let clash = contract(&[
        ("a", strings(n().map(|n| format!("{n},50")))),
        ("b", strings(n().map(|n| format!("{n}.50")))),
    ]);
    assert_eq!(
        (&clash.columns[0].data_type, &clash.columns[1].data_type),
        (&DataType::Utf8View, &DataType::Decimal128(12, 2))
    );
    assert!(clash.read_options.is_empty());
}

#[test]
fn one_column_may_decide_another_and_a_third_may_have_a_say() {
    let zips = |n: usize| 10_000 + n % 20;
    let mut city = strings((0..400).map(|n| {
        format!(
            "City {}",
            ["A", "B", "C", "D", "E", "F", "G"][zips(n) % 7].repeat(3)
        )
    }));
    city[50] = "City AAX".to_owned();
    let found = contract(&[("zip", strings((0..400).map(zips))), ("city", city)]);
    let dependency = found
        .dependencies
        .iter()
        .find(|dependency| dependency.of == "city")
        .unwrap();
    assert_eq!(
        (dependency.on.as_slice(), dependency.against),
        (["zip".to_owned()].as_slice(), 1)
    );
    assert!(
        found
            .findings
            .iter()
            .any(|finding| finding.row == 50 && finding.kind == FindingKind::Dependency)
    );

    let state = |n: usize| if n % 25 == 24 { "ak" } else { "al" };
    let code = |n: usize| ["hf-1", "pn-2", "ami-3", "vte-4"][n % 4];
    let average = strings((0..600).map(|n| format!("{}_{}", state(n), code(n))));
    let found = contract(&[
        ("state", strings((0..600).map(state))),
        ("code", strings((0..600).map(code))),
        ("average", average),
    ]);
    assert!(
        found
            .dependencies
            .iter()
            .any(|dependency| dependency.of == "average" && dependency.on == ["code", "state"]),
        "{:?}",
        found.dependencies
    );
    assert_eq!(found.findings, []);
}

#[test]
fn unrelated_columns_decide_nothing() {
    let mixed = |seed: u64, n: u64, of: u64| {
        (n * seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33 & (of - 1)
    };
    let found = contract(&[
        ("a", strings((1..2_000).map(|n| mixed(3, n, 16)))),
        (
            "b",
            strings((1..2_000).map(|n| format!("v{}", mixed(5, n, 8)))),
        ),
    ]);
    assert_eq!(found.dependencies, []);
}

#[test]
fn typed_columns_keep_their_type() {
    let batch = RecordBatch::try_from_iter_with_nullable([
        (
            "id",
            Arc::new(Int32Array::from_iter_values(0..100)) as ArrayRef,
            true,
        ),
        (
            "x",
            Arc::new(Float64Array::from_iter(
                (0..100).map(|n| (n % 9 > 0).then_some(f64::from(n))),
            )) as ArrayRef,
            true,
        ),
    ])
    .unwrap();
    let found = infer(&[batch], &InferOptions::default()).unwrap();
    assert_eq!(
        found
            .columns
            .iter()
            .map(|column| (&column.data_type, column.not_null, column.primary_key))
            .collect::<Vec<_>>(),
        [
            (&DataType::Int32, true, true),
            (&DataType::Float64, false, false)
        ]
    );
}

#[test]
fn names_and_values_are_quoted_where_they_must_be() {
    let found = contract(&[
        (
            "order",
            strings((0..200).map(|n| ["it's", "back\\slash"][n % 2])),
        ),
        ("a b`c", strings(0..200)),
        ("Straße", strings(0..200)),
    ]);
    let sql = found.to_sql(&SqlOptions {
        table: "my table".to_owned(),
        path: "a'b.csv".to_owned(),
        format: Some("csv".to_owned()),
        options: BTreeMap::from([("header".to_owned(), "true".to_owned())]),
    });
    for part in [
        "STREAMING TABLE `my table` (",
        "`order` ",
        "`a b``c`",
        "`Straße`",
        "'it''s'",
        "'back\\\\slash'",
        "read_files('a''b.csv', format => 'csv', header => 'true');",
    ] {
        assert!(sql.contains(part), "{part}\n{sql}");
    }
    assert!(
        sql.lines()
            .filter(|line| line.trim_start().starts_with("--"))
            .all(|line| line.chars().count() <= 112)
    );
}

/// Reads a CSV file with the `csv` crate.
fn read(path: &str) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let mut reader = csv::ReaderBuilder::new().from_path(path).ok()?;
    let names = reader.headers().ok()?.iter().map(str::to_owned).collect();
    Some((
        names,
        reader
            .records()
            .map(|record| record.unwrap().iter().map(str::to_owned).collect())
            .collect(),
    ))
}

/// Infers from a table of `examples/` and compares its findings with the clean version.
fn score(dirty: &str, clean: &str) -> (InferredContract, f64, f64, f64) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/");
    let (names, dirty) = read(&format!("{root}{dirty}"))
        .unwrap_or_else(|| panic!("{root}{dirty} is part of the repository"));
    let (_, clean) = read(&format!("{root}{clean}")).unwrap();
    let columns: Vec<(&str, Vec<String>)> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            (
                name.as_str(),
                dirty.iter().map(|row| row[at].clone()).collect(),
            )
        })
        .collect();
    let contract = contract(&columns);
    let mut wrong = BTreeSet::new();
    for (row, (dirty, clean)) in dirty.iter().zip(&clean).enumerate() {
        wrong.extend(
            (0..dirty.len())
                .filter(|&at| dirty[at] != clean[at])
                .map(|at| (row as u64, at)),
        );
    }
    let called = |keep: fn(FindingKind) -> bool| -> BTreeSet<(u64, usize)> {
        contract
            .findings
            .iter()
            .filter(|finding| keep(finding.kind))
            .map(|finding| (finding.row, finding.column))
            .collect()
    };
    let all = called(|kind| kind != FindingKind::NullWord);
    let enforced = called(|kind| kind.is_enforced() && kind != FindingKind::NullWord);
    let share = |found: &BTreeSet<(u64, usize)>, of: usize| {
        found.intersection(&wrong).count() as f64 / of as f64
    };
    let (precision, recall, recall_enforced) = (
        share(&all, all.len()),
        share(&all, wrong.len()),
        share(&enforced, wrong.len()),
    );
    println!(
        "{} rows, {} wrong cells: precision {precision:.3}, recall {recall:.3}, of the contract alone {recall_enforced:.3}",
        dirty.len(),
        wrong.len()
    );
    (contract, precision, recall, recall_enforced)
}

#[test]
fn the_errors_of_the_hospital_table_are_found() {
    let (contract, precision, recall, enforced) = score(
        "hospital/landing/hospital/hospital.csv",
        "hospital/truth/clean.csv",
    );
    assert!(
        precision >= 0.98 && recall >= 0.97 && enforced >= 0.65,
        "{precision} {recall} {enforced}"
    );
    assert_eq!(
        expression(&contract, "state_known"),
        "state IN ('al', 'ak')"
    );
    assert!(contract.columns[0].primary_key);
}

#[test]
fn the_errors_of_the_beers_table_are_found() {
    let (contract, precision, recall, enforced) =
        score("beers/landing/beers/beers.csv", "beers/truth/clean.csv");
    assert!(
        precision >= 0.99 && recall >= 0.76 && enforced >= 0.20,
        "{precision} {recall} {enforced}"
    );
    assert_eq!(
        contract.read_options.get("nullValue").map(String::as_str),
        Some("N/A")
    );
    assert!(
        contract
            .constraints
            .iter()
            .any(|constraint| constraint.name == "city_without_state")
    );
}

#[test]
fn clean_tables_raise_hardly_an_alarm() {
    for (table, cells) in [
        ("hospital/truth/clean.csv", 20_000.0),
        ("beers/truth/clean.csv", 26_510.0),
    ] {
        let (contract, _, _, _) = score(table, table);
        let called = contract
            .findings
            .iter()
            .filter(|finding| finding.kind != FindingKind::NullWord)
            .count();
        let enforced = contract
            .findings
            .iter()
            .filter(|finding| finding.kind.is_enforced() && finding.kind != FindingKind::NullWord)
            .count();
        println!("{table}: {called} alarms, {enforced} enforced");
        assert!(
            (called as f64) < 0.001 * cells && (enforced as f64) < 0.0005 * cells,
            "{table}: {called}, {enforced}: {:?}",
            contract.findings
        );
    }
}
