//! Values in Protocol Buffers: with the id of their schema in a Schema Registry before them, or all of one message of
//! a `.proto` file. [`wire`] takes the bytes apart, [`column`] makes columns of them; [`encode`] goes the other way.

mod column;
mod encode;
mod encoder;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Fields, Schema};
use bytes::Bytes;
use parking_lot::Mutex;
use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::Compiler;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};

use self::column::Message;
pub use self::encoder::ProtobufEncoder;
use super::LiveOptions;
use super::avro::merge;
use super::codec::Codec;
use super::fetched::Fetched;
use super::reading::NO_VALUE;
use super::registry::{Registered, Registry, unframe};
use crate::batch::{Malformed, MalformedKind};
use crate::error::{ConnectError, Result};
use crate::formats::typed::{self, contract_type};

/// The name under which the schema itself is compiled.
const MAIN: &str = "tidegate-schema.proto";

/// Which message of which schema: the id, and the way to it through the file (Confluent's message indexes).
type Key = (u32, Vec<usize>);

/// A value's message with its bytes, or what is wrong with the value.
type Found<'a> = std::result::Result<(Key, MessageDescriptor, &'a [u8]), String>;

/// Decodes Protocol Buffers.
pub struct ProtobufCodec {
    schemas: Schemas,
    known: Mutex<HashMap<Key, Option<MessageDescriptor>>>,
}

/// Where messages are declared.
enum Schemas {
    Registry(Box<Registry>),
    Given(MessageDescriptor),
}

impl ProtobufCodec {
    /// As the options `schemaRegistry`, or `protoFile` and `messageName`, say.
    ///
    /// # Errors
    /// If none is given, the file cannot be read or compiled, or the message is not in it.
    pub fn new(options: &LiveOptions) -> Result<Self> {
        let schemas = match (&options.proto_file, &options.registry) {
            (Some(path), _) => {
                Schemas::Given(from_file(Path::new(path), options.message_name.as_deref())?)
            }
            (None, Some(address)) => Schemas::Registry(Box::new(Registry::new(address, options)?)),
            (None, None) => {
                return Err(wrong(
                    "the format protobuf",
                    "there is no schema",
                    "say schemaRegistry => 'http://…' or protoFile => '….proto'",
                ));
            }
        };
        Ok(Self {
            schemas,
            known: Mutex::default(),
        })
    }

    /// The message of a key; `None` if there is none.
    fn of(&self, registry: &Registry, key: &Key) -> Result<Option<MessageDescriptor>> {
        if let Some(known) = self.known.lock().get(key) {
            return Ok(known.clone());
        }
        let Some(found) = registry.schema(key.0)? else {
            return Ok(None);
        };
        let message = match found.kind.as_str() {
            "PROTOBUF" => message_at(&compile(&found, key.0)?, &key.1),
            _ => None,
        };
        self.known.lock().insert(key.clone(), message.clone());
        Ok(message)
    }

    /// The message of a value and its bytes, or what is wrong with the value.
    fn find<'a>(&self, value: Option<&'a [u8]>) -> Result<Found<'a>> {
        let Some(value) = value else {
            return Ok(Err(NO_VALUE.to_owned()));
        };
        let registry = match &self.schemas {
            Schemas::Given(message) => {
                return Ok(Ok(((0, Vec::new()), message.clone(), value)));
            }
            Schemas::Registry(registry) => registry,
        };
        let (id, rest) = match unframe(value) {
            Ok(found) => found,
            Err(message) => return Ok(Err(message)),
        };
        let Some((indexes, body)) = indexes(rest) else {
            return Ok(Err("it breaks off before the message".to_owned()));
        };
        let key = (id, indexes);
        Ok(match self.of(registry, &key)? {
            Some(message) => Ok((key, message, body)),
            None => Err(format!(
                "the Schema Registry has no Protobuf message {:?} in a schema with the id {id}",
                key.1
            )),
        })
    }
}

/// Which message it is, and the bytes behind.
fn indexes(mut rest: &[u8]) -> Option<(Vec<usize>, &[u8])> {
    let mut number = || {
        let number = wire::varint(&mut rest).map(wire::zigzag)?;
        usize::try_from(number).ok().filter(|&number| number < 1000)
    };
    let count = number()?;
    // The first message, which is nearly always meant, has a short form.
    let indexes: Option<Vec<usize>> = match count {
        0 => Some(vec![0]),
        _ => (0..count).map(|_| number()).collect(),
    };
    Some((indexes?, rest))
}

fn message_at(file: &FileDescriptor, indexes: &[usize]) -> Option<MessageDescriptor> {
    let (first, inner) = indexes.split_first()?;
    let mut message = file.messages().nth(*first)?;
    for &at in inner {
        let child = message.child_messages().nth(at)?;
        message = child;
    }
    Some(message)
}

fn wrong(what: &str, message: &str, help: &str) -> ConnectError {
    ConnectError::Live {
        source_name: what.to_owned(),
        message: message.to_owned(),
        help: help.to_owned(),
    }
}

/// Texts by the names under which they are imported.
struct Texts(BTreeMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> std::result::Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Compiles a registered schema.
fn compile(found: &Registered, id: u32) -> Result<FileDescriptor> {
    let mut texts: BTreeMap<String, String> = found.references.iter().cloned().collect();
    texts.insert(MAIN.to_owned(), found.text.clone());
    let pool = pool(Texts(texts), MAIN, &format!("the schema {id}"))?;
    pool.get_file_by_name(MAIN).ok_or(ConnectError::Machinery {
        what: "a compiled schema is not in its own pool",
    })
}

fn pool(resolver: impl FileResolver + 'static, name: &str, what: &str) -> Result<DescriptorPool> {
    let fail = |error: protox::Error| {
        let message = format!("it cannot be compiled: {error}");
        wrong(what, &message, "see to the declaration of the message")
    };
    let mut chain = ChainFileResolver::new();
    chain.add(resolver);
    chain.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(chain);
    compiler.include_imports(true);
    compiler.open_file(name).map_err(fail)?;
    Ok(compiler.descriptor_pool())
}

/// A message of a file; without a name, the first one.
fn from_file(path: &Path, name: Option<&str>) -> Result<MessageDescriptor> {
    let shown = path.display().to_string();
    std::fs::metadata(path).map_err(|error| ConnectError::from_io(shown.clone(), error))?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let include = IncludeFileResolver::new(folder.to_path_buf());
    let pool = pool(include, &file, &shown)?;
    let file = pool
        .get_file_by_name(&file)
        .ok_or(ConnectError::Machinery {
            what: "a compiled file is not in its own pool",
        })?;
    message_of(&file, name, &shown)
}

/// A message of a file and what it imports; without a name, the first one.
fn message_of(file: &FileDescriptor, name: Option<&str>, shown: &str) -> Result<MessageDescriptor> {
    let pool = file.parent_pool();
    let found = match name {
        Some(name) => pool.get_message_by_name(name).or_else(|| {
            let mut all = pool.all_messages();
            all.find(|message| message.name() == name)
        }),
        None => file.messages().next(),
    };
    found.ok_or_else(|| {
        let all = pool
            .all_messages()
            .map(|message| message.full_name().to_owned());
        let all: Vec<String> = all.filter(|name| !name.starts_with("google.")).collect();
        let help = format!("say messageName => one of {}", all.join(", "));
        wrong(shown, "the message is not in it", &help)
    })
}

impl Codec for ProtobufCodec {
    fn columns(&self, sample: &[Fetched]) -> Result<Fields> {
        let message = match &self.schemas {
            Schemas::Given(message) => Some(message.clone()),
            Schemas::Registry(_) => {
                let mut found = None;
                let mut records = sample
                    .iter()
                    .flat_map(|one| (0..one.rows()).map(|row| one.values.get(row)));
                while let (None, Some(value)) = (&found, records.next()) {
                    found = self.find(value)?.ok().map(|(_, message, _)| message);
                }
                found
            }
        };
        let Some(message) = message else {
            return Ok(Fields::empty());
        };
        let fail = |source| ConnectError::Arrow {
            path: message.full_name().to_owned(),
            source,
        };
        let types = column::types(&message).map_err(fail)?;
        Ok(types
            .into_iter()
            .map(|field| {
                let kind = contract_type(field.data_type());
                field.with_data_type(kind)
            })
            .collect())
    }

    fn decode(&self, source: &str, fetched: &Fetched) -> Result<(Vec<String>, typed::Rows)> {
        let mut groups: BTreeMap<Key, (Vec<u32>, Message)> = BTreeMap::new();
        let mut malformed = Vec::new();
        for row in 0..fetched.rows() {
            let value = fetched.values.get(row);
            let taken = match self.find(value)? {
                Ok((key, descriptor, body)) => {
                    let (rows, message) = groups
                        .entry(key)
                        .or_insert_with(|| (Vec::new(), Message::new(&descriptor)));
                    message.check(body).map(|()| {
                        message.take(body);
                        rows.push(row as u32);
                    })
                }
                Err(message) => Err(message),
            };
            if let Err(message) = taken {
                malformed.push(Malformed {
                    line: row as u64,
                    raw: Bytes::copy_from_slice(value.unwrap_or_default()),
                    kind: MalformedKind::Undecodable,
                    message,
                });
            }
        }
        let mut batches = Vec::with_capacity(groups.len());
        for (rows, message) in groups.into_values() {
            let fail = |error| ConnectError::Arrow {
                path: source.to_owned(),
                source: error,
            };
            let columns = message.finish().map_err(fail)?;
            let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
            let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
            let schema = Arc::new(Schema::new(fields));
            let batch = RecordBatch::try_new_with_options(schema, columns, &options);
            batches.push((rows, batch.map_err(fail)?));
        }
        merge(source, batches, malformed)
    }
}
