//! Values in Avro: with the id of their schema in a Schema Registry before them, or all by one schema that is given.
//! Each is decoded by the schema it was written with; columns that only other schemas have are NULL.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Field, Fields};
use bytes::Bytes;
use parking_lot::Mutex;

use super::LiveOptions;
use super::codec::Codec;
use super::fetched::Fetched;
use super::reading::NO_VALUE;
use super::registry::{Registered, Registry, unframe};
use crate::batch::{Malformed, MalformedKind};
use crate::error::{ConnectError, Result};
use crate::formats::avro::records::Records;
use crate::formats::typed::{self, contract_type, to_contract, written};

/// Decodes Avro.
pub struct AvroCodec {
    schemas: Schemas,
    known: Mutex<BTreeMap<u32, Option<Arc<Records>>>>,
}

/// Where schemas are.
enum Schemas {
    Registry(Arc<Registry>),
    Given(Arc<Records>),
}

impl AvroCodec {
    /// As the options `schemaRegistry`, `avroSchema` or `schemaFile` say.
    ///
    /// # Errors
    /// If none is given, the file cannot be read, or the schema is none.
    pub fn new(options: &LiveOptions) -> Result<Self> {
        let schemas = match (given(options)?, &options.registry) {
            (Some(text), _) => Schemas::Given(Arc::new(parse("the Avro schema", &text)?)),
            (None, Some(address)) => Schemas::Registry(Arc::new(Registry::new(address, options)?)),
            (None, None) => return Err(no_schema()),
        };
        Ok(Self {
            schemas,
            known: Mutex::default(),
        })
    }

    /// The schema of an id; `None` if there is none, or it is none of Avro.
    fn of(&self, registry: &Registry, id: u32) -> Result<Option<Arc<Records>>> {
        if let Some(known) = self.known.lock().get(&id) {
            return Ok(known.clone());
        }
        let found = registry.schema(id)?;
        let Some(found) = found else {
            // It may be there later.
            return Ok(None);
        };
        let records = match found.kind.as_str() {
            "AVRO" => Some(Arc::new(parse(
                &format!("the schema {id}"),
                &with_references(&found),
            )?)),
            _ => None,
        };
        self.known.lock().insert(id, records.clone());
        Ok(records)
    }
}

/// The text of the schema that the options give.
pub(super) fn given(options: &LiveOptions) -> Result<Option<String>> {
    match (&options.avro_schema, &options.schema_file) {
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path);
            Ok(Some(text.map_err(|error| {
                ConnectError::from_io(path.clone(), error)
            })?))
        }
        (None, None) => Ok(None),
    }
}

/// The options give no schema.
pub(super) fn no_schema() -> ConnectError {
    ConnectError::Live {
        source_name: "the format avro".to_owned(),
        message: "there is no schema".to_owned(),
        help: "say schemaRegistry => 'http://…', schemaFile => '….avsc' or avroSchema => '{…}'"
            .to_owned(),
    }
}

pub(super) fn parse(name: &str, text: &str) -> Result<Records> {
    Records::parse(text).map_err(|message| ConnectError::Live {
        source_name: name.to_owned(),
        message: format!("it is not understood: {message}"),
        help: "it must be a record of Avro".to_owned(),
    })
}

/// A schema whose named types of other subjects are declared where they are used first.
fn with_references(found: &Registered) -> String {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(&found.text) else {
        return found.text.clone();
    };
    for (name, text) in &found.references {
        if let Ok(declaration) = serde_json::from_str(text) {
            declare(&mut value, name, &declaration);
        }
    }
    value.to_string()
}

/// Puts a declaration where its name is used first.
fn declare(value: &mut serde_json::Value, name: &str, declaration: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(used) if used == name => {
            *value = declaration.clone();
            true
        }
        serde_json::Value::Array(branches) => branches
            .iter_mut()
            .any(|branch| declare(branch, name, declaration)),
        serde_json::Value::Object(object) => {
            ["type", "items", "values", "fields"]
                .iter()
                .any(|key| match object.get_mut(*key) {
                    Some(inner) => declare(inner, name, declaration),
                    None => false,
                })
        }
        _ => false,
    }
}

/// Values of one schema: where they stand among the records, and their bytes.
#[derive(Default)]
struct Group {
    rows: Vec<u32>,
    bytes: Vec<u8>,
}

impl Codec for AvroCodec {
    fn columns(&self, sample: &[Fetched]) -> Result<Fields> {
        let records = match &self.schemas {
            Schemas::Given(records) => Arc::clone(records),
            Schemas::Registry(registry) => {
                let Some(records) = self.newest(registry, sample)? else {
                    return Ok(Fields::empty());
                };
                records
            }
        };
        let column = |field: &Arc<Field>| {
            let kind = contract_type(field.data_type());
            Field::new(field.name(), kind, field.is_nullable())
        };
        Ok(records.columns().fields().iter().map(column).collect())
    }

    fn decode(&self, source: &str, fetched: &Fetched) -> Result<(Vec<String>, typed::Rows)> {
        let mut groups: BTreeMap<u32, (Arc<Records>, Group)> = BTreeMap::new();
        let mut malformed = Vec::new();
        for row in 0..fetched.rows() {
            let value = fetched.values.get(row);
            match self.find(value)? {
                Ok((id, records, body)) => {
                    let (_, group) = groups
                        .entry(id)
                        .or_insert_with(|| (records, Group::default()));
                    group.rows.push(row as u32);
                    group.bytes.extend_from_slice(body);
                }
                Err(message) => malformed.push(Malformed {
                    line: row as u64,
                    raw: Bytes::copy_from_slice(value.unwrap_or_default()),
                    kind: MalformedKind::Undecodable,
                    message,
                }),
            }
        }
        let mut batches = Vec::with_capacity(groups.len());
        for (records, group) in groups.into_values() {
            let batch = records.decode(source, group.rows.len(), &group.bytes)?;
            batches.push((group.rows, batch));
        }
        merge(source, batches, malformed)
    }
}

/// The schema of a value with the body that it says what is in, or what is wrong with the value.
type Found<'a> = std::result::Result<(u32, Arc<Records>, &'a [u8]), String>;

impl AvroCodec {
    fn newest(&self, registry: &Registry, sample: &[Fetched]) -> Result<Option<Arc<Records>>> {
        if let Some(topic) = sample.first().map(|fetched| &fetched.topic)
            && let Some((_, found)) = registry.newest(&format!("{topic}-value"))?
            && found.kind == "AVRO"
        {
            let text = with_references(&found);
            return parse("the newest schema", &text).map(|records| Some(Arc::new(records)));
        }
        // Named otherwise: what the records themselves say.
        for fetched in sample {
            for row in (0..fetched.rows()).rev() {
                let id = fetched
                    .values
                    .get(row)
                    .and_then(|value| unframe(value).ok());
                if let Some((id, _)) = id
                    && let Some(records) = self.of(registry, id)?
                {
                    return Ok(Some(records));
                }
            }
        }
        Ok(None)
    }

    fn find<'a>(&self, value: Option<&'a [u8]>) -> Result<Found<'a>> {
        let Some(value) = value else {
            return Ok(Err(NO_VALUE.to_owned()));
        };
        let (id, records, body) = match &self.schemas {
            Schemas::Given(records) => (0, Arc::clone(records), value),
            Schemas::Registry(registry) => {
                let (id, body) = match unframe(value) {
                    Ok(found) => found,
                    Err(message) => return Ok(Err(message)),
                };
                match self.of(registry, id)? {
                    Some(records) => (id, records, body),
                    None => {
                        return Ok(Err(format!(
                            "the Schema Registry has no Avro schema with the id {id}"
                        )));
                    }
                }
            }
        };
        Ok(match records.check(body) {
            Ok(()) => Ok((id, records, body)),
            Err(message) => Err(message),
        })
    }
}

/// Rows of several schemas as one batch, in the order of the records.
pub(super) fn merge(
    source: &str,
    batches: Vec<(Vec<u32>, RecordBatch)>,
    malformed: Vec<Malformed>,
) -> Result<(Vec<String>, typed::Rows)> {
    let fail = |error| ConnectError::Arrow {
        path: source.to_owned(),
        source: error,
    };
    let mut names: Vec<String> = Vec::new();
    for (_, batch) in &batches {
        for field in batch.schema_ref().fields() {
            if !names.contains(field.name()) {
                names.push(field.name().clone());
            }
        }
    }
    let rows: Vec<u32> = batches.iter().flat_map(|(rows, _)| rows.clone()).collect();
    let order = (batches.len() > 1).then(|| {
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_by_key(|&at| rows[at as usize]);
        UInt32Array::from(order)
    });
    let mut columns = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let column = joined(name, &batches).map_err(fail)?;
        let column = match &order {
            Some(order) => take(&column, order, None).map_err(fail)?,
            None => column,
        };
        columns.push((at, column));
    }
    let line = match &order {
        Some(order) => order.values().iter().map(|&at| rows[at as usize]).collect(),
        None => rows,
    };
    let rows = typed::Rows {
        columns,
        line,
        malformed,
    };
    Ok((names, rows))
}

/// A column of several batches. Where they disagree about its type, it is text.
fn joined(
    name: &str,
    batches: &[(Vec<u32>, RecordBatch)],
) -> Result<ArrayRef, arrow::error::ArrowError> {
    let mut parts: Vec<Option<ArrayRef>> = Vec::with_capacity(batches.len());
    for (_, batch) in batches {
        let column = batch.column_by_name(name);
        parts.push(column.map(to_contract).transpose()?);
    }
    let mut kinds = parts.iter().flatten().map(|part| part.data_type().clone());
    let first = kinds.next();
    let same = kinds.all(|kind| Some(kind) == first);
    if !same {
        for part in parts.iter_mut().flatten() {
            *part = written(part)?;
        }
    }
    let kind = parts
        .iter()
        .flatten()
        .map(|part| part.data_type().clone())
        .next();
    let kind = kind.unwrap_or(arrow::datatypes::DataType::Null);
    let parts: Vec<ArrayRef> = parts
        .into_iter()
        .zip(batches)
        .map(|(part, (rows, _))| part.unwrap_or_else(|| new_null_array(&kind, rows.len())))
        .collect();
    match parts.as_slice() {
        [one] => Ok(Arc::clone(one)),
        many => {
            let many: Vec<&dyn Array> = many.iter().map(AsRef::as_ref).collect();
            concat(&many)
        }
    }
}
