//! [`Engine`]: the door of this room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::{
    ExecutionPlan, displayable, execute_stream, execute_stream_partitioned,
};
use futures::TryStreamExt;
use tidegate_project::{Expression, Query, SourceMap};

use crate::bindings::Bindings;
use crate::diagnose::Teller;
use crate::error::EngineError;
use crate::expression::{self, CompiledExpression, CompiledProjection};
use crate::lineage::{self, ColumnLineage};
use crate::plan::{self, Planned, Tables};
use crate::resolve::{Functions, resolve_query};
use crate::session;
use crate::settings::EngineSettings;
use crate::shape::{self, CopiedColumn, RowProgram};

/// Plans and runs queries and expressions; cheap to share, safe to use from many threads.
#[derive(Clone, Debug)]
pub struct Engine {
    state: Arc<SessionState>,
    functions: Arc<Functions>,
}

impl Engine {
    /// An engine of these settings.
    ///
    /// # Errors
    /// [`EngineError::Setting`] for a value that cannot be used.
    pub fn new(settings: &EngineSettings) -> Result<Self, EngineError> {
        let state = session::build(settings)?;
        let functions = Functions::new(session::function_names(&state));
        Ok(Self {
            state: Arc::new(state),
            functions: Arc::new(functions),
        })
    }

    /// Plans a query over its bindings: names, types and functions are checked, nothing is read.
    ///
    /// # Errors
    /// [`EngineError::Mistakes`] with all mistakes found, each with its place in `files`.
    pub fn plan(
        &self,
        query: &Query,
        bindings: &Bindings,
        files: &SourceMap,
    ) -> Result<Planned, EngineError> {
        let teller = Teller::new(files, query.place, &self.functions, &query.ast);
        let mut tree = query.ast.clone();
        resolve_query(&mut tree, bindings, &self.functions)
            .map_err(|mistakes| teller.mistakes(mistakes))?;
        let state = self.session_state();
        let tables = Tables::new(&state, bindings);
        let plan = plan::query_to_plan(&state, &tables, tree)
            .map_err(|error| teller.planning(&error, bindings))?;
        let schema = Arc::new(plan.schema().as_arrow().clone());
        Ok(Planned {
            plan,
            schema,
            bindings: Arc::new(bindings.clone()),
        })
    }

    /// Runs a plan; the batches of all partitions come in one stream, in the order that the query
    /// asks for, or none.
    ///
    /// # Errors
    /// What planning the execution or opening the sources meets; what happens later comes in the
    /// stream.
    pub async fn execute(
        &self,
        planned: &Planned,
    ) -> Result<SendableRecordBatchStream, EngineError> {
        let (plan, state) = self.physical(planned).await?;
        Ok(execute_stream(plan, state.task_ctx())?)
    }

    /// Runs a plan with its partitions kept apart, so that each can be drained by a task of its
    /// own; at most [`EngineSettings::threads`] of them do work at once if the plan says so.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn execute_partitioned(
        &self,
        planned: &Planned,
    ) -> Result<Vec<SendableRecordBatchStream>, EngineError> {
        let (plan, state) = self.physical(planned).await?;
        Ok(execute_stream_partitioned(plan, state.task_ctx())?)
    }

    /// Runs a plan and gathers all batches; for results that fit in memory.
    ///
    /// # Errors
    /// As [`Self::execute`], and what happens while the plan runs.
    pub async fn collect(&self, planned: &Planned) -> Result<Vec<RecordBatch>, EngineError> {
        let stream = self.execute(planned).await?;
        Ok(stream.try_collect().await?)
    }

    /// The physical plan as an indented text, for `EXPLAIN` and bug reports.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn explain(&self, planned: &Planned) -> Result<String, EngineError> {
        let (plan, _) = self.physical(planned).await?;
        Ok(displayable(plan.as_ref()).indent(false).to_string())
    }

    /// Compiles an expression that decides something of a row: it must be BOOLEAN.
    ///
    /// # Errors
    /// [`EngineError::Mistakes`]: unknown columns or functions, types that don't fit, a result that
    /// is not BOOLEAN.
    pub fn predicate(
        &self,
        expression: &Expression,
        schema: SchemaRef,
        files: &SourceMap,
    ) -> Result<CompiledExpression, EngineError> {
        expression::predicate(&self.compiler(), expression, schema, files)
    }

    /// Compiles named expressions over the columns of `schema`, for `SET column = expression`.
    ///
    /// # Errors
    /// [`EngineError::Mistakes`], as for [`Self::predicate`] but for the result's type.
    pub fn projection(
        &self,
        expressions: &[(String, Expression)],
        schema: SchemaRef,
        files: &SourceMap,
    ) -> Result<CompiledProjection, EngineError> {
        expression::projection(&self.compiler(), expressions, schema, files)
    }

    /// Where each column of the result comes from.
    pub fn lineage(&self, planned: &Planned) -> ColumnLineage {
        lineage::trace(&planned.plan, &planned.bindings)
    }

    /// Whether every row of the result is made of exactly one row of one relation, so that
    /// positions can be carried through: projections and filters only.
    pub fn row_wise(&self, planned: &Planned) -> bool {
        shape::row_source(&planned.plan).is_some()
    }

    /// For a query that only copies columns of one relation (`SELECT *`, lists of columns, renamed
    /// or not): the columns copied, in the order of the result. `None` for all other queries.
    pub fn identity(&self, planned: &Planned) -> Option<Vec<CopiedColumn>> {
        shape::identity(&planned.plan)
    }

    /// Whether the result for some rows is the same whatever other rows there are: nothing is aggregated, sorted or joined.
    /// Unlike in a [row-wise](Self::row_wise) query, a row may give several.
    pub fn keeps_no_state(&self, planned: &Planned) -> bool {
        shape::keeps_no_state(&planned.plan)
    }

    /// The columns that a query reads, by binding, as positions in the relation's schema, ascending. A relation that is
    /// read twice has the columns of both; one of which only the rows count has none.
    ///
    /// # Errors
    /// [`EngineError::Bug`] if the plan contradicts itself.
    pub fn columns_read(
        &self,
        planned: &Planned,
    ) -> Result<BTreeMap<String, BTreeSet<usize>>, EngineError> {
        shape::columns_read(&self.session_state(), planned)
    }

    /// Compiles a [row-wise](Self::row_wise) query to run on batches of its one relation, without
    /// planning an execution for each; `None` for other queries.
    ///
    /// # Errors
    /// [`EngineError::Bug`] if an expression that was planned cannot be compiled.
    pub fn row_program(&self, planned: &Planned) -> Result<Option<RowProgram>, EngineError> {
        shape::row_program(&self.session_state(), planned)
    }

    /// The same row-wise plan with one more column of its relation carried to the end of the result
    /// (such as a row's position); `None` if the plan is not row-wise or the relation has no such
    /// column.
    ///
    /// # Errors
    /// [`EngineError::Bug`] if the widened plan contradicts itself.
    pub fn carry(&self, planned: &Planned, column: &str) -> Result<Option<Planned>, EngineError> {
        shape::carry(planned, column)
    }

    /// The session for libraries that ask for one (Delta's writers and merges). Its clock starts
    /// now.
    pub fn session_state(&self) -> SessionState {
        let mut state = self.state.as_ref().clone();
        state.mark_start_execution();
        state
    }

    /// Memory, spill folder and object stores, shared by all queries of this engine.
    pub fn runtime(&self) -> &Arc<RuntimeEnv> {
        self.state.runtime_env()
    }

    async fn physical(
        &self,
        planned: &Planned,
    ) -> Result<(Arc<dyn ExecutionPlan>, SessionState), EngineError> {
        let state = self.session_state();
        let plan = state.create_physical_plan(&planned.plan).await?;
        Ok((plan, state))
    }

    fn compiler(&self) -> expression::Compiler<'_> {
        expression::Compiler {
            state: self.session_state(),
            functions: &self.functions,
        }
    }
}
