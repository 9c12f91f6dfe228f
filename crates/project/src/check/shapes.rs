//! What a table's own statement can have wrong: names given twice, columns that do not exist.

use std::collections::HashMap;

use arrow_schema::DataType;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{ClusterBy, Column, ColumnReference, Table};
use crate::names::{LATE_SUFFIX, QUARANTINE_SUFFIX};
use crate::nearest::nearest;
use crate::source::Place;

/// The columns of the primary key, from those marked and those listed; marks those listed.
pub(crate) fn primary_key(
    columns: &mut [Column],
    keys: &[(Vec<ColumnReference>, Place)],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut marked = columns.iter().filter(|column| column.primary_key);
    let mut places: Vec<Place> = marked.by_ref().map(|column| column.place).collect();
    places.extend(keys.iter().map(|(_, place)| *place));
    if let [first, second, ..] = places.as_slice() {
        let names: Vec<&str> = columns
            .iter()
            .filter(|column| column.primary_key)
            .map(|column| column.name.as_str())
            .collect();
        let diagnostic = Diagnostic::error(codes::KEY_TWICE, "a table has one primary key")
            .at(*second, "a second key")
            .at(*first, "the first key");
        diagnostics.push(match names.len() > 1 {
            true => diagnostic.help(format!(
                "for a key of several columns, write `PRIMARY KEY ({})` after the columns",
                names.join(", ")
            )),
            false => diagnostic.help("leave one of them away"),
        });
    }
    let Some((listed, _)) = keys.first() else {
        let marked = columns.iter().filter(|column| column.primary_key);
        return marked.map(|column| column.name.clone()).collect();
    };
    let mut key = Vec::new();
    for reference in listed {
        let found = columns
            .iter_mut()
            .find(|column| column.name.eq_ignore_ascii_case(&reference.name));
        match found {
            Some(column) => {
                column.primary_key = true;
                column.nullable = false;
                key.push(column.name.clone());
            }
            None => diagnostics.push(unknown_column(reference, columns, "the primary key")),
        }
    }
    key
}

/// Checks a table for itself.
pub(super) fn check_table(table: &Table, diagnostics: &mut Vec<Diagnostic>) {
    if table.name.name().ends_with(QUARANTINE_SUFFIX)
        || table.name.name().ends_with(LATE_SUFFIX)
        || table.name.schema() == Some("system")
    {
        let message = format!("the name `{}` is Tidegate's own", table.name);
        diagnostics.push(
            Diagnostic::error(codes::RESERVED_NAME, message)
                .at(table.place, "choose another name")
                .help("`…__quarantine` and the schema `system` are filled by Tidegate itself"),
        );
    }
    check_twice(
        codes::DUPLICATE_COLUMN,
        "column",
        table,
        table
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.place)),
        diagnostics,
    );
    check_twice(
        codes::DUPLICATE_CONSTRAINT,
        "constraint",
        table,
        table
            .expectations
            .iter()
            .map(|expectation| (expectation.name.as_str(), expectation.place)),
        diagnostics,
    );
    if !table.kind.is_stored() {
        return;
    }
    check_partitions(table, diagnostics);
    if let Some(ClusterBy::Columns(columns)) = &table.cluster_by {
        check_columns(table, columns, "CLUSTER BY", diagnostics);
        if let (Some(first), Some(partition)) = (columns.first(), table.partitioned_by.first()) {
            let message = "a table is partitioned or clustered, not both";
            diagnostics.push(
                Diagnostic::error(codes::MISPLACED_CLAUSE, message)
                    .at(first.place, "clustered by this")
                    .at(partition.place, "partitioned by this"),
            );
        }
    }
}

fn check_twice<'a>(
    code: &'static str,
    what: &str,
    table: &Table,
    names: impl Iterator<Item = (&'a str, Place)>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut seen: HashMap<String, Place> = HashMap::new();
    for (name, place) in names {
        if let Some(first) = seen.get(&name.to_lowercase()) {
            let message = format!("`{}` has two {what}s called `{name}`", table.name);
            let diagnostic = Diagnostic::error(code, message);
            diagnostics.push(diagnostic.at(place, "again").at(*first, "first here"));
        } else {
            seen.insert(name.to_lowercase(), place);
        }
    }
}

fn check_partitions(table: &Table, diagnostics: &mut Vec<Diagnostic>) {
    check_columns(table, &table.partitioned_by, "PARTITIONED BY", diagnostics);
    for reference in &table.partitioned_by {
        let nested = table
            .column(&reference.name)
            .is_some_and(|column| is_nested(&column.data_type));
        if nested {
            let message = format!("a table cannot be partitioned by `{}`", reference.name);
            let diagnostic = Diagnostic::error(codes::REFUSED_TYPE, message);
            diagnostics.push(diagnostic.at(
                reference.place,
                "a partition is one value: not an ARRAY, MAP, STRUCT or BINARY",
            ));
        }
    }
    let all = table.columns.iter().all(|column| {
        table
            .partition_columns()
            .any(|name| name.eq_ignore_ascii_case(&column.name))
    });
    if let (true, false, Some(first)) =
        (all, table.columns.is_empty(), table.partitioned_by.first())
    {
        let message = format!("all columns of `{}` are partition columns", table.name);
        diagnostics.push(
            Diagnostic::error(codes::NOTHING_BUT_PARTITIONS, message)
                .at(first.place, "partitioned by every column")
                .help("keep at least one column that is stored in the files"),
        );
    }
}

fn is_nested(data_type: &DataType) -> bool {
    data_type.is_nested() || matches!(data_type, DataType::BinaryView)
}

/// Columns that a clause names exist, and are named once. Without a column list, only the engine
/// can tell.
fn check_columns(
    table: &Table,
    references: &[ColumnReference],
    clause: &str,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (at, reference) in references.iter().enumerate() {
        let before = &references[..at];
        let again = before
            .iter()
            .find(|other| other.name.eq_ignore_ascii_case(&reference.name));
        if let Some(first) = again {
            let message = format!("{clause} names `{}` twice", reference.name);
            let diagnostic = Diagnostic::error(codes::DUPLICATE_COLUMN, message);
            diagnostics.push(
                diagnostic
                    .at(reference.place, "again")
                    .at(first.place, "first here"),
            );
        } else if !table.columns.is_empty() && table.column(&reference.name).is_none() {
            diagnostics.push(unknown_column(reference, &table.columns, clause));
        }
    }
}

fn unknown_column(reference: &ColumnReference, columns: &[Column], clause: &str) -> Diagnostic {
    let message = format!(
        "{clause} names a column `{}` that does not exist",
        reference.name
    );
    let diagnostic =
        Diagnostic::error(codes::UNKNOWN_COLUMN, message).at(reference.place, "no such column");
    let names = || columns.iter().map(|column| column.name.as_str());
    match nearest(&reference.name, names()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => {
            let names: Vec<&str> = names().take(12).collect();
            match names.is_empty() {
                true => diagnostic.help("declare the columns of the table to give it a key"),
                false => diagnostic.help(format!("the columns are {}", names.join(", "))),
            }
        }
    }
}
