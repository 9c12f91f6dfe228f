//! A file's schema, taken apart far enough to know which bytes a row may have, and written anew in a
//! form that `arrow-avro` reads as it is meant: every named type stands where it is used, so that
//! any column can be read without the others, and no name has a dot in it.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// Most levels of types inside types: JSON may have 128, and a record takes three of them.
const DEPTH_MAX: usize = 40;
/// Most types that a schema may unfold to, each use of a named one counted.
const TYPES_MAX: u64 = 20_000;

/// What stands in the bytes of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    /// So many bytes.
    Fixed(u64),
    /// A length and as many bytes.
    Bytes,
    /// The number of one of so many symbols.
    Enum(u64),
    Array(Box<Type>),
    /// Of its values; keys are text.
    Map(Box<Type>),
    Union(Vec<Type>),
    Record(Vec<(String, Type)>),
}

/// A type: its shape, and what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Type {
    pub shape: Shape,
    /// The fewest bytes that a value takes in the file.
    pub bytes_min: u64,
    /// The bytes that a NULL in its place takes in memory.
    pub null_bytes: u64,
    /// How many types it unfolds to.
    types: u64,
}

/// A schema that can be read.
#[derive(Debug)]
pub(super) struct Schema {
    /// A row.
    pub row: Type,
    /// The schema as JSON, with every named type where it is used.
    pub json: Vec<u8>,
}

impl Schema {
    /// Takes the JSON of a file's header apart.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let (row, value) = Parser::default().parse(&value, "", 0)?;
        if !matches!(row.shape, Shape::Record(_)) {
            return Err("a row is no record".to_owned());
        }
        let json = serde_json::to_vec(&value).map_err(|error| error.to_string())?;
        Ok(Self { row, json })
    }
}

#[derive(Default)]
struct Parser {
    /// Named types by their full name.
    named: HashMap<String, (Type, Value)>,
    /// How many types there are so far.
    types: u64,
}

impl Parser {
    /// The type of a piece of schema, and the same piece unfolded.
    fn parse(
        &mut self,
        value: &Value,
        namespace: &str,
        depth: usize,
    ) -> Result<(Type, Value), String> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        self.count(1)?;
        match value {
            Value::String(name) => match primitive(name) {
                Some(shape) => Ok((Type::new(shape), value.clone())),
                None => self.reference(name, namespace, depth),
            },
            Value::Array(branches) => {
                let (types, values) = self.all(branches, namespace, depth)?;
                Ok((Type::new(Shape::Union(types)), Value::Array(values)))
            }
            Value::Object(object) => self.object(object, namespace, depth),
            other => Err(format!("{other} is no type")),
        }
    }

    fn count(&mut self, types: u64) -> Result<(), String> {
        self.types = self.types.saturating_add(types);
        if self.types > TYPES_MAX {
            return Err(format!("it unfolds to more than {TYPES_MAX} types"));
        }
        Ok(())
    }

    fn all(
        &mut self,
        values: &[Value],
        namespace: &str,
        depth: usize,
    ) -> Result<(Vec<Type>, Vec<Value>), String> {
        let each = values
            .iter()
            .map(|value| self.parse(value, namespace, depth + 1));
        Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
    }

    fn reference(
        &mut self,
        name: &str,
        namespace: &str,
        depth: usize,
    ) -> Result<(Type, Value), String> {
        let full = full_name(name, namespace);
        let Some((found, _)) = self.named.get(&full) else {
            return Err(format!(
                "the type {name} is used before it is complete; a type inside itself cannot be a column"
            ));
        };
        if found.depth_exceeds(DEPTH_MAX - depth) {
            return Err(too_deep());
        }
        self.count(found.types)?;
        Ok(self.named[&full].clone())
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        depth: usize,
    ) -> Result<(Type, Value), String> {
        let Some(kind) = object.get("type") else {
            return Err("a type without \"type\"".to_owned());
        };
        let mut unfolded = object.clone();
        let mut inner = |parser: &mut Self, key: &str| {
            let value = object.get(key).ok_or(format!("no \"{key}\""))?;
            let (parsed, value) = parser.parse(value, namespace, depth + 1)?;
            unfolded.insert(key.to_owned(), value);
            Ok::<_, String>(Box::new(parsed))
        };
        let shape = match kind.as_str() {
            Some("array") => Shape::Array(inner(self, "items")?),
            Some("map") => Shape::Map(inner(self, "values")?),
            Some(kind @ ("record" | "enum" | "fixed")) => {
                return self.declaration(kind, object, namespace, depth);
            }
            Some(name) => match primitive(name) {
                Some(shape) => {
                    // Read as text: as bytes nobody would know them again.
                    if unfolded.get("logicalType") == Some(&json!("uuid")) {
                        unfolded.remove("logicalType");
                    }
                    shape
                }
                None => return self.reference(name, namespace, depth),
            },
            // A type in a wrapping that says nothing.
            None => return self.parse(kind, namespace, depth + 1),
        };
        Ok((Type::new(shape), Value::Object(unfolded)))
    }

    /// A type that declares its name.
    fn declaration(
        &mut self,
        kind: &str,
        object: &Map<String, Value>,
        namespace: &str,
        depth: usize,
    ) -> Result<(Type, Value), String> {
        let name = object.get("name").and_then(Value::as_str);
        let name = name.ok_or(format!("a {kind} without a name"))?;
        let own = object.get("namespace").and_then(Value::as_str);
        let full = full_name(name, own.unwrap_or(namespace));
        let (namespace, name) = full.rsplit_once('.').unwrap_or(("", &full));
        let mut unfolded = object.clone();
        unfolded.insert("name".to_owned(), json!(name));
        unfolded.insert("namespace".to_owned(), json!(namespace));
        let shape = match kind {
            "record" => {
                let fields = object.get("fields").and_then(Value::as_array);
                let fields = fields.ok_or(format!("the record {name} has no fields"))?;
                let (shapes, values) = self.fields(name, fields, namespace, depth)?;
                unfolded.insert("fields".to_owned(), Value::Array(values));
                Shape::Record(shapes)
            }
            "enum" => {
                let symbols = object.get("symbols").and_then(Value::as_array);
                Shape::Enum(symbols.map_or(0, Vec::len) as u64)
            }
            _ => {
                let size = object.get("size").and_then(Value::as_u64);
                let fits = size.filter(|size| *size <= i32::MAX as u64);
                Shape::Fixed(fits.ok_or(format!("the fixed type {name} has no size"))?)
            }
        };
        let made = (Type::new(shape), Value::Object(unfolded));
        self.named.insert(full.clone(), made.clone());
        Ok(made)
    }

    #[expect(clippy::type_complexity, reason = "two lists, one beside the other")]
    fn fields(
        &mut self,
        record: &str,
        fields: &[Value],
        namespace: &str,
        depth: usize,
    ) -> Result<(Vec<(String, Type)>, Vec<Value>), String> {
        let mut shapes = Vec::with_capacity(fields.len());
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            let (Some(name), Some(kind)) =
                (field.get("name").and_then(Value::as_str), field.get("type"))
            else {
                return Err(format!("a field of {record} lacks its name or its type"));
            };
            let (parsed, value) = self.parse(kind, namespace, depth + 1)?;
            shapes.push((name.to_owned(), parsed));
            // Defaults are for readers of other files; a wrong one must not spoil this one.
            values.push(json!({ "name": name, "type": value }));
        }
        Ok((shapes, values))
    }
}

impl Type {
    fn new(shape: Shape) -> Self {
        let of = |each: fn(&Type) -> u64, fields: &[(String, Type)]| {
            fields
                .iter()
                .fold(0_u64, |sum, field| sum.saturating_add(each(&field.1)))
        };
        let (bytes_min, null_bytes, types) = match &shape {
            Shape::Null => (0, 16, 1),
            Shape::Boolean | Shape::Int | Shape::Long | Shape::Enum(_) | Shape::Bytes => (1, 16, 1),
            Shape::Fixed(size) => (*size, *size, 1),
            Shape::Array(item) | Shape::Map(item) => (1, 16, item.types.saturating_add(1)),
            Shape::Union(branches) => {
                let least = branches.iter().map(|branch| branch.bytes_min).min();
                let most = branches.iter().map(|branch| branch.null_bytes).max();
                let types = branches
                    .iter()
                    .fold(1_u64, |sum, branch| sum.saturating_add(branch.types));
                (
                    least.unwrap_or(0).saturating_add(1),
                    most.unwrap_or(0).saturating_add(16),
                    types,
                )
            }
            Shape::Record(fields) => (
                of(|field| field.bytes_min, fields),
                of(|field| field.null_bytes, fields),
                of(|field| field.types, fields).saturating_add(1),
            ),
        };
        Self {
            shape,
            bytes_min,
            null_bytes,
            types,
        }
    }

    /// Whether there are more than `levels` of types inside this one.
    fn depth_exceeds(&self, levels: usize) -> bool {
        let inside = |inner: &Type| levels == 0 || inner.depth_exceeds(levels - 1);
        match &self.shape {
            Shape::Array(item) | Shape::Map(item) => inside(item),
            Shape::Union(branches) => branches.iter().any(inside),
            Shape::Record(fields) => fields.iter().any(|field| inside(&field.1)),
            _ => false,
        }
    }
}

fn too_deep() -> String {
    format!("types are nested more than {DEPTH_MAX} deep")
}

fn primitive(name: &str) -> Option<Shape> {
    Some(match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "int" => Shape::Int,
        "long" => Shape::Long,
        "float" => Shape::Fixed(4),
        "double" => Shape::Fixed(8),
        "bytes" | "string" => Shape::Bytes,
        _ => return None,
    })
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.trim_start_matches('.').to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}
