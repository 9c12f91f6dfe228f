//! How text is to be read: the options of coercion, each declared once in [`OPTIONS`] with its name,
//! default, meaning and parser.
//!
//! The default is strict. A form that can mean only one thing is read without being asked for; one
//! that could mean two things, or whose reading would lose a part of what was written (a currency, a
//! percent sign), is a `type` failure until an option says what is meant.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::pattern::Pattern;
use crate::error::{GateError, Result};

/// How text becomes values. See [`OPTIONS`] for what each means.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CoercionOptions {
    /// Texts that stand for NULL in columns of any type.
    pub null_values: Vec<String>,
    /// Whether an empty text is NULL in STRING columns too.
    pub empty_string_is_null: bool,
    /// Whether white space around values that are no strings is passed over.
    pub trim: bool,
    /// `.` or `,`.
    pub decimal_separator: char,
    /// What may stand between thousands.
    pub thousands_separator: Option<char>,
    /// Which currencies may stand beside a number.
    pub currency: CurrencyOption,
    /// Whether `(5)` is -5.
    pub parentheses_negative: bool,
    /// Whether `5%` is 0.05.
    pub percent: bool,
    /// Words for true, in lower case.
    pub true_values: Vec<String>,
    /// Words for false, in lower case.
    pub false_values: Vec<String>,
    /// Further words for not-a-number, plus infinity and minus infinity, in lower case.
    pub float_words: [Option<String>; 3],
    /// Which of `01/02/2024` is the month.
    pub date_order: DateOrder,
    /// First year of the hundred that a year of two digits can mean.
    pub two_digit_years: Option<i32>,
    /// The unit of timestamps written as one number.
    pub epoch: Option<EpochUnit>,
    /// The only forms of a DATE, if any are given.
    pub date_formats: Vec<Pattern>,
    /// The only forms of a TIMESTAMP, if any are given.
    pub timestamp_formats: Vec<Pattern>,
    /// The only forms of a TIMESTAMP_NTZ, if any are given.
    pub timestamp_ntz_formats: Vec<Pattern>,
    /// The zone of a TIMESTAMP that names none.
    pub time_zone: Tz,
    /// Whether digits beyond microseconds are cut off rather than refused.
    pub truncate_fraction: bool,
    /// How BINARY is written.
    pub binary_format: BinaryFormat,
}

/// Which currencies may stand beside a number; they are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CurrencyOption {
    /// None.
    None,
    /// Signs: `$5`, `5 €`.
    Signs,
    /// Signs and ISO 4217 codes: `5 EUR`.
    Codes,
}

/// The order of day and month where only slashes or dashes part them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// Only dates that can be read one way: `13/02/2024`, `05/05/2024`.
    Unambiguous,
    /// Day, month, year.
    DayMonth,
    /// Month, day, year.
    MonthDay,
}

/// The unit of a timestamp that is written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochUnit {
    /// Seconds since 1970, with or without a fraction.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// Microseconds since 1970.
    Microseconds,
    /// Nanoseconds since 1970.
    Nanoseconds,
}

/// How BINARY values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryFormat {
    /// The text's own bytes.
    Utf8,
    /// Hexadecimal digits.
    Hex,
    /// Base64 with or without padding.
    Base64,
}

impl Default for CoercionOptions {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Self {
            null_values: Vec::new(),
            empty_string_is_null: false,
            trim: true,
            decimal_separator: '.',
            thousands_separator: None,
            currency: CurrencyOption::None,
            parentheses_negative: false,
            percent: false,
            true_values: words(&["true", "t", "yes", "y", "1", "on"]),
            false_values: words(&["false", "f", "no", "n", "0", "off"]),
            float_words: [None, None, None],
            date_order: DateOrder::Unambiguous,
            two_digit_years: None,
            epoch: None,
            date_formats: Vec::new(),
            timestamp_formats: Vec::new(),
            timestamp_ntz_formats: Vec::new(),
            time_zone: Tz::UTC,
            truncate_fraction: false,
            binary_format: BinaryFormat::Utf8,
        }
    }
}

/// An option as a user meets it.
#[derive(Debug)]
pub struct OptionDeclaration {
    /// Its name, compared without regard to case.
    pub name: &'static str,
    /// Its default, as it would be written.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// What is accepted, for the error message.
    pub accepted: &'static str,
    set: fn(&mut CoercionOptions, &str) -> Option<()>,
}

/// Every option of coercion.
pub static OPTIONS: &[OptionDeclaration] = &[
    OptionDeclaration {
        name: "nullValue",
        default: "",
        meaning: "A text that stands for NULL in a column of any type. An empty text is always NULL, but in STRING columns.",
        accepted: "any text",
        set: |options, value| {
            options.null_values.push(value.to_owned());
            Some(())
        },
    },
    OptionDeclaration {
        name: "nullValues",
        default: "",
        meaning: "Several such texts, parted by commas.",
        accepted: "texts parted by commas",
        set: |options, value| {
            options
                .null_values
                .extend(value.split(',').map(|word| word.trim().to_owned()));
            Some(())
        },
    },
    OptionDeclaration {
        name: "emptyStringIsNull",
        default: "false",
        meaning: "Whether an empty text is NULL in STRING columns too.",
        accepted: "true or false",
        set: |options, value| flag(&mut options.empty_string_is_null, value),
    },
    OptionDeclaration {
        name: "trimValues",
        default: "true",
        meaning: "Whether white space around values that are no strings is passed over.",
        accepted: "true or false",
        set: |options, value| flag(&mut options.trim, value),
    },
    OptionDeclaration {
        name: "decimalSeparator",
        default: ".",
        meaning: "What stands before the fraction of a number.",
        accepted: "'.' or ','",
        set: |options, value| {
            options.decimal_separator = match value {
                "." => '.',
                "," => ',',
                _ => return None,
            };
            Some(())
        },
    },
    OptionDeclaration {
        name: "thousandsSeparator",
        default: "none",
        meaning: "What may stand between the thousands of a number; a space stands for the non-breaking spaces too.",
        accepted: "one of , . ' _ or a space, or 'none'",
        set: |options, value| {
            options.thousands_separator = match value {
                "," | "." | "'" | "_" | " " => value.chars().next(),
                "none" | "" => None,
                _ => return None,
            };
            Some(())
        },
    },
    OptionDeclaration {
        name: "currency",
        default: "none",
        meaning: "Which currencies may stand beside a number; they are not kept.",
        accepted: "'none', 'signs' ($5) or 'codes' (also 5 EUR)",
        set: |options, value| {
            options.currency = match value.to_ascii_lowercase().as_str() {
                "none" => CurrencyOption::None,
                "signs" => CurrencyOption::Signs,
                "codes" => CurrencyOption::Codes,
                _ => return None,
            };
            Some(())
        },
    },
    OptionDeclaration {
        name: "parenthesesNegative",
        default: "false",
        meaning: "Whether a number in parentheses is negative.",
        accepted: "true or false",
        set: |options, value| flag(&mut options.parentheses_negative, value),
    },
    OptionDeclaration {
        name: "percent",
        default: "false",
        meaning: "Whether a number with a percent sign is divided by a hundred.",
        accepted: "true or false",
        set: |options, value| flag(&mut options.percent, value),
    },
    OptionDeclaration {
        name: "trueValues",
        default: "true,t,yes,y,1,on",
        meaning: "The words for true, in any case.",
        accepted: "words parted by commas",
        set: |options, value| words(&mut options.true_values, value),
    },
    OptionDeclaration {
        name: "falseValues",
        default: "false,f,no,n,0,off",
        meaning: "The words for false, in any case.",
        accepted: "words parted by commas",
        set: |options, value| words(&mut options.false_values, value),
    },
    OptionDeclaration {
        name: "nanValue",
        default: "NaN",
        meaning: "A further word for not-a-number in FLOAT and DOUBLE.",
        accepted: "any text",
        set: |options, value| float_word(options, 0, value),
    },
    OptionDeclaration {
        name: "positiveInf",
        default: "Inf",
        meaning: "A further word for infinity in FLOAT and DOUBLE.",
        accepted: "any text",
        set: |options, value| float_word(options, 1, value),
    },
    OptionDeclaration {
        name: "negativeInf",
        default: "-Inf",
        meaning: "A further word for minus infinity in FLOAT and DOUBLE.",
        accepted: "any text",
        set: |options, value| float_word(options, 2, value),
    },
    OptionDeclaration {
        name: "dateOrder",
        default: "unambiguous",
        meaning: "How 01/02/2024 and 01-02-2024 are read; unless told, only dates that can be read one way are.",
        accepted: "'unambiguous', 'dmy' or 'mdy'",
        set: |options, value| {
            options.date_order = match value.to_ascii_lowercase().as_str() {
                "unambiguous" => DateOrder::Unambiguous,
                "dmy" => DateOrder::DayMonth,
                "mdy" => DateOrder::MonthDay,
                _ => return None,
            };
            Some(())
        },
    },
    OptionDeclaration {
        name: "twoDigitYears",
        default: "none",
        meaning: "The first year of the hundred that years of two digits can mean: '1970' makes 69 mean 2069.",
        accepted: "a year such as '1970', or 'none'",
        set: |options, value| {
            options.two_digit_years = match value.to_ascii_lowercase().as_str() {
                "none" => None,
                year => Some(year.parse().ok().filter(|year| (1..=9900).contains(year))?),
            };
            Some(())
        },
    },
    OptionDeclaration {
        name: "epoch",
        default: "none",
        meaning: "The unit of timestamps that are written as one number since 1970.",
        accepted: "'none', 'seconds', 'milliseconds', 'microseconds' or 'nanoseconds'",
        set: |options, value| {
            options.epoch = match value.to_ascii_lowercase().as_str() {
                "none" => None,
                "seconds" | "s" => Some(EpochUnit::Seconds),
                "milliseconds" | "millis" | "ms" => Some(EpochUnit::Milliseconds),
                "microseconds" | "micros" | "us" => Some(EpochUnit::Microseconds),
                "nanoseconds" | "nanos" | "ns" => Some(EpochUnit::Nanoseconds),
                _ => return None,
            };
            Some(())
        },
    },
    OptionDeclaration {
        name: "dateFormat",
        default: "any known form",
        meaning: "The form of a DATE as a Spark datetime pattern; several are parted by |. No other form is then read.",
        accepted: "a pattern of the letters y M d E H h m s S a X x Z V, such as dd.MM.yyyy",
        set: |options, value| patterns(&mut options.date_formats, value),
    },
    OptionDeclaration {
        name: "timestampFormat",
        default: "any known form",
        meaning: "The form of a TIMESTAMP, as for dateFormat.",
        accepted: "a pattern of the letters y M d E H h m s S a X x Z V, such as yyyy-MM-dd HH:mm:ss",
        set: |options, value| patterns(&mut options.timestamp_formats, value),
    },
    OptionDeclaration {
        name: "timestampNTZFormat",
        default: "any known form",
        meaning: "The form of a TIMESTAMP_NTZ, as for dateFormat.",
        accepted: "a pattern of the letters y M d E H h m s S a, such as yyyy-MM-dd HH:mm:ss",
        set: |options, value| patterns(&mut options.timestamp_ntz_formats, value),
    },
    OptionDeclaration {
        name: "timeZone",
        default: "UTC",
        meaning: "The zone of a TIMESTAMP that names none.",
        accepted: "a zone such as UTC or Europe/Berlin",
        set: |options, value| {
            options.time_zone = super::zone::named_zone(value)?;
            Some(())
        },
    },
    OptionDeclaration {
        name: "excessFraction",
        default: "fail",
        meaning: "Whether digits of a second beyond microseconds are refused or cut off.",
        accepted: "'fail' or 'truncate'",
        set: |options, value| {
            options.truncate_fraction = match value.to_ascii_lowercase().as_str() {
                "fail" => false,
                "truncate" => true,
                _ => return None,
            };
            Some(())
        },
    },
    OptionDeclaration {
        name: "binaryFormat",
        default: "utf8",
        meaning: "How BINARY is written.",
        accepted: "'utf8', 'hex' or 'base64'",
        set: |options, value| {
            options.binary_format = match value.to_ascii_lowercase().as_str() {
                "utf8" => BinaryFormat::Utf8,
                "hex" => BinaryFormat::Hex,
                "base64" => BinaryFormat::Base64,
                _ => return None,
            };
            Some(())
        },
    },
];

fn flag(target: &mut bool, value: &str) -> Option<()> {
    *target = match value.to_ascii_lowercase().as_str() {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    Some(())
}

fn words(target: &mut Vec<String>, value: &str) -> Option<()> {
    let list: Vec<String> = value
        .split(',')
        .map(|word| word.trim().to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    if list.is_empty() {
        return None;
    }
    *target = list;
    Some(())
}

fn float_word(options: &mut CoercionOptions, place: usize, value: &str) -> Option<()> {
    options.float_words[place] = Some(value.to_lowercase());
    Some(())
}

fn patterns(target: &mut Vec<Pattern>, value: &str) -> Option<()> {
    *target = value
        .split('|')
        .map(Pattern::compile)
        .collect::<Option<Vec<_>>>()?;
    Some(())
}

/// What a table property that sets an option begins with.
const PROPERTY_PREFIX: &str = "tidegate.coercion.";

impl CoercionOptions {
    /// Reads those of `options` that concern coercion; names are compared without regard to case and
    /// may carry the prefix `tidegate.coercion.` of table properties. Others are passed over.
    ///
    /// # Errors
    /// When a value is not understood, or two options contradict each other; the error says what
    /// would be accepted.
    pub fn from_options(options: &BTreeMap<String, String>) -> Result<Self> {
        let mut parsed = Self::default();
        for (written, value) in options {
            let lower = written.to_ascii_lowercase();
            let name = lower.strip_prefix(PROPERTY_PREFIX).unwrap_or(&lower);
            let Some(option) = OPTIONS
                .iter()
                .find(|option| option.name.eq_ignore_ascii_case(name))
            else {
                continue;
            };
            (option.set)(&mut parsed, value).ok_or_else(|| GateError::Option {
                option: written.clone(),
                value: value.clone(),
                expected: format!("write {}", option.accepted),
            })?;
        }
        if parsed.thousands_separator == Some(parsed.decimal_separator) {
            return Err(GateError::Option {
                option: "thousandsSeparator".into(),
                value: parsed.decimal_separator.to_string(),
                expected: "write another character than that of decimalSeparator".into(),
            });
        }
        Ok(parsed)
    }

    /// The names of all options.
    pub fn names() -> impl Iterator<Item = &'static str> {
        OPTIONS.iter().map(|option| option.name)
    }

    /// Whether a (trimmed) text stands for NULL by name.
    #[inline]
    pub(super) fn is_null_value(&self, text: &[u8]) -> bool {
        self.null_values
            .iter()
            .any(|token| token.as_bytes() == text)
    }

    /// Whether numbers are written plainly, so that no decoration need be looked for.
    pub(super) fn plain_numbers(&self) -> bool {
        self.decimal_separator == '.'
            && self.thousands_separator.is_none()
            && self.currency == CurrencyOption::None
            && !self.parentheses_negative
            && !self.percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<CoercionOptions> {
        let map = options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        CoercionOptions::from_options(&map)
    }

    #[test]
    fn names_are_found_in_any_case_and_as_properties() {
        let options = parse(&[
            ("DECIMALSEPARATOR", ","),
            ("tidegate.coercion.thousandsSeparator", "."),
            ("header", "true"),
            ("timezone", "Europe/Berlin"),
            ("nullValues", "NA, -"),
            ("nullValue", "?"),
        ])
        .unwrap();
        assert_eq!(options.decimal_separator, ',');
        assert_eq!(options.thousands_separator, Some('.'));
        assert_eq!(options.time_zone, Tz::Europe__Berlin);
        assert_eq!(options.null_values, ["?", "NA", "-"]);
    }

    #[test]
    fn a_wrong_value_says_what_is_right() {
        let error = parse(&[("dateOrder", "ymd")]).unwrap_err().to_string();
        assert_eq!(
            error,
            "option `dateOrder` has the value `ymd`: write 'unambiguous', 'dmy' or 'mdy'"
        );
        for (name, value) in [
            ("decimalSeparator", ";"),
            ("thousandsSeparator", "abc"),
            ("currency", "yes"),
            ("percent", "maybe"),
            ("trueValues", " , "),
            ("twoDigitYears", "70s"),
            ("epoch", "days"),
            ("dateFormat", "bbb"),
            ("timeZone", "Mars/Phobos"),
            ("excessFraction", "round"),
            ("binaryFormat", "octal"),
        ] {
            assert!(parse(&[(name, value)]).is_err(), "{name}={value}");
        }
        assert!(
            parse(&[("thousandsSeparator", ".")]).is_err(),
            "clashes with the default point"
        );
    }

    #[test]
    fn every_documented_default_is_the_default() {
        for option in OPTIONS {
            let mut options = CoercionOptions::default();
            if option.default.is_empty() || option.default.starts_with("any") {
                continue;
            }
            (option.set)(&mut options, option.default).expect(option.name);
            options.float_words = [None, None, None];
            assert_eq!(options, CoercionOptions::default(), "{}", option.name);
        }
    }
}
