use std::fmt::Write;
use std::path::Path;

use sqlparser::keywords::ALL_KEYWORDS;
use tidegate_project::Loader;

use super::identifier;

/// What the project says of a statement.
fn mistakes(sql: &str) -> Vec<String> {
    let loaded = Loader::new().load_texts(Path::new("/"), &[("a.sql", sql)]);
    let messages = loaded.diagnostics.iter();
    messages.map(|told| told.message.clone()).collect()
}

#[test]
fn a_column_can_have_any_name() {
    let odd = ["", "a b", "1st", "a`b", "größe", "a.b", "a-b", "'", "\"q\""];
    let names = ALL_KEYWORDS.iter().chain(&odd[1..]);
    let mut refused = String::new();
    for name in names.map(|name| name.to_ascii_lowercase()) {
        let written = identifier(&name);
        let sql = format!(
            "CREATE OR REFRESH STREAMING TABLE t (\n  {written} BIGINT NOT NULL,\n  \
             CONSTRAINT c EXPECT ({written} > 1 AND length({written}) IN (1, 2)) ON VIOLATION QUARANTINE\n)\n\
             AS SELECT {written} FROM STREAM read_files('a.csv');"
        );
        if let [first, ..] = mistakes(&sql).as_slice() {
            let _ = writeln!(refused, "{name}: {first}");
        }
    }
    assert!(refused.is_empty(), "{refused}");
}

#[test]
fn plain_names_stay_plain() {
    for name in [
        "id", "name", "date_", "type", "status", "amount_2", "_x", "value", "index",
    ] {
        assert_eq!(identifier(name), name);
    }
    assert_eq!(identifier("date"), "`date`");
}
