//! Profiles of small columns whose answers are known.

use std::sync::Arc;

use arrow::array::{
    Float64Array, Int64Array, ListArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int32Type;

use super::*;

fn batch(columns: Vec<(&str, Vec<Option<String>>)>) -> RecordBatch {
    let arrays = columns.into_iter().map(|(name, values)| {
        (
            name.to_owned(),
            Arc::new(StringViewArray::from_iter(values)) as ArrayRef,
            true,
        )
    });
    RecordBatch::try_from_iter_with_nullable(arrays).unwrap()
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<Option<String>> {
    values
        .into_iter()
        .map(|value| Some(value.to_string()))
        .collect()
}

fn profile(batches: &[RecordBatch], options: ProfileOptions) -> Profile {
    let mut profiler = Profiler::new(options);
    for batch in batches {
        profiler.push(batch).unwrap();
    }
    profiler.finish()
}

fn one_column(values: Vec<Option<String>>) -> ColumnProfile {
    profile(&[batch(vec![("c", values)])], ProfileOptions::default())
        .columns
        .remove(0)
}

fn suspicion(column: &ColumnProfile, kind: SuspicionKind) -> &Suspicion {
    column
        .suspicions
        .iter()
        .find(|suspicion| suspicion.kind == kind)
        .unwrap_or_else(|| panic!("no {kind:?} in {:?}", column.suspicions))
}

#[test]
fn numbers_are_summed_up_exactly_while_they_fit() {
    let mut values = texts(1..=100);
    values.extend([None, Some(String::new())]);
    let column = one_column(values);
    assert_eq!(
        (
            column.rows,
            column.nulls,
            column.empty,
            column.distinct.count
        ),
        (102, 1, 1, 101)
    );
    let numbers = column.numbers.as_ref().unwrap();
    assert_eq!((numbers.min, numbers.max, numbers.mean), (1.0, 100.0, 50.5));
    assert_eq!(
        numbers
            .quantiles
            .iter()
            .find(|q| q.at == 0.5)
            .unwrap()
            .value,
        50.5
    );
    let histogram = column.histogram.as_ref().unwrap();
    assert_eq!(
        histogram
            .bins
            .iter()
            .map(|bin| bin.count)
            .collect::<Vec<_>>(),
        [5; 20]
    );
    assert_eq!(
        (histogram.bins[0].label.as_str(), histogram.of),
        ("1 to 5", HistogramOf::Value)
    );
    assert_eq!(column.suspicions, []);
}

#[test]
fn a_column_too_large_to_count_is_estimated_and_says_so() {
    let rows = 60_000_u64;
    let options = ProfileOptions {
        exact_values: 1_000,
        ..ProfileOptions::default()
    };
    let values = |from: u64, to: u64| {
        texts((from..to).map(|n| {
            if n % 4 == 0 {
                "hot".to_owned()
            } else {
                format!("v{}", n * 7_919 % rows)
            }
        }))
    };
    let numbers = |from: u64, to: u64| texts((from..to).map(|n| n * 7_919 % rows));
    let parts: Vec<RecordBatch> = (0..6)
        .map(|part| {
            batch(vec![
                ("t", values(part * 10_000, part * 10_000 + 10_000)),
                ("n", numbers(part * 10_000, part * 10_000 + 10_000)),
            ])
        })
        .collect();
    let whole = profile(&parts, options.clone());
    let mut merged = Profiler::new(options.clone());
    for part in parts.chunks(2) {
        let mut later = Profiler::new(options.clone());
        part.iter().for_each(|batch| later.push(batch).unwrap());
        merged.merge(&later);
    }
    for profile in [whole, merged.finish()] {
        let text = &profile.columns[0];
        assert_eq!(
            (profile.rows, text.rows, text.distinct.exact),
            (rows, rows, false)
        );
        assert!(
            (text.distinct.count as f64 / 45_001.0 - 1.0).abs()
                < 4.0 * text.distinct.standard_error,
            "{:?}",
            text.distinct
        );
        assert_eq!(text.top[0].value, "hot");
        assert!(text.top[0].count <= 15_000 && text.top[0].count + text.top_count_error >= 15_000);
        let numbers = profile.columns[1].numbers.as_ref().unwrap();
        assert_eq!(
            (numbers.min, numbers.max, numbers.exact),
            (0.0, 59_999.0, false)
        );
        assert!((numbers.mean - 29_999.5).abs() < 1e-6);
        assert!((numbers.quantiles[3].value / 30_000.0 - 1.0).abs() < 0.02);
        let counted: u64 = profile.columns[1]
            .histogram
            .as_ref()
            .unwrap()
            .bins
            .iter()
            .map(|bin| bin.count)
            .sum();
        assert!(counted.abs_diff(rows) <= 10);
    }
}

#[test]
fn misspelt_categories_are_found_with_what_they_resemble() {
    let mut values =
        texts(std::iter::repeat_n("birmingham", 80).chain(std::iter::repeat_n("sheffield", 60)));
    values.insert(30, Some("birminghxm".to_owned()));
    values.push(Some("mobile".to_owned()));
    values.push(Some("Sheffield".to_owned()));
    let column = one_column(values);
    let found = suspicion(&column, SuspicionKind::LookAlike);
    assert_eq!((found.rows, found.values), (1, 1));
    assert_eq!(
        (found.examples[0].value.as_str(), found.examples[0].row),
        ("birminghxm", 31)
    );
    assert!(
        found.examples[0]
            .note
            .as_ref()
            .unwrap()
            .contains("birmingham")
    );
    assert_eq!(
        suspicion(&column, SuspicionKind::Case).examples[0].value,
        "Sheffield"
    );
}

#[test]
fn misspelt_categories_are_found_in_a_column_too_large_to_count() {
    let mut profiler = Profiler::new(ProfileOptions {
        exact_values: 500,
        ..ProfileOptions::default()
    });
    for part in 0..4 {
        let mut values = texts((0..400).map(|n| format!("Only{}Once{n}", part * 1_000)));
        values.extend(texts(std::iter::repeat_n("birmingham", 300)));
        if part == 3 {
            values.push(Some("birminghxm".to_owned()));
        }
        profiler.push(&batch(vec![("c", values)])).unwrap();
    }
    let column = profiler.finish().columns.remove(0);
    assert!(!column.distinct.exact);
    assert!(
        suspicion(&column, SuspicionKind::LookAlike)
            .examples
            .iter()
            .any(|example| example.value == "birminghxm")
    );
}

#[test]
fn shapes_that_do_not_fit_are_found() {
    let mut codes = texts((0..200).map(|n| format!("AB-{:04}", n * 37)));
    codes[17] = Some("AB_0629".to_owned());
    let column = one_column(codes);
    let rare = suspicion(&column, SuspicionKind::RareFormat);
    assert_eq!(
        (rare.rows, rare.examples[0].note.as_deref()),
        (1, Some("format AA_9999"))
    );

    let mut amounts = texts((1..=100).map(|n| format!("{n}.50")));
    amounts[3] = Some("four".to_owned());
    amounts[4] = Some("5%".to_owned());
    assert_eq!(
        suspicion(&one_column(amounts), SuspicionKind::MixedTypes).rows,
        2
    );

    let units = texts((0..60).map(|n| if n % 3 == 0 { "12.0 oz." } else { "16.0 oz" }));
    assert_eq!(
        suspicion(&one_column(units), SuspicionKind::MixedTypes).rows,
        20
    );
}

#[test]
fn far_numbers_and_stand_ins_are_found() {
    let mut values = texts((0..300).map(|n| 50 + n % 17));
    values[5] = Some("5000".to_owned());
    values[6] = Some("-1".to_owned());
    values[7] = Some("-1".to_owned());
    values[8] = Some("-1".to_owned());
    let column = one_column(values);
    let far = suspicion(&column, SuspicionKind::Outlier);
    assert_eq!((far.rows, far.examples[0].value.as_str()), (1, "5000"));
    assert_eq!(suspicion(&column, SuspicionKind::Placeholder).rows, 3);

    let skewed = texts((1..400_u64).map(|n| n * n * n / 1_000 + 1));
    assert_eq!(one_column(skewed).suspicions, []);
}

#[test]
fn marks_inside_values_are_found() {
    let mut values = texts((0..40).map(|n| format!("name {n}")));
    values[1] = Some(" name".to_owned());
    values[2] = Some("na\u{0}me".to_owned());
    values[3] = Some("MÃ¼nchen".to_owned());
    values[4] = Some("N/A".to_owned());
    let column = one_column(values);
    assert_eq!(suspicion(&column, SuspicionKind::Whitespace).rows, 1);
    assert_eq!(
        suspicion(&column, SuspicionKind::ControlCharacter).examples[0]
            .note
            .as_deref(),
        Some("U+0000")
    );
    assert_eq!(
        suspicion(&column, SuspicionKind::Mojibake).examples[0]
            .note
            .as_deref(),
        Some("probably \"München\"")
    );
    assert_eq!(suspicion(&column, SuspicionKind::Placeholder).rows, 1);

    let mut dates = texts((1..=28).map(|day| format!("2026-02-{day:02}")));
    dates.push(Some("2026-02-30".to_owned()));
    let column = one_column(dates);
    assert_eq!(
        suspicion(&column, SuspicionKind::ImpossibleDate).examples[0].value,
        "2026-02-30"
    );
    assert_eq!(
        column
            .times
            .as_ref()
            .map(|times| (times.min.as_str(), times.max.as_str())),
        Some(("2026-02-01", "2026-02-28"))
    );

    let mut ids = texts(1_000..1_300);
    ids[299] = Some("1007".to_owned());
    assert_eq!(
        suspicion(&one_column(ids), SuspicionKind::Duplicate).rows,
        2
    );
}

#[test]
fn typed_columns_are_profiled_like_text() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let batch = RecordBatch::try_from_iter_with_nullable([
        (
            "whole",
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef,
            true,
        ),
        (
            "real",
            Arc::new(Float64Array::from(vec![0.5, f64::NAN, 1e300])) as ArrayRef,
            true,
        ),
        (
            "time",
            Arc::new(
                TimestampMicrosecondArray::from(vec![0, 1_000_000, 2_000_000]).with_timezone("UTC"),
            ) as ArrayRef,
            true,
        ),
        ("list", Arc::new(lists) as ArrayRef, true),
    ])
    .unwrap();
    let profile = profile(&[batch], ProfileOptions::default());
    let types: Vec<&str> = profile
        .columns
        .iter()
        .map(|column| column.data_type.as_str())
        .collect();
    assert_eq!(types, ["BIGINT", "DOUBLE", "TIMESTAMP", "ARRAY<INT>"]);
    assert_eq!(profile.columns[0].nulls, 1);
    assert_eq!(profile.columns[1].numbers.as_ref().unwrap().max, 1e300);
    assert_eq!(
        profile.columns[2].times.as_ref().unwrap().max,
        "1970-01-01 00:00:02"
    );
    assert_eq!(profile.columns[3].distinct.count, 2);
}

#[test]
fn columns_may_come_and_go_between_batches() {
    let profile = profile(
        &[
            batch(vec![("a", texts([1, 2]))]),
            batch(vec![("b", texts([3]))]),
        ],
        ProfileOptions::default(),
    );
    let seen: Vec<_> = profile
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.rows, column.nulls))
        .collect();
    assert_eq!(seen, [("a", 3, 1), ("b", 3, 2)]);
}

#[test]
fn nothing_gives_an_empty_report_and_no_error() {
    for batches in [
        vec![],
        vec![batch(vec![("a", vec![]), ("", vec![])])],
        vec![batch(vec![("a", vec![None, None])])],
    ] {
        let profile = profile(&batches, ProfileOptions::default());
        assert!(text::render(&profile, &text::TextOptions::default()).contains("columns"));
        assert!(html::render(&profile).ends_with("</html>\n"));
        assert_eq!(profile.suspicious_values(), 0);
    }
}

/// A profile with everything in it.
fn hostile() -> Profile {
    let values = [
        "<script>alert(1)</script>",
        "\u{1b}[31mred",
        "日本語の長い値がここにあります、とても長い",
        "a\"b'c&d",
        "\u{202e}evil",
        "x\ny",
    ];
    let columns = vec![
        ("<b>&\"", texts(values.iter().cycle().take(60))),
        ("n", texts((0..60).map(|n| f64::from(n) * 1.5))),
    ];
    profile(
        &[batch(columns)],
        ProfileOptions {
            subject: "<i>file</i>.csv".to_owned(),
            ..ProfileOptions::default()
        },
    )
}

#[test]
fn the_page_is_self_contained_and_holds_no_markup_of_the_data() {
    let page = html::render(&hostile());
    for forbidden in [
        "<script", "<b>", "<i>file", "http://", "https://", "src=", "\u{1b}", "\u{202e}",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    for needed in [
        "lang=\"en\"",
        "color-scheme",
        "light-dark(",
        "<svg role=\"img\" aria-label=",
        "&lt;script&gt;",
        "<caption>",
    ] {
        assert!(page.contains(needed), "{needed}");
    }
    for tag in ["section", "table", "details", "figure", "svg", "main", "ul"] {
        assert_eq!(
            page.matches(&format!("<{tag}")).count(),
            page.matches(&format!("</{tag}>")).count(),
            "{tag}"
        );
    }
}

#[test]
fn the_terminal_table_keeps_to_its_width_and_obeys_no_value() {
    use unicode_width::UnicodeWidthStr;
    for width in [40, 60, 100, 200] {
        let drawn = text::render(
            &hostile(),
            &text::TextOptions {
                width,
                color: false,
                details: true,
            },
        );
        assert!(!drawn.contains('\u{1b}') && !drawn.contains('\u{202e}'));
        let widest = drawn.lines().map(UnicodeWidthStr::width).max().unwrap();
        assert!(widest <= width.max(76), "{widest} > {width}:\n{drawn}");
    }
    assert!(
        text::render(
            &hostile(),
            &text::TextOptions {
                color: true,
                ..Default::default()
            }
        )
        .contains("\u{1b}[1m")
    );
}

#[test]
fn json_has_every_part() {
    let json = serde_json::to_value(hostile()).unwrap();
    assert_eq!(json["rows"], 60);
    assert_eq!(json["columns"][1]["looks_like"]["kind"], "decimal");
    assert_eq!(json["columns"][1]["histogram"]["of"], "value");
    assert!(
        json["columns"][0]["suspicions"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    );
}
