//! The compound file that .xls is: a small file system in a file. The one stream with the cells is taken
//! out of it here, by chains of sectors that are known to end, and put into a new file that holds
//! nothing else: a library that trusts its chains can then be given it.

/// Marks of a chain's end and of what is no sector.
const END: u32 = 0xffff_fffe;
const FREE: u32 = 0xffff_ffff;
const FAT: u32 = 0xffff_fffd;
/// Sectors from here on are none.
const SECTOR_MAX: u32 = 0xffff_fffa;
/// Shorter streams are kept in small sectors.
const SMALL: u64 = 4096;
/// Sectors of a new file.
const SECTOR: usize = 4096;
/// Most sectors of a new file's table that its header can name.
const TABLES_MAX: usize = 109;

/// A compound file.
struct Compound<'a> {
    bytes: &'a [u8],
    sector: usize,
    /// For each sector, the one behind it.
    next: Vec<u32>,
}

/// The stream with the cells: `Workbook`, or `Book` before 1997.
pub(super) fn cells(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let compound = Compound::open(bytes)?;
    let directory = compound.chain(number(bytes, 48)?, u64::MAX)?;
    let entries: Vec<&[u8]> = directory.chunks_exact(128).collect();
    let named = |name: &str| entries.iter().find(|entry| has_name(entry, name));
    let entry = named("Workbook").or_else(|| named("Book"));
    let entry = entry.ok_or("it holds no workbook: there is no stream of that name in it")?;
    let (start, length) = (number(entry, 116)?, compound.length(entry)?);
    if length >= SMALL {
        return compound.chain(start, length);
    }
    let root = entries[0];
    let small = Small {
        bytes: compound.chain(number(root, 116)?, compound.length(root)?)?,
        next: numbers(&compound.chain(number(bytes, 60)?, u64::MAX)?),
    };
    small.chain(start, length)
}

/// A compound file that holds nothing but these cells.
pub(super) fn wrap(mut stream: Vec<u8>) -> Result<Vec<u8>, String> {
    stream.resize(stream.len().max(SMALL as usize), 0);
    let length = stream.len();
    stream.resize(length.next_multiple_of(SECTOR), 0);
    let sectors = stream.len() / SECTOR;
    // The table has an entry for each sector: its own, the directory's and the stream's.
    let per_table = SECTOR / 4;
    let tables = (sectors + 1).div_ceil(per_table - 1);
    if tables > TABLES_MAX {
        return Err(format!(
            "its sheets take {length} bytes, more than can be read; save it as .xlsx"
        ));
    }
    let mut table: Vec<u32> = vec![FAT; tables];
    table.push(END);
    let first = table.len();
    table.extend((1..sectors).map(|at| (first + at) as u32));
    table.push(END);
    table.resize(tables * per_table, FREE);

    let mut file = header(tables);
    file.extend(table.iter().flat_map(|next| next.to_le_bytes()));
    let mut directory = entry("Root Entry", 5, 0, 0, 1);
    directory.extend(entry("Workbook", 2, first as u32, length as u64, FREE));
    directory.resize(SECTOR, 0);
    file.append(&mut directory);
    file.append(&mut stream);
    Ok(file)
}

/// The header of a new file, whose table is in the first sectors and its directory behind.
fn header(tables: usize) -> Vec<u8> {
    let mut header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    header.resize(24, 0);
    for word in [0x3e_u16, 4, 0xfffe, 12, 6, 0, 0, 0] {
        header.extend(word.to_le_bytes());
    }
    let places = (0..TABLES_MAX).map(|at| if at < tables { at as u32 } else { FREE });
    let words = [
        1,
        tables as u32,
        tables as u32,
        0,
        SMALL as u32,
        END,
        0,
        END,
        0,
    ];
    header.extend(words.into_iter().chain(places).flat_map(u32::to_le_bytes));
    header.resize(SECTOR, 0);
    header
}

/// An entry of a new file's directory.
fn entry(name: &str, kind: u8, start: u32, length: u64, child: u32) -> Vec<u8> {
    let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let named = entry.len() as u16 + 2;
    entry.resize(64, 0);
    entry.extend(named.to_le_bytes());
    entry.extend([kind, 1]);
    entry.extend([FREE, FREE, child].into_iter().flat_map(u32::to_le_bytes));
    entry.resize(116, 0);
    entry.extend(start.to_le_bytes());
    entry.extend(length.to_le_bytes());
    entry
}

impl<'a> Compound<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let sector = match (half(bytes, 30)?, half(bytes, 32)?) {
            (9, 6) => 512,
            (12, 6) => 4096,
            (large, small) => {
                return Err(format!("its sectors are of 2^{large} and 2^{small} bytes"));
            }
        };
        let mut compound = Self {
            bytes,
            sector,
            next: Vec::new(),
        };
        let count = bytes.len() / sector;
        let mut tables = numbers(bytes.get(76..512).unwrap_or_default());
        let mut more = number(bytes, 68)?;
        let mut steps = 0;
        while more < SECTOR_MAX {
            steps += 1;
            if steps > count {
                return Err("its list of sectors goes in a circle".to_owned());
            }
            tables.append(&mut numbers(compound.sector_at(more)?));
            more = tables.pop().unwrap_or(END);
        }
        for at in tables.into_iter().filter(|at| *at < SECTOR_MAX) {
            // No file has more entries than sectors.
            if compound.next.len() > count {
                break;
            }
            let mut entries = numbers(compound.sector_at(at)?);
            compound.next.append(&mut entries);
        }
        Ok(compound)
    }

    /// A sector; the last of a file may be short.
    fn sector_at(&self, at: u32) -> Result<&'a [u8], String> {
        let from = (at as usize + 1) * self.sector;
        let to = (from + self.sector).min(self.bytes.len());
        let found = self.bytes.get(from..to).filter(|found| !found.is_empty());
        found.ok_or_else(|| {
            format!(
                "it breaks off after {} bytes, before its sector {at}",
                self.bytes.len()
            )
        })
    }

    /// The sectors from `start` on, `most` bytes of them at most.
    fn chain(&self, start: u32, most: u64) -> Result<Vec<u8>, String> {
        follow(start, most, &self.next, |at| self.sector_at(at))
    }

    /// The length of an entry's stream.
    fn length(&self, entry: &[u8]) -> Result<u64, String> {
        let low = u64::from(number(entry, 120)?);
        if self.sector == 512 {
            return Ok(low);
        }
        Ok(low | u64::from(number(entry, 124)?) << 32)
    }
}

/// The small sectors, which lie in a stream of their own.
struct Small {
    bytes: Vec<u8>,
    next: Vec<u32>,
}

impl Small {
    fn chain(&self, start: u32, most: u64) -> Result<Vec<u8>, String> {
        follow(start, most, &self.next, |at| {
            let from = at as usize * 64;
            let to = (from + 64).min(self.bytes.len());
            let found = self.bytes.get(from..to);
            found.ok_or_else(|| format!("its small sector {at} does not exist"))
        })
    }
}

fn follow<'a>(
    start: u32,
    most: u64,
    next: &[u32],
    sector: impl Fn(u32) -> Result<&'a [u8], String>,
) -> Result<Vec<u8>, String> {
    let (mut bytes, mut at, mut steps) = (Vec::new(), start, 0);
    while at != END && (bytes.len() as u64) < most {
        steps += 1;
        if steps > next.len() {
            return Err("a chain of its sectors goes in a circle".to_owned());
        }
        let part = sector(at)?;
        let wanted = (most - bytes.len() as u64).min(part.len() as u64) as usize;
        bytes.extend_from_slice(&part[..wanted]);
        let behind = next.get(at as usize);
        at = *behind.ok_or_else(|| format!("its sector {at} belongs to no chain"))?;
    }
    Ok(bytes)
}

fn has_name(entry: &[u8], name: &str) -> bool {
    let units = entry[..64]
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let written =
        String::from_utf16_lossy(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>());
    written.eq_ignore_ascii_case(name)
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let four = |part: &[u8]| u32::from_le_bytes([part[0], part[1], part[2], part[3]]);
    bytes.chunks_exact(4).map(four).collect()
}

fn number(bytes: &[u8], at: usize) -> Result<u32, String> {
    let part = bytes.get(at..at + 4).and_then(|part| part.first_chunk());
    part.map(|part| u32::from_le_bytes(*part))
        .ok_or_else(too_short)
}

fn half(bytes: &[u8], at: usize) -> Result<u16, String> {
    let part = bytes.get(at..at + 2).and_then(|part| part.first_chunk());
    part.map(|part| u16::from_le_bytes(*part))
        .ok_or_else(too_short)
}

fn too_short() -> String {
    "it breaks off within its header".to_owned()
}
