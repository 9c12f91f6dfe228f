//! Files as a table: what a query, a materialized view or a profile sees of `read_files(…)`.
//!
//! A [`FileTable`] has the files' own columns and two that `*` does not give: [`METADATA`], for queries that ask where a
//! row is from, and [`POSITION`], which an update carries through a query. Only the columns that a query names are
//! decoded; [`crate::files`] reads them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::StreamingTableExec;
use tidegate_connect::live::{LiveReading, live_metadata_fields};
use tidegate_connect::{
    Discovered, Format, ReadOptions, Reading, SchemaEvolutionMode, Slice, metadata_fields,
};
use tidegate_gate::{Contract, ContractColumn, Gate, GateOptions, Stamp};

use tokio::runtime::Handle;

use crate::catalog::storable;
use crate::discovery::{FileOptions, repair_layout};
use crate::error::{PipelineError, Result};
use crate::events::Meter;
use crate::files::{
    FilePartition, FileScan, Given, RAW, ROW_METADATA, Rejects, loads, position_fields,
};
use crate::parquet;
use crate::records::RecordsOrigin;
use crate::rows::{CancelToken, Load, Shape};

/// The hidden column that carries each row's place through a query.
pub(crate) const POSITION: &str = "__tidegate_position";

/// The hidden column that says which file a row is from, and where it stood there.
pub(crate) const METADATA: &str = "_metadata";

/// Files or records of a relation, understood.
#[derive(Debug, Clone)]
pub(crate) struct LeafFiles {
    pub(crate) options: FileOptions,
    pub(crate) discovered: Arc<Discovered>,
    pub(crate) origin: Origin,
}

/// Where rows come from that are decoded.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Parts of files.
    Slices(Arc<Vec<Slice>>),
    /// A live source.
    Records(RecordsOrigin),
}

impl LeafFiles {
    /// The parts of files; none for a live source.
    pub(crate) fn slices(&self) -> &[Slice] {
        match &self.origin {
            Origin::Slices(slices) => slices,
            Origin::Records(_) => &[],
        }
    }

    /// What `_metadata` is made of.
    pub(crate) fn metadata_fields(&self) -> Fields {
        metadata_fields_of(self.options.live.is_some())
    }

    /// Its rows as loads, with these columns.
    pub(crate) fn loads(
        &self,
        wanted: &[String],
        read: Arc<ReadOptions>,
        shape: Arc<Shape>,
        meter: Arc<Meter>,
        handle: Handle,
    ) -> Box<dyn Iterator<Item = Result<Load>> + Send> {
        let discovered = Arc::clone(&self.discovered);
        match &self.origin {
            Origin::Slices(slices) => {
                let reading = Arc::new(Reading::new(discovered, read, Some(wanted)));
                Box::new(loads(reading, Arc::clone(slices), shape, meter, handle))
            }
            Origin::Records(origin) => {
                let reading = LiveReading::new(
                    origin.kind,
                    origin.format,
                    discovered,
                    read,
                    Some(wanted),
                    origin.codec.clone(),
                );
                Box::new(origin.clone().loads(reading, shape, meter))
            }
        }
    }
}

/// What `_metadata` of records, or of files, is made of.
pub(crate) fn metadata_fields_of(records: bool) -> Fields {
    match records {
        true => live_metadata_fields(),
        false => metadata_fields(),
    }
}

/// In which types the columns of files are given to a query.
#[derive(Debug, Clone)]
pub(crate) enum ScanTypes {
    /// As discovered.
    Discovered,
    /// As written: text, but for formats that have types of their own.
    Written,
    /// As the columns of the same name are here; others as written.
    Of(SchemaRef),
}

impl ScanTypes {
    fn of(&self, field: &Field, typed: bool) -> Field {
        let written = if typed {
            field.clone()
        } else {
            field.clone().with_data_type(DataType::Utf8View)
        };
        match self {
            Self::Discovered => field.clone(),
            Self::Written => written,
            Self::Of(schema) => {
                let known = schema
                    .fields()
                    .iter()
                    .find(|known| known.name().eq_ignore_ascii_case(field.name()));
                known.map_or(written, |known| {
                    field.clone().with_data_type(known.data_type().clone())
                })
            }
        }
    }
}

/// How the files of a query are scanned.
#[derive(Debug, Clone)]
pub(crate) struct ScanContext {
    pub(crate) stamp: Arc<Stamp>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) rejects: Arc<Rejects>,
    pub(crate) types: ScanTypes,
    pub(crate) workers: usize,
    pub(crate) cancel: CancelToken,
}

/// The columns of files with those that can be named but are no part of `*`, and how many are the files' own.
pub(crate) fn with_hidden(own: &Schema, metadata: Fields) -> (SchemaRef, usize) {
    let hidden = [
        Field::new(METADATA, DataType::Struct(metadata), true),
        Field::new(POSITION, DataType::Struct(position_fields()), true),
    ];
    let clashes = |field: &Field| own.fields().iter().any(|own| own.name() == field.name());
    let hidden = hidden.into_iter().filter(|field| !clashes(field));
    let all = own.fields().iter().cloned().chain(hidden.map(Arc::new));
    (
        Arc::new(Schema::new(all.collect::<Vec<_>>())),
        own.fields().len(),
    )
}

/// Files as a table of a query.
#[derive(Debug)]
pub(crate) struct FileTable {
    context: ScanContext,
    files: LeafFiles,
    schema: SchemaRef,
    /// How many columns of the schema are the files' own; the hidden ones come behind them.
    own: usize,
}

impl FileTable {
    /// The files as a table of their own columns and the hidden ones.
    pub(crate) fn new(files: LeafFiles, context: ScanContext) -> Self {
        let typed = matches!(files.discovered.format, Format::Parquet | Format::Avro);
        let discovered = files.options.schema_of(&files.discovered);
        let own = discovered
            .fields()
            .iter()
            .map(|field| storable(&context.types.of(field, typed)).with_nullable(true));
        let metadata = files.metadata_fields();
        let (schema, own) = with_hidden(&Schema::new(own.collect::<Vec<_>>()), metadata);
        Self {
            context,
            files,
            schema,
            own,
        }
    }

    /// The files' own columns, by number.
    pub(crate) fn own_columns(&self) -> Vec<usize> {
        (0..self.own).collect()
    }

    /// Whether its rows are records of a live source.
    pub(crate) fn is_live(&self) -> bool {
        self.files.options.live.is_some()
    }

    /// The names of the columns that `*` does not give.
    pub(crate) fn hidden(&self) -> Vec<String> {
        hidden_of(&self.schema, self.own)
    }

    /// What reads these columns of the table, in this order.
    ///
    /// # Errors
    /// When the columns' types cannot be a contract.
    pub(crate) fn partition(&self, columns: &[usize]) -> Result<FilePartition> {
        let mut wanted: Vec<usize> = match self.files.options.read.evolution {
            // What nobody declared is only known where all that was declared is read.
            Some(SchemaEvolutionMode::Rescue | SchemaEvolutionMode::FailOnNewColumns) => {
                self.own_columns()
            }
            _ => columns
                .iter()
                .copied()
                .filter(|&index| index < self.own)
                .collect(),
        };
        if wanted.is_empty() {
            wanted.extend((self.own > 0).then_some(0)); // rows are counted by a column
        }
        let places: HashMap<usize, usize> = wanted
            .iter()
            .enumerate()
            .map(|(at, &index)| (index, at))
            .collect();
        let given = |index: &usize| match places.get(index) {
            Some(&at) => Given::Own(at),
            None if self.schema.field(*index).name() == POSITION => Given::Position,
            None => Given::Metadata,
        };
        let given: Vec<Given> = columns.iter().map(given).collect();
        let mut carried = Vec::new();
        if given.contains(&Given::Position) {
            carried.push(ContractColumn::new(RAW, DataType::Utf8View, true));
        }
        if given.contains(&Given::Metadata) && self.files.options.live.is_some() {
            let data_type = DataType::Struct(self.files.metadata_fields());
            carried.push(ContractColumn::new(ROW_METADATA, data_type, true));
        }
        let names = wanted
            .iter()
            .map(|&index| self.schema.field(index).name().clone());
        let scan = FileScan {
            files: self.files.clone(),
            wanted: names.collect(),
            read: self.read_options(),
            shape: Arc::new(Shape {
                layout: repair_layout(&self.files.discovered, &self.files.options),
                names: None,
            }),
            gate: Arc::new(self.gate(&wanted, carried, given.iter().any(Given::has_line))?),
            stamp: Arc::clone(&self.context.stamp),
            meter: Arc::clone(&self.context.meter),
            cancel: self.context.cancel.clone(),
            workers: self.context.workers,
            given: given.into(),
            rejects: Arc::clone(&self.context.rejects),
        };
        let schema = Arc::new(self.schema.project(columns)?);
        Ok(FilePartition { schema, scan })
    }

    fn read_options(&self) -> Arc<ReadOptions> {
        let read = &self.files.options.read;
        match read.evolution {
            Some(SchemaEvolutionMode::Rescue | SchemaEvolutionMode::FailOnNewColumns) => {
                Arc::clone(read)
            }
            // The columns are settled: what else there is is passed over.
            _ => Arc::new(ReadOptions {
                evolution: Some(SchemaEvolutionMode::None),
                ..ReadOptions::clone(read)
            }),
        }
    }

    /// A gate that asks for nothing but the columns' types.
    fn gate(
        &self,
        wanted: &[usize],
        carried: Vec<ContractColumn>,
        with_lines: bool,
    ) -> Result<Gate> {
        let mut columns: Vec<ContractColumn> = wanted
            .iter()
            .map(|&index| self.schema.field(index))
            .map(|field| ContractColumn::new(field.name(), field.data_type().clone(), true))
            .collect();
        columns.extend(carried);
        let contract = Contract {
            columns,
            key: Vec::new(),
            coercion: self.files.options.coercion.clone(),
        };
        let options = GateOptions {
            repair: self.files.options.repair,
            positions: with_lines,
            ..GateOptions::default()
        };
        Ok(Gate::new(contract, Vec::new(), options)?)
    }
}

/// The names of the columns behind the first `own` ones.
pub(crate) fn hidden_of(schema: &Schema, own: usize) -> Vec<String> {
    let hidden = schema.fields().iter().skip(own);
    hidden.map(|field| field.name().clone()).collect()
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters are used for what they can leave unread; the rows are filtered again behind the scan.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.schema.fields().len()).collect();
        let columns = projection.cloned().unwrap_or_else(all);
        if columns.iter().all(|&index| index < self.own) {
            let own = Arc::new(self.schema.project(&self.own_columns())?);
            let native = parquet::table(&self.files, &own, session)
                .await
                .map_err(PipelineError::into_datafusion)?;
            if let Some(table) = native {
                return table.scan(session, Some(&columns), filters, limit).await;
            }
        }
        let partition = self
            .partition(&columns)
            .map_err(PipelineError::into_datafusion)?;
        let schema = Arc::clone(&partition.schema);
        let plan = StreamingTableExec::try_new(
            schema,
            vec![Arc::new(partition)],
            None,
            Vec::new(),
            false,
            limit,
        )?;
        Ok(Arc::new(plan))
    }
}
