//! The gate itself: contract and expectations, checked once, and the three steps of a batch.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;

use crate::contract::Contract;
use crate::counts::Counts;
use crate::error::Result;
use crate::expectation::{GateExpectation, OnViolation};
use crate::incoming::Incoming;
use crate::keys::KeyIndex;
use crate::split::{Split, Stamp};
use crate::verdict::Judged;

/// What the gate does beyond the contract.
#[derive(Debug, Clone)]
pub struct GateOptions {
    /// What becomes of a row with NULL in a `NOT NULL` column; not `Keep`.
    pub on_null: OnViolation,
    /// What becomes of a row whose key is taken; not `Keep`.
    pub on_duplicate_key: OnViolation,
    /// Whether malformed rows are read in other ways, and taken if exactly one way fits.
    pub repair: bool,
    /// Whether a split names the line of every good row.
    pub positions: bool,
    /// Bytes of raw text kept of a quarantined row.
    pub raw_bytes_max: usize,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            on_null: OnViolation::Quarantine,
            on_duplicate_key: OnViolation::Quarantine,
            repair: false,
            positions: false,
            raw_bytes_max: 64 << 10,
        }
    }
}

/// A contract with its expectations, ready to judge batches on any thread.
#[derive(Debug)]
pub struct Gate {
    contract: Contract,
    schema: SchemaRef,
    judging_schema: SchemaRef,
    #[expect(dead_code, reason = "judged in the next commit")]
    expectations: Vec<GateExpectation>,
    #[expect(dead_code, reason = "judged in the next commit")]
    options: GateOptions,
}

impl Gate {
    /// Checks that contract, expectations and options fit together.
    ///
    /// # Errors
    /// When they do not: a column named twice or not there, a type the gate cannot make, a key of a
    /// nested type, or options that contradict the promise.
    pub fn new(
        contract: Contract,
        expectations: Vec<GateExpectation>,
        options: GateOptions,
    ) -> Result<Self> {
        let (schema, judging_schema) = (contract.schema(), contract.judging_schema());
        Ok(Self { contract, schema, judging_schema, expectations, options })
    }

    /// The contract.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The schema of good rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Coerces a batch and evaluates every promise but the key on it. May run on any thread.
    ///
    /// # Errors
    /// When the batch contradicts itself or an Arrow kernel refuses; never for a bad row.
    pub fn judge(&self, incoming: Incoming) -> Result<Judged> {
        let rows = incoming.columns.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.contract.columns.len());
        for column in &self.contract.columns {
            let schema = incoming.columns.schema();
            let found = schema
                .fields()
                .iter()
                .position(|field| field.name().eq_ignore_ascii_case(&column.name));
            columns.push(match found {
                Some(index) => {
                    arrow::compute::cast(incoming.columns.column(index), &column.data_type)?
                }
                None => new_null_array(&column.data_type, rows),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let coerced = RecordBatch::try_new_with_options(
            Arc::clone(&self.judging_schema),
            columns,
            &options,
        )?;
        Ok(Judged { coerced, rows_in: incoming.rows(), source: incoming.source, first_line: 0 })
    }

    /// An index of keys takes in the rows that are in the table already: finds the key columns of
    /// `batch` by name and converts them to the contract's types. Gives the number of new keys.
    ///
    /// # Errors
    /// When a key column is missing or of a type that cannot be converted, or when the temporary
    /// folder fails.
    pub fn preload_keys(&self, keys: &mut KeyIndex, batch: &RecordBatch) -> Result<u64> {
        keys.insert_existing(batch)
    }

    /// Lets the keys of otherwise admitted rows into the index, and marks the rows whose key is
    /// taken. Batches must come in the order of the rows. Without a key it only settles repairs.
    ///
    /// # Errors
    /// When the temporary folder fails.
    pub fn admit_keys(&self, _keys: &mut KeyIndex, _judged: &mut Judged) -> Result<()> {
        Ok(())
    }

    /// Parts the rows. May run on any thread; a contract with a key needs [`Gate::admit_keys`] first.
    ///
    /// # Errors
    /// When keys were not admitted or an Arrow kernel refuses.
    pub fn split(&self, judged: Judged, _stamp: &Stamp) -> Result<Split> {
        let good = judged.coerced.with_schema(Arc::clone(&self.schema))?;
        let rows_in = judged.rows_in as u64;
        let counts = Counts { rows_in, good: good.num_rows() as u64, ..Counts::default() };
        Ok(Split { good, good_line: None, quarantined: None, counts, fail: None })
    }
}
