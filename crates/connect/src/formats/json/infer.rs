//! The types of JSON fields, from a sample of objects: numbers, truth values, dates and times as
//! ISO writes them, structs and lists of these. Keys in the order in which they first appear.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use super::scan::{Scanner, unescape};
use crate::discover::DiscoveredColumn;
use crate::discover::types::{Guess, timestamp};

/// How many keys of one object are told apart; objects with more hold data in their keys.
const KEYS_MAX: usize = 2000;

/// What the values of a field have been so far.
#[derive(Debug, Clone)]
enum Shape {
    Nothing,
    Boolean,
    Integer,
    /// Does not fit 64 bits with a sign.
    Huge,
    Number,
    Text {
        date: bool,
        time: bool,
    },
    Struct(Keys),
    List(Box<Shape>),
    /// Of several kinds: taken as text.
    Mixed,
}

/// The keys of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    keys: Vec<(String, Shape, u64)>,
    objects: u64,
    overflow: bool,
}

impl Keys {
    /// Takes the object at `at` into account; gives the offset behind it.
    pub(super) fn add(&mut self, scanner: Scanner<'_>, at: usize) -> Option<usize> {
        // Checked first, so that below nothing can go wrong or too deep.
        let behind = scanner.value(at).ok()?;
        if scanner.data[at] == b'{' {
            self.object(scanner, at);
        }
        Some(behind)
    }

    fn object(&mut self, scanner: Scanner<'_>, start: usize) -> Option<usize> {
        self.objects += 1;
        let mut at = scanner.space(start + 1);
        let mut nth = 0;
        let mut plain = Vec::new();
        while scanner.data[at] == b'"' {
            let key = scanner.string(at).ok()?;
            unescape(&scanner.data[at + 1..key.close], &mut plain)?;
            let name = String::from_utf8_lossy(&plain);
            at = scanner.colon(scanner.space(key.close + 1)).ok()?;
            let found = match self.keys.get(nth) {
                Some((known, ..)) if *known == name => Some(nth),
                _ => self.keys.iter().position(|(known, ..)| *known == name),
            };
            let place = match found {
                Some(place) => place,
                None if self.keys.len() < KEYS_MAX => {
                    self.keys.push((name.into_owned(), Shape::Nothing, 0));
                    self.keys.len() - 1
                }
                None => {
                    self.overflow = true;
                    at = scanner.value(at).ok()?;
                    at = step(scanner, at);
                    continue;
                }
            };
            let (_, shape, seen) = &mut self.keys[place];
            let (next, null) = shape.add(scanner, at)?;
            *seen += u64::from(!null);
            at = step(scanner, next);
            nth = place + 1;
        }
        Some(at + 1)
    }

    /// The columns as found.
    pub(super) fn columns(&self, infer: bool) -> Vec<DiscoveredColumn> {
        let column = |(name, shape, seen): &(String, Shape, u64)| DiscoveredColumn {
            name: name.clone(),
            data_type: if infer {
                shape.data_type()
            } else {
                DataType::Utf8View
            },
            nullable: *seen < self.objects,
            evidence: format!("in {seen} of {} objects of the sample", self.objects),
        };
        self.keys.iter().map(column).collect()
    }

    fn fields(&self) -> Fields {
        self.keys
            .iter()
            .map(|(name, shape, _)| Field::new(name, shape.data_type(), true))
            .collect()
    }
}

/// Passes over the comma behind a value.
fn step(scanner: Scanner<'_>, at: usize) -> usize {
    let at = scanner.space(at);
    if scanner.data[at] == b',' {
        scanner.space(at + 1)
    } else {
        at
    }
}

impl Shape {
    /// Takes the value at `at` into account; gives the offset behind it and whether it is null.
    fn add(&mut self, scanner: Scanner<'_>, at: usize) -> Option<(usize, bool)> {
        let data = scanner.data;
        match data[at] {
            b'{' => {
                let mut keys = match std::mem::replace(self, Self::Mixed) {
                    Self::Struct(keys) => keys,
                    Self::Nothing => Keys::default(),
                    _ => return Some((scanner.value(at).ok()?, false)),
                };
                let behind = keys.object(scanner, at)?;
                *self = Self::Struct(keys);
                Some((behind, false))
            }
            b'[' => {
                let mut item = match std::mem::replace(self, Self::Mixed) {
                    Self::List(item) => item,
                    Self::Nothing => Box::new(Self::Nothing),
                    _ => return Some((scanner.value(at).ok()?, false)),
                };
                let mut place = scanner.space(at + 1);
                while data[place] != b']' {
                    place = step(scanner, item.add(scanner, place)?.0);
                }
                *self = Self::List(item);
                Some((place + 1, false))
            }
            b'"' => {
                let close = scanner.string(at).ok()?.close;
                let text = std::str::from_utf8(&data[at + 1..close]).unwrap_or_default();
                self.meet(text_shape(text));
                Some((close + 1, false))
            }
            first => {
                let behind = scanner.scalar(at).ok()?;
                let text = std::str::from_utf8(&data[at..behind]).unwrap_or_default();
                match first {
                    b'n' => {}
                    b't' | b'f' => self.meet(Self::Boolean),
                    _ => self.meet(number_shape(text)),
                }
                Some((behind, first == b'n'))
            }
        }
    }

    fn meet(&mut self, other: Self) {
        use Shape::{Boolean, Huge, Integer, Mixed, Nothing, Number, Text};
        *self = match (std::mem::replace(self, Nothing), other) {
            (Nothing, other) => other,
            (Boolean, Boolean) => Boolean,
            (Integer, Integer) => Integer,
            (Integer | Huge, Integer | Huge) => Huge,
            (Integer | Huge | Number, Integer | Huge | Number) => Number,
            (Text { date: a, time: b }, Text { date: c, time: d }) => Text {
                date: a && c,
                time: b && d,
            },
            _ => Mixed,
        };
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Nothing | Self::Mixed => DataType::Utf8View,
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Huge => DataType::Decimal128(38, 0),
            Self::Number => DataType::Float64,
            Self::Text { date: true, .. } => DataType::Date32,
            Self::Text { time: true, .. } => timestamp(),
            Self::Text { .. } => DataType::Utf8View,
            // Too many keys, or none: what they hold is kept as it is.
            Self::Struct(keys) if keys.overflow || keys.keys.is_empty() => DataType::Utf8View,
            Self::Struct(keys) => DataType::Struct(keys.fields()),
            Self::List(item) => {
                DataType::List(Arc::new(Field::new("element", item.data_type(), true)))
            }
        }
    }
}

fn text_shape(text: &str) -> Shape {
    let mut guess = Guess::default();
    guess.add(Some(text));
    let found = guess.data_type();
    let date = found == DataType::Date32;
    Shape::Text {
        date,
        time: date || found == timestamp(),
    }
}

fn number_shape(text: &str) -> Shape {
    if text.contains(['.', 'e', 'E', 'N', 'I']) {
        Shape::Number
    } else if text.parse::<i64>().is_ok() {
        Shape::Integer
    } else if text.trim_start_matches('-').len() <= 38 {
        Shape::Huge
    } else {
        Shape::Number
    }
}
