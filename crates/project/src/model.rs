//! What a project holds once it is read: tables, flows, expectations and queries.
//!
//! Everything here was checked as far as that goes without planning a query; everything carries its
//! [`Place`]. The trees of queries and expressions are those of `sqlparser`, with every table in
//! them replaced by a binding (see [`Query`]). Types are Arrow's. Executing any of it is left to
//! other rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use sqlparser::ast;

use crate::limits::QuarantineLimits;
use crate::names::TableName;
use crate::source::Place;
use crate::streaming::{StreamingProperties, parse_length};

/// What a table is, which says how it is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Rows are appended by flows, each input row is taken once.
    StreamingTable,
    /// The result of a query, stored, and computed again when what it reads has moved.
    MaterializedView,
    /// The result of a query, not stored.
    View {
        /// Seen only by this project's queries, under `CREATE TEMPORARY VIEW`.
        temporary: bool,
    },
    /// Records in partitions, kept by Tidegate itself; read as a stream.
    Topic,
    /// Rows that leave: to a topic, or to Kafka.
    Sink,
}

impl TableKind {
    /// The words that declare it, for messages: `streaming table`, …
    pub fn describe(self) -> &'static str {
        match self {
            TableKind::StreamingTable => "streaming table",
            TableKind::MaterializedView => "materialized view",
            TableKind::View { temporary: true } => "temporary view",
            TableKind::View { temporary: false } => "view",
            TableKind::Topic => "topic",
            TableKind::Sink => "sink",
        }
    }

    /// Whether its rows are kept in a table of the warehouse.
    pub fn is_stored(self) -> bool {
        matches!(
            self,
            TableKind::StreamingTable | TableKind::MaterializedView
        )
    }

    /// Whether it is a query that is run wherever it is read.
    pub fn is_view(self) -> bool {
        matches!(self, TableKind::View { .. })
    }
}

/// A table, a materialized view or a view.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// What it is.
    pub kind: TableKind,
    /// `PRIVATE`: kept for this project's own queries.
    pub private: bool,
    /// The declared columns, in order; empty when the columns are those of the query.
    pub columns: Vec<Column>,
    /// The columns of the primary key, in the key's order; empty without one.
    pub primary_key: Vec<String>,
    /// Its expectations, in order.
    pub expectations: Vec<Expectation>,
    /// `PARTITIONED BY`, in order.
    pub partitioned_by: Vec<ColumnReference>,
    /// `CLUSTER BY`.
    pub cluster_by: Option<ClusterBy>,
    /// `LOCATION`: where its files are, instead of a folder of the warehouse.
    pub location: Option<String>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `TBLPROPERTIES`, keys as written.
    pub properties: BTreeMap<String, String>,
    /// How many bad rows are too many, from the properties.
    pub quarantine: QuarantineLimits,
    /// `SCHEDULE`.
    pub schedule: Option<Schedule>,
    /// `TRIGGER ON UPDATE`.
    pub trigger: Option<Trigger>,
    /// `WITH ROW FILTER`.
    pub row_filter: Option<RowFilter>,
    /// `TO …`: where the rows of a sink go; only sinks have it.
    pub sink: Option<SinkTarget>,
    /// How its rows are kept up to date, from the properties.
    pub streaming: StreamingProperties,
    /// The name in the statement that declares it.
    pub place: Place,
}

impl Table {
    /// The declared column of this name, compared without case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The declared columns as an Arrow schema, or `None` when no columns are declared.
    pub fn schema(&self) -> Option<Schema> {
        if self.columns.is_empty() {
            return None;
        }
        let fields: Vec<Field> = self.columns.iter().map(Column::field).collect();
        Some(Schema::new(fields))
    }

    /// The names of the partition columns, in order.
    pub fn partition_columns(&self) -> impl Iterator<Item = &str> {
        self.partitioned_by
            .iter()
            .map(|column| column.name.as_str())
    }
}

/// A declared column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name, as written.
    pub name: String,
    /// Its type. Strings and binaries are views, a TIMESTAMP is in microseconds and UTC.
    pub data_type: DataType,
    /// Whether it may be NULL; columns of the primary key may not.
    pub nullable: bool,
    /// Whether it belongs to the primary key.
    pub primary_key: bool,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `MASK`.
    pub mask: Option<Mask>,
    /// The column's name in the statement.
    pub place: Place,
}

impl Column {
    /// The column as an Arrow field.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone(), self.nullable)
    }
}

/// A column that a clause names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnReference {
    /// The name, as written.
    pub name: String,
    /// Where it is named.
    pub place: Place,
}

/// `CLUSTER BY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterBy {
    /// `CLUSTER BY (a, b)`; empty for `CLUSTER BY NONE`.
    Columns(Vec<ColumnReference>),
    /// `CLUSTER BY AUTO`.
    Auto,
}

/// What happens to a row for which an expectation is not TRUE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnViolation {
    /// The row is kept and counted.
    #[default]
    Keep,
    /// The row is dropped and counted.
    DropRow,
    /// The update stops, and nothing of it is committed.
    FailUpdate,
    /// The row goes to the quarantine.
    Quarantine,
}

/// `CONSTRAINT name EXPECT (expression) ON VIOLATION …`.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Its name, as written.
    pub name: String,
    /// What must be TRUE of every row.
    pub expression: Expression,
    /// What happens to a row of which it is not.
    pub on_violation: OnViolation,
    /// The expectation's name in the statement.
    pub place: Place,
}

/// An expression over the columns of one row.
#[derive(Clone, Debug)]
pub struct Expression {
    /// The tree; its spans are lines and columns of the file.
    pub ast: ast::Expr,
    /// As written.
    pub text: String,
    /// Where it is written.
    pub place: Place,
}

/// A query that feeds a table.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its name: that of its table, unless `CREATE FLOW` gives another.
    pub name: TableName,
    /// The table it feeds.
    pub target: TableName,
    /// How it feeds it.
    pub kind: FlowKind,
    /// What it reads. For AUTO CDC this is `SELECT *` from the source.
    pub query: Query,
    /// What `SET` said in this file before the statement, by key.
    pub configuration: Arc<BTreeMap<String, String>>,
    /// The flow's name in the statement (the table's name for an implicit flow).
    pub place: Place,
    /// Where the target is named.
    pub target_place: Place,
}

impl Flow {
    /// Whether the flow came with its table (`AS query`) and not from `CREATE FLOW`.
    pub fn is_implicit(&self) -> bool {
        self.place == self.target_place
    }
}

/// How a flow feeds its table.
#[derive(Clone, Debug)]
pub enum FlowKind {
    /// The table is the query's result: materialized views and views.
    Complete,
    /// The query's new rows are appended.
    Append {
        /// `INSERT ONCE`: taken on one update only, and again only on a full refresh.
        once: bool,
        /// `BY NAME`: columns are matched by name and not by order.
        by_name: bool,
    },
    /// Changes are applied by key.
    AutoCdc(Box<AutoCdc>),
}

/// `AUTO CDC INTO t FROM STREAM(s) …`, also written `APPLY CHANGES INTO`.
#[derive(Clone, Debug)]
pub struct AutoCdc {
    /// `KEYS (…)`.
    pub keys: Vec<ColumnReference>,
    /// `IGNORE NULL UPDATES`.
    pub ignore_null_updates: bool,
    /// `APPLY AS DELETE WHEN …`.
    pub apply_as_delete: Option<Expression>,
    /// `APPLY AS TRUNCATE WHEN …`.
    pub apply_as_truncate: Option<Expression>,
    /// `SEQUENCE BY …`.
    pub sequence_by: Expression,
    /// `COLUMNS …`.
    pub columns: CdcColumns,
    /// `STORED AS SCD TYPE …`.
    pub history: ScdType,
    /// `TRACK HISTORY ON …`, only with SCD type 2.
    pub track_history_on: Option<CdcColumns>,
    /// The words `AUTO CDC INTO`.
    pub place: Place,
}

/// Which columns AUTO CDC takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CdcColumns {
    /// All.
    All,
    /// Those named.
    Only(Vec<ColumnReference>),
    /// All but those named.
    AllExcept(Vec<ColumnReference>),
}

/// How AUTO CDC keeps history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScdType {
    /// Type 1: the latest row of a key.
    #[default]
    Latest,
    /// Type 2: every version of a key, with the span in which it held.
    History,
}

/// A query with its tables taken out.
///
/// In [`ast`](Query::ast), every table that is not a common table expression is replaced by the
/// binding of one of the [`relations`](Query::relations) (`__r0`, `__r1`, …), with an alias: the
/// written one, or else the last part of the written name. What SQL writes beside a table (`STREAM`,
/// `VERSION AS OF`, `WATERMARK`, …) is taken out of the tree and kept in the relation.
#[derive(Clone, Debug)]
pub struct Query {
    /// The tree; its spans are lines and columns of the file.
    pub ast: ast::Query,
    /// As written.
    pub text: String,
    /// Where it is written.
    pub place: Place,
    /// What it reads, in the order of the bindings.
    pub relations: Vec<Relation>,
}

impl Query {
    /// Whether it reads any relation as a stream.
    pub fn is_streaming(&self) -> bool {
        self.relations.iter().any(|relation| relation.streaming)
    }

    /// The same query with other bindings: `prefix` before each, so that it can stand in another query.
    #[must_use]
    pub fn rebound(&self, prefix: &str) -> Query {
        let mut query = self.clone();
        let bindings: BTreeSet<String> = query
            .relations
            .iter_mut()
            .map(|relation| {
                let written = relation.binding.clone();
                relation.binding = format!("{prefix}{written}");
                written
            })
            .collect();
        let _: ControlFlow<()> = ast::visit_relations_mut(&mut query.ast, |name| {
            if let [ast::ObjectNamePart::Identifier(own)] = name.0.as_mut_slice()
                && bindings.contains(&own.value)
            {
                own.value = format!("{prefix}{}", own.value);
            }
            ControlFlow::Continue(())
        });
        query
    }

    /// The relation of a binding.
    pub fn relation(&self, binding: &str) -> Option<&Relation> {
        self.relations
            .iter()
            .find(|relation| relation.binding == binding)
    }
}

/// A table or files that a query reads.
#[derive(Clone, Debug)]
pub struct Relation {
    /// The name that stands for it in the query's tree, unique in the query.
    pub binding: String,
    /// What it is.
    pub target: RelationTarget,
    /// `STREAM`: only rows that were not read before.
    pub streaming: bool,
    /// `WATERMARK … DELAY OF …`.
    pub watermark: Option<Watermark>,
    /// The table's name, or the function call, in the query.
    pub place: Place,
}

impl Relation {
    /// The name for messages: the table's, or the path.
    pub fn describe(&self) -> String {
        match &self.target {
            RelationTarget::Table { name, .. } => name.to_string(),
            RelationTarget::Files { path, .. } => format!("'{path}'"),
            RelationTarget::Records {
                source: RecordSource::Topic(name),
                ..
            } => format!("topic {name}"),
            RelationTarget::Records { options, .. } => {
                let topic = options.iter().find(|(name, _)| {
                    let name = name.to_ascii_lowercase();
                    ["subscribe", "subscribepattern", "assign"].contains(&name.as_str())
                });
                match topic {
                    Some((_, topic)) => format!("Kafka topic {}", topic.value),
                    None => "Kafka".to_owned(),
                }
            }
        }
    }
}

/// What a relation is.
#[derive(Clone, Debug)]
pub enum RelationTarget {
    /// A table by name.
    Table {
        /// Its name.
        name: TableName,
        /// The version asked for, if not the latest.
        as_of: Option<AsOf>,
        /// `table_changes('name')`: not its rows are meant, but how they change, each with what happened to it and when.
        changes: bool,
    },
    /// Files by path: `read_files(…)`, or ``csv.`path` `` and the like.
    Files {
        /// The path, folder, pattern or URL as written; relative to the project's root.
        path: String,
        /// The format, in lower case, if it is given.
        format: Option<String>,
        /// The other options by their names as written; compare them without case.
        options: BTreeMap<String, Opt>,
        /// The version asked for; only ``delta.`path` `` has one.
        as_of: Option<AsOf>,
    },
    /// Records of a live source: `read_kafka(…)`, `read_topic('name', …)`.
    Records {
        /// Where they are.
        source: RecordSource,
        /// The format of their values, in lower case, if it is given.
        format: Option<String>,
        /// The other options by their names as written; compare them without case.
        options: BTreeMap<String, Opt>,
    },
}

impl RelationTarget {
    /// Whether it is the changes of a table.
    pub fn is_changes(&self) -> bool {
        matches!(self, RelationTarget::Table { changes: true, .. })
    }

    /// The table or topic of the project that it names.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            RelationTarget::Table { name, .. }
            | RelationTarget::Records {
                source: RecordSource::Topic(name),
                ..
            } => Some(name),
            RelationTarget::Files { .. } | RelationTarget::Records { .. } => None,
        }
    }
}

/// Where the records of a live source are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordSource {
    /// In Kafka; the options say where and which.
    Kafka,
    /// In a topic of the project.
    Topic(TableName),
}

impl RecordSource {
    /// The function that reads it, for messages.
    pub fn function(&self) -> &'static str {
        match self {
            RecordSource::Kafka => "read_kafka",
            RecordSource::Topic(_) => "read_topic",
        }
    }
}

/// Where the rows of a sink go.
#[derive(Clone, Debug)]
pub struct SinkTarget {
    /// To Kafka, or to a topic of the project.
    pub to: RecordSource,
    /// The format of the values, in lower case, if it is given.
    pub format: Option<String>,
    /// The other options by their names as written; compare them without case.
    pub options: BTreeMap<String, Opt>,
    /// `kafka(…)` or `topic(…)`.
    pub place: Place,
}

/// The value of an option of a reader or a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    /// The constant as text: a string's content, a number or `true`/`false` as written.
    pub value: String,
    /// Where the value is written.
    pub place: Place,
}

/// A version of a table.
#[derive(Clone, Debug)]
pub enum AsOf {
    /// `VERSION AS OF n`, `t@vn`.
    Version(u64),
    /// `TIMESTAMP AS OF e`: the latest version at that time.
    Timestamp(Box<Expression>),
}

impl fmt::Display for AsOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsOf::Version(version) => write!(formatter, "VERSION AS OF {version}"),
            AsOf::Timestamp(time) => write!(formatter, "TIMESTAMP AS OF {}", time.text),
        }
    }
}

/// `WATERMARK column DELAY OF interval`.
#[derive(Clone, Debug)]
pub struct Watermark {
    /// The event time.
    pub time: Expression,
    /// The name given to it by `AS`, if any.
    pub alias: Option<String>,
    /// How late a row may be.
    pub delay: Expression,
    /// The clause.
    pub place: Place,
}

impl Watermark {
    /// The column that holds the event time; `None` if it is another expression.
    pub fn column(&self) -> Option<&str> {
        match &self.time.ast {
            ast::Expr::Identifier(name) => Some(&name.value),
            ast::Expr::CompoundIdentifier(parts) => parts.last().map(|name| name.value.as_str()),
            _ => None,
        }
    }

    /// How late a row may be; `None` if the delay is no constant of a fixed length.
    pub fn delay_length(&self) -> Option<std::time::Duration> {
        parse_length(&self.delay.text)
    }
}

/// `SCHEDULE …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// When.
    pub when: ScheduleWhen,
    /// The clause.
    pub place: Place,
}

/// When a schedule refreshes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleWhen {
    /// `EVERY n unit`.
    Every {
        /// How many units, at least 1.
        count: u32,
        /// The unit.
        unit: ScheduleUnit,
    },
    /// `CRON '…' AT TIME ZONE '…'`.
    Cron {
        /// The cron line, as written.
        expression: String,
        /// The time zone, if not the session's.
        time_zone: Option<String>,
    },
}

/// The unit of `SCHEDULE EVERY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleUnit {
    /// `MINUTE`.
    Minute,
    /// `HOUR`.
    Hour,
    /// `DAY`.
    Day,
    /// `WEEK`.
    Week,
}

/// `TRIGGER ON UPDATE`.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// `AT MOST EVERY interval`.
    pub at_most_every: Option<Expression>,
    /// The clause.
    pub place: Place,
}

/// `WITH ROW FILTER f ON (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFilter {
    /// The function, as written.
    pub function: String,
    /// Its arguments: columns of the table, or constants, as written.
    pub arguments: Vec<String>,
    /// The clause.
    pub place: Place,
}

/// `MASK f USING COLUMNS (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The function, as written.
    pub function: String,
    /// Its further arguments: columns of the table, or constants, as written.
    pub using_columns: Vec<String>,
    /// The clause.
    pub place: Place,
}
