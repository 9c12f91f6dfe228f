//! Why a value does not coerce. Kept small while a batch is judged; turned into a sentence only for
//! the rows that are quarantined.

use std::fmt::Write as _;

use arrow::datatypes::{DataType, TimeUnit};

/// Why one value does not become its column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Not a number at all.
    NotANumber,
    /// A number with a `,`, an apostrophe or a space in it, none of which the options allow.
    Separator,
    /// A number between separators that are not in the places of thousands.
    Grouping,
    /// A currency sign or code beside the number.
    Currency,
    /// A percent sign behind the number.
    Percent,
    /// A number in parentheses.
    Parentheses,
    /// Digits that the type has no room for behind the point.
    DigitsLost,
    /// Larger or smaller than the type allows.
    OutOfRange,
    /// NaN or an infinity, for a type that has none.
    NotFinite,
    /// Not one of the words for true and false.
    NotABoolean,
    /// Not a date in a form that is known.
    NotADate,
    /// Not a date and time in a form that is known.
    NotATimestamp,
    /// A month or a day that the calendar does not have.
    NoSuchDay,
    /// An hour, minute or second that the clock does not have.
    NoSuchTime,
    /// Day and month could be either way round.
    DayOrMonth,
    /// A year of two digits.
    ShortYear,
    /// A weekday that the date does not have.
    WrongWeekday,
    /// A time of day, which a date has no room for.
    TimeLost,
    /// A zone, which a timestamp without time zone has no room for.
    ZoneLost,
    /// A zone that is not known.
    UnknownZone,
    /// A local time that the zone skipped.
    SkippedTime,
    /// A local time that the zone had twice.
    TwiceTime,
    /// More digits of a second than microseconds hold.
    FractionLost,
    /// Not in the given format.
    Format,
    /// Not hexadecimal, or not base64.
    NotBinary,
    /// A value of a type that has no way to the declared one.
    NoConversion(Box<DataType>),
    /// Converting it and back gives another value.
    NotExact(Box<DataType>),
    /// The JSON text is not JSON.
    Json {
        /// Where in the text, in bytes.
        offset: usize,
    },
    /// JSON nested deeper than the gate follows.
    TooDeep,
    /// A problem inside a nested value.
    Nested(Box<NestedProblem>),
}

/// A problem with one part of a nested value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedProblem {
    /// The way to the part: `address.zip`, `items[3].price`, `tags['k']`.
    pub path: String,
    /// The part as text.
    pub value: String,
    /// The type it should have.
    pub data_type: DataType,
    /// What is wrong with it.
    pub problem: NestedKind,
}

/// What can be wrong with a part of a nested value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NestedKind {
    /// A value that does not coerce.
    Value(Problem),
    /// An object, array or value where another of them was declared.
    Shape,
    /// NULL or nothing where a value is required.
    Missing,
}

/// Longest piece of a value that is shown in a message, in characters.
const SHOWN: usize = 80;

/// Cuts a value for a message.
pub(crate) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

impl Problem {
    /// The sentence for a value and the type that it should have become.
    pub fn message(&self, value: &str, data_type: &DataType) -> String {
        let mut message = String::new();
        match self {
            Self::Nested(nested) => {
                let _ = write!(message, "at {}: ", nested.path);
                message.push_str(&nested.message());
            }
            _ => {
                let _ = write!(
                    message,
                    "'{}' is not a valid {}: {}",
                    shown(value),
                    type_name(data_type),
                    self.reason(data_type)
                );
            }
        }
        message
    }

    fn reason(&self, data_type: &DataType) -> String {
        if let Some(number) = self.number_reason() {
            return number.to_owned();
        }
        let text = match self {
            Self::NotABoolean => "not a word for true or false",
            Self::NotADate => "not a date in a known form; write YYYY-MM-DD or set dateFormat",
            Self::NotATimestamp => {
                "not a date and time in a known form; write YYYY-MM-DDTHH:MM:SSZ or set timestampFormat"
            }
            Self::NoSuchDay => "the calendar has no such day",
            Self::NoSuchTime => "the clock has no such time",
            Self::DayOrMonth => {
                "day and month could be either way round; set dateOrder to 'dmy' or 'mdy'"
            }
            Self::ShortYear => "a year of two digits; set twoDigitYears to the first year meant",
            Self::WrongWeekday => "the date is not on that weekday",
            Self::TimeLost => "the time of day would be lost",
            Self::ZoneLost => "the time zone would be lost; declare TIMESTAMP",
            Self::UnknownZone => "the time zone is not known",
            Self::SkippedTime => "the time zone skipped this time when its clocks went forward",
            Self::TwiceTime => "the time zone had this time twice when its clocks went back",
            Self::FractionLost => {
                "digits beyond microseconds would be lost; set excessFraction to 'truncate' to allow it"
            }
            Self::Format => "not in the given format",
            Self::NotBinary => "not in the given binaryFormat",
            Self::TooDeep => "nested too deeply",
            Self::Json { offset } => return format!("not valid JSON at byte {offset}"),
            Self::NoConversion(from) => {
                return format!(
                    "{} has no lossless way to {}",
                    type_name(from),
                    type_name(data_type)
                );
            }
            Self::NotExact(from) => {
                return format!("the {} would be changed", type_name(from));
            }
            _ => "not valid",
        };
        text.to_owned()
    }

    fn number_reason(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotANumber => "not a number",
            Self::Separator => {
                "a separator in the number; set decimalSeparator or thousandsSeparator"
            }
            Self::Grouping => "its separators do not stand between thousands",
            Self::Currency => {
                "a currency beside the number; set currency to 'signs' or 'codes' to allow it"
            }
            Self::Percent => "a percent sign; set percent to 'true' to divide by a hundred",
            Self::Parentheses => {
                "parentheses; set parenthesesNegative to 'true' to read them as minus"
            }
            Self::DigitsLost => "digits behind the point would be lost",
            Self::OutOfRange => "out of the type's range",
            Self::NotFinite => "not a finite number",
            _ => return None,
        })
    }
}

impl NestedProblem {
    fn message(&self) -> String {
        match &self.problem {
            NestedKind::Value(problem) => problem.message(&self.value, &self.data_type),
            NestedKind::Shape => {
                format!(
                    "'{}' is not a {}",
                    shown(&self.value),
                    type_name(&self.data_type)
                )
            }
            NestedKind::Missing => format!("{} is required", type_name(&self.data_type)),
        }
    }
}

/// A type as it is written in SQL.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("DECIMAL({precision},{scale})")
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY".into(),
        DataType::Date32 | DataType::Date64 => "DATE".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "TIMESTAMP".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "TIMESTAMP_NTZ".into(),
        DataType::List(item) | DataType::LargeList(item) => {
            format!("ARRAY<{}>", type_name(item.data_type()))
        }
        DataType::Struct(fields) => {
            let inner: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), type_name(field.data_type())))
                .collect();
            format!("STRUCT<{}>", inner.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => format!(
                "MAP<{}, {}>",
                type_name(pair[0].data_type()),
                type_name(pair[1].data_type())
            ),
            other => format!("MAP<{}>", type_name(other)),
        },
        other => other.to_string(),
    }
}
