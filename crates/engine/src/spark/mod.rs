//! Spark's meaning of types, operators, casts and functions, given to DataFusion.
//!
//! DataFusion asks at four points: a type in the SQL ([`SparkTypes`]), an operator or a subscript
//! ([`operators`]), a function by name ([`functions`], over those of `datafusion-spark` and
//! `datafusion-functions-json`), and, once types are known, an analyzer rule ([`casts`]) that puts
//! Spark's conversions in place of Arrow's. ANSI mode is on, as in Spark 4: what cannot be computed
//! is an error, not a NULL.

mod aggregates;
mod casts;
mod functions;
mod operators;
pub(crate) mod types;

use std::sync::Arc;

use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion_spark::{all_default_aggregate_functions, all_default_scalar_functions};

pub(crate) use casts::rewrite_expression;
pub(crate) use functions::windows;
pub(crate) use operators::{TRYING, TYPED_NUMBER};
pub(crate) use types::SparkTypes;

use crate::error::EngineError;

/// Functions of `datafusion-spark` that are left out, because DataFusion's own do the same faster
/// or with the types of Spark.
const LEFT_OUT: &[&str] = &["avg"];

/// Spark's planners and functions, before DataFusion's own.
pub(crate) fn install(builder: &mut SessionStateBuilder) {
    let planners = builder.expr_planners().get_or_insert_with(Vec::new);
    planners.insert(0, Arc::new(datafusion_spark::planner::SparkFunctionPlanner));
    planners.insert(0, Arc::new(operators::SparkOperators));
    let scalar = builder.scalar_functions().get_or_insert_with(Vec::new);
    scalar.extend(all_default_scalar_functions());
    scalar.extend(functions::scalar());
    let aggregate = builder.aggregate_functions().get_or_insert_with(Vec::new);
    aggregate.extend(
        all_default_aggregate_functions()
            .into_iter()
            .filter(|function| !LEFT_OUT.contains(&function.name())),
    );
    aggregate.extend(aggregates::aggregates());
}

/// What can only be added to a finished state: the JSON functions and Spark's casts, which come
/// before the coercion of types.
pub(crate) fn install_rules(state: &mut SessionState) -> Result<(), EngineError> {
    let registry: &mut dyn FunctionRegistry = state;
    datafusion_functions_json::register_all(registry).map_err(|error| EngineError::Bug {
        message: crate::error::sentence(&error),
    })?;
    state.add_analyzer_rule(Arc::new(casts::SparkCasts));
    Ok(())
}
