//! Types of columns: guessed from text, merged over files, and those of `k=v` folders.

use arrow::datatypes::{DataType, TimeUnit};

use crate::discover::DiscoveredColumn;
use crate::listing::FileEntry;

/// TIMESTAMP: microseconds in UTC.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The type that holds the values of both; STRING if there is no better.
#[must_use]
pub(crate) fn common(a: &DataType, b: &DataType) -> DataType {
    use DataType::{Boolean, Date32, Float64, Int64, Null, Utf8View};
    match (a, b) {
        (a, b) if a == b => a.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Int64, Float64) | (Float64, Int64) => Float64,
        (Date32, time @ DataType::Timestamp(..)) | (time @ DataType::Timestamp(..), Date32) => {
            time.clone()
        }
        (Boolean, _) | (_, Boolean) => Utf8View,
        _ => Utf8View,
    }
}

/// Merges what another file says of the same column.
pub(crate) fn merge(column: &mut DiscoveredColumn, other: DiscoveredColumn) {
    column.nullable |= other.nullable;
    if column.data_type == other.data_type {
        return;
    }
    let merged = common(&column.data_type, &other.data_type);
    if merged != column.data_type {
        column.evidence = format!("{}; in another file {}", column.evidence, other.evidence);
        column.data_type = merged;
    }
}

/// Adds the columns of `k=v` folders; one of the same name in the files gives way.
pub(crate) fn add_partitions(
    columns: &mut Vec<DiscoveredColumn>,
    files: &[FileEntry],
    infer: bool,
) {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in files.iter().flat_map(|file| &file.partitions) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    for name in names {
        let mut guess = Guess::default();
        for file in files {
            let value = file
                .partitions
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            guess.add(value.and_then(|(_, value)| value.as_deref()));
        }
        columns.retain(|column| !column.name.eq_ignore_ascii_case(name));
        let found = guess.column(name, infer);
        columns.push(DiscoveredColumn {
            evidence: format!("folders {name}=…; {}", found.evidence),
            ..found
        });
    }
}

/// A column's type, guessed value by value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guess {
    values: u64,
    nulls: u64,
    fits: Option<Fits>,
    example: Option<String>,
}

/// Which types every value so far could be.
#[derive(Debug, Clone, Copy)]
struct Fits {
    boolean: bool,
    integer: bool,
    number: bool,
    date: bool,
    time: bool,
}

impl Guess {
    /// Takes a value into account.
    pub(crate) fn add(&mut self, value: Option<&str>) {
        let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
            self.nulls += 1;
            return;
        };
        self.values += 1;
        let fits = self.fits.get_or_insert(Fits {
            boolean: true,
            integer: true,
            number: true,
            date: true,
            time: true,
        });
        let before = *fits;
        fits.boolean &= is_boolean(value);
        fits.integer &= is_integer(value);
        fits.number &= is_number(value);
        fits.date &= is_date(value);
        fits.time &= is_timestamp(value);
        let lost = before.any() && !fits.any();
        if self.example.is_none() || lost {
            self.example = Some(value.chars().take(40).collect());
        }
    }

    /// Whether every value so far was a number, a date or a time.
    pub(crate) fn data_type(&self) -> DataType {
        match self.fits {
            None => DataType::Utf8View,
            Some(fits) if fits.boolean => DataType::Boolean,
            Some(fits) if fits.integer => DataType::Int64,
            Some(fits) if fits.number => DataType::Float64,
            Some(fits) if fits.date => DataType::Date32,
            Some(fits) if fits.time => timestamp(),
            Some(_) => DataType::Utf8View,
        }
    }

    /// The column as found.
    pub(crate) fn column(&self, name: &str, infer: bool) -> DiscoveredColumn {
        let data_type = if infer {
            self.data_type()
        } else {
            DataType::Utf8View
        };
        let evidence = match &self.example {
            None => "no value in the sample".to_owned(),
            Some(example) => format!("{} values in the sample, such as {example:?}", self.values),
        };
        DiscoveredColumn {
            name: name.to_owned(),
            data_type,
            nullable: self.nulls > 0 || self.values == 0,
            evidence,
        }
    }
}

impl Fits {
    fn any(self) -> bool {
        self.boolean || self.integer || self.number || self.date || self.time
    }
}

fn is_boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

/// Digits with a sign, that fit 64 bits; a leading zero makes it a code, which a number would lose.
fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain && !is_code(digits) && value.parse::<i64>().is_ok()
}

fn is_code(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.")
}

/// A number with point or exponent, or an integer; no `NaN`, no hexadecimal.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let formed = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    // More than 18 digits would not survive as DOUBLE: rather an identifier.
    let few = digits.bytes().filter(u8::is_ascii_digit).count() <= 18;
    formed && few && !is_code(digits) && value.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `YYYY-MM-DD`, a day that exists.
fn is_date(value: &str) -> bool {
    value.len() == 10 && chrono::NaiveDate::parse_from_str(value, "%Y-%m-%d").is_ok()
}

/// A date, `T` or a space, and a time, with or without fraction and zone.
fn is_timestamp(value: &str) -> bool {
    if is_date(value) {
        return true;
    }
    let bytes = value.as_bytes();
    if bytes.len() < 16 || !matches!(bytes[10], b'T' | b't' | b' ') || !value.is_char_boundary(10) {
        return false;
    }
    let time = value[11..].trim_end_matches(['Z', 'z']).trim_end();
    let time = match time.rfind(['+', '-']) {
        Some(at) if at >= 5 => time[..at].trim_end(),
        _ => time,
    };
    is_date(&value[..10])
        && ["%H:%M:%S%.f", "%H:%M"]
            .iter()
            .any(|form| chrono::NaiveTime::parse_from_str(time, form).is_ok())
}
