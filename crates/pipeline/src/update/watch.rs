//! `tidegate query --live`: the result of a query over streams as it comes, kept nowhere.
//!
//! It is a sink that nobody declared: its rows go to the caller, and no epoch of it is ever written down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use tidegate_connect::live::LiveSink;
use tidegate_lake::{CommitMode, FlowId};
use tidegate_project::{
    Diagnostic, Flow, FlowKind, OutputMode, Query, RecordSource, SinkTarget, StreamingProperties,
    Table, TableKind, TableName, parse_query,
};

use super::epoch::FlowState;
use super::refresh::{Refresh, Step};
use super::round::{Kept, Round};
use super::sink::Outlet;
use super::{Update, Watch};
use crate::catalog::Catalog;
use crate::codes;
use crate::error::{PipelineError, Result};
use crate::events::{Meter, Silent};
use crate::rows::CancelToken;
use crate::workspace::Workspace;

/// As good as for ever.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Takes rows of a live result.
pub type TakeRows = Box<dyn FnMut(&RecordBatch) + Send>;

impl Workspace {
    /// Runs a query over streams until `stop` is cancelled, or its sources end: `take` gets new rows, and where rows are
    /// grouped, the newest row of each group whenever it changes. Live sources are read from their ends on, unless the
    /// query says where to begin.
    ///
    /// # Errors
    /// [`PipelineError::Query`] for mistakes, and for a query without a stream; what reading meets.
    pub async fn watch(&self, sql: &str, stop: CancelToken, take: TakeRows) -> Result<()> {
        let mut files = self.project.files.clone();
        let query =
            parse_query(&mut files, "query", sql).map_err(|diagnostics| PipelineError::Query {
                diagnostics,
                files: Box::new(files.clone()),
            })?;
        if !query.is_streaming() {
            let diagnostic = Diagnostic::error(codes::NOT_STREAMED, "a live query reads a stream")
                .at(query.place, "reads none")
                .help("write `FROM STREAM read_topic('name')`, or leave --live away");
            return Err(PipelineError::Query {
                diagnostics: vec![diagnostic],
                files: Box::new(files),
            });
        }
        let watched = self.watch_query(query, &files, stop, take).await;
        watched.map_err(|error| error.in_query(&files))
    }

    async fn watch_query(
        &self,
        query: Query,
        files: &tidegate_project::SourceMap,
        stop: CancelToken,
        take: TakeRows,
    ) -> Result<()> {
        let name = TableName::plain("query");
        let (table, target) = undeclared(&name, &query);
        let flow = Flow {
            name: name.clone(),
            target: name.clone(),
            kind: FlowKind::Append {
                once: false,
                by_name: true,
            },
            place: query.place,
            target_place: query.place,
            configuration: Arc::default(),
            query,
        };
        let kept = Arc::new(Kept::default());
        let mut outlet = Outlet {
            open: Some(Box::new(Caller(take))),
            opener: self.opener(),
            target,
            identity: String::new(),
        };
        let watch = Watch {
            observer: Arc::new(Silent),
            cancel: CancelToken::default(),
        };
        let mut update = Update::over(self, Catalog::build(self).await?, watch);
        update.texts = Some(files);
        update.round = Some(Arc::new(Round {
            deadline: Instant::now() + FOREVER,
            stop,
            hubs: BTreeMap::new(),
            kept,
        }));
        let state = FlowState::of_sink(self.lake().await?, FlowId::new("query --live")).await?;
        let reads = update.plan_reads(&flow.query, &Default::default()).await?;
        let step = Step {
            intent: state.next_intent("", "", false),
            flow: &flow,
            state,
            reads,
            mode: CommitMode::Append,
            known: Default::default(),
            notes: Default::default(),
        };
        let refresh = Refresh::new(&update, usize::MAX, &table, Arc::new(Meter::default()));
        refresh.send(&mut outlet, &flow, &step).await?;
        Ok(())
    }
}

/// The caller as a sink.
struct Caller(TakeRows);

impl LiveSink for Caller {
    fn name(&self) -> &str {
        "the terminal"
    }

    fn send(&mut self, rows: &RecordBatch) -> tidegate_connect::Result<()> {
        (self.0)(rows);
        Ok(())
    }

    fn send_gone(&mut self, _keys: &RecordBatch) -> tidegate_connect::Result<()> {
        // Who watches sees rows come.
        Ok(())
    }

    fn flush(&mut self) -> tidegate_connect::Result<()> {
        Ok(())
    }
}

/// A sink of this query that no project declares; early results are wanted.
fn undeclared(name: &TableName, query: &Query) -> (Table, SinkTarget) {
    let table = Table {
        name: name.clone(),
        kind: TableKind::Sink,
        private: false,
        columns: Vec::new(),
        primary_key: Vec::new(),
        expectations: Vec::new(),
        partitioned_by: Vec::new(),
        cluster_by: None,
        location: None,
        comment: None,
        properties: BTreeMap::new(),
        quarantine: Default::default(),
        schedule: None,
        trigger: None,
        row_filter: None,
        sink: None,
        streaming: StreamingProperties {
            output: Some(OutputMode::Update),
            ..StreamingProperties::default()
        },
        place: query.place,
    };
    let target = SinkTarget {
        to: RecordSource::Kafka,
        format: None,
        options: BTreeMap::new(),
        place: query.place,
    };
    (table, target)
}
