//! What every name in the project's queries stands for: schemas for checking and planning, plans of views.
//!
//! The catalog walks the tables in dependency order and plans each flow over *empty* relations of the right columns, so
//! that everything there is to say about names and types is said without reading a row. What a flow needs when it runs
//! (its output columns, whether it only copies columns) is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use sqlparser::ast::{SelectItem, SetExpr};
use tidegate_engine::{Bindings, ColumnLineage, CopiedColumn, Planned};
use tidegate_gate::{Contract, ContractColumn, quarantine_schema};
use tidegate_lake::change_schema;
use tidegate_project::{
    Diagnostic, Flow, FlowKind, Query, Relation, RelationTarget, Table, TableKind, TableName,
};
use tidegate_stream::StreamError;

use crate::codes;
use crate::discovery::FileOptions;
use crate::error::{PipelineError, Result};
use crate::gates::coercion_of;
use crate::scan::{hidden_of, metadata_fields_of, with_hidden};
use crate::system;
use crate::update::{Leaf, compile, late_columns};
use crate::workspace::Workspace;

/// What is known of a name.
#[derive(Clone)]
pub(crate) enum Known {
    /// A stored table of these columns.
    Stored(SchemaRef),
    /// A view; reading it means running its plan.
    View(Arc<Planned>),
    /// Nothing can be said: it depends on files that are not there yet, or on a mistake told elsewhere.
    Unseen,
}

/// One flow, planned over empty relations.
pub(crate) struct CheckedFlow {
    /// The columns of its result.
    pub(crate) schema: SchemaRef,
    /// The columns that it copies, where it does nothing else.
    pub(crate) copies: Option<Vec<CopiedColumn>>,
    /// Where its columns come from.
    pub(crate) lineage: ColumnLineage,
}

/// All names and flows of a project, checked.
#[derive(Default)]
pub(crate) struct Catalog {
    known: BTreeMap<String, Known>,
    flows: BTreeMap<usize, CheckedFlow>,
    /// Tables whose rows are replaced by newer ones, with the columns by which that is done; without any, there is one row.
    updated: BTreeMap<TableName, Vec<String>>,
    /// Mistakes and warnings, in dependency order.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Catalog {
    /// Plans and checks every flow of the project.
    ///
    /// # Errors
    /// Only for what is no mistake of the user's text: the engine's own set-up. Mistakes are in
    /// [`Catalog::diagnostics`].
    pub(crate) async fn build(workspace: &Workspace) -> Result<Self> {
        let mut catalog = Self::default();
        let project = &workspace.project;
        for &index in project.graph.order() {
            let Some(table) = project.tables.get(index) else {
                continue;
            };
            let known = catalog.check_table(workspace, table).await?;
            if table.kind == TableKind::StreamingTable || table.kind == TableKind::MaterializedView
            {
                catalog.known.insert(
                    table.name.quarantine().key(),
                    Known::Stored(quarantine_schema()),
                );
            }
            catalog.known.insert(table.name.key(), known);
        }
        Ok(catalog)
    }

    /// The columns of a table or view; none when nothing is known of it.
    pub(crate) fn schema(&self, name: &TableName) -> Option<SchemaRef> {
        match self.known.get(&name.key())? {
            Known::Stored(schema) => Some(Arc::clone(schema)),
            Known::View(planned) => Some(Arc::clone(planned.schema())),
            Known::Unseen => None,
        }
    }

    /// A flow by its number in the project; none when it could not be planned.
    pub(crate) fn flow(&self, index: usize) -> Option<&CheckedFlow> {
        self.flows.get(&index)
    }

    async fn check_table(&mut self, workspace: &Workspace, table: &Table) -> Result<Known> {
        let project = &workspace.project;
        let mut outputs: Vec<(&Flow, SchemaRef)> = Vec::new();
        let mut view = None;
        let mut unseen = false;
        for &number in project.graph.flows_into(&table.name) {
            let Some(flow) = project.flows.get(number) else {
                continue;
            };
            let Some(planned) = self.plan_flow(workspace, table, flow).await? else {
                unseen = true;
                continue;
            };
            let engine = workspace.engine()?;
            let checked = CheckedFlow {
                schema: Arc::clone(planned.schema()),
                copies: engine.identity(&planned),
                lineage: engine.lineage(&planned),
            };
            self.check_stream(workspace, table, flow, &planned)?;
            outputs.push((flow, Arc::clone(&checked.schema)));
            self.flows.insert(number, checked);
            view = Some(planned);
        }
        if let (TableKind::View { .. }, Some(planned)) = (table.kind, view) {
            return Ok(Known::View(Arc::new(planned)));
        }
        let schema = match declared(workspace, table) {
            Some(declared) => {
                self.compare(table, &declared, &outputs);
                Arc::new(declared)
            }
            None if unseen || outputs.is_empty() => return Ok(Known::Unseen),
            None => self.union(&outputs),
        };
        self.check_promises(workspace, table, &schema)?;
        Ok(Known::Stored(schema))
    }

    /// Whether a flow can be streamed: its query has a meaning for rows that come one after the other, and what it reads as
    /// a stream only grows.
    fn check_stream(
        &mut self,
        workspace: &Workspace,
        table: &Table,
        flow: &Flow,
        planned: &Planned,
    ) -> Result<()> {
        let relations = &flow.query.relations;
        self.note_late(table, flow, planned);
        for relation in relations.iter().filter(|relation| relation.streaming) {
            let name = relation.target.table();
            let Some(name) = name else {
                continue;
            };
            if relation.target.is_changes() {
                self.check_changes(workspace, relation, name);
            } else if self.updated.contains_key(name) {
                let message =
                    format!("the rows of `{name}` are replaced, and are no stream of new rows");
                let diagnostic = Diagnostic::error(codes::STREAM_OF_UPDATES, message)
                    .at(relation.place, "read as a stream")
                    .help(format!("read how they change, with STREAM table_changes('{name}'); or read it whole, in a MATERIALIZED VIEW; or give `{name}` rows that are final: a window with a WATERMARK, and 'tidegate.output' = 'append'"));
                self.diagnostics.push(diagnostic);
            }
        }
        let is_view = |relation: &Relation| {
            let table = relation.target.table();
            let table = table.and_then(|name| workspace.project.table(name));
            table.is_some_and(|table| table.kind.is_view())
        };
        let streams = matches!(flow.kind, FlowKind::Append { once: false, .. });
        let engine = workspace.engine()?;
        // Through views, it is seen when the flow runs.
        if !streams
            || !flow.query.is_streaming()
            || relations.iter().any(is_view)
            || engine.row_wise(planned)
        {
            return Ok(());
        }
        let leaves: Vec<Leaf<'_>> = relations
            .iter()
            .filter(|relation| relation.streaming)
            .map(Leaf::of)
            .collect();
        let spill = workspace.state_folder().join("spill");
        match compile(engine, planned, table, &leaves, &spill) {
            Ok(dataflow) => {
                if dataflow.updates() {
                    let schema = dataflow.schema();
                    let key = dataflow.key().iter().map(|at| schema.field(*at).name());
                    let key = key.cloned().collect();
                    self.updated.insert(table.name.clone(), key);
                }
                Ok(())
            }
            Err(PipelineError::Stream(error)) => match *error {
                StreamError::Unsupported { reason, help } if !engine.keeps_no_state(planned) => {
                    let diagnostic = Diagnostic::error(codes::NOT_STREAMED, reason)
                        .at(flow.query.place, "this query reads a stream")
                        .help(help);
                    self.diagnostics.push(diagnostic);
                    Ok(())
                }
                StreamError::Unsupported { .. } => Ok(()),
                other => Err(PipelineError::Stream(Box::new(other))),
            },
            Err(other) => Err(other),
        }
    }

    /// Whether a relation has versions whose rows can be compared.
    fn check_changes(&mut self, workspace: &Workspace, relation: &Relation, name: &TableName) {
        let table = workspace.project.table(name);
        let has_versions = |table: &Table| {
            matches!(
                table.kind,
                TableKind::StreamingTable | TableKind::MaterializedView
            )
        };
        if table.is_some_and(|table| !has_versions(table)) {
            let message = format!("`{name}` is no table whose rows change");
            let diagnostic = Diagnostic::error(codes::STREAM_OF_UPDATES, message)
                .at(relation.place, "its changes are read here")
                .help("table_changes takes a streaming table or a materialized view");
            self.diagnostics.push(diagnostic);
        }
    }

    /// The columns by which the rows of a table are told apart: its primary key, or those by which its flow replaces them;
    /// empty if there are none.
    pub(crate) fn key(&self, workspace: &Workspace, name: &TableName) -> Vec<String> {
        let declared = workspace.project.table(name);
        let declared = declared.map(|table| &table.primary_key);
        match (declared, self.updated.get(name)) {
            (Some(key), _) if !key.is_empty() => key.clone(),
            (_, Some(key)) => key.clone(),
            _ => Vec::new(),
        }
    }

    /// Notes the columns of the table of late rows: those of the streams.
    fn note_late(&mut self, table: &Table, flow: &Flow, planned: &Planned) {
        let relations = flow.query.relations.iter();
        let streams = relations.filter(|relation| relation.streaming);
        let bound = streams.filter_map(|relation| planned.bindings().get(&relation.binding));
        let schemas: Vec<SchemaRef> = bound.map(|bound| bound.provider.schema()).collect();
        if !table.streaming.keep_late || schemas.is_empty() {
            return;
        }
        let late = table.name.late();
        let before = self.schema(&late);
        match late_columns(before.iter().chain(&schemas)) {
            Ok(columns) => drop(self.known.insert(late.key(), Known::Stored(columns))),
            Err(column) => self.diagnostics.push(
                Diagnostic::error(
                    tidegate_project::codes::BAD_PROPERTY,
                    format!("late rows of streams whose columns `{column}` have different types cannot be kept in one table"),
                )
                .at(flow.query.place, "this query reads them")
                .help("leave out 'tidegate.late' = 'keep', or make the types the same"),
            ),
        }
    }

    /// Plans a flow over empty relations; none when it cannot be planned yet or has mistakes (which are noted).
    async fn plan_flow(
        &mut self,
        workspace: &Workspace,
        table: &Table,
        flow: &Flow,
    ) -> Result<Option<Planned>> {
        let Some(bindings) = self.empty_bindings(workspace, table, flow).await? else {
            return Ok(None);
        };
        match workspace
            .engine()?
            .plan(&flow.query, &bindings, workspace.files())
        {
            Ok(planned) => Ok(Some(planned)),
            Err(error) => match error.diagnostics() {
                Some(mistakes) => {
                    self.diagnostics.extend(mistakes.iter().cloned());
                    Ok(None)
                }
                None => Err(error.into()),
            },
        }
    }

    async fn empty_bindings(
        &mut self,
        workspace: &Workspace,
        table: &Table,
        flow: &Flow,
    ) -> Result<Option<Bindings>> {
        let mut bindings = Bindings::new();
        for relation in &flow.query.relations {
            let mut hidden = Vec::new();
            let live = match workspace.live(relation) {
                Ok(live) => live,
                Err(error) => {
                    self.note(error)?;
                    return Ok(None);
                }
            };
            if let Some((source, options)) = live {
                let declared = declared(workspace, table).filter(|_| selects_all(&flow.query));
                let own = match declared {
                    Some(declared) => declared,
                    None => {
                        let found = workspace
                            .discoveries
                            .of_records(workspace, &source, &options);
                        match found.await {
                            Ok(found) => options.schema_of(&found).as_ref().clone(),
                            Err(error) => {
                                tracing::warn!(%error, "the columns of records are not known");
                                return Ok(None);
                            }
                        }
                    }
                };
                if own.fields().is_empty() {
                    return Ok(None);
                }
                let (schema, own) = with_hidden(&own, metadata_fields_of(true));
                let hidden = hidden_of(&schema, own);
                let empty = Arc::new(EmptyTable::new(schema));
                bindings.bind_hiding(&relation.binding, empty, relation.describe(), hidden);
                continue;
            }
            let bound: Option<Arc<dyn TableProvider>> = match &relation.target {
                RelationTarget::Table { name, changes, .. } => match changes {
                    true => self.schema(name).map(|schema| {
                        let schema = change_schema(&schema);
                        Arc::new(EmptyTable::new(schema)) as Arc<dyn TableProvider>
                    }),
                    false => self.empty_table(name),
                },
                RelationTarget::Files {
                    path,
                    format,
                    options,
                    ..
                } => {
                    let options = match FileOptions::parse(format.as_deref(), options) {
                        Ok(options) => options,
                        Err(error) => {
                            self.note(error)?;
                            return Ok(None);
                        }
                    };
                    let declared = declared(workspace, table).filter(|_| selects_all(&flow.query));
                    match declared {
                        Some(declared) => Some(Arc::new(EmptyTable::new(Arc::new(declared)))),
                        None => {
                            let own = self
                                .columns_of_files(workspace, relation, path, &options)
                                .await?;
                            own.map(|own| {
                                let (schema, own) = with_hidden(&own, metadata_fields_of(false));
                                hidden = hidden_of(&schema, own);
                                Arc::new(EmptyTable::new(schema)) as Arc<dyn TableProvider>
                            })
                        }
                    }
                }
                RelationTarget::Records { .. } => None,
            };
            let Some(provider) = bound else {
                return Ok(None);
            };
            bindings.bind_hiding(&relation.binding, provider, relation.describe(), hidden);
        }
        Ok(Some(bindings))
    }

    fn empty_table(&self, name: &TableName) -> Option<Arc<dyn TableProvider>> {
        if let Some(schema) = system::schema(name) {
            return Some(Arc::new(EmptyTable::new(schema)));
        }
        match self.known.get(&name.key())? {
            Known::Stored(schema) => Some(Arc::new(EmptyTable::new(Arc::clone(schema)))),
            Known::View(planned) => Some(Arc::new(ViewTable::new(
                planned.logical_plan().clone(),
                None,
            ))),
            Known::Unseen => None,
        }
    }

    /// The columns that the files have, by their heads. Files that are not there yet are no mistake.
    async fn columns_of_files(
        &mut self,
        workspace: &Workspace,
        relation: &Relation,
        path: &str,
        options: &FileOptions,
    ) -> Result<Option<SchemaRef>> {
        match workspace
            .discoveries
            .of_path(&workspace.project.root, path, options)
            .await
        {
            Ok(discovered) => Ok(Some(options.schema_of(&discovered))),
            Err(PipelineError::Connect(error)) => {
                let diagnostic = Diagnostic::warning(codes::FILES_UNSEEN, error.to_string())
                    .at(relation.place, "these files cannot be looked at")
                    .help("columns that depend on them are not checked; declare the table's columns to check without files");
                self.diagnostics.push(diagnostic);
                Ok(None)
            }
            Err(other) => {
                self.note(other)?;
                Ok(None)
            }
        }
    }

    /// Keeps the diagnostics of an error that has some; gives any other error back.
    fn note(&mut self, error: PipelineError) -> Result<()> {
        match error {
            PipelineError::Diagnostics(diagnostics) => {
                self.diagnostics.extend(diagnostics);
                Ok(())
            }
            other => Err(other),
        }
    }

    /// Each flow must give every declared column that may not be NULL, and none that is not declared.
    fn compare(&mut self, table: &Table, declared: &Schema, outputs: &[(&Flow, SchemaRef)]) {
        for (flow, output) in outputs {
            let gives = |name: &str| {
                output
                    .fields()
                    .iter()
                    .any(|field| field.name().eq_ignore_ascii_case(name))
            };
            for column in table
                .columns
                .iter()
                .filter(|column| !column.nullable && !gives(&column.name))
            {
                let message = format!(
                    "flow `{}` does not give the column `{}`, which is NOT NULL",
                    flow.name, column.name
                );
                let diagnostic = Diagnostic::error(codes::COLUMN_NOT_GIVEN, message)
                    .at(flow.query.place, format!("it gives {}", names_of(output)))
                    .at(column.place, "declared here");
                self.diagnostics
                    .push(diagnostic.help("name a column of the query so, with AS"));
            }
            let unknown = output.fields().iter().filter(|field| {
                !declared
                    .fields()
                    .iter()
                    .any(|own| own.name().eq_ignore_ascii_case(field.name()))
            });
            for field in unknown {
                let message = format!(
                    "table `{}` does not declare the column `{}` of this query",
                    table.name,
                    field.name()
                );
                let diagnostic = Diagnostic::error(codes::COLUMN_NOT_DECLARED, message)
                    .at(flow.query.place, "given by this query")
                    .help(format!("the table declares {}", names_of(declared)));
                self.diagnostics.push(diagnostic);
            }
        }
    }

    /// The columns of several flows into one table: all of them, by name; a column that one flow lacks can be NULL.
    fn union(&mut self, outputs: &[(&Flow, SchemaRef)]) -> SchemaRef {
        let mut fields: Vec<Field> = Vec::new();
        for (index, (flow, output)) in outputs.iter().enumerate() {
            for field in output.fields() {
                let Some(own) = fields
                    .iter_mut()
                    .find(|own| own.name().eq_ignore_ascii_case(field.name()))
                else {
                    let nullable = field.is_nullable() || index > 0;
                    fields.push(field.as_ref().clone().with_nullable(nullable));
                    continue;
                };
                own.set_nullable(own.is_nullable() || field.is_nullable());
                match common_type(own.data_type(), field.data_type()) {
                    Some(common) => *own = own.clone().with_data_type(common),
                    None => {
                        let message = format!(
                            "flow `{}` gives `{}` as {}, another flow into the same table as {}",
                            flow.name,
                            field.name(),
                            field.data_type(),
                            own.data_type()
                        );
                        let diagnostic = Diagnostic::error(codes::FLOWS_DISAGREE, message)
                            .at(flow.query.place, "in this query")
                            .help("cast one of them");
                        self.diagnostics.push(diagnostic);
                    }
                }
            }
            for own in &mut fields {
                let given = output
                    .fields()
                    .iter()
                    .any(|field| field.name().eq_ignore_ascii_case(own.name()));
                own.set_nullable(own.is_nullable() || !given);
            }
        }
        Arc::new(Schema::new(fields.iter().map(storable).collect::<Vec<_>>()))
    }

    /// Compiles the expectations, so that their mistakes are told before anything runs.
    fn check_promises(
        &mut self,
        workspace: &Workspace,
        table: &Table,
        schema: &SchemaRef,
    ) -> Result<()> {
        if let Err(error) = coercion_of(table, &BTreeMap::new()) {
            self.note(error)?;
        }
        let judged = contract(table, schema).judging_schema();
        for expectation in &table.expectations {
            let compiled = workspace.engine()?.predicate(
                &expectation.expression,
                Arc::clone(&judged),
                workspace.files(),
            );
            if let Err(error) = compiled {
                self.note(error.into())?;
            }
        }
        Ok(())
    }
}

/// The declared columns, and the one for rescued fields where a flow reads files in the mode `rescue`.
fn declared(workspace: &Workspace, table: &Table) -> Option<Schema> {
    let schema = table.schema()?;
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    let flows = workspace.project.flows_into(&table.name);
    for relation in flows.flat_map(|flow| &flow.query.relations) {
        let RelationTarget::Files {
            format, options, ..
        } = &relation.target
        else {
            continue;
        };
        // Options with mistakes are told of where the flow is planned.
        let options = FileOptions::parse(format.as_deref(), options).ok();
        if let Some(rescued) = options.and_then(|options| options.rescued_field())
            && table.column(rescued.name()).is_none()
        {
            fields.push(Arc::new(rescued));
        }
    }
    Some(Schema::new(fields))
}

/// The contract of a table of these columns: as declared, or as its flows give them (any column may then be NULL).
pub(crate) fn contract(table: &Table, schema: &Schema) -> Contract {
    let columns: Vec<ContractColumn> = schema
        .fields()
        .iter()
        .map(|field| match table.column(field.name()) {
            Some(column) => {
                ContractColumn::new(&column.name, column.data_type.clone(), column.nullable)
            }
            None => ContractColumn::new(field.name(), field.data_type().clone(), true),
        })
        .collect();
    let position = |name: &String| {
        columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))
    };
    let key = table.primary_key.iter().filter_map(position).collect();
    Contract {
        columns,
        key,
        ..Contract::default()
    }
}

/// Whether the query is `SELECT * FROM one relation` and nothing else.
pub(crate) fn selects_all(query: &Query) -> bool {
    let (SetExpr::Select(select), None) = (query.ast.body.as_ref(), &query.ast.limit_clause) else {
        return false;
    };
    let [SelectItem::Wildcard(options)] = select.projection.as_slice() else {
        return false;
    };
    let plain = *options == sqlparser::ast::WildcardAdditionalOptions::default()
        || (options.opt_except.is_none()
            && options.opt_exclude.is_none()
            && options.opt_rename.is_none()
            && options.opt_replace.is_none()
            && options.opt_ilike.is_none());
    plain
        && query.relations.len() == 1
        && query.ast.with.is_none()
        && select.distinct.is_none()
        && select.selection.is_none()
        && select.qualify.is_none()
}

/// The type that holds the values of both.
fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    datafusion::logical_expr::type_coercion::binary::comparison_coercion(left, right)
}

/// The type as a table stores it: text and bytes as views, times in microseconds.
pub(crate) fn storable(field: &Field) -> Field {
    let data_type = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Null => DataType::Utf8View,
        DataType::Date64 => DataType::Date32,
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Timestamp(_, zone) => {
            let zone = zone.as_ref().map(|_| "UTC".into());
            DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zone)
        }
        DataType::Dictionary(_, value) => {
            return storable(&field.clone().with_data_type(value.as_ref().clone()));
        }
        other => other.clone(),
    };
    field.clone().with_data_type(data_type)
}

fn names_of(schema: &Schema) -> String {
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("`{}`", field.name()))
        .collect();
    names.join(", ")
}
