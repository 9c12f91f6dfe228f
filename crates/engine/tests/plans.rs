//! What the engine says about plans: lineage, shape, compiled expressions and row programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each test binary uses a part")]
mod common;

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::LogicalPlan;
use tidegate_engine::windows::{WindowMarker, marker_of};
use tidegate_engine::{
    Bindings, ColumnLineage, Engine, EngineError, EngineSettings, InfluenceKind, OriginKind, memory,
};
use tidegate_project::{Expression, SourceMap, parse_expression, parse_query};

fn origins(lineage: &ColumnLineage, column: &str) -> Vec<String> {
    lineage
        .column(column)
        .unwrap()
        .origins
        .iter()
        .map(|origin| {
            let kind = match origin.kind {
                OriginKind::Copied => "=",
                OriginKind::Computed => "~",
                OriginKind::Aggregated => "+",
            };
            format!("{kind}{}.{}", origin.table, origin.column)
        })
        .collect()
}

fn lineage(sql: &str) -> ColumnLineage {
    let engine = common::engine();
    let planned = common::plan(&engine, sql).unwrap();
    engine.lineage(&planned)
}

#[test]
fn columns_are_traced_through_joins_aggregates_and_subqueries() {
    let found = lineage(
        "WITH totals AS (
           SELECT card, sum(amount) AS total, count(*) AS n FROM payments WHERE currency = 'EUR' GROUP BY card
         )
         SELECT c.holder, t.total, t.total / t.n AS mean, upper(c.holder) || '!' AS loud,
                (SELECT max(quantity) FROM payments) AS most, 1 AS one
         FROM cards c JOIN totals t ON c.card = t.card",
    );
    assert_eq!(origins(&found, "holder"), ["=cards.holder"]);
    assert_eq!(origins(&found, "total"), ["+payments.amount"]);
    assert_eq!(origins(&found, "mean"), ["+payments.amount"]);
    assert_eq!(origins(&found, "loud"), ["~cards.holder"]);
    assert_eq!(origins(&found, "most"), ["+payments.quantity"]);
    assert_eq!(origins(&found, "one"), Vec::<String>::new());
    let influence = |table: &str, column: &str, kind: InfluenceKind| {
        found
            .influences
            .iter()
            .any(|i| i.table == table && i.column == column && i.kind == kind)
    };
    assert!(influence("payments", "currency", InfluenceKind::Filter));
    assert!(influence("payments", "Card", InfluenceKind::Group));
    assert!(influence("cards", "Card", InfluenceKind::Join));
    assert!(!influence("cards", "since", InfluenceKind::Filter));
}

#[test]
fn unions_windows_and_generators_are_traced() {
    let found = lineage(
        "SELECT card AS c, row_number() OVER (PARTITION BY currency ORDER BY ts) AS r FROM payments
         UNION ALL SELECT holder, 1 FROM cards",
    );
    assert_eq!(origins(&found, "c"), ["=payments.Card", "=cards.holder"]);
    assert_eq!(origins(&found, "r"), ["+payments.currency", "+payments.ts"]);
    let found = lineage("SELECT id, explode(tags) AS tag FROM nested");
    assert_eq!(origins(&found, "id"), ["=nested.id"]);
    assert_eq!(origins(&found, "tag"), ["~nested.tags"]);
    let found = lineage("SELECT * FROM payments ORDER BY ts LIMIT 3");
    assert_eq!(origins(&found, "Card"), ["=payments.Card"]);
    let ordered = found
        .influences
        .iter()
        .any(|i| i.kind == InfluenceKind::Order);
    assert!(ordered);
}

#[test]
fn row_wise_queries_are_recognised() {
    let engine = common::engine();
    let row_wise = |sql: &str| engine.row_wise(&common::plan(&engine, sql).unwrap());
    assert!(row_wise("SELECT * FROM payments"));
    assert!(row_wise(
        "SELECT upper(card) AS c FROM payments WHERE amount > 0"
    ));
    assert!(row_wise(
        "SELECT c FROM (SELECT upper(card) AS c, id FROM payments) WHERE id > 1"
    ));
    assert!(row_wise(
        "WITH p AS (SELECT * FROM payments) SELECT id FROM p"
    ));
    for other in [
        "SELECT count(*) FROM payments",
        "SELECT DISTINCT card FROM payments",
        "SELECT id FROM payments JOIN cards USING (card)",
        "SELECT id FROM payments LIMIT 1",
        "SELECT id FROM payments ORDER BY id",
        "SELECT row_number() OVER (ORDER BY id) AS r FROM payments",
        "SELECT id FROM payments WHERE card IN (SELECT card FROM cards)",
        "SELECT id, (SELECT max(card) FROM cards) AS m FROM payments",
        "SELECT id, explode(tags) AS tag FROM nested",
        "SELECT id FROM payments UNION ALL SELECT id FROM payments",
        "SELECT 1 AS one",
    ] {
        assert!(!row_wise(other), "{other}");
    }
}

#[test]
fn identities_are_recognised() {
    let engine = common::engine();
    let copied = |sql: &str| {
        let planned = common::plan(&engine, sql).unwrap();
        let columns = engine.identity(&planned)?;
        let pairs = columns.iter().map(|c| format!("{}>{}", c.column, c.name));
        Some(pairs.collect::<Vec<_>>().join(" "))
    };
    let all = copied("SELECT * FROM cards").unwrap();
    assert_eq!(all, "Card>Card holder>holder since>since");
    let some = copied("SELECT holder AS Name, c.CARD FROM cards c").unwrap();
    assert_eq!(some, "holder>Name Card>CARD");
    assert_eq!(
        copied("SELECT n FROM (SELECT holder AS n FROM cards)").unwrap(),
        "holder>n"
    );
    assert_eq!(copied("SELECT upper(holder) AS h FROM cards"), None);
    assert_eq!(copied("SELECT holder FROM cards WHERE holder > 'A'"), None);
}

#[test]
fn row_programs_say_which_rows_came_through() {
    let engine = common::engine();
    let sql = "SELECT ID, total FROM (
                 SELECT id, amount * quantity AS total FROM payments WHERE amount IS NOT NULL
               ) WHERE total > 20";
    let planned = common::plan(&engine, sql).unwrap();
    let program = engine.row_program(&planned).unwrap().unwrap();
    let batch = common::table("payments").unwrap();
    let result = program.apply(&batch).unwrap();
    assert_eq!(result.batch.schema(), *program.schema());
    let shown: Vec<String> = common::rows_of(&result.batch)
        .iter()
        .map(|r| r.join(" "))
        .collect();
    assert_eq!(shown, ["3 2999.97", "5 100.00", "6 63.00"]);
    let rows = result.rows.unwrap();
    assert_eq!(rows.values(), &[2, 4, 5]);
    let nothing = program.apply(&batch.slice(0, 1)).unwrap();
    assert_eq!(nothing.batch.num_rows(), 0);
    let narrow = batch.project(&[0]).unwrap();
    let error = program.apply(&narrow).unwrap_err();
    assert!(
        matches!(error, EngineError::MissingColumn { .. }),
        "{error}"
    );
}

#[test]
fn a_column_is_carried_through_row_wise_queries() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let engine = common::engine();
    let mut files = SourceMap::default();
    let sql = "SELECT n FROM (SELECT name AS n, size FROM files) WHERE size > 1";
    let query = tidegate_project::parse_query(&mut files, "query", sql).unwrap();
    let batch = RecordBatch::try_from_iter([
        (
            "name",
            Arc::new(Int64Array::from(vec![10, 20, 30])) as arrow::array::ArrayRef,
        ),
        (
            "size",
            Arc::new(Int64Array::from(vec![1, 2, 3])) as arrow::array::ArrayRef,
        ),
        (
            "__position",
            Arc::new(Int64Array::from(vec![7, 8, 9])) as arrow::array::ArrayRef,
        ),
    ])
    .unwrap();
    let provider = memory::provider(batch.schema(), vec![batch]).unwrap();
    let mut bindings = Bindings::new();
    bindings.bind_hiding("__r0", provider, "files", vec!["__position".to_owned()]);
    let planned = engine.plan(&query, &bindings, &files).unwrap();
    let carried = engine.carry(&planned, "__position").unwrap().unwrap();
    let batches = runtime.block_on(engine.collect(&carried)).unwrap();
    let rows: Vec<String> = batches
        .iter()
        .flat_map(common::rows_of)
        .map(|r| r.join(" "))
        .collect();
    assert_eq!(rows, ["20 8", "30 9"]);
    assert!(engine.carry(&planned, "nosuch").unwrap().is_none());
    let star = tidegate_project::parse_query(&mut files, "star", "SELECT * FROM files").unwrap();
    let star = engine.plan(&star, &bindings, &files).unwrap();
    assert_eq!(star.schema().fields().len(), 2);
}

fn expression(files: &mut SourceMap, sql: &str) -> Expression {
    parse_expression(files, "expression", sql).unwrap()
}

#[test]
fn predicates_decide_about_rows() {
    let engine = common::engine();
    let batch = common::table("payments").unwrap();
    let mut files = SourceMap::default();
    let decide = |files: &mut SourceMap, sql: &str| {
        let expression = expression(files, sql);
        let compiled = engine
            .predicate(&expression, batch.schema(), files)
            .unwrap();
        let truth = compiled.evaluate(&batch).unwrap();
        let shown: String = truth
            .iter()
            .map(|t| t.map_or('?', |t| if t { 't' } else { 'f' }))
            .collect();
        (shown, compiled.columns().to_vec())
    };
    assert_eq!(decide(&mut files, "amount > 0"), ("tft?tt".into(), vec![2]));
    let known = "currency IN ('EUR', 'USD', 'GBP')";
    assert_eq!(decide(&mut files, known), ("tttft?".into(), vec![3]));
    let recent = "TS > TIMESTAMP '2024-03-05 10:30:00' AND year(ts) = 2024";
    assert_eq!(decide(&mut files, recent), ("fftttt".into(), vec![4]));
    assert_eq!(decide(&mut files, "TRUE"), ("tttttt".into(), vec![]));
    assert_eq!(decide(&mut files, "NULL"), ("??????".into(), vec![]));
    let many = "card RLIKE '^c[12]$' OR quantity / 2 > 2";
    assert_eq!(decide(&mut files, many), ("tttftt".into(), vec![1, 5]));
}

#[test]
fn predicates_must_be_boolean_and_of_one_row() {
    let engine = common::engine();
    let schema = common::table("payments").unwrap().schema();
    let mut files = SourceMap::default();
    for (sql, code) in [
        ("amount", "TG0506"),
        ("amount + 1", "TG0506"),
        ("sum(amount) > 1", "TG0507"),
        ("ammount > 1", "TG0501"),
        ("nofunction(amount)", "TG0504"),
        ("row_number() OVER (ORDER BY amount) > 1", "TG0507"),
    ] {
        let expression = expression(&mut files, sql);
        let error = engine
            .predicate(&expression, Arc::clone(&schema), &files)
            .unwrap_err();
        let told = error.diagnostics().unwrap();
        assert_eq!(told[0].code, code, "{sql}: {error}");
        assert!(told[0].place().is_some(), "{sql}");
    }
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let engine = common::engine();
    let mut files = SourceMap::default();
    let schema = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Int64, true),
    ]));
    let expression = expression(&mut files, "b > 1");
    let compiled = engine.predicate(&expression, schema, &files).unwrap();
    let other = RecordBatch::try_from_iter([(
        "b",
        Arc::new(Int64Array::from(vec![1])) as arrow::array::ArrayRef,
    )])
    .unwrap();
    let error = compiled.evaluate(&other).unwrap_err();
    assert!(error.to_string().contains("b bigint"), "{error}");
}

#[test]
fn projections_name_their_columns() {
    let engine = common::engine();
    let batch = common::table("payments").unwrap();
    let mut files = SourceMap::default();
    let expressions = vec![
        ("amount".to_owned(), expression(&mut files, "abs(amount)")),
        (
            "Currency".to_owned(),
            expression(&mut files, "coalesce(currency, 'EUR')"),
        ),
    ];
    let compiled = engine
        .projection(&expressions, batch.schema(), &files)
        .unwrap();
    let out = compiled.evaluate(&batch).unwrap();
    assert_eq!(out.schema().field(1).name(), "Currency");
    assert_eq!(common::rows_of(&out)[1], ["5.00", "USD"]);
    assert_eq!(common::rows_of(&out)[5], ["10.50", "EUR"]);
    assert_eq!(compiled.columns(), &[2, 3]);
}

#[test]
fn a_value_that_cannot_be_computed_is_said() {
    let engine = common::engine();
    let batch = common::table("payments").unwrap();
    let mut files = SourceMap::default();
    let expression = expression(&mut files, "1 / (quantity - 3) > 0");
    let compiled = engine
        .predicate(&expression, batch.schema(), &files)
        .unwrap();
    let error = compiled.evaluate(&batch).unwrap_err();
    assert!(matches!(error, EngineError::Value { .. }), "{error}");
    assert!(error.to_string().contains("division by zero"), "{error}");
}

#[test]
fn partitions_are_kept_apart() {
    use futures::TryStreamExt;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let engine = common::engine();
    let batch = common::table("payments").unwrap();
    let table = datafusion::datasource::MemTable::try_new(
        batch.schema(),
        vec![vec![batch.clone()], vec![batch]],
    )
    .unwrap();
    let mut files = SourceMap::default();
    let sql = "SELECT id FROM payments WHERE id > 4";
    let query = tidegate_project::parse_query(&mut files, "query", sql).unwrap();
    let mut bindings = Bindings::new();
    bindings.bind("__r0", Arc::new(table), "payments");
    let planned = engine.plan(&query, &bindings, &files).unwrap();
    runtime.block_on(async {
        let streams = engine.execute_partitioned(&planned).await.unwrap();
        assert_eq!(streams.len(), 2);
        for stream in streams {
            let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
        }
    });
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let with = |name: &str, value: &str| {
        let mut settings = EngineSettings::default();
        settings.configuration.insert(name.into(), value.into());
        Engine::new(&settings)
    };
    assert!(with("datafusion.execution.batch_size", "4096").is_ok());
    assert!(with("anything.else", "x").is_ok());
    let error = with("datafusion.execution.batch_size", "many").unwrap_err();
    assert!(error.to_string().contains("batch_size"), "{error}");
    assert!(with("datafusion.no.such", "1").is_err());
}

#[test]
fn memory_is_bounded() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let folder = std::env::temp_dir().join(format!("tidegate-engine-{}", std::process::id()));
    let settings = EngineSettings {
        threads: 2,
        memory_bytes: Some(200_000),
        spill_folder: Some(folder.clone()),
        ..EngineSettings::default()
    };
    let engine = Engine::new(&settings).unwrap();
    let rows = |sql: &str| {
        let planned = common::plan(&engine, sql)?;
        let batches = runtime.block_on(engine.collect(&planned));
        batches.map_err(|error| error.to_string())
    };
    let error = rows("SELECT collect_list(id) AS all FROM range(1000000)").unwrap_err();
    assert!(error.contains("more memory"), "{error}");
    std::fs::remove_dir_all(&folder).ok();
}

#[test]
fn sums_that_overflow_are_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let engine = common::engine();
    let most = "9223372036854775807";
    let nines = "99999999999999999999999999999999999999";
    for (column, values) in [
        ("n", format!("({most}, 1), (1, 1)")),
        ("-n", format!("({most}, 1), (2, 1)")),
        ("n", format!("({nines}, 1), (1, 1)")),
    ] {
        for group in ["", " GROUP BY g"] {
            let sql = format!("SELECT sum({column}) AS s FROM VALUES {values} AS t(n, g){group}");
            let error = common::run(&runtime, &engine, &sql).unwrap_err();
            let told = error.contains("overflow") || error.contains("too large");
            assert!(told, "{sql}: {error}");
        }
    }
}

/// Functions that are replaced before they run are replaced in row programs and predicates, too.
#[test]
fn replaced_functions_run_on_batches() {
    let engine = common::engine();
    let sql =
        "SELECT concat(card, '!') AS c, date_add(ts, 1) AS d, year(ts) AS y, last_day(ts) AS l,
                      date_trunc('HOUR', ts) AS h, round(amount, 1) AS r, CAST(id AS TIMESTAMP) AS t
               FROM payments WHERE weekday(ts) = 1 AND id = 1";
    let planned = common::plan(&engine, sql).unwrap();
    let program = engine.row_program(&planned).unwrap().unwrap();
    let batch = common::table("payments").unwrap();
    let result = program.apply(&batch).unwrap();
    assert_eq!(result.batch.schema(), *program.schema());
    let expected =
        "c1! | 2024-03-06 | 2024 | 2024-03-31 | 2024-03-05 10:00:00 | 10.5 | 1970-01-01 00:00:01";
    assert_eq!(common::rows_of(&result.batch)[0].join(" | "), expected);
    let mut files = SourceMap::default();
    let sql = "date_trunc('DAY', ts) = '2024-03-05' AND add_months(ts, 1) > '2024-04-01' AND card || 1 = 'c11'";
    let predicate = expression(&mut files, sql);
    let compiled = engine
        .predicate(&predicate, batch.schema(), &files)
        .unwrap();
    let truth = compiled.evaluate(&batch).unwrap();
    assert_eq!(truth.true_count(), 2);
}

/// The markers by which a plan groups, and their times.
fn markers(sql: &str) -> Vec<(WindowMarker, String)> {
    let planned = common::plan(&common::engine(), sql).unwrap();
    let mut found = Vec::new();
    planned
        .logical_plan()
        .apply(|node| {
            if let LogicalPlan::Aggregate(aggregate) = node {
                let markers = aggregate.group_expr.iter().filter_map(marker_of);
                found.extend(markers.map(|(marker, time)| (marker, time.to_string())));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
    found
}

#[test]
fn windows_stay_in_the_plan_for_streams_to_read() {
    let minute = 60_000_000;
    let cases = [
        (
            "window(ts, '10 minutes')",
            WindowMarker::Tumbling {
                length: 10 * minute,
                start: 0,
            },
        ),
        (
            "window(ts, '10 minutes', '10 minutes', '-1 minute')",
            WindowMarker::Tumbling {
                length: 10 * minute,
                start: -minute,
            },
        ),
        (
            "window(ts, INTERVAL 1 HOUR, '5 minutes', '30 seconds')",
            WindowMarker::Hopping {
                length: 60 * minute,
                slide: 5 * minute,
                start: minute / 2,
            },
        ),
        (
            "session_window(ts, INTERVAL '30' MINUTES)",
            WindowMarker::Session { gap: 30 * minute },
        ),
        (
            "cumulate_window(ts, '1 day', '1 hour')",
            WindowMarker::Cumulating {
                max: 24 * 60 * minute,
                step: 60 * minute,
            },
        ),
    ];
    for (call, marker) in cases {
        let sql = format!("SELECT {call} AS w, card, count(*) AS n FROM payments GROUP BY w, card");
        assert_eq!(
            markers(&sql),
            [(marker, "payments.ts".to_owned())],
            "{call}"
        );
    }
    let sql = "SELECT count(*) AS n FROM (SELECT window(ts, '1 minute') AS w FROM payments) \
               GROUP BY window(w, '1 hour')";
    let found = markers(sql);
    assert!(found[0].1.starts_with("window_time("), "{found:?}");
    assert_eq!(
        markers("SELECT count(*) AS n FROM payments GROUP BY ts"),
        []
    );
}

#[tokio::test]
async fn windows_are_grouped_by_one_number() {
    let engine = common::engine();
    let sql = "SELECT window(ts, '1 hour') AS w, count(*) AS n FROM payments GROUP BY w";
    let explained = engine
        .explain(&common::plan(&engine, sql).unwrap())
        .await
        .unwrap();
    let grouped = explained
        .lines()
        .find(|line| line.contains("AggregateExec: mode=Partial"))
        .unwrap();
    assert!(grouped.contains("__window_start("), "{explained}");
    assert!(!grouped.contains("tumbling_window"), "{explained}");
}

#[test]
fn a_constraint_takes_no_overlapping_windows() {
    let mut files = SourceMap::default();
    let text = "session_window(ts, '1 hour').start > TIMESTAMP '2024-01-01'";
    let expression = parse_expression(&mut files, "constraint", text).unwrap();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![Field::new("ts", time, true)]));
    let error = common::engine()
        .predicate(&expression, schema, &files)
        .unwrap_err();
    let EngineError::Mistakes(mistakes) = error else {
        panic!("{error}");
    };
    assert!(mistakes[0].message.contains("stands outside GROUP BY"));
}

#[tokio::test]
async fn windows_of_a_view_are_expanded_in_the_query_that_reads_it() {
    let engine = common::engine();
    let view = common::plan(
        &engine,
        "SELECT window(ts, '2 hours', '1 hour') AS w, count(*) AS n FROM payments GROUP BY w",
    )
    .unwrap();
    let mut files = SourceMap::default();
    let sql = "SELECT w.start AS s, n FROM v WHERE n > 2 ORDER BY s";
    let query = parse_query(&mut files, "query", sql).unwrap();
    let mut bindings = Bindings::new();
    let view = ViewTable::new(view.logical_plan().clone(), None);
    bindings.bind(&query.relations[0].binding, Arc::new(view), "v".to_owned());
    let planned = engine.plan(&query, &bindings, &files).unwrap();
    let batches = engine.collect(&planned).await.unwrap();
    let rows: Vec<Vec<String>> = batches.iter().flat_map(common::rows_of).collect();
    assert_eq!(
        rows,
        [["2024-03-05 10:00:00", "4"], ["2024-03-05 11:00:00", "4"]]
    );
}
