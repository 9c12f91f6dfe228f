//! What tables and flows say of each other: names that do not exist or exist twice, circles, and
//! whether a stream is read where one is needed.

use std::collections::HashMap;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{Edge, Graph};
use crate::model::{Flow, FlowKind, RecordSource, Relation, RelationTarget, Table, TableKind};
use crate::names::TableName;
use crate::nearest::nearest;
use crate::source::Place;
use crate::sql::Parts;

/// The schema of Tidegate's own tables.
const SYSTEM_SCHEMA: &str = "system";

pub(super) fn check_references(
    parts: &Parts,
    graph: &Graph,
    known: &dyn Fn(&TableName) -> bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let checker = Checker {
        parts,
        graph,
        known,
    };
    checker.duplicate_tables(diagnostics);
    checker.duplicate_flows(diagnostics);
    for flow in &parts.flows {
        checker.target(flow, diagnostics);
        for relation in &flow.query.relations {
            checker.relation(relation, diagnostics);
        }
        checker.sink(flow, diagnostics);
        checker.streams(flow, diagnostics);
    }
    checker.tables_without_flow(diagnostics);
    for cycle in graph.cycles() {
        diagnostics.push(checker.cycle(&cycle));
    }
}

struct Checker<'a> {
    parts: &'a Parts,
    graph: &'a Graph,
    known: &'a dyn Fn(&TableName) -> bool,
}

impl Checker<'_> {
    fn table(&self, name: &TableName) -> Option<&Table> {
        self.graph
            .index(name)
            .and_then(|index| self.parts.tables.get(index))
    }

    fn duplicate_tables(&self, diagnostics: &mut Vec<Diagnostic>) {
        for (index, table) in self.parts.tables.iter().enumerate() {
            let first = self.table(&table.name);
            if self.graph.index(&table.name) != Some(index)
                && let Some(first) = first
            {
                let message = format!("two tables are called `{}`", table.name);
                let diagnostic = Diagnostic::error(codes::DUPLICATE_TABLE, message)
                    .at(table.place, "again")
                    .at(first.place, "first here");
                diagnostics.push(diagnostic);
            }
        }
    }

    fn duplicate_flows(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut seen: HashMap<&TableName, &Flow> = HashMap::new();
        for flow in &self.parts.flows {
            let Some(first) = seen.get(&flow.name) else {
                seen.insert(&flow.name, flow);
                continue;
            };
            // Two tables of one name have been reported as such.
            if first.is_implicit() && flow.is_implicit() {
                continue;
            }
            let words = |flow: &Flow| match flow.is_implicit() {
                true => "the query of this table is a flow of that name",
                false => "here",
            };
            let message = format!("two flows are called `{}`", flow.name);
            diagnostics.push(
                Diagnostic::error(codes::DUPLICATE_FLOW, message)
                    .at(flow.place, words(flow))
                    .at(first.place, words(first))
                    .help("a flow's name says which rows it has taken: give it one of its own"),
            );
        }
    }

    /// The target of a `CREATE FLOW` exists and is a streaming table.
    fn target(&self, flow: &Flow, diagnostics: &mut Vec<Diagnostic>) {
        if flow.is_implicit() {
            return;
        }
        match self.table(&flow.target) {
            None => {
                let message = format!("the flow feeds `{}`, which does not exist", flow.target);
                let diagnostic = Diagnostic::error(codes::UNKNOWN_TARGET, message)
                    .at(flow.target_place, "no such table");
                let streaming = |table: &&Table| table.kind == TableKind::StreamingTable;
                diagnostics.push(match self.nearest(&flow.target, streaming) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help(format!(
                        "declare it: `CREATE STREAMING TABLE {};`",
                        flow.target
                    )),
                });
            }
            Some(table) if table.kind != TableKind::StreamingTable => {
                let message = format!(
                    "a flow cannot feed `{}`, which is a {}",
                    table.name,
                    table.kind.describe()
                );
                diagnostics.push(
                    Diagnostic::error(codes::NOT_A_STREAMING_TABLE, message)
                        .at(flow.target_place, "not a streaming table")
                        .at(table.place, "declared here")
                        .help("only a STREAMING TABLE takes rows from flows"),
                );
            }
            Some(_) => {}
        }
    }

    /// The topic that a sink writes to exists.
    fn sink(&self, flow: &Flow, diagnostics: &mut Vec<Diagnostic>) {
        let sink = self
            .table(&flow.target)
            .and_then(|table| table.sink.as_ref());
        let Some(sink) = sink else {
            return;
        };
        let RecordSource::Topic(name) = &sink.to else {
            return;
        };
        if self
            .table(name)
            .is_some_and(|table| table.kind == TableKind::Topic)
        {
            return;
        }
        let message = format!("the sink writes to the topic `{name}`, which is not declared");
        let diagnostic =
            Diagnostic::error(codes::UNKNOWN_TARGET, message).at(sink.place, "no such topic");
        let is_topic = |table: &&Table| table.kind == TableKind::Topic;
        diagnostics.push(match self.nearest(name, is_topic) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!("declare it: `CREATE TOPIC {name};`")),
        });
    }

    /// What a query reads exists.
    fn relation(&self, relation: &Relation, diagnostics: &mut Vec<Diagnostic>) {
        let Some(name) = relation.target.table() else {
            return;
        };
        self.readable(relation, name, diagnostics);
        if self.graph.index(name).is_some()
            || name.schema() == Some(SYSTEM_SCHEMA)
            || self.is_quarantine(name)
            || (self.known)(name)
        {
            return;
        }
        let message = format!("no table is called `{name}`");
        let diagnostic =
            Diagnostic::error(codes::UNKNOWN_TABLE, message).at(relation.place, "not found");
        diagnostics.push(match self.nearest(name, |_| true) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic
                .help("declare it in the project, or read files with read_files('folder', …)"),
        });
    }

    /// A sink gives nothing back, and only topics are read by `read_topic`.
    fn readable(&self, relation: &Relation, name: &TableName, diagnostics: &mut Vec<Diagnostic>) {
        let Some(table) = self.table(name) else {
            return;
        };
        let by_topic = matches!(relation.target, RelationTarget::Records { .. });
        let wrong = match table.kind {
            TableKind::Sink => Some("its rows have left; read what it writes to"),
            TableKind::Topic => None,
            _ if by_topic => Some("name the table itself: only topics are read by read_topic"),
            _ => None,
        };
        if let Some(help) = wrong {
            let message = format!(
                "`{name}` is a {}, and cannot be read so",
                table.kind.describe()
            );
            diagnostics.push(
                Diagnostic::error(codes::UNKNOWN_TABLE, message)
                    .at(relation.place, "read here")
                    .at(table.place, "declared here")
                    .help(help),
            );
        }
    }

    fn is_quarantine(&self, name: &TableName) -> bool {
        name.quarantine_of()
            .and_then(|of| self.table(&of))
            .is_some_and(|table| table.kind.is_stored())
    }

    fn nearest(&self, name: &TableName, wanted: impl Fn(&&Table) -> bool) -> Option<String> {
        let tables = self.parts.tables.iter().filter(wanted);
        let mut keys: Vec<String> = tables.map(|table| table.name.key()).collect();
        if name.name().contains("__") {
            let stored = self
                .parts
                .tables
                .iter()
                .filter(|table| table.kind.is_stored());
            keys.extend(stored.map(|table| table.name.quarantine().key()));
        }
        let near = nearest(&name.key(), keys.iter().map(String::as_str));
        // Perhaps only the schema is wrong.
        let own_name = || {
            let last = |key: &&String| key.rsplit('.').next() == Some(name.name());
            keys.iter().find(last).map(String::as_str)
        };
        near.or_else(own_name).map(str::to_owned)
    }

    /// A streaming table needs a stream; what is computed as a whole must not have one.
    fn streams(&self, flow: &Flow, diagnostics: &mut Vec<Diagnostic>) {
        let first_stream = flow
            .query
            .relations
            .iter()
            .find(|relation| relation.streaming);
        let is_view = self
            .table(&flow.target)
            .is_some_and(|table| table.kind.is_view());
        match (&flow.kind, first_stream) {
            (FlowKind::Append { once: false, .. } | FlowKind::AutoCdc(_), None) => {
                diagnostics.push(self.stream_missing(flow));
            }
            (FlowKind::Append { once: true, .. }, Some(stream)) => diagnostics.push(
                Diagnostic::error(codes::STREAM_MISPLACED, "a flow with ONCE reads no stream")
                    .at(stream.place, "read as a stream")
                    .help("leave ONCE away to take every row once, or leave STREAM away to take all rows one time"),
            ),
            (FlowKind::Complete, Some(stream)) if !is_view => diagnostics.push(
                Diagnostic::error(
                    codes::STREAM_MISPLACED,
                    format!("`{}` is computed as a whole, and cannot read a stream", flow.target),
                )
                .at(stream.place, "read as a stream")
                .help("leave STREAM away, or make the table a STREAMING TABLE"),
            ),
            _ => {}
        }
        for relation in &flow.query.relations {
            self.stream_of_view(relation, diagnostics);
        }
    }

    /// A view is a stream if its own query reads one, and is then read by STREAM.
    fn stream_of_view(&self, relation: &Relation, diagnostics: &mut Vec<Diagnostic>) {
        let RelationTarget::Table { name, .. } = &relation.target else {
            return;
        };
        let Some(view) = self.table(name).filter(|table| table.kind.is_view()) else {
            return;
        };
        let own = self.graph.flows_into(name).first();
        let Some(own) = own.and_then(|&flow| self.parts.flows.get(flow)) else {
            return;
        };
        match (relation.streaming, own.query.is_streaming()) {
            (true, false) => diagnostics.push(
                Diagnostic::error(
                    codes::STREAM_MISSING,
                    format!("the view `{name}` is not a stream"),
                )
                .at(relation.place, "read as a stream")
                .at(view.place, "its query reads without STREAM")
                .help("write STREAM in the view's query"),
            ),
            (false, true) => diagnostics.push(
                Diagnostic::error(
                    codes::STREAM_MISPLACED,
                    format!("the view `{name}` is a stream"),
                )
                .at(relation.place, "read as a whole")
                .at(view.place, "its query reads a stream")
                .help(format!(
                    "write `STREAM {name}`, or leave STREAM away in the view"
                )),
            ),
            _ => {}
        }
    }

    fn tables_without_flow(&self, diagnostics: &mut Vec<Diagnostic>) {
        if self.parts.flow_lost {
            return;
        }
        for table in &self.parts.tables {
            let fed = !self.graph.flows_into(&table.name).is_empty();
            let is_streaming = table.kind == TableKind::StreamingTable;
            if fed || !is_streaming || self.parts.incomplete.contains(&table.name) {
                continue;
            }
            let message = format!("nothing feeds `{}`", table.name);
            diagnostics.push(
                Diagnostic::error(codes::NO_FLOW, message)
                    .at(table.place, "a streaming table without a flow")
                    .help(format!(
                        "add `AS SELECT … FROM STREAM …`, or `CREATE FLOW name AS INSERT INTO {} BY NAME SELECT …`",
                        table.name
                    )),
            );
        }
    }

    fn cycle(&self, cycle: &[&Edge]) -> Diagnostic {
        let name = |index: usize| {
            let table = self.parts.tables.get(index);
            table.map_or(String::new(), |table| table.name.to_string())
        };
        let mut way: Vec<String> = cycle.iter().map(|edge| name(edge.from)).collect();
        way.extend(cycle.first().map(|edge| name(edge.from)));
        let message = match cycle {
            [only] => format!("`{}` reads itself", name(only.from)),
            _ => format!("tables feed each other in a circle: {}", way.join(" → ")),
        };
        let mut diagnostic = Diagnostic::error(codes::CYCLE, message);
        for edge in cycle {
            let words = format!("`{}` reads `{}`", name(edge.to), name(edge.from));
            diagnostic = diagnostic.at(edge.place, words);
        }
        diagnostic.help("a table can only be refreshed after all that it reads: break the circle at one of these places")
    }

    fn stream_missing(&self, flow: &Flow) -> Diagnostic {
        let kind = self.table(&flow.target).map(|table| table.kind);
        let kind = kind.unwrap_or(TableKind::StreamingTable).describe();
        let message = format!(
            "`{}` is a {kind}, and its query reads no stream",
            flow.target
        );
        let diagnostic = Diagnostic::error(codes::STREAM_MISSING, message);
        let Some(first) = flow.query.relations.first() else {
            let place = Place {
                end: flow.query.place.start,
                ..flow.query.place
            };
            return diagnostic
            .at(place, "reads nothing")
            .help("a streaming table takes new rows from a source: `FROM STREAM …`; for rows that come once, use `INSERT ONCE INTO`");
        };
        let what = match &first.target {
            RelationTarget::Table { name, .. } => name.to_string(),
            RelationTarget::Files { .. } => "read_files(…)".to_owned(),
            RelationTarget::Records { source, .. } => format!("{}(…)", source.function()),
        };
        diagnostic
            .at(first.place, "read as a whole, every time")
            .help(format!(
                "write `STREAM {what}` to take every row once{}",
                match kind {
                    "streaming table" => ", or make the table a MATERIALIZED VIEW",
                    _ => "",
                }
            ))
    }
}
