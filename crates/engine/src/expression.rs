//! Expressions over the columns of one batch, compiled once and evaluated many times.
//!
//! These are the expectations of a table and the repairs of its quarantine. An expression is
//! resolved, planned, given Spark's casts and simplified like one of a query, and then compiled to
//! DataFusion's vectorised form; evaluating it plans nothing and locks nothing, on any thread.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use sqlparser::ast::Spanned;
use tidegate_project::{Diagnostic, Expression, SourceMap};

use crate::bindings::Bindings;
use crate::codes;
use crate::diagnose::Teller;
use crate::error::EngineError;
use crate::plan::{self, Tables};
use crate::resolve::{Functions, resolve_expression};
use crate::spark;

/// An expression that is TRUE, FALSE or NULL for each row.
#[derive(Clone, Debug)]
pub struct CompiledExpression {
    compiled: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    columns: Vec<usize>,
    text: String,
}

impl CompiledExpression {
    /// Evaluates the expression for every row of a batch that has the schema it was compiled for.
    ///
    /// # Errors
    /// [`EngineError::MissingColumn`] for a batch of another schema, [`EngineError::Value`] if a
    /// value breaks an operation.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, EngineError> {
        check_schema(&self.schema, &self.columns, batch)?;
        let value = self.compiled.evaluate(batch)?;
        let array = value.into_array(batch.num_rows())?;
        truth(&array)
    }

    /// The columns that the expression reads, as positions in the schema, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

pub(crate) fn truth(array: &ArrayRef) -> Result<BooleanArray, EngineError> {
    if let Some(truth) = array.as_any().downcast_ref::<BooleanArray>() {
        return Ok(truth.clone());
    }
    if array.data_type().is_null() {
        return Ok(BooleanArray::new_null(array.len()));
    }
    Err(EngineError::Bug {
        message: format!("a condition gave {} and not BOOLEAN", array.data_type()),
    })
}

/// Named expressions that give one batch from another.
#[derive(Clone, Debug)]
pub struct CompiledProjection {
    compiled: Vec<Arc<dyn PhysicalExpr>>,
    input: SchemaRef,
    columns: Vec<usize>,
    output: SchemaRef,
}

impl CompiledProjection {
    /// The columns that come out, named as asked.
    pub fn schema(&self) -> &SchemaRef {
        &self.output
    }

    /// The columns that are read, as positions in the schema of the input, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Evaluates all expressions for every row of a batch.
    ///
    /// # Errors
    /// As [`CompiledExpression::evaluate`].
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<RecordBatch, EngineError> {
        check_schema(&self.input, &self.columns, batch)?;
        project(&self.compiled, &self.output, batch)
    }
}

/// Evaluates expressions into a batch of this schema.
pub(crate) fn project(
    expressions: &[Arc<dyn PhysicalExpr>],
    output: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch, EngineError> {
    let rows = batch.num_rows();
    let mut columns = Vec::with_capacity(expressions.len());
    for expression in expressions {
        columns.push(expression.evaluate(batch)?.into_array(rows)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(output), columns, &options)
        .map_err(|error| EngineError::from(DataFusionError::from(error)))
}

/// The columns that are read must be where they were when the expression was compiled.
fn check_schema(
    schema: &SchemaRef,
    columns: &[usize],
    batch: &RecordBatch,
) -> Result<(), EngineError> {
    let given = batch.schema_ref();
    if Arc::ptr_eq(schema, given) {
        return Ok(());
    }
    for &at in columns {
        let wanted = schema.field(at);
        let fits = given.fields().get(at).is_some_and(|field| {
            field.name() == wanted.name() && field.data_type() == wanted.data_type()
        });
        if !fits {
            let names: Vec<&str> = given.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(EngineError::MissingColumn {
                column: format!(
                    "{} {}",
                    wanted.name(),
                    spark::types::name_of(wanted.data_type())
                ),
                available: names.join(", "),
            });
        }
    }
    Ok(())
}

/// What compiling an expression needs of the engine.
pub(crate) struct Compiler<'e> {
    pub(crate) state: SessionState,
    pub(crate) functions: &'e Functions,
}

struct Compiled {
    expression: Arc<dyn PhysicalExpr>,
    field: Field,
}

impl Compiler<'_> {
    fn compile(
        &self,
        expression: &Expression,
        schema: &SchemaRef,
        files: &SourceMap,
    ) -> Result<Compiled, EngineError> {
        let teller = Teller::new(files, expression.place, self.functions, &expression.ast);
        let mut tree = expression.ast.clone();
        let name = resolve_expression(&mut tree, schema, self.functions)
            .map_err(|mistakes| teller.mistakes(mistakes))?;
        let bindings = Bindings::new();
        let tables = Tables::new(&self.state, &bindings);
        let row = DFSchema::try_from(schema.as_ref().clone())?;
        let planned = plan::expression_to_plan(&tables, tree, &row)
            .map_err(|error| teller.planning(&error, &bindings))?;
        refuse_more_than_rows(&planned, expression)?;
        let compiled = physical(&self.state, planned, &row)
            .map_err(|error| teller.planning(&error, &bindings))?;
        let data_type = compiled.data_type(schema)?;
        let nullable = compiled.nullable(schema)?;
        Ok(Compiled {
            field: Field::new(name, data_type, nullable),
            expression: compiled,
        })
    }
}

/// Coerces, simplifies and compiles a planned expression.
pub(crate) fn physical(
    state: &SessionState,
    expression: Expr,
    schema: &DFSchema,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let mut expression = expression;
    for rewrite in state.analyzer().function_rewrites() {
        expression = expression
            .transform_up(|e| rewrite.rewrite(e, schema, state.config_options()))?
            .data;
    }
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let expression = simplifier.coerce(expression, schema)?;
    let expression = spark::rewrite_expression(expression, schema)?.data;
    let expression = simplifier.simplify(expression)?;
    state.create_physical_expr(expression, schema)
}

fn refuse_more_than_rows(planned: &Expr, expression: &Expression) -> Result<(), EngineError> {
    let mut found = None;
    planned.apply(|part| {
        found = match part {
            Expr::AggregateFunction(_) => Some("an aggregate"),
            Expr::WindowFunction(_) => Some("a window function"),
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => Some("a subquery"),
            Expr::Unnest(_) => Some("a generator of rows"),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Ok(TreeNodeRecursion::Stop)
    })?;
    let Some(kind) = found else { return Ok(()) };
    let message = format!("{kind} looks further than at one row");
    let told = Diagnostic::error(codes::UNSUPPORTED, message)
        .at(expression.place, "this is evaluated for each row by itself")
        .help("compute it in a query, and decide about its result there");
    Err(EngineError::Mistakes(vec![told]))
}

fn columns_of<'e>(expressions: impl Iterator<Item = &'e Arc<dyn PhysicalExpr>>) -> Vec<usize> {
    let mut columns: Vec<usize> = expressions
        .flat_map(collect_columns)
        .map(|column| column.index())
        .collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Compiles an expression that must be BOOLEAN.
pub(crate) fn predicate(
    compiler: &Compiler<'_>,
    expression: &Expression,
    schema: SchemaRef,
    files: &SourceMap,
) -> Result<CompiledExpression, EngineError> {
    let compiled = compiler.compile(expression, &schema, files)?;
    let data_type = compiled.field.data_type();
    if !matches!(data_type, DataType::Boolean | DataType::Null) {
        let name = spark::types::name_of(data_type).to_uppercase();
        let place = files
            .span(expression.place.file, expression.ast.span())
            .unwrap_or(expression.place);
        let message = format!("this must be BOOLEAN, but it is {name}");
        let told = Diagnostic::error(codes::NOT_BOOLEAN, message)
            .at(place, format!("a {name}"))
            .help("write a comparison, such as `… > 0` or `… IS NOT NULL`");
        return Err(EngineError::Mistakes(vec![told]));
    }
    Ok(CompiledExpression {
        columns: columns_of(std::iter::once(&compiled.expression)),
        compiled: compiled.expression,
        schema,
        text: expression.text.clone(),
    })
}

/// Compiles named expressions.
pub(crate) fn projection(
    compiler: &Compiler<'_>,
    expressions: &[(String, Expression)],
    schema: SchemaRef,
    files: &SourceMap,
) -> Result<CompiledProjection, EngineError> {
    let mut compiled = Vec::with_capacity(expressions.len());
    let mut fields = Vec::with_capacity(expressions.len());
    let mut mistakes = Vec::new();
    for (name, expression) in expressions {
        match compiler.compile(expression, &schema, files) {
            Ok(one) => {
                fields.push(one.field.with_name(name));
                compiled.push(one.expression);
            }
            Err(EngineError::Mistakes(more)) => mistakes.extend(more),
            Err(other) => return Err(other),
        }
    }
    if !mistakes.is_empty() {
        return Err(EngineError::Mistakes(mistakes));
    }
    Ok(CompiledProjection {
        columns: columns_of(compiled.iter()),
        compiled,
        input: schema,
        output: Arc::new(Schema::new(fields)),
    })
}
