//! The session: DataFusion set up once, with Spark's functions, types and rules.
//!
//! Building the registries costs more than planning a small query, so that they are made once with
//! the engine and shared; a query takes a cheap copy with its own start time (for
//! `current_timestamp()`).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::SessionConfig;

use crate::error::{EngineError, sentence};
use crate::settings::EngineSettings;
use crate::spark;
use crate::windows::ExpandWindows;

/// How many memory consumers a message about exhausted memory names.
const NAMED_CONSUMERS: usize = 3;

/// The session's state; a copy of it plans and runs one query.
pub(crate) fn build(settings: &EngineSettings) -> Result<SessionState, EngineError> {
    let mut config = SessionConfig::new()
        .with_target_partitions(settings.threads.max(1))
        .with_batch_size(settings.batch_rows.max(1))
        .with_collect_statistics(true)
        .with_create_default_catalog_and_schema(true)
        .with_information_schema(false);
    tune(config.options_mut());
    configure(config.options_mut(), settings)?;

    let mut builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime(settings)?)
        .with_optimizer_rules(optimizer_rules())
        .with_default_features();
    spark::install(&mut builder);
    let mut state = builder
        .with_type_planner(Arc::new(spark::SparkTypes))
        .build();
    spark::install_rules(&mut state)?;
    Ok(state)
}

/// DataFusion's rules, after those that make a plan executable at all.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    rules.insert(0, Arc::new(ExpandWindows));
    rules
}

/// The options in which Tidegate differs from DataFusion, for a machine of few processors and for
/// Spark's meaning.
fn tune(options: &mut ConfigOptions) {
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.collect_spans = true;
    // A LIMIT around a subquery takes the first rows of its order, as in Spark.
    options.sql_parser.enable_subquery_sort_elimination = false;
    options.sql_parser.map_string_types_to_utf8view = true;
    options.sql_parser.default_null_ordering = "nulls_min".to_owned();
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.enable_ansi_mode = true;
    // Filters prune row groups and pages in any case. To apply them while decoding too still costs
    // more than it saves where they are not selective (DataFusion #20324; datafusion-comet #4988 saw TPC-H Q6
    // take half as long again).
    options.execution.parquet.pushdown_filters = false;
    options.execution.parquet.schema_force_view_types = true;
    options.execution.parquet.coerce_int96 = Some("us".to_owned());
}

/// Applies the settings' own options of DataFusion; other names are the caller's.
fn configure(options: &mut ConfigOptions, settings: &EngineSettings) -> Result<(), EngineError> {
    for (name, value) in &settings.configuration {
        if !name.starts_with("datafusion.") {
            continue;
        }
        options
            .set(name, value)
            .map_err(|error| EngineError::Setting {
                name: name.clone(),
                message: sentence(&error),
            })?;
    }
    Ok(())
}

/// Memory that is shared fairly among the operators that can spill, and the folder they spill to.
fn runtime(settings: &EngineSettings) -> Result<Arc<RuntimeEnv>, EngineError> {
    let mut builder = RuntimeEnvBuilder::new();
    if let Some(bytes) = settings.memory_bytes {
        let consumers = std::num::NonZeroUsize::MIN.saturating_add(NAMED_CONSUMERS - 1);
        let pool = TrackConsumersPool::new(FairSpillPool::new(bytes), consumers);
        builder = builder.with_memory_pool(Arc::new(pool));
    }
    if let Some(folder) = &settings.spill_folder {
        let mode = DiskManagerMode::Directories(vec![folder.clone()]);
        builder = builder.with_disk_manager_builder(DiskManagerBuilder::default().with_mode(mode));
    }
    builder.build_arc().map_err(|error| EngineError::Setting {
        name: "spill".to_owned(),
        message: sentence(&error),
    })
}

/// The functions that a query may call, by kind, to suggest the nearest name.
pub(crate) fn function_names(state: &SessionState) -> HashMap<String, FunctionKind> {
    let scalar = state.scalar_functions().keys();
    let higher = state.higher_order_functions().keys();
    let aggregate = state.aggregate_functions().keys();
    let window = state.window_functions().keys();
    scalar
        .chain(higher)
        .map(|name| (name.clone(), FunctionKind::Scalar))
        .chain(aggregate.map(|name| (name.clone(), FunctionKind::Aggregate)))
        .chain(window.map(|name| (name.clone(), FunctionKind::Window)))
        .collect()
}

/// What a function is computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FunctionKind {
    /// One row.
    Scalar,
    /// A group of rows.
    Aggregate,
    /// A window of rows, and nothing else.
    Window,
}
