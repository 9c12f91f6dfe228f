//! Values of a sink in Avro: with the id of their schema in a Schema Registry before them, or all by one schema that is
//! given. Without one, the schema is made of the columns and registered.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Schema, SchemaRef};
use arrow_avro::schema::{AvroSchema, FingerprintStrategy, SCHEMA_METADATA_KEY};
use arrow_avro::writer::format::{AvroBinaryFormat, AvroSoeFormat};
use arrow_avro::writer::{Encoder, WriterBuilder};

use super::avro::{given, no_schema, parse};
use super::registry::Registry;
use super::{LiveOptions, Strings, ValueEncoder};
use crate::error::{ConnectError, Result};
use crate::formats::avro::records::Records;

/// Writes values in Avro.
pub struct AvroEncoder {
    /// The registry, and the subject there.
    registry: Option<(Registry, String)>,
    given: Option<Given>,
    /// The schema of the last rows, with its encoder.
    last: Option<(SchemaRef, Encoder)>,
}

/// A schema that the options give.
struct Given {
    text: String,
    records: Records,
}

impl AvroEncoder {
    /// As the options `schemaRegistry`, `avroSchema` and `schemaFile` say, for the values of `topic`.
    ///
    /// # Errors
    /// If none is given, the file cannot be read, the schema is none, or the address is none.
    pub fn new(options: &LiveOptions, topic: &str) -> Result<Self> {
        let text = given(options)?;
        let registry = options.registry.as_deref().map(|address| {
            let registry = Registry::new(address, options)?;
            Ok::<_, ConnectError>((registry, format!("{topic}-value")))
        });
        if text.is_none() && registry.is_none() {
            return Err(no_schema());
        }
        let given = text.map(|text| {
            let records = parse("the Avro schema", &text)?;
            Ok::<_, ConnectError>(Given { text, records })
        });
        Ok(Self {
            registry: registry.transpose()?,
            given: given.transpose()?,
            last: None,
        })
    }

    /// The encoder of rows of this schema.
    fn prepare(&mut self, schema: &SchemaRef, sink: &str) -> Result<&mut Encoder> {
        if self.last.as_ref().is_none_or(|(last, _)| last != schema) {
            let text = match &self.given {
                Some(given) => given.text.clone(),
                None => {
                    AvroSchema::try_from(schema.as_ref())
                        .map_err(|error| unfit(sink, &error))?
                        .json_string
                }
            };
            let id = match &self.registry {
                Some((registry, subject)) => Some(registry.register(subject, "AVRO", &text)?),
                None => None,
            };
            let metadata = [(SCHEMA_METADATA_KEY.to_owned(), text)];
            let own = Schema::new_with_metadata(schema.fields().clone(), metadata.into());
            let builder = WriterBuilder::new(own);
            let encoder = match id {
                Some(id) => builder
                    .with_fingerprint_strategy(FingerprintStrategy::Id(id))
                    .build_encoder::<AvroSoeFormat>(),
                None => builder.build_encoder::<AvroBinaryFormat>(),
            };
            let encoder = encoder.map_err(|error| unfit(sink, &error))?;
            self.last = Some((Arc::clone(schema), encoder));
        }
        let last = self.last.as_mut().map(|(_, encoder)| encoder);
        last.ok_or(ConnectError::Machinery {
            what: "a sink of Avro has no encoder",
        })
    }
}

impl Given {
    /// Rows in the types of the schema.
    fn fit(&self, rows: &RecordBatch, sink: &str) -> Result<RecordBatch> {
        let wanted = self.records.columns();
        let schema = rows.schema();
        let names = schema.fields().iter().map(|field| field.name());
        let missing = names.filter(|name| wanted.index_of(name).is_err());
        let missing: Vec<String> = missing.cloned().collect();
        if !missing.is_empty() {
            return Err(ConnectError::NoFields {
                sink: sink.to_owned(),
                schema: "the Avro schema".to_owned(),
                columns: missing,
            });
        }
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let mut fields = Vec::with_capacity(rows.num_columns());
        let mut columns = Vec::with_capacity(rows.num_columns());
        for (field, column) in schema.fields().iter().zip(rows.columns()) {
            let kind = wanted
                .field_with_name(field.name())
                .map_err(|error| unfit(sink, &error))?
                .data_type();
            let column = cast_with_options(column, kind, &options);
            columns.push(column.map_err(|error| unfit(sink, &error))?);
            fields.push(field.as_ref().clone().with_data_type(kind.clone()));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .map_err(|error| unfit(sink, &error))
    }
}

fn unfit(sink: &str, error: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::Live {
        source_name: sink.to_owned(),
        message: format!("the rows cannot be written in Avro: {error}"),
        help: "cast the columns to types that Avro, or the schema, has".to_owned(),
    }
}

impl ValueEncoder for AvroEncoder {
    fn encode(&mut self, rows: &RecordBatch, sink: &str) -> Result<Strings> {
        let rows = match &self.given {
            Some(given) => given.fit(rows, sink)?,
            None => rows.clone(),
        };
        let encoder = self.prepare(&rows.schema(), sink)?;
        encoder.encode(&rows).map_err(|error| unfit(sink, &error))?;
        let encoded = encoder.flush();
        let offsets = encoded.offsets().windows(2);
        let spans: Vec<_> = offsets.map(|pair| Some((pair[0], pair[1]))).collect();
        if spans.len() != rows.num_rows() {
            let what = "the encoder gave other rows than it was given";
            return Err(ConnectError::Machinery { what });
        }
        Ok(Strings::new(encoded.bytes().clone(), spans))
    }
}
