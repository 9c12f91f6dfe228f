//! Thrift's compact form, read far enough to know that every list and text fits what is there, and to
//! pick out a few numbers by their place.

/// Most levels of structs inside structs.
const DEPTH_MAX: usize = 40;

/// The numbers that were asked for, in the order of the asking.
pub(super) type Picked<const N: usize> = [Option<i64>; N];

/// A place: the ids of the fields on the way, 0 for none.
pub(super) type Place = [i16; 2];

/// Goes through a struct at the beginning of `bytes`; gives the numbers at `places` and the struct's
/// length.
pub(super) fn pass<const N: usize>(
    bytes: &[u8],
    places: &[Place; N],
) -> Result<(Picked<N>, usize), String> {
    let mut walk = Walk {
        rest: bytes,
        place: [0; 2],
        places,
        picked: [None; N],
    };
    walk.fields(0)?;
    Ok((walk.picked, bytes.len() - walk.rest.len()))
}

struct Walk<'a, const N: usize> {
    rest: &'a [u8],
    place: Place,
    places: &'a [Place; N],
    picked: Picked<N>,
}

impl<const N: usize> Walk<'_, N> {
    /// The fields of a struct, to its end.
    fn fields(&mut self, depth: usize) -> Result<(), String> {
        let mut id = 0_i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            id = match head >> 4 {
                0 => self.number()? as i16,
                more => id.wrapping_add(i16::from(more)),
            };
            if depth < 2 {
                self.place[depth] = id;
                self.place[depth + 1..].fill(0);
            }
            let number = self.value(head & 15, depth)?;
            if depth < 2
                && let Some(at) = self.places.iter().position(|place| *place == self.place)
            {
                self.picked[at] = number;
            }
        }
    }

    /// A value; if it is a number, which.
    fn value(&mut self, kind: u8, depth: usize) -> Result<Option<i64>, String> {
        if depth > DEPTH_MAX {
            return Err("structures are nested too deep".to_owned());
        }
        match kind {
            1 | 2 => Ok(None),
            3 => Ok(Some(i64::from(self.byte()? as i8))),
            4..=6 => self.number().map(Some),
            7 => self.skip(8),
            8 => {
                let length = self.size()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let size = match head >> 4 {
                    15 => self.size()?,
                    size => u64::from(size),
                };
                self.items(&[head & 15], size, depth)
            }
            11 => match self.size()? {
                0 => Ok(None),
                size => {
                    let kinds = self.byte()?;
                    self.items(&[kinds >> 4, kinds & 15], size, depth)
                }
            },
            12 => {
                self.fields(depth + 1)?;
                if depth < 1 {
                    self.place[depth + 1..].fill(0);
                }
                Ok(None)
            }
            13 => self.skip(16),
            other => Err(format!("a value of the unknown kind {other}")),
        }
    }

    fn items(&mut self, kinds: &[u8], size: u64, depth: usize) -> Result<Option<i64>, String> {
        if size > self.rest.len() as u64 {
            return Err(format!(
                "a list of {size} where {} bytes are left",
                self.rest.len()
            ));
        }
        for _ in 0..size {
            for kind in kinds {
                match kind {
                    // In lists, a truth is a byte.
                    1 | 2 => drop(self.byte()?),
                    // What is in a list is not picked.
                    kind => drop(self.value(*kind, depth + 2)?),
                }
            }
        }
        Ok(None)
    }

    /// A size, of something that must be there.
    fn size(&mut self) -> Result<u64, String> {
        let size = self.varint()?;
        if size > self.rest.len() as u64 {
            return Err(format!(
                "a size of {size} where {} bytes are left",
                self.rest.len()
            ));
        }
        Ok(size)
    }

    fn skip(&mut self, length: u64) -> Result<Option<i64>, String> {
        let rest = self.rest.get(length as usize..);
        self.rest = rest.ok_or_else(ends)?;
        Ok(None)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.rest.split_first().ok_or_else(ends)?;
        self.rest = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<i64, String> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let (number, length) = varint(self.rest).ok_or_else(ends)?;
        self.rest = &self.rest[length..];
        Ok(number)
    }
}

fn ends() -> String {
    "it ends within a value".to_owned()
}

/// A number at the beginning of `bytes`, with the bytes it takes.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at).min(63);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}
