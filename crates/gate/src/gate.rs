//! The gate itself: contract and expectations, checked once, and the three steps of a batch.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::util::display::array_value_to_string;
use tidegate_project::OnViolation;

use crate::admit::admit;
use crate::coerce::{coerce_column, type_name};
use crate::contract::{Contract, field_named};
use crate::counts::{ReasonKey, ReasonKind};
use crate::error::{GateError, Result};
use crate::expectation::GateExpectation;
use crate::incoming::Incoming;
use crate::keys::{KeyIndex, hash_keys, is_key_type};
use crate::split::{Split, Stamp, split};
use crate::verdict::{Judged, judge};

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
    expectations: Vec<GateExpectation>,
    options: GateOptions,
    reason_keys: ReasonKeys,
}

impl Gate {
    /// Checks that contract, expectations and options fit together.
    ///
    /// # Errors
    /// When they do not: a column named twice or not there, a key of a type that has no equality, or
    /// options that contradict the promise.
    pub fn new(
        contract: Contract,
        expectations: Vec<GateExpectation>,
        options: GateOptions,
    ) -> Result<Self> {
        check(&contract, &expectations, &options)?;
        let reason_keys = ReasonKeys::new(&contract, &expectations);
        let (schema, judging_schema) = (contract.schema(), contract.judging_schema());
        Ok(Self {
            contract,
            schema,
            judging_schema,
            expectations,
            options,
            reason_keys,
        })
    }

    /// The contract.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The expectations.
    pub fn expectations(&self) -> &[GateExpectation] {
        &self.expectations
    }

    /// The options.
    pub fn options(&self) -> &GateOptions {
        &self.options
    }

    /// The schema of good rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The schema that expectations are evaluated on; see [`Contract::judging_schema`].
    pub fn judging_schema(&self) -> &SchemaRef {
        &self.judging_schema
    }

    pub(crate) fn reason_keys(&self) -> &ReasonKeys {
        &self.reason_keys
    }

    /// Coerces a batch and evaluates every promise but the key on it. May run on any thread.
    ///
    /// # Errors
    /// When the batch contradicts itself, an expectation fails whatever the row, or an Arrow kernel
    /// refuses; never for a bad row.
    pub fn judge(&self, incoming: Incoming) -> Result<Judged> {
        judge(self, incoming)
    }

    /// An index of keys takes in the rows that are in the table already: finds the key columns of
    /// `batch` by name and converts them to the contract's types. Gives the number of new keys.
    ///
    /// # Errors
    /// When a key column is missing or has a value that cannot be converted, or when the temporary
    /// folder fails.
    pub fn preload_keys(&self, keys: &mut KeyIndex, batch: &RecordBatch) -> Result<u64> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.contract.key.len());
        for place in &self.contract.key {
            let column = &self.contract.columns[*place];
            let schema = batch.schema();
            let found = field_named(schema.fields(), &column.name, *place);
            let found = found.ok_or_else(|| GateError::MissingKeyColumn(column.name.clone()))?;
            let array = batch.column(found);
            let coerced = coerce_column(array, &column.data_type, &self.contract.coercion)?;
            if let Some(failure) = coerced.failures.first() {
                let value = array_value_to_string(array, failure.row as usize)?;
                let message = failure.problem.message(&value, &column.data_type);
                return Err(GateError::KeyConversion {
                    column: column.name.clone(),
                    message,
                });
            }
            columns.push(coerced.array);
        }
        keys.insert_hashes(&hash_keys(&columns, batch.num_rows()))
    }

    /// Lets the keys of otherwise admitted rows into the index, and marks the rows whose key is
    /// taken. Batches must come in the order of the rows. A row that goes elsewhere for another
    /// reason occupies no key; it is only said if its key is taken. Also settles repairs.
    ///
    /// # Errors
    /// When the temporary folder fails.
    pub fn admit_keys(&self, keys: &mut KeyIndex, judged: &mut Judged) -> Result<()> {
        admit(self, Some(keys), judged)
    }

    /// Parts the rows. May run on any thread; a contract with a key needs [`Gate::admit_keys`] first.
    ///
    /// # Errors
    /// When keys were not admitted or an Arrow kernel refuses.
    pub fn split(&self, judged: Judged, stamp: &Stamp) -> Result<Split> {
        split(self, judged, stamp)
    }
}

fn check(
    contract: &Contract,
    expectations: &[GateExpectation],
    options: &GateOptions,
) -> Result<()> {
    if options.on_null == OnViolation::Keep {
        return Err(GateError::CannotKeep("NOT NULL"));
    }
    if options.on_duplicate_key == OnViolation::Keep {
        return Err(GateError::CannotKeep("the key"));
    }
    let columns = contract.columns.len();
    let mut names: Vec<String> = contract
        .columns
        .iter()
        .map(|column| column.name.to_lowercase())
        .collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(GateError::DuplicateColumn(pair[0].clone()));
    }
    for place in &contract.key {
        let Some(column) = contract.columns.get(*place) else {
            return Err(GateError::ColumnIndex {
                what: "the key".into(),
                index: *place,
                columns,
            });
        };
        if !is_key_type(&column.data_type) {
            return Err(GateError::KeyType {
                column: column.name.clone(),
                type_name: type_name(&column.data_type),
            });
        }
    }
    for expectation in expectations {
        if let Some(index) = expectation.columns.iter().find(|place| **place >= columns) {
            let what = format!("expectation `{}`", expectation.name);
            return Err(GateError::ColumnIndex {
                what,
                index: *index,
                columns,
            });
        }
    }
    Ok(())
}

/// The names that rows are counted and quarantined by, made once.
#[derive(Debug)]
pub(crate) struct ReasonKeys {
    pub(crate) malformed: ReasonKey,
    pub(crate) future: ReasonKey,
    /// By column.
    pub(crate) types: Vec<(usize, ReasonKey)>,
    /// By column, for those that are `NOT NULL`.
    pub(crate) not_null: Vec<(usize, ReasonKey)>,
    pub(crate) duplicate_key: Option<ReasonKey>,
    /// By expectation.
    pub(crate) expectations: Vec<ReasonKey>,
}

impl ReasonKeys {
    fn new(contract: &Contract, expectations: &[GateExpectation]) -> Self {
        let own = |kind: ReasonKind, column: Option<Arc<str>>| ReasonKey {
            kind,
            constraint: Arc::from(kind.as_str()),
            column,
        };
        let name = |place: usize| Some(Arc::from(contract.columns[place].name.as_str()));
        let joined = |places: &[usize]| {
            let names: Vec<&str> = places
                .iter()
                .map(|place| contract.columns[*place].name.as_str())
                .collect();
            (!names.is_empty()).then(|| Arc::from(names.join(", ")))
        };
        let places = 0..contract.columns.len();
        Self {
            malformed: own(ReasonKind::Malformed, None),
            future: own(ReasonKind::Future, None),
            types: places
                .clone()
                .map(|place| (place, own(ReasonKind::Type, name(place))))
                .collect(),
            not_null: places
                .filter(|place| !contract.is_nullable(*place))
                .map(|place| (place, own(ReasonKind::NotNull, name(place))))
                .collect(),
            duplicate_key: (!contract.key.is_empty())
                .then(|| own(ReasonKind::DuplicateKey, joined(&contract.key))),
            expectations: expectations
                .iter()
                .map(|expectation| ReasonKey {
                    kind: ReasonKind::Expectation,
                    constraint: Arc::clone(&expectation.name),
                    column: joined(&expectation.columns),
                })
                .collect(),
        }
    }

    /// The name of a column's type failures.
    pub(crate) fn type_of(&self, column: usize) -> &ReasonKey {
        self.types
            .get(column)
            .map_or(&self.malformed, |(_, key)| key)
    }

    /// The name of a column's `NOT NULL` failures.
    pub(crate) fn not_null_of(&self, column: usize) -> &ReasonKey {
        let found = self.not_null.iter().find(|(place, _)| *place == column);
        found.map_or(&self.malformed, |(_, key)| key)
    }

    /// The name of the key's failures.
    pub(crate) fn duplicate(&self) -> &ReasonKey {
        self.duplicate_key.as_ref().unwrap_or(&self.malformed)
    }
}
