//! The bytes of a message: fields one after the other, each with its number and the form of its value; taking them apart,
//! and writing them.

/// A value as it stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Raw<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Four bytes.
    Four(u32),
    /// Eight bytes.
    Eight(u64),
    /// Bytes with their length before them.
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field: its number and value. Groups, an old form, are passed over.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Raw<'a>)>, String> {
        let mut groups = 0u32;
        while !self.rest.is_empty() {
            let key = varint(&mut self.rest).ok_or("a field breaks off")?;
            let number = u32::try_from(key >> 3).map_err(|_| "a field number is too large")?;
            if number == 0 {
                return Err("a field has the number 0".to_owned());
            }
            let broken = || format!("the value of field {number} breaks off");
            let value = match key & 7 {
                0 => Raw::Varint(varint(&mut self.rest).ok_or_else(broken)?),
                1 => Raw::Eight(u64::from_le_bytes(*self.take().ok_or_else(broken)?)),
                2 => {
                    let length = varint(&mut self.rest).ok_or_else(broken)?;
                    let length = usize::try_from(length).map_err(|_| broken())?;
                    let (value, rest) = self.rest.split_at_checked(length).ok_or_else(broken)?;
                    self.rest = rest;
                    Raw::Bytes(value)
                }
                3 => {
                    groups += 1;
                    continue;
                }
                4 if groups > 0 => {
                    groups -= 1;
                    continue;
                }
                5 => Raw::Four(u32::from_le_bytes(*self.take().ok_or_else(broken)?)),
                other => {
                    return Err(format!(
                        "field {number} has the form {other}, which is none"
                    ));
                }
            };
            if groups == 0 {
                return Ok(Some((number, value)));
            }
        }
        match groups {
            0 => Ok(None),
            _ => Err("a group is not closed".to_owned()),
        }
    }

    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(taken)
    }
}

/// A number of variable length at the beginning of `rest`.
#[inline]
pub(super) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (at, &byte) in rest.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *rest = &rest[at + 1..];
            return Some(number);
        }
    }
    None
}

/// A signed number of which small ones are short.
pub(super) fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Writes a number of variable length.
#[inline]
pub(super) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A signed number so that small ones are short.
pub(super) fn to_zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// Writes what stands before a number of variable length.
pub(super) fn put_varint_key(field: u32, out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3, out);
}

/// Writes what stands before a number of four or eight bytes.
pub(super) fn put_fixed_key(field: u32, bytes: usize, out: &mut Vec<u8>) {
    let form = if bytes == 4 { 5 } else { 1 };
    put_varint(u64::from(field) << 3 | form, out);
}

/// Writes what stands before a length and bytes.
pub(super) fn put_bytes_key(field: u32, out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | 2, out);
}
