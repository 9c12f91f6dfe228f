//! From a resolved tree to a logical plan.
//!
//! DataFusion's SQL planner does the work; this module gives it the bindings as tables and the
//! session's functions, and keeps what the caller needs to know of the result. Names are settled
//! before ([`crate::resolve`]); errors are told afterwards ([`crate::diagnose`]).

mod provider;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use sqlparser::ast;

pub(crate) use provider::Tables;

use crate::bindings::Bindings;

/// A query with its plan, ready to be executed any number of times.
#[derive(Clone, Debug)]
pub struct Planned {
    pub(crate) plan: LogicalPlan,
    pub(crate) schema: SchemaRef,
    pub(crate) bindings: Arc<Bindings>,
}

impl Planned {
    /// The columns of the result: names as the query writes them, types as Arrow's.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The analysed logical plan.
    pub fn logical_plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// The relations that the plan reads.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }
}

/// Plans a query whose names are resolved.
pub(crate) fn query_to_plan(
    state: &SessionState,
    tables: &Tables<'_>,
    query: ast::Query,
) -> Result<LogicalPlan, DataFusionError> {
    let planner = SqlToRel::new(tables);
    let plan = planner.sql_statement_to_plan(ast::Statement::Query(Box::new(query)))?;
    state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})
}

/// Plans an expression whose names are resolved, over the columns of `schema`.
pub(crate) fn expression_to_plan(
    tables: &Tables<'_>,
    expression: ast::Expr,
    schema: &DFSchema,
) -> Result<Expr, DataFusionError> {
    SqlToRel::new(tables).sql_to_expr(expression, schema, &mut PlannerContext::new())
}
