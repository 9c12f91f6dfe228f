//! Nested types from JSON text: each level becomes one column, and its leaves go through the same
//! coercion as top-level text.
//!
//! A value with a failure anywhere inside it fails as a whole, by the first failure. Columns are only
//! built from values without failures, so that no builder has to take anything back: where some
//! failed, they are left out and the level is built again.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, MapArray, StringViewArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};

use super::json::{Kind, Node};
use super::options::CoercionOptions;
use super::problem::{NestedKind, NestedProblem, Problem};
use super::scalar::Parsed;
use super::text::{ValueFailure, for_each_text};
use crate::error::Result;

/// A failure on its way up; `path` grows at its front.
struct Inner {
    index: usize,
    nested: NestedProblem,
}

/// Coerces JSON text to a nested type.
pub(super) fn from_json(
    text: &StringViewArray,
    data_type: &DataType,
    options: &CoercionOptions,
) -> Result<Parsed> {
    let (nodes, mut failures) = parse(text, options);
    let mut slots: Vec<Option<&Node<'_>>> = nodes.iter().map(Option::as_ref).collect();
    let mut inner = Vec::new();
    if let Some(array) = build(&slots, data_type, options, &mut inner)? {
        return Ok((array, failures));
    }
    inner.sort_by_key(|failure| failure.index);
    for failure in inner {
        if slots[failure.index].take().is_some() {
            let mut nested = failure.nested;
            if let Some(path) = nested.path.strip_prefix('.') {
                nested.path = path.to_owned();
            }
            let problem = match nested {
                NestedProblem {
                    problem: NestedKind::Value(problem),
                    path,
                    ..
                } if path.is_empty() => problem,
                nested => Problem::Nested(Box::new(nested)),
            };
            failures.push(ValueFailure {
                row: failure.index as u32,
                problem,
            });
        }
    }
    failures.sort_by_key(|failure| failure.row);
    let array = build(&slots, data_type, options, &mut Vec::new())?;
    let array = array.unwrap_or_else(|| arrow::array::new_null_array(data_type, text.len()));
    Ok((array, failures))
}

/// Every row's JSON, NULL, or a failure.
fn parse<'a>(
    text: &'a StringViewArray,
    options: &CoercionOptions,
) -> (Vec<Option<Node<'a>>>, Vec<ValueFailure>) {
    let mut nodes = Vec::with_capacity(text.len());
    let mut failures = Vec::new();
    for_each_text(text, |row, bytes| {
        let text = bytes
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .map(str::trim);
        let node = match text {
            None | Some("") => None,
            Some(text) if options.is_null_value(text.as_bytes()) => None,
            Some(text) => match Node::parse(text) {
                Ok(node) => Some(node),
                Err(problem) => {
                    failures.push(ValueFailure {
                        row: row as u32,
                        problem,
                    });
                    None
                }
            },
        };
        nodes.push(node.filter(|node| node.kind != Kind::Null));
    });
    (nodes, failures)
}

/// The column of a level; none if anything in it failed.
fn build(
    slots: &[Option<&Node<'_>>],
    data_type: &DataType,
    options: &CoercionOptions,
    failures: &mut Vec<Inner>,
) -> Result<Option<ArrayRef>> {
    match data_type {
        DataType::Struct(fields) => build_struct(slots, data_type, fields, options, failures),
        DataType::List(item) => build_list(slots, data_type, item, options, failures),
        DataType::Map(entries, _) => build_map(slots, data_type, entries, options, failures),
        leaf => build_leaf(slots, leaf, options, failures),
    }
}

fn failure(
    index: usize,
    node: Option<&Node<'_>>,
    data_type: &DataType,
    problem: NestedKind,
) -> Inner {
    let value = node.map_or_else(|| "null".to_owned(), |node| node.raw.to_owned());
    let nested = NestedProblem {
        path: String::new(),
        value,
        data_type: data_type.clone(),
        problem,
    };
    Inner { index, nested }
}

/// Builds a child, and carries its failures up to their owners under a longer path.
fn build_child(
    slots: &[Option<&Node<'_>>],
    field: &FieldRef,
    options: &CoercionOptions,
    failures: &mut Vec<Inner>,
    owner: impl Fn(usize) -> (usize, String),
    required: impl Fn(usize) -> bool,
) -> Result<Option<ArrayRef>> {
    let mut own = Vec::new();
    let mut array = build(slots, field.data_type(), options, &mut own)?;
    if !field.is_nullable() {
        // A text that stands for NULL becomes one only in the column; so ask that, where there is one.
        let is_null = |at: usize| match &array {
            Some(array) => array.is_null(at),
            None => slots[at].is_none_or(|node| node.kind == Kind::Null),
        };
        for at in (0..slots.len()).filter(|at| required(*at) && is_null(*at)) {
            own.push(failure(
                at,
                slots[at],
                field.data_type(),
                NestedKind::Missing,
            ));
        }
    }
    if !own.is_empty() {
        array = None;
    }
    failures.extend(own.into_iter().map(|mut inner| {
        let (index, step) = owner(inner.index);
        inner.index = index;
        inner.nested.path.insert_str(0, &step);
        inner
    }));
    Ok(array)
}

fn build_struct(
    slots: &[Option<&Node<'_>>],
    data_type: &DataType,
    fields: &Fields,
    options: &CoercionOptions,
    failures: &mut Vec<Inner>,
) -> Result<Option<ArrayRef>> {
    let mut objects = Vec::with_capacity(slots.len());
    let before = failures.len();
    for (at, slot) in slots.iter().enumerate() {
        objects.push(match slot.map(|node| &node.kind) {
            Some(Kind::Object(members)) => Some(members),
            None | Some(Kind::Null) => None,
            Some(_) => {
                failures.push(failure(at, *slot, data_type, NestedKind::Shape));
                None
            }
        });
    }
    let mut arrays = Vec::with_capacity(fields.len());
    for field in fields {
        let children: Vec<Option<&Node<'_>>> = objects
            .iter()
            .map(|object| object.and_then(|members| Node::member(members, field.name())))
            .collect();
        let step = |index| (index, format!(".{}", field.name()));
        let required = |at: usize| objects[at].is_some();
        arrays.extend(build_child(
            &children, field, options, failures, step, required,
        )?);
    }
    if failures.len() > before {
        return Ok(None);
    }
    let nulls: NullBuffer = objects.iter().map(Option::is_some).collect();
    Ok(Some(Arc::new(StructArray::try_new_with_length(
        fields.clone(),
        arrays,
        Some(nulls),
        slots.len(),
    )?)))
}

fn build_list(
    slots: &[Option<&Node<'_>>],
    data_type: &DataType,
    item: &FieldRef,
    options: &CoercionOptions,
    failures: &mut Vec<Inner>,
) -> Result<Option<ArrayRef>> {
    let (mut children, mut owners, mut lengths) =
        (Vec::new(), Vec::new(), Vec::with_capacity(slots.len()));
    let before = failures.len();
    for (at, slot) in slots.iter().enumerate() {
        let start = children.len();
        match slot.map(|node| &node.kind) {
            Some(Kind::Array(items)) => {
                children.extend(items.iter().map(Some));
                owners.extend((0..items.len()).map(|place| (at, place)));
            }
            None | Some(Kind::Null) => {}
            Some(_) => failures.push(failure(at, *slot, data_type, NestedKind::Shape)),
        }
        lengths.push(children.len() - start);
    }
    let step = |index: usize| (owners[index].0, format!("[{}]", owners[index].1));
    let values = build_child(&children, item, options, failures, step, |_| true)?;
    let Some(values) = values.filter(|_| failures.len() == before) else {
        return Ok(None);
    };
    let nulls: NullBuffer = present(slots);
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Some(Arc::new(ListArray::try_new(
        Arc::clone(item),
        offsets,
        values,
        Some(nulls),
    )?)))
}

fn present(slots: &[Option<&Node<'_>>]) -> NullBuffer {
    slots
        .iter()
        .map(|slot| slot.is_some_and(|node| node.kind != Kind::Null))
        .collect()
}

fn build_map(
    slots: &[Option<&Node<'_>>],
    data_type: &DataType,
    entries: &FieldRef,
    options: &CoercionOptions,
    failures: &mut Vec<Inner>,
) -> Result<Option<ArrayRef>> {
    let DataType::Struct(pair) = entries.data_type() else {
        return Ok(None);
    };
    let (mut keys, mut children, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    let mut lengths = Vec::with_capacity(slots.len());
    let before = failures.len();
    for (at, slot) in slots.iter().enumerate() {
        let start = children.len();
        match slot.map(|node| &node.kind) {
            Some(Kind::Object(members)) => {
                for (key, node) in members {
                    keys.push(Node {
                        raw: key,
                        kind: Kind::Text(Cow::Borrowed(key)),
                    });
                    children.push(Some(node));
                    owners.push(at);
                }
            }
            None | Some(Kind::Null) => {}
            Some(_) => failures.push(failure(at, *slot, data_type, NestedKind::Shape)),
        }
        lengths.push(children.len() - start);
    }
    let step = |index: usize| (owners[index], format!("['{}']", keys[index].raw));
    let key_slots: Vec<_> = keys.iter().map(Some).collect();
    let key_array = build_child(&key_slots, &pair[0], options, failures, step, |_| true)?;
    let value_array = build_child(&children, &pair[1], options, failures, step, |_| true)?;
    let (Some(key_array), Some(value_array), true) =
        (key_array, value_array, failures.len() == before)
    else {
        return Ok(None);
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    let inner = StructArray::try_new(pair.clone(), vec![key_array, value_array], None)?;
    Ok(Some(Arc::new(MapArray::try_new(
        Arc::clone(entries),
        offsets,
        inner,
        Some(present(slots)),
        false,
    )?)))
}

fn build_leaf(
    slots: &[Option<&Node<'_>>],
    data_type: &DataType,
    options: &CoercionOptions,
    failures: &mut Vec<Inner>,
) -> Result<Option<ArrayRef>> {
    let before = failures.len();
    let is_text = matches!(data_type, DataType::Utf8View);
    let mut texts: Vec<Option<&str>> = Vec::with_capacity(slots.len());
    for (at, slot) in slots.iter().enumerate() {
        texts.push(slot.and_then(|node| match &node.kind {
            Kind::Null => None,
            Kind::Plain => Some(node.raw),
            Kind::Text(text) => Some(text.as_ref()),
            Kind::Array(_) | Kind::Object(_) if is_text => Some(node.raw),
            Kind::Array(_) | Kind::Object(_) => {
                failures.push(failure(at, Some(node), data_type, NestedKind::Shape));
                None
            }
        }));
    }
    let column = StringViewArray::from_iter(texts.iter().copied());
    let (array, own) = super::coerce_text(&column, data_type, options)?;
    failures.extend(own.into_iter().map(|value| {
        let at = value.row as usize;
        let mut inner = failure(at, slots[at], data_type, NestedKind::Value(value.problem));
        if let Some(text) = texts[at] {
            text.clone_into(&mut inner.nested.value);
        }
        inner
    }));
    Ok((failures.len() == before).then_some(array))
}
