//! The gate as a whole: from incoming rows to good rows, quarantine and numbers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringViewArray, StructArray,
};
use arrow::buffer::Buffer;
use arrow::compute::kernels::cmp::gt;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimeUnit};
use arrow::util::display::array_value_to_string;

use crate::*;

/// `column > bound` for decimals with two places.
struct Above {
    column: usize,
    bound: i128,
}

impl Predicate for Above {
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, PredicateError> {
        let column = batch.column(self.column).as_primitive::<Decimal128Type>();
        let bound = arrow::array::Decimal128Array::new_scalar(self.bound);
        let bound = bound.into_inner().with_precision_and_scale(12, 2).unwrap();
        gt(column, &arrow::array::Scalar::new(bound))
            .map_err(|error| PredicateError::new(error.to_string()))
    }
}

/// `column IN (…)`.
struct Among {
    column: usize,
    words: &'static [&'static str],
}

impl Predicate for Among {
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, PredicateError> {
        let column = batch.column(self.column).as_string_view();
        Ok(column
            .iter()
            .map(|text| text.map(|text| self.words.contains(&text)))
            .collect())
    }
}

/// Fails, as an engine does, if the column holds this text.
struct Failing {
    column: usize,
    on: &'static str,
}

impl Predicate for Failing {
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, PredicateError> {
        let column = batch.column(self.column).as_string_view();
        if column.iter().any(|text| text == Some(self.on)) || self.on == "always" {
            return Err(PredicateError::new("division by zero"));
        }
        Ok(BooleanArray::from(vec![true; batch.num_rows()]))
    }
}

fn expectation(
    name: &str,
    text: &str,
    columns: &[usize],
    predicate: impl Predicate + 'static,
    on_violation: OnViolation,
) -> GateExpectation {
    GateExpectation {
        name: name.into(),
        text: text.into(),
        predicate: Arc::new(predicate),
        columns: columns.to_vec(),
        on_violation,
    }
}

fn contract() -> Contract {
    Contract {
        columns: vec![
            ContractColumn::new("id", DataType::Int64, false),
            ContractColumn::new("amount", DataType::Decimal128(12, 2), false),
            ContractColumn::new("currency", DataType::Utf8View, true),
            ContractColumn::new(
                "ts",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                true,
            ),
        ],
        key: vec![0],
        coercion: CoercionOptions::default(),
    }
}

fn positive(on_violation: OnViolation) -> GateExpectation {
    expectation(
        "positive_amount",
        "amount > 0",
        &[1],
        Above {
            column: 1,
            bound: 0,
        },
        on_violation,
    )
}

fn known(on_violation: OnViolation) -> GateExpectation {
    let among = Among {
        column: 2,
        words: &["EUR", "USD"],
    };
    expectation(
        "known_currency",
        "currency IN ('EUR', 'USD')",
        &[2],
        among,
        on_violation,
    )
}

fn gate(expectations: Vec<GateExpectation>) -> Gate {
    Gate::new(
        contract(),
        expectations,
        GateOptions {
            positions: true,
            ..GateOptions::default()
        },
    )
    .unwrap()
}

/// Rows of text; an empty field is NULL. The raw text is the fields joined by commas.
fn incoming(rows: &[[&str; 4]]) -> Incoming {
    let column = |at: usize| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|row| (!row[at].is_empty()).then_some(row[at]))
                .collect::<StringViewArray>(),
        )
    };
    let names = ["ID", "amount", "currency", "ts"];
    let batch = RecordBatch::try_from_iter((0..4).map(|at| (names[at], column(at)))).unwrap();
    Incoming {
        columns: batch,
        line: (0..rows.len() as u64).map(|row| row * 2).collect(),
        raw: Some(Arc::new(StringViewArray::from_iter_values(
            rows.iter().map(|row| row.join(",")),
        ))),
        malformed: Vec::new(),
        source: "landing/a.csv".into(),
        layout: None,
    }
}

fn malformed(line: u64, raw: &[u8], kind: MalformedKind) -> Malformed {
    let message = kind.to_string();
    Malformed {
        line,
        raw: Buffer::from(raw),
        kind,
        message,
    }
}

fn stamp() -> Stamp {
    Stamp {
        flow: "payments".into(),
        run: "run-1".into(),
        epoch: 7,
        time_micros: 1_700_000_000_000_000,
    }
}

fn run(gate: &Gate, keys: &mut KeyIndex, incoming: Incoming) -> Split {
    let mut judged = gate.judge(incoming).unwrap();
    judged.set_first_line(100);
    gate.admit_keys(keys, &mut judged).unwrap();
    gate.split(judged, &stamp()).unwrap()
}

fn keys() -> KeyIndex {
    KeyIndex::new(KeyIndexOptions::default())
}

fn ids(batch: &RecordBatch) -> Vec<i64> {
    batch
        .column(0)
        .as_primitive::<Int64Type>()
        .values()
        .to_vec()
}

/// The quarantined rows as `line: kind constraint column=value; …`.
fn reasons(split: &Split) -> Vec<String> {
    let Some(batch) = &split.quarantined else {
        return Vec::new();
    };
    assert_eq!(batch.schema(), quarantine_schema());
    let lines = batch
        .column_by_name("line")
        .unwrap()
        .as_primitive::<Int64Type>();
    let lists = batch.column_by_name("reasons").unwrap().as_list::<i32>();
    (0..batch.num_rows())
        .map(|row| {
            let list = lists.value(row);
            let list: &StructArray = list.as_struct();
            let text = |name: &str, at: usize| {
                let column = list.column_by_name(name).unwrap().as_string_view();
                column.is_valid(at).then(|| column.value(at).to_owned())
            };
            let told: Vec<String> = (0..list.len())
                .map(|at| {
                    let column = text("column", at).unwrap_or("-".into());
                    let value = text("value", at).unwrap_or("-".into());
                    let (kind, constraint) =
                        (text("kind", at).unwrap(), text("constraint", at).unwrap());
                    if kind == constraint {
                        format!("{kind} {column}={value}")
                    } else {
                        format!("{kind} {constraint} {column}={value}")
                    }
                })
                .collect();
            format!("{}: {}", lines.value(row), told.join("; "))
        })
        .collect()
}

fn messages(split: &Split) -> Vec<String> {
    let batch = split.quarantined.as_ref().unwrap();
    let lists = batch.column_by_name("reasons").unwrap().as_list::<i32>();
    let all = lists
        .values()
        .as_struct()
        .column_by_name("message")
        .unwrap()
        .as_string_view();
    all.iter()
        .map(|message| message.unwrap().to_owned())
        .collect()
}

fn count(split: &Split, kind: ReasonKind, name: &str) -> (u64, u64) {
    let found = split.counts.reasons.iter().find(|(key, _)| {
        key.kind == kind && (&*key.constraint == name || key.column.as_deref() == Some(name))
    });
    let (_, count) = found.unwrap();
    (count.passed, count.failed)
}

const GOOD: [&str; 4] = ["1", "5.00", "EUR", "2024-01-15T12:00:00Z"];

#[test]
fn good_rows_pass_without_being_copied() {
    let gate = gate(vec![
        positive(OnViolation::Quarantine),
        known(OnViolation::Quarantine),
    ]);
    let incoming = incoming(&[GOOD, ["2", "0.01", "USD", ""]]);
    let currency = incoming
        .columns
        .column(2)
        .as_string_view()
        .views()
        .inner()
        .as_ptr();
    let split = run(&gate, &mut keys(), incoming);
    assert_eq!(split.good.schema(), gate.contract().schema());
    assert_eq!(ids(&split.good), [1, 2]);
    assert_eq!(
        split
            .good
            .column(2)
            .as_string_view()
            .views()
            .inner()
            .as_ptr(),
        currency
    );
    assert!(split.quarantined.is_none() && split.fail.is_none());
    assert_eq!(split.good_line, Some(vec![100, 102]));
    assert_eq!(
        (
            split.counts.rows_in,
            split.counts.good,
            split.counts.quarantined
        ),
        (2, 2, 0)
    );
    assert_eq!(
        count(&split, ReasonKind::Expectation, "positive_amount"),
        (2, 0)
    );
    assert_eq!(count(&split, ReasonKind::NotNull, "id"), (2, 0));
    assert_eq!(count(&split, ReasonKind::DuplicateKey, "id"), (2, 0));
}

#[test]
fn every_reason_of_a_row_is_told_and_none_twice() {
    let gate = gate(vec![
        positive(OnViolation::Quarantine),
        known(OnViolation::Quarantine),
    ]);
    let split = run(
        &gate,
        &mut keys(),
        incoming(&[
            GOOD,
            ["x", "-5", "ZZZ", "yesterday"],
            ["", "12 EUR", "", ""],
            ["1", "3", "USD", ""],
            ["2", "7", "EUR", ""],
        ]),
    );
    assert_eq!(ids(&split.good), [1, 2]);
    assert_eq!(split.good_line, Some(vec![100, 108]));
    assert_eq!(
        reasons(&split),
        [
            "102: type id=x; type ts=yesterday; expectation positive_amount amount=-5; expectation known_currency currency=ZZZ",
            // The amount is no number, so that neither NOT NULL nor positive_amount says more of it.
            "104: type amount=12 EUR; not_null id=-; expectation known_currency currency=-",
            "106: duplicate_key id=id = 1",
        ]
    );
    let messages = messages(&split);
    assert_eq!(messages[0], "'x' is not a valid BIGINT: not a number");
    assert_eq!(messages[2], "amount > 0 is false for amount = -5");
    assert_eq!(messages[5], "id is NULL, but declared NOT NULL");
    assert_eq!(
        messages[6],
        "currency IN ('EUR', 'USD') is NULL for currency = NULL"
    );
    assert_eq!(
        count(&split, ReasonKind::Expectation, "positive_amount"),
        (3, 1)
    );
    assert_eq!(
        count(&split, ReasonKind::Expectation, "known_currency"),
        (3, 2)
    );
    assert_eq!(count(&split, ReasonKind::Type, "amount"), (4, 1));
    assert_eq!(count(&split, ReasonKind::NotNull, "amount"), (4, 0));
    assert_eq!(count(&split, ReasonKind::NotNull, "id"), (3, 1));
    assert_eq!(split.counts.quarantined, 3);
    assert_eq!(
        split.counts.broken()[0].0.constraint.as_ref(),
        "known_currency"
    );
}

#[test]
fn a_quarantined_row_carries_what_it_was_and_where_it_came_from() {
    let gate = gate(vec![]);
    let mut rows = incoming(&[["x", "1", "EUR", ""]]);
    rows.malformed
        .push(malformed(1, b"a,b\xff", MalformedKind::Encoding));
    rows.malformed.push(malformed(
        0,
        "é".repeat(40_000).as_bytes(),
        MalformedKind::TooLong,
    ));
    let split = run(&gate, &mut keys(), rows);
    let batch = split.quarantined.unwrap();
    let cell = |name: &str, row: usize| {
        array_value_to_string(batch.column_by_name(name).unwrap(), row).unwrap()
    };
    assert_eq!(batch.num_rows(), 3);
    assert_eq!(
        (cell("raw", 0), cell("line", 0)),
        ("x,1,EUR,".into(), "100".into())
    );
    assert_eq!(cell("fields", 0), "{ID: x, amount: 1, currency: EUR, ts: }");
    assert_eq!(
        (cell("source", 0), cell("flow", 0), cell("run", 0)),
        ("landing/a.csv".into(), "payments".into(), "run-1".into())
    );
    assert_eq!(
        (cell("epoch", 0), cell("state", 0)),
        ("7".into(), "held".into())
    );
    assert_eq!(cell("quarantined_at", 0), "2023-11-14T22:13:20Z");
    assert!(batch.column_by_name("released_epoch").unwrap().is_null(0));
    assert!(batch.column_by_name("note").unwrap().is_null(0));
    assert_eq!(cell("raw", 1).len(), 64 << 10);
    assert_eq!(cell("note", 1), "raw was cut: the row has 80000 bytes");
    assert!(
        batch.column_by_name("raw_bytes").unwrap().is_null(1),
        "a cut is no reason to keep bytes"
    );
    assert_eq!(
        (cell("raw", 2), cell("raw_bytes", 2)),
        ("a,b\u{fffd}".into(), "612c62ff".into())
    );
    assert!(batch.column_by_name("fields").unwrap().is_null(2));
    let ids: std::collections::HashSet<String> = (0..3).map(|row| cell("row_id", row)).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| id.len() == 32));
    let again = run(&gate, &mut keys(), incoming(&[["y", "1", "EUR", ""]]))
        .quarantined
        .unwrap();
    assert_eq!(
        array_value_to_string(again.column(0), 0).unwrap(),
        cell("row_id", 0),
        "the same place, the same id"
    );
}

#[test]
fn outcomes_are_weighed() {
    let rows = [
        GOOD,
        ["2", "-1", "EUR", ""], // dropped
        ["3", "-1", "ZZZ", ""], // dropped and quarantined: quarantined
        ["4", "1", "ZZZ", ""],  // quarantined
        ["2", "1", "EUR", ""],  // its key was never taken
    ];
    let weigh = gate(vec![
        positive(OnViolation::DropRow),
        known(OnViolation::Quarantine),
    ]);
    let split = run(&weigh, &mut keys(), incoming(&rows));
    assert_eq!(ids(&split.good), [1, 2]);
    assert_eq!(split.counts.dropped, 1);
    assert_eq!(
        reasons(&split),
        [
            "104: expectation positive_amount amount=-1; expectation known_currency currency=ZZZ",
            "106: expectation known_currency currency=ZZZ",
        ]
    );
    let keep = gate(vec![positive(OnViolation::Keep), known(OnViolation::Keep)]);
    let split = run(&keep, &mut keys(), incoming(&rows));
    assert_eq!(ids(&split.good), [1, 2, 3, 4], "kept rows take their key");
    assert_eq!(reasons(&split), ["108: duplicate_key id=id = 2"]);
    assert_eq!(
        count(&split, ReasonKind::Expectation, "positive_amount"),
        (3, 2)
    );
}

#[test]
fn fail_wins_and_carries_the_first_place() {
    let gate = gate(vec![
        known(OnViolation::Quarantine),
        positive(OnViolation::FailUpdate),
    ]);
    let split = run(
        &gate,
        &mut keys(),
        incoming(&[
            GOOD,
            ["x", "1", "EUR", ""],
            ["3", "-1", "ZZZ", ""],
            ["4", "-2", "EUR", ""],
        ]),
    );
    let fail = split.fail.unwrap();
    assert_eq!((fail.line, &*fail.source), (104, "landing/a.csv"));
    assert_eq!(&*fail.reason.constraint, "positive_amount");
    assert_eq!(fail.message, "amount > 0 is false for amount = -1");
    assert_eq!(
        (fail.value.as_deref(), fail.raw.as_str()),
        (Some("-1"), "3,-1,ZZZ,")
    );
}

#[test]
fn a_row_that_fails_otherwise_says_that_its_key_is_taken_and_takes_none() {
    let gate = gate(vec![positive(OnViolation::Quarantine)]);
    let mut index = keys();
    let existing: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![9]));
    let existing = RecordBatch::try_from_iter([("Id", existing)]).unwrap();
    assert_eq!(gate.preload_keys(&mut index, &existing).unwrap(), 1);
    let split = run(
        &gate,
        &mut index,
        incoming(&[
            ["9", "-1", "EUR", ""],
            ["5", "-1", "EUR", ""],
            ["5", "1", "EUR", ""],
            ["9", "1", "", ""],
        ]),
    );
    assert_eq!(ids(&split.good), [5]);
    assert_eq!(
        reasons(&split),
        [
            "100: duplicate_key id=id = 9; expectation positive_amount amount=-1",
            "102: expectation positive_amount amount=-1",
            "106: duplicate_key id=id = 9",
        ]
    );
    let second = run(&gate, &mut index, incoming(&[["5", "1", "EUR", ""]]));
    assert_eq!(
        reasons(&second),
        ["100: duplicate_key id=id = 5"],
        "keys are the table's, not the batch's"
    );
    let wrong = RecordBatch::try_from_iter([(
        "id",
        Arc::new(StringViewArray::from(vec!["x"])) as ArrayRef,
    )])
    .unwrap();
    assert!(
        gate.preload_keys(&mut index, &wrong)
            .unwrap_err()
            .to_string()
            .contains("'x' is not a valid BIGINT")
    );
    let none = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
    assert!(matches!(
        gate.preload_keys(&mut index, &none),
        Err(GateError::MissingKeyColumn(_))
    ));
}

#[test]
fn a_predicate_that_fails_on_a_row_condemns_that_row_only() {
    let failing = |on| {
        expectation(
            "ratio",
            "1 / x > 0",
            &[2],
            Failing { column: 2, on },
            OnViolation::Quarantine,
        )
    };
    let rows = [
        GOOD,
        ["2", "1", "bad", ""],
        ["3", "1", "EUR", ""],
        ["4", "1", "EUR", ""],
        ["5", "1", "bad", ""],
    ];
    let split = run(&gate(vec![failing("bad")]), &mut keys(), incoming(&rows));
    assert_eq!(ids(&split.good), [1, 3, 4]);
    assert_eq!(
        messages(&split)[0],
        "1 / x > 0 cannot be evaluated: division by zero for currency = bad"
    );
    let error = gate(vec![failing("always")])
        .judge(incoming(&rows))
        .unwrap_err();
    assert!(
        error.to_string().contains("`ratio`") && error.to_string().contains("division by zero")
    );
}

#[test]
fn columns_are_found_in_any_case_and_missing_ones_are_null() {
    let column: ArrayRef = Arc::new(StringViewArray::from(vec!["1"]));
    let batch =
        RecordBatch::try_from_iter([("iD", Arc::clone(&column)), ("other", column)]).unwrap();
    let split = run(&gate(vec![]), &mut keys(), Incoming::typed(batch, "q"));
    assert_eq!(reasons(&split), ["100: not_null amount=-"]);
    assert_eq!(
        messages(&split),
        ["amount is declared NOT NULL, but the row has no such column"]
    );
    let raw = split.quarantined.unwrap();
    assert_eq!(
        array_value_to_string(raw.column(1), 0).unwrap(),
        r#"{"iD":"1","other":"1"}"#
    );
}

#[test]
fn typed_rows_are_converted_where_nothing_is_lost() {
    let id: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![1.0, 2.5, 3.0, 4.0]));
    let amount: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![
        0.1, 1.0, 12.345, 1e12,
    ]));
    let ts: ArrayRef = Arc::new(arrow::array::TimestampNanosecondArray::from(vec![
        Some(1_000),
        None,
        None,
        Some(1),
    ]));
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", id, true),
        ("amount", amount, true),
        ("ts", ts, true),
    ])
    .unwrap();
    let split = run(&gate(vec![]), &mut keys(), Incoming::typed(batch, "query"));
    assert_eq!(ids(&split.good), [1]);
    assert_eq!(
        array_value_to_string(split.good.column(1), 0).unwrap(),
        "0.10"
    );
    assert_eq!(
        array_value_to_string(split.good.column(3), 0).unwrap(),
        "1970-01-01T00:00:00.000001Z"
    );
    assert_eq!(
        messages(&split),
        [
            "'2.5' is not a valid BIGINT: the DOUBLE would be changed",
            "'12.345' is not a valid DECIMAL(12,2): digits behind the point would be lost",
            "'1000000000000.0' is not a valid DECIMAL(12,2): out of the type's range",
            "'1970-01-01T00:00:00.000000001' is not a valid TIMESTAMP: the Timestamp(ns) would be changed",
        ]
    );
}

fn repairing() -> (Gate, Layout) {
    let options = GateOptions {
        repair: true,
        positions: true,
        ..GateOptions::default()
    };
    let gate = Gate::new(
        contract(),
        vec![positive(OnViolation::Keep), known(OnViolation::Quarantine)],
        options,
    );
    let layout = Layout {
        names: ["id", "amount", "currency", "ts"]
            .map(str::to_owned)
            .to_vec(),
        delimiter: ",".into(),
        quote: Some(b'"'),
        escape: None,
        constants: Vec::new(),
    };
    (gate.unwrap(), layout)
}

#[test]
fn a_row_is_repaired_if_exactly_one_reading_keeps_every_promise() {
    let (gate, layout) = repairing();
    let mut rows = incoming(&[GOOD, ["2", "5", "EUR", ""], ["3", "5", "EUR", ""]]);
    let count = |found| MalformedKind::FieldCount { expected: 4, found };
    rows.malformed = vec![
        malformed(1, b"10;5.00;EUR;2024-01-15T12:00:00Z", count(1)),
        malformed(3, b"11,5.00,USD", count(3)),
        malformed(
            5,
            b"12,\"5.00,EUR,2024-01-15T12:00:00Z",
            MalformedKind::BrokenQuote,
        ),
        malformed(7, b"13;-5.00;EUR;", count(1)), // breaks a promise that is only counted
        malformed(9, b"3,5.00,USD", count(3)),    // the key is taken
        malformed(11, b"14,5.00,ZZZ,x,y", count(5)),
        malformed(13, b"10;6.00;EUR;", count(1)), // the key was taken by a repaired row
    ];
    rows.layout = Some(Arc::new(layout));
    let mut index = keys();
    let split = run(&gate, &mut index, rows.clone());
    assert_eq!(
        ids(&split.good),
        [1, 10, 2, 11, 3, 12],
        "in the order of their lines"
    );
    assert_eq!(split.good_line, Some(vec![100, 101, 102, 103, 104, 105]));
    assert_eq!(
        array_value_to_string(split.good.column(3), 1).unwrap(),
        "2024-01-15T12:00:00Z"
    );
    assert!(split.good.column(3).is_null(3));
    let kinds: Vec<&str> = split.repaired.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["other_delimiter", "missing_trailing_fields", "closed_quote"]
    );
    assert_eq!(
        (
            split.counts.repaired,
            split.counts.good,
            split.counts.quarantined
        ),
        (3, 6, 4)
    );
    assert_eq!(split.counts.repairs.values().sum::<u64>(), 3);
    assert_eq!(
        messages(&split)[0],
        "1 fields, expected 4; repair tried 1 other readings, of which 0 fit"
    );
    assert_eq!(index.len(), 6);
    let off = Gate::new(contract(), vec![], GateOptions::default()).unwrap();
    assert_eq!(
        run(&off, &mut keys(), rows).counts.repaired,
        0,
        "off unless asked for"
    );
}

#[test]
fn a_row_with_two_readings_stays_in_quarantine() {
    let (gate, layout) = repairing();
    let columns = ["id", "note", "text", "more"]
        .map(|name| ContractColumn::new(name, DataType::Utf8View, true));
    let contract = Contract {
        columns: columns.to_vec(),
        ..Contract::default()
    };
    let free = Gate::new(contract, vec![], gate.options().clone()).unwrap();
    let mut rows = incoming(&[]);
    rows.malformed = vec![malformed(
        0,
        b"1,a,b,c,d",
        MalformedKind::FieldCount {
            expected: 4,
            found: 5,
        },
    )];
    rows.layout = Some(Arc::new(layout));
    let split = free.split(free.judge(rows).unwrap(), &stamp()).unwrap();
    assert_eq!((split.counts.repaired, split.counts.quarantined), (0, 1));
    assert!(
        messages(&split)[0].ends_with("of which 4 fit"),
        "{:?}",
        messages(&split)
    );
}

#[test]
fn a_gate_that_contradicts_itself_is_refused() {
    let refuse = |contract: Contract, expectations, options| {
        Gate::new(contract, expectations, options)
            .unwrap_err()
            .to_string()
    };
    let twice = Contract {
        columns: ["a", "A"]
            .map(|name| ContractColumn::new(name, DataType::Int64, true))
            .to_vec(),
        ..Contract::default()
    };
    assert!(refuse(twice, vec![], GateOptions::default()).contains("declared twice"));
    let key = Contract {
        key: vec![4],
        ..contract()
    };
    assert!(
        refuse(key, vec![], GateOptions::default()).contains("the key refers to column number 4")
    );
    let mut nested = contract();
    nested.columns[0].data_type = DataType::new_list(DataType::Int64, true);
    assert!(refuse(nested, vec![], GateOptions::default()).contains("declared ARRAY<BIGINT>"));
    let keep = GateOptions {
        on_null: OnViolation::Keep,
        ..GateOptions::default()
    };
    assert!(refuse(contract(), vec![], keep).contains("NOT NULL cannot be kept"));
    let far = expectation(
        "far",
        "x",
        &[9],
        Above {
            column: 0,
            bound: 0,
        },
        OnViolation::Keep,
    );
    assert!(refuse(contract(), vec![far], GateOptions::default()).contains("`far`"));
}

#[test]
fn batches_that_contradict_themselves_and_steps_left_out_are_refused() {
    let gate = gate(vec![]);
    let mut short = incoming(&[GOOD]);
    short.line = vec![1, 2];
    assert!(matches!(
        gate.judge(short),
        Err(GateError::Length { found: 2, .. })
    ));
    let mut raw = incoming(&[GOOD]);
    raw.raw = Some(Arc::new(Int64Array::from(vec![1, 2])));
    assert!(gate.judge(raw).is_err());
    let judged = gate.judge(incoming(&[GOOD])).unwrap();
    assert!(matches!(
        gate.split(judged, &stamp()),
        Err(GateError::KeysNotAdmitted(_))
    ));
}

#[test]
fn empty_batches_and_columnless_contracts_pass() {
    let split = run(
        &gate(vec![positive(OnViolation::Quarantine)]),
        &mut keys(),
        incoming(&[]),
    );
    assert_eq!((split.good.num_rows(), split.counts.rows_in), (0, 0));
    let none = Gate::new(Contract::default(), vec![], GateOptions::default()).unwrap();
    let split = run(&none, &mut keys(), incoming(&[GOOD]));
    assert_eq!((split.good.num_rows(), split.good.num_columns()), (1, 0));
}

#[test]
fn a_key_is_never_null_even_where_its_column_may_be() {
    let mut contract = contract();
    contract.columns[0].nullable = true;
    let gate = Gate::new(contract, vec![], GateOptions::default()).unwrap();
    let split = run(&gate, &mut keys(), incoming(&[["", "1", "EUR", ""]]));
    assert_eq!(reasons(&split), ["100: not_null id=-"]);
    assert!(!gate.schema().field(0).is_nullable() && gate.judging_schema().field(0).is_nullable());
}

#[test]
fn counts_of_batches_add_up() {
    let gate = gate(vec![positive(OnViolation::Quarantine)]);
    let mut index = keys();
    let mut sum = Counts::default();
    for rows in [
        [GOOD, ["2", "-1", "", ""]],
        [["1", "1", "", ""], ["3", "1", "", ""]],
    ] {
        sum.merge(&run(&gate, &mut index, incoming(&rows)).counts);
    }
    assert_eq!((sum.rows_in, sum.good, sum.quarantined), (4, 2, 2));
    let broken: Vec<String> = sum
        .broken()
        .iter()
        .map(|(key, count)| format!("{} {}", key.kind, count.failed))
        .collect();
    assert_eq!(broken, ["duplicate_key 1", "expectation 1"]);
}
