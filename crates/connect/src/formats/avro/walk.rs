//! Goes through the bytes of a block as the schema says, before they are decoded: every length, count,
//! branch and symbol must fit what is there, and what the rows take in memory is known beforehand. A
//! decoder that trusts its file can then be given it.

use super::schema::{Shape, Type};

/// What every value takes in memory, whatever its type (offsets, views, validity).
const VALUE_BYTES: u64 = 16;

/// What is wrong, and where.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    /// The row, from 0.
    pub row: u64,
    /// The field, with those it lies in.
    pub field: String,
    pub message: String,
}

/// Checks that `bytes` are exactly `rows` rows; gives the bytes they take in memory, `most` at most.
pub(super) fn check(row: &Type, rows: u64, bytes: &[u8], most: u64) -> Result<u64, Fault> {
    let mut walk = Walk {
        rest: bytes,
        memory: 0,
        most,
        field: Vec::new(),
    };
    let fault = |walk: &Walk, at: u64, message: String| Fault {
        row: at,
        field: walk
            .field
            .iter()
            .rev()
            .copied()
            .collect::<Vec<_>>()
            .join("."),
        message,
    };
    for at in 0..rows {
        if let Err(message) = walk.value(row) {
            return Err(fault(&walk, at, message));
        }
    }
    if !walk.rest.is_empty() {
        let message = format!("{} bytes are left behind the last row", walk.rest.len());
        return Err(fault(&walk, rows, message));
    }
    Ok(walk.memory)
}

struct Walk<'a> {
    rest: &'a [u8],
    memory: u64,
    most: u64,
    /// The fields around a fault, the innermost first.
    field: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, of: &'a Type) -> Result<(), String> {
        match &of.shape {
            Shape::Null => self.takes(VALUE_BYTES),
            Shape::Boolean => match self.pass(1)? {
                [0 | 1] => self.takes(VALUE_BYTES),
                other => Err(format!("{} is neither true nor false", other[0])),
            },
            Shape::Int => {
                let number = self.number()?;
                i32::try_from(number).map_err(|_| format!("{number} is no int"))?;
                self.takes(VALUE_BYTES)
            }
            Shape::Long => {
                self.number()?;
                self.takes(VALUE_BYTES)
            }
            Shape::Fixed(size) => {
                self.pass(*size)?;
                self.takes(VALUE_BYTES + size)
            }
            Shape::Bytes => self.text(),
            Shape::Enum(symbols) => self.below(*symbols, "symbols").map(|_| ()),
            Shape::Array(item) => self.items(item, false),
            Shape::Map(value) => self.items(value, true),
            Shape::Union(branches) => {
                let branch = self.below(branches.len() as u64, "branches of a union")?;
                let chosen = &branches[branch as usize];
                if chosen.shape == Shape::Null {
                    return self.takes(of.null_bytes);
                }
                self.value(chosen)
            }
            Shape::Record(fields) => {
                for (name, field) in fields {
                    self.value(field).inspect_err(|_| self.field.push(name))?;
                }
                Ok(())
            }
        }
    }

    /// The items of an array or the entries of a map, in runs.
    fn items(&mut self, item: &'a Type, keys: bool) -> Result<(), String> {
        self.takes(VALUE_BYTES)?;
        let least = item.bytes_min + u64::from(keys);
        loop {
            let count = self.number()?;
            let mut end = None;
            if count < 0 {
                let size = self.length()?;
                end = Some(self.rest.len() as u64 - size);
            }
            let count = count.unsigned_abs();
            if count == 0 {
                return Ok(());
            }
            if least.saturating_mul(count) > self.rest.len() as u64 {
                return Err(format!(
                    "{count} items cannot stand in the {} bytes that are left",
                    self.rest.len()
                ));
            }
            if least == 0 {
                // They take nothing in the file, but in memory.
                self.takes(count.saturating_mul(VALUE_BYTES))?;
            }
            for _ in 0..count {
                if keys {
                    self.text()?;
                }
                self.value(item)?;
            }
            if end.is_some_and(|end| end != self.rest.len() as u64) {
                return Err(format!("{count} items have another size than they say"));
            }
        }
    }

    fn text(&mut self) -> Result<(), String> {
        let length = self.length()?;
        self.pass(length)?;
        self.takes(length + VALUE_BYTES)
    }

    /// A length, of bytes that must be there.
    fn length(&mut self) -> Result<u64, String> {
        let number = self.number()?;
        let length = u64::try_from(number).map_err(|_| format!("a length of {number}"))?;
        if length > self.rest.len() as u64 {
            return Err(format!(
                "a length of {length} where {} bytes are left",
                self.rest.len()
            ));
        }
        Ok(length)
    }

    /// A number of something of which there are so many.
    fn below(&mut self, many: u64, what: &str) -> Result<u64, String> {
        let number = self.number()?;
        self.takes(VALUE_BYTES)?;
        u64::try_from(number)
            .ok()
            .filter(|number| *number < many)
            .ok_or_else(|| format!("number {number} of {many} {what}"))
    }

    /// A zigzag number.
    fn number(&mut self) -> Result<i64, String> {
        let (number, length) =
            zigzag(self.rest).ok_or("a number that breaks off or is longer than 64 bits")?;
        self.rest = &self.rest[length..];
        Ok(number)
    }

    fn pass(&mut self, length: u64) -> Result<&'a [u8], String> {
        if length > self.rest.len() as u64 {
            return Err(format!(
                "{length} bytes are wanted, {} are left",
                self.rest.len()
            ));
        }
        let (passed, rest) = self.rest.split_at(length as usize);
        self.rest = rest;
        Ok(passed)
    }

    fn takes(&mut self, bytes: u64) -> Result<(), String> {
        self.memory = self.memory.saturating_add(bytes);
        if self.memory > self.most {
            return Err(
                "the rows up to here take too much memory; write the file in smaller blocks, or read it with a smaller blockBytes"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// A zigzag number at the beginning of `bytes`, with the bytes it takes.
pub(super) fn zigzag(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        if at == 9 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(((value >> 1) as i64 ^ -((value & 1) as i64), at + 1));
        }
    }
    None
}
