//! A generated project of 1,600 tables is read whole.

use std::fmt::Write;
use std::path::Path;

use tidegate_project::{Loader, TableName};

/// `layers` layers of `width` tables; each reads two of the layer before.
fn generate(layers: usize, width: usize) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for layer in 0..layers {
        let mut text = String::new();
        for at in 0..width {
            if layer == 0 {
                writeln!(
                    text,
                    "CREATE OR REFRESH STREAMING TABLE t0_{at} (\n  id BIGINT NOT NULL PRIMARY KEY,\n  \
                     amount DECIMAL(12,2) NOT NULL,\n  currency STRING,\n  ts TIMESTAMP,\n  \
                     CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION QUARANTINE,\n  \
                     CONSTRAINT known EXPECT (currency IN ('EUR', 'USD')) ON VIOLATION DROP ROW\n)\n\
                     AS SELECT * FROM STREAM read_files('landing/{at}/*.csv', format => 'csv');"
                )
                .unwrap();
            } else {
                let below = layer - 1;
                let other = (at + 1) % width;
                writeln!(
                    text,
                    "CREATE OR REFRESH MATERIALIZED VIEW t{layer}_{at} COMMENT 'layer {layer}' AS\n\
                     WITH recent AS (SELECT * FROM t{below}_{at} WHERE amount > {layer})\n\
                     SELECT r.id, r.currency, sum(r.amount) AS amount FROM recent r\n\
                     LEFT JOIN t{below}_{other} AS o ON r.id = o.id\n\
                     WHERE EXISTS (SELECT 1 FROM t{below}_{at} x WHERE x.id = r.id) GROUP BY ALL;"
                )
                .unwrap();
            }
        }
        files.push((format!("tables/{layer:02}.sql"), text));
    }
    files
}

#[test]
fn a_project_of_1600_tables() {
    let (layers, width) = (16, 100);
    let files = generate(layers, width);
    let texts: Vec<(&str, &str)> = files
        .iter()
        .map(|(label, text)| (label.as_str(), text.as_str()))
        .collect();
    let loaded = Loader::new().load_texts(Path::new("/project"), &texts);
    assert_eq!(loaded.diagnostics, []);
    let project = &loaded.project;
    assert_eq!(project.tables.len(), layers * width);
    assert_eq!(project.flows.len(), layers * width);
    assert_eq!(project.graph.order().len(), layers * width);
    assert_eq!(project.graph.edges().len(), (layers - 1) * width * 3);
    let last = project.graph.index(&TableName::plain("t15_7")).unwrap();
    assert_eq!(project.graph.level(last), layers - 1);
    // It reads 2 of the layer below, these 3, and so on.
    let upstream = project.graph.with_upstream(&[last]);
    assert_eq!(upstream.len(), (1..=layers).sum::<usize>());
}
