//! A project in words, for comparing.

use std::fmt::Write;

use tidegate_project::{
    ClusterBy, ColumnReference, FlowKind, Project, Query, RelationTarget, Table,
};

/// Everything a project holds, a line each.
pub fn describe(project: &Project) -> String {
    let mut text = String::new();
    let settings = &project.settings;
    writeln!(
        text,
        "project {} warehouse={}",
        project.name, settings.warehouse
    )
    .unwrap();
    for (key, value) in &settings.configuration {
        writeln!(text, "  {key} = {value}").unwrap();
    }
    for table in &project.tables {
        describe_table(&mut text, table);
    }
    for flow in &project.flows {
        let kind = match &flow.kind {
            FlowKind::Complete => "complete".to_owned(),
            FlowKind::Append { once, by_name } => {
                format!(
                    "append{}{}",
                    flag(*once, " once"),
                    flag(*by_name, " by name")
                )
            }
            FlowKind::AutoCdc(changes) => format!("changes {changes:?}"),
        };
        writeln!(text, "flow {} -> {} ({kind})", flow.name, flow.target).unwrap();
        for (key, value) in flow.configuration.iter() {
            writeln!(text, "  set {key} = {value}").unwrap();
        }
        describe_query(&mut text, project, &flow.query);
    }
    let order: Vec<String> = project
        .graph
        .order()
        .iter()
        .map(|&index| project.tables[index].name.key())
        .collect();
    writeln!(text, "order {}", order.join(" ")).unwrap();
    text
}

fn flag(set: bool, word: &str) -> &str {
    if set { word } else { "" }
}

fn names(columns: &[ColumnReference]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.join(", ")
}

fn describe_table(text: &mut String, table: &Table) {
    let private = flag(table.private, "private ");
    writeln!(text, "{private}{} {}", table.kind.describe(), table.name).unwrap();
    for column in &table.columns {
        let null = flag(!column.nullable, " not null");
        let key = flag(column.primary_key, " key");
        let comment = column
            .comment
            .as_deref()
            .map(|c| format!(" -- {c}"))
            .unwrap_or_default();
        writeln!(
            text,
            "  {}: {}{null}{key}{comment}",
            column.name, column.data_type
        )
        .unwrap();
    }
    for expectation in &table.expectations {
        let (name, what) = (&expectation.name, &expectation.expression);
        assert!(!what.text.is_empty());
        writeln!(
            text,
            "  expect {name}: {} {:?}",
            what.ast, expectation.on_violation
        )
        .unwrap();
    }
    if !table.primary_key.is_empty() {
        writeln!(text, "  key ({})", table.primary_key.join(", ")).unwrap();
    }
    if !table.partitioned_by.is_empty() {
        writeln!(text, "  partitioned by {}", names(&table.partitioned_by)).unwrap();
    }
    match &table.cluster_by {
        Some(ClusterBy::Auto) => writeln!(text, "  cluster by auto").unwrap(),
        Some(ClusterBy::Columns(columns)) => {
            writeln!(text, "  cluster by ({})", names(columns)).unwrap();
        }
        None => {}
    }
    for (word, value) in [("location", &table.location), ("comment", &table.comment)] {
        if let Some(value) = value {
            writeln!(text, "  {word} {value}").unwrap();
        }
    }
    for (key, value) in &table.properties {
        writeln!(text, "  property {key} = {value}").unwrap();
    }
    if let Some(sink) = &table.sink {
        let options: Vec<String> = sink
            .options
            .iter()
            .map(|(key, option)| format!(" {key}={}", option.value))
            .collect();
        writeln!(
            text,
            "  to {:?} {:?}{}",
            sink.to,
            sink.format,
            options.concat()
        )
        .unwrap();
    }
    if table.streaming != Default::default() {
        writeln!(text, "  {:?}", table.streaming).unwrap();
    }
    if table.quarantine != Default::default() {
        writeln!(text, "  {:?}", table.quarantine).unwrap();
    }
}

fn describe_query(text: &mut String, project: &Project, query: &Query) {
    writeln!(text, "  {}", query.ast).unwrap();
    assert_eq!(project.files.text(query.place), query.text);
    for relation in &query.relations {
        let stream = flag(relation.streaming, "stream ");
        let target = match &relation.target {
            RelationTarget::Table {
                name,
                changes: true,
                ..
            } => format!("changes of {name}"),
            RelationTarget::Table { name, as_of, .. } => match as_of {
                Some(as_of) => format!("{name} {as_of}"),
                None => name.to_string(),
            },
            RelationTarget::Files {
                path,
                format,
                options,
                as_of,
            } => {
                let options: Vec<String> = options
                    .iter()
                    .map(|(key, option)| format!(" {key}={}", option.value))
                    .collect();
                let version = as_of.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
                format!("files {path:?} {format:?}{}{version}", options.concat())
            }
            RelationTarget::Records {
                source,
                format,
                options,
            } => {
                let options: Vec<String> = options
                    .iter()
                    .map(|(key, option)| format!(" {key}={}", option.value))
                    .collect();
                format!("records of {source:?} {format:?}{}", options.concat())
            }
        };
        let watermark = relation.watermark.as_ref().map(|watermark| {
            format!(
                " watermark {:?} {:?}",
                watermark.column(),
                watermark.delay_length()
            )
        });
        let target = target + &watermark.unwrap_or_default();
        let written = project.files.text(relation.place);
        writeln!(
            text,
            "  {} = {stream}{target}  <{written}>",
            relation.binding
        )
        .unwrap();
    }
}
