//! Values of a sink in Protocol Buffers: all of one message of a `.proto` file, or with the id of their schema in a Schema
//! Registry before them. There, the newest schema of the topic counts; where there is none, the `.proto` file is registered,
//! or a message made of the columns.

use std::fmt::Write;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Fields, Schema};
use prost_reflect::{FileDescriptor, MessageDescriptor};

use super::encode::{Rows, Unfit};
use super::wire::{put_varint, to_zigzag};
use super::{compile, from_file, message_of, wrong};
use crate::error::{ConnectError, Result};
use crate::live::registry::{MAGIC, Registered, Registry};
use crate::live::{LiveOptions, Strings, ValueEncoder};

/// Writes values in Protocol Buffers.
pub struct ProtobufEncoder {
    schemas: Schemas,
    name: Option<String>,
    /// The message of all values, once it is known, with what stands before each.
    found: Option<(MessageDescriptor, Vec<u8>)>,
}

/// Where the message is declared.
enum Schemas {
    Given,
    Registry {
        registry: Box<Registry>,
        subject: String,
        /// What is registered where nothing is.
        own: Option<String>,
    },
}

impl ProtobufEncoder {
    /// As the options `schemaRegistry`, `protoFile` and `messageName` say, for the values of `topic`.
    ///
    /// # Errors
    /// If none is given, the file cannot be read or compiled, or the message is not in it.
    pub fn new(options: &LiveOptions, topic: &str) -> Result<Self> {
        let name = options.message_name.clone();
        let file = options.proto_file.as_deref();
        let Some(address) = &options.registry else {
            let Some(file) = file else {
                return Err(wrong(
                    "the format protobuf",
                    "there is no schema",
                    "say schemaRegistry => 'http://…' or protoFile => '….proto'",
                ));
            };
            let message = from_file(Path::new(file), name.as_deref())?;
            return Ok(Self {
                schemas: Schemas::Given,
                found: Some((message, Vec::new())),
                name,
            });
        };
        let own = file.map(|file| {
            let text = std::fs::read_to_string(file);
            text.map_err(|error| ConnectError::from_io(file.to_owned(), error))
        });
        Ok(Self {
            schemas: Schemas::Registry {
                registry: Box::new(Registry::new(address, options)?),
                subject: format!("{topic}-value"),
                own: own.transpose()?,
            },
            name,
            found: None,
        })
    }

    /// The message of all values, and what stands before each.
    fn message(&mut self, schema: &Schema, sink: &str) -> Result<&(MessageDescriptor, Vec<u8>)> {
        if let (
            None,
            Schemas::Registry {
                registry,
                subject,
                own,
            },
        ) = (&self.found, &self.schemas)
        {
            let (id, registered) = match registry.newest(subject)? {
                Some((id, found)) if found.kind == "PROTOBUF" => (id, found.as_ref().clone()),
                Some((_, found)) => {
                    return Err(wrong(
                        sink,
                        &format!("the newest schema of {subject} is one of {}", found.kind),
                        "choose that format, or another topic",
                    ));
                }
                None => {
                    let text = match own {
                        Some(text) => text.clone(),
                        None => declaration(schema, sink)?,
                    };
                    let id = registry.register(subject, "PROTOBUF", &text)?;
                    let registered = Registered {
                        kind: "PROTOBUF".to_owned(),
                        text,
                        references: Vec::new(),
                    };
                    (id, registered)
                }
            };
            let file = compile(&registered, id)?;
            let message = message_of(&file, self.name.as_deref(), &format!("the schema {id}"))?;
            if message.parent_file() != file {
                return Err(wrong(
                    sink,
                    &format!("{} is declared in another schema", message.full_name()),
                    "say messageName => a message of the topic's own schema",
                ));
            }
            let prefix = prefix(id, &path_of(&file, &message));
            self.found = Some((message, prefix));
        }
        self.found.as_ref().ok_or(ConnectError::Machinery {
            what: "a sink of Protocol Buffers has no message",
        })
    }
}

impl ValueEncoder for ProtobufEncoder {
    fn encode(&mut self, rows: &RecordBatch, sink: &str) -> Result<Strings> {
        let schema = rows.schema();
        let (message, prefix) = self.message(&schema, sink)?;
        let columns = schema.fields().iter().zip(rows.columns());
        let encoded = Rows::new(message, columns).map_err(|unfit| match unfit {
            Unfit::Missing(columns) => ConnectError::NoFields {
                sink: sink.to_owned(),
                schema: format!("the message {}", message.full_name()),
                columns,
            },
            Unfit::Value(what) => wrong(
                sink,
                &format!("a row cannot be a message {}: {what}", message.full_name()),
                "cast the column to the type of its field",
            ),
        })?;
        let mut bytes = Vec::with_capacity(rows.num_rows() * 64);
        let spans = (0..rows.num_rows()).map(|row| {
            let from = bytes.len();
            bytes.extend_from_slice(prefix);
            encoded.write(row, &mut bytes);
            Some((from, bytes.len()))
        });
        let spans = spans.collect();
        Ok(Strings::new(bytes.into(), spans))
    }
}

/// What stands before a value in Confluent's framing: the id of the schema, and the way to the message through it.
fn prefix(id: u32, path: &[usize]) -> Vec<u8> {
    let mut bytes = vec![MAGIC];
    bytes.extend(id.to_be_bytes());
    match path {
        // The first message has a short form.
        [0] => bytes.push(0),
        path => {
            put_varint(to_zigzag(path.len() as i64), &mut bytes);
            for &at in path {
                put_varint(to_zigzag(at as i64), &mut bytes);
            }
        }
    }
    bytes
}

/// The way to a message through its file.
fn path_of(file: &FileDescriptor, message: &MessageDescriptor) -> Vec<usize> {
    let mut path = Vec::new();
    let mut at = Some(message.clone());
    while let Some(one) = at {
        let parent = one.parent_message();
        let place = match &parent {
            Some(parent) => parent.child_messages().position(|child| child == one),
            None => file.messages().position(|child| child == one),
        };
        path.insert(0, place.unwrap_or_default());
        at = parent;
    }
    path
}

/// A `.proto` file with one message of these columns.
pub(super) fn declaration(schema: &Schema, sink: &str) -> Result<String> {
    let mut text = "syntax = \"proto3\";\nimport \"google/protobuf/timestamp.proto\";\n".to_owned();
    declare("Row", schema.fields(), &mut text).map_err(|message| {
        wrong(
            sink,
            &message,
            "name or cast the column otherwise, or give the message with protoFile",
        )
    })?;
    Ok(text)
}

/// Declares a message. The error says which column cannot be a field.
fn declare(name: &str, fields: &Fields, text: &mut String) -> Result<(), String> {
    let mut body = String::new();
    for (at, field) in fields.iter().enumerate() {
        let own = field.name();
        let mut letters = own.chars();
        let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
        if !begins || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("{own:?} cannot be the name of a field"));
        }
        let (label, kind) = match field.data_type() {
            DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
                ("repeated ", single(own, item.data_type(), &mut body)?)
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(pair) if pair.len() == 2 => {
                    let key = single(own, pair[0].data_type(), &mut body)?;
                    let value = single(own, pair[1].data_type(), &mut body)?;
                    ("", format!("map<{key}, {value}>"))
                }
                other => return Err(format!("{own} is a map of {other}")),
            },
            kind => ("optional ", single(own, kind, &mut body)?),
        };
        writeln!(body, "{label}{kind} {own} = {};", at + 1).map_err(|error| error.to_string())?;
    }
    write!(text, "message {name} {{\n{body}}}\n").map_err(|error| error.to_string())
}

/// The name of a column's type; a message for one with columns inside.
fn single(column: &str, kind: &DataType, body: &mut String) -> Result<String, String> {
    let name = match kind {
        DataType::Boolean => "bool",
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => "uint32",
        DataType::UInt64 => "uint64",
        DataType::Float16 | DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytes",
        DataType::Timestamp(..) => "google.protobuf.Timestamp",
        DataType::Struct(fields) => {
            let name = format!("{column}_value");
            declare(&name, fields, body)?;
            return Ok(name);
        }
        DataType::Dictionary(_, values) => return single(column, values, body),
        DataType::List(_) | DataType::LargeList(_) | DataType::Map(..) => {
            return Err(format!(
                "{column} has a list in a list, which no field can have"
            ));
        }
        // Decimals, dates and the like as they are written.
        _ => "string",
    };
    Ok(name.to_owned())
}
