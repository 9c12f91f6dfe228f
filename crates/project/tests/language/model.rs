//! What other rooms rely on: the model beyond what a description shows, single queries and
//! expressions, places of spans, and files that cannot be read.

use std::path::Path;

use tidegate_project::{
    AsOf, CdcColumns, ColumnReference, FlowKind, Loaded, Loader, Project, RelationTarget, ScdType,
    ScheduleUnit, ScheduleWhen, Settings, SourceMap, TableName, parse_expression, parse_query,
    parse_query_with,
};

fn load(text: &str) -> Loaded {
    Loader::new().load_texts(Path::new("/project"), &[("a.sql", text)])
}

fn names(columns: &[ColumnReference]) -> Vec<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn changes_are_kept_whole() {
    let loaded = load(
        "CREATE STREAMING TABLE t;\n\
         CREATE FLOW f AS AUTO CDC INTO t FROM STREAM(s) KEYS (id, `Tenant id`) IGNORE NULL UPDATES\n\
         APPLY AS DELETE WHEN op = 'D' APPLY AS TRUNCATE WHEN op = 'T' SEQUENCE BY struct(ts, n)\n\
         COLUMNS * EXCEPT (op, ts) STORED AS SCD TYPE 2 TRACK HISTORY ON (name);",
    );
    let flow = &loaded.project.flows[0];
    let FlowKind::AutoCdc(changes) = &flow.kind else {
        panic!("{:?}", flow.kind);
    };
    assert_eq!(names(&changes.keys), ["id", "Tenant id"]);
    assert!(changes.ignore_null_updates);
    assert_eq!(changes.apply_as_delete.as_ref().unwrap().text, "op = 'D'");
    assert_eq!(changes.apply_as_truncate.as_ref().unwrap().text, "op = 'T'");
    assert_eq!(changes.sequence_by.text, "struct(ts, n)");
    assert_eq!(changes.history, ScdType::History);
    let CdcColumns::AllExcept(columns) = &changes.columns else {
        panic!("{:?}", changes.columns);
    };
    assert_eq!(names(columns), ["op", "ts"]);
    let Some(CdcColumns::Only(columns)) = &changes.track_history_on else {
        panic!("{:?}", changes.track_history_on);
    };
    assert_eq!(names(columns), ["name"]);
    assert_eq!(flow.query.ast.to_string(), "SELECT * FROM __r0 AS s");
    assert!(flow.query.relations[0].streaming);
}

#[test]
fn what_is_not_executed_is_kept() {
    let loaded = load(
        "CREATE STREAMING TABLE t (id INT, email STRING MASK hide USING COLUMNS (id, 'x'))\n\
         SCHEDULE REFRESH CRON '0 0 * * * ?' AT TIME ZONE 'UTC' TRIGGER ON UPDATE AT MOST EVERY INTERVAL 5 MINUTES\n\
         WITH ROW FILTER mine ON (id, 3) AS\n\
         SELECT window(ts, '1 minute') FROM STREAM s WATERMARK ts AS event DELAY OF INTERVAL 30 SECONDS;\n\
         CREATE STREAMING TABLE s SCHEDULE EVERY 3 HOURS AS SELECT * FROM STREAM read_files('x');",
    );
    let [table, other] = &loaded.project.tables[..] else {
        panic!("{:?}", loaded.project.tables);
    };
    let mask = table.column("EMAIL").unwrap().mask.as_ref().unwrap();
    assert_eq!(
        (mask.function.as_str(), mask.using_columns.join(" ")),
        ("hide", "id 'x'".to_owned())
    );
    assert!(matches!(&table.schedule.as_ref().unwrap().when,
        ScheduleWhen::Cron { expression, time_zone: Some(zone) }
        if expression == "0 0 * * * ?" && zone == "UTC"));
    let every = ScheduleWhen::Every {
        count: 3,
        unit: ScheduleUnit::Hour,
    };
    assert_eq!(other.schedule.as_ref().unwrap().when, every);
    let most = table.trigger.as_ref().unwrap().at_most_every.as_ref();
    assert_eq!(most.unwrap().text, "INTERVAL 5 MINUTES");
    let filter = table.row_filter.as_ref().unwrap();
    assert_eq!(filter.arguments, ["id", "3"]);
    let query = &loaded.project.flows[0].query;
    let watermark = query.relations[0].watermark.as_ref().unwrap();
    assert_eq!(watermark.time.text, "ts");
    assert_eq!(watermark.alias.as_deref(), Some("event"));
    assert_eq!(watermark.delay.text, "INTERVAL 30 SECONDS");
    assert_eq!(
        query.ast.to_string(),
        "SELECT window(ts, '1 minute') FROM __r0 AS s"
    );
    let codes: Vec<&str> = loaded.diagnostics.iter().map(|d| d.code).collect();
    let expected = ["TG0405", "TG0403", "TG0404", "TG0406", "TG0403"];
    assert_eq!(codes, expected);
}

#[test]
fn spans_of_trees_become_places() {
    let text =
        "-- ü\nCREATE MATERIALIZED VIEW v AS\nSELECT 'ü🦀' AS a, größe + 1 AS b FROM csv.`x`;";
    let loaded = load(text);
    assert_eq!(loaded.diagnostics, []);
    let query = &loaded.project.flows[0].query;
    let select = query.ast.body.as_select().unwrap();
    let files = &loaded.project.files;
    let text_of = |at: usize| {
        let span = sqlparser::ast::Spanned::span(&select.projection[at]);
        files.text(files.span(query.place.file, span).unwrap())
    };
    assert_eq!(text_of(0), "'ü🦀' AS a");
    assert_eq!(text_of(1), "größe + 1 AS b");
    assert_eq!(files.text(query.relations[0].place), "csv.`x`");
}

#[test]
fn single_queries_and_expressions() {
    let mut files = SourceMap::default();
    let query = parse_query(&mut files, "query", "SELECT 1 FROM a.b@v3, `x y` ;\n").unwrap();
    let keys: Vec<String> = query
        .relations
        .iter()
        .map(|relation| relation.describe())
        .collect();
    assert_eq!(keys, ["a.b", "`x y`"]);
    let RelationTarget::Table { as_of, .. } = &query.relations[0].target else {
        panic!("{query:?}");
    };
    assert!(matches!(as_of, Some(AsOf::Version(3))));
    let mistakes = parse_query(&mut files, "query", "SELECT * FORM t").unwrap_err();
    assert_eq!(files.locate(mistakes[0].place().unwrap()), "query:1:10");
    for (text, code) in [
        ("", "TG0202"),
        (" -- nothing", "TG0202"),
        ("SELECT 1; SELECT 2", "TG0202"),
        ("SELECT '", "TG0201"),
        (
            "SELECT * FROM STREAM t WATERMARK a DELAY OF INTERVAL 1 MONTH",
            "TG0401",
        ),
    ] {
        let mistakes = parse_query(&mut files, "query", text).unwrap_err();
        assert_eq!(mistakes[0].code, code, "{text}");
    }
    let expression = parse_expression(&mut files, "--set", "upper(trim(a)) || 'x'").unwrap();
    assert_eq!(expression.text, "upper(trim(a)) || 'x'");
    let looks_further = parse_expression(&mut files, "--set", "(SELECT 1)").unwrap_err();
    assert_eq!(looks_further[0].code, "TG0318");

    let mut settings = Settings::of(Path::new("/project"));
    settings.catalog = Some("main".to_owned());
    settings.schema = "Sales".to_owned();
    settings
        .configuration
        .insert("table".to_owned(), "orders".to_owned());
    let sql = "SELECT * FROM main.sales.orders, sales.orders, orders, ${table}";
    let query = parse_query_with(&settings, &mut files, "query", sql).unwrap();
    assert!(
        query
            .relations
            .iter()
            .all(|relation| relation.describe() == "orders")
    );
}

#[test]
fn a_project_answers_for_its_tables() {
    let loaded = load(
        "CREATE STREAMING TABLE a; CREATE FLOW f AS INSERT INTO a SELECT * FROM STREAM b;\n\
         CREATE FLOW g AS INSERT INTO a SELECT * FROM STREAM b;\n\
         CREATE STREAMING TABLE b AS SELECT * FROM STREAM read_files('x');\n\
         CREATE MATERIALIZED VIEW c AS SELECT * FROM a, b__quarantine; CREATE VIEW d AS SELECT 1 AS x;",
    );
    assert_eq!(loaded.diagnostics, []);
    let project = &loaded.project;
    let name = project.resolve("DEFAULT.`A`").unwrap();
    assert_eq!(name, TableName::plain("a"));
    assert_eq!(project.table(&name).unwrap().name, name);
    let flows: Vec<String> = project
        .flows_into(&name)
        .map(|flow| flow.name.key())
        .collect();
    assert_eq!(flows, ["f", "g"]);
    assert_eq!(project.resolve("a..b"), None);
    assert_eq!(project.resolve("a.b.c.d"), None);
    let graph = &project.graph;
    let index = |key: &str| graph.index(&TableName::plain(key)).unwrap();
    assert_eq!(graph.with_upstream(&[index("a")]), [index("b"), index("a")]);
    assert_eq!(graph.with_downstream(&[index("b")]).len(), 3);
    let quarantined: Vec<bool> = graph
        .incoming(index("c"))
        .map(|edge| edge.quarantine)
        .collect();
    assert_eq!(quarantined, [false, true]);
    assert_eq!((graph.level(index("b")), graph.level(index("c"))), (0, 2));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("tables/sub.sql")).unwrap();
    std::fs::write(root.join("tidegate.toml"), "\u{feff}name = 'x'\n").unwrap();
    std::fs::write(
        root.join("tables/a.sql"),
        "\u{feff}CREATE VIEW a AS SELECT 1 AS x;\r\n",
    )
    .unwrap();
    std::fs::write(root.join("tables/b.sql"), b"-- fine\n-- \xff\xfe").unwrap();
    std::fs::write(root.join("tables/.hidden.sql"), "nonsense").unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("tables/c.sql")).unwrap();
    let loaded = Project::load(root);
    let shown: Vec<String> = loaded
        .diagnostics
        .iter()
        .map(|mistake| {
            format!(
                "{} {} {}",
                mistake.code,
                mistake.message,
                mistake.notes.concat()
            )
        })
        .collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(
        shown[0].starts_with(
            "TG0102 tables/b.sql is not UTF-8 text the first byte that is not text is in line 2"
        ),
        "{shown:?}"
    );
    assert!(
        shown[1].starts_with("TG0101 tables/c.sql cannot be read"),
        "{shown:?}"
    );
    assert_eq!(loaded.project.name, "x");
    assert_eq!(loaded.project.tables.len(), 1);

    std::fs::remove_dir_all(root.join("tables")).unwrap();
    let loaded = Project::load(root);
    assert_eq!(loaded.diagnostics[0].message, "the project has no tables");
    assert!(!loaded.has_errors());
    let loaded = Project::load(&root.join("missing"));
    assert_eq!(loaded.diagnostics[0].code, "TG0108");
}
