//! Text to integers, decimals, floats, Booleans and bytes.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryViewBuilder, BooleanArray, BooleanBufferBuilder, Decimal128Array,
    StringViewArray,
};
use arrow::datatypes::{ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type};

use super::number::{Number, explain, fast_fraction, fast_integer};
use super::options::{BinaryFormat, CoercionOptions};
use super::problem::Problem;
use super::text::{Validity, ValueFailure, for_each_text, parse_primitive, slowly};

/// What every coercion gives: the column, and the values that failed, in the order of rows.
pub(super) type Parsed = (ArrayRef, Vec<ValueFailure>);

/// Text to an integer type.
pub(super) fn integers<T>(text: &StringViewArray, options: &CoercionOptions) -> Parsed
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i64> + TryFrom<i128>,
{
    let (array, failures) = parse_primitive::<T>(
        text,
        options,
        |bytes| fast_integer(bytes).and_then(|value| T::Native::try_from(value).ok()),
        |text| {
            let value = Number::parse(text, options)?.scaled(0)?;
            T::Native::try_from(value).map_err(|_| Problem::OutOfRange)
        },
    );
    (Arc::new(array), failures)
}

/// `10^n` for every `n` whose power fits.
const POWERS: [u64; 20] = {
    let mut powers = [1_u64; 20];
    let mut at = 1;
    while at < 20 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Text to `DECIMAL(precision, scale)`.
pub(super) fn decimals(
    text: &StringViewArray,
    precision: u8,
    scale: i8,
    options: &CoercionOptions,
) -> Result<Parsed, arrow::error::ArrowError> {
    let bound = 10_i128.pow(u32::from(precision.min(38)));
    let plain_point = options.decimal_separator == '.';
    let places = u32::try_from(scale).unwrap_or(0);
    let negative_scale = scale < 0;
    let (array, failures) = parse_primitive::<Decimal128Type>(
        text,
        options,
        |bytes| {
            let (negative, digits, behind) = fast_fraction(bytes)?;
            if behind > places || negative_scale || (behind > 0 && !plain_point) {
                return None;
            }
            let power = *POWERS.get((places - behind) as usize)?;
            // A product of two u64 always fits into an i128.
            let value = i128::from(digits) * i128::from(power);
            (value < bound).then_some(if negative { -value } else { value })
        },
        |text| {
            let value = Number::parse(text, options)?.scaled(i32::from(scale))?;
            if value.unsigned_abs() < bound.unsigned_abs() {
                Ok(value)
            } else {
                Err(Problem::OutOfRange)
            }
        },
    );
    let array: Decimal128Array = array.with_precision_and_scale(precision, scale)?;
    Ok((Arc::new(array), failures))
}

/// Text to DOUBLE: the nearest value.
pub(super) fn doubles(text: &StringViewArray, options: &CoercionOptions) -> Parsed {
    let plain_point = options.decimal_separator == '.';
    let (array, failures) = parse_primitive::<Float64Type>(
        text,
        options,
        |bytes| {
            // Clinger's case: a significand of 53 bits and a power of ten up to 10^22 are exact, so
            // that one division rounds once.
            let (negative, digits, behind) = fast_fraction(bytes)?;
            if digits >= 1 << 53 || (behind > 0 && !plain_point) || (negative && digits == 0) {
                return None;
            }
            let value = digits as f64 / *POWERS.get(behind as usize)? as f64;
            Some(if negative { -value } else { value })
        },
        |text| {
            float(text, options, f64::INFINITY, f64::NAN, |value: f64| {
                value.is_finite()
            })
        },
    );
    (Arc::new(array), failures)
}

/// Text to FLOAT: the nearest value.
pub(super) fn floats(text: &StringViewArray, options: &CoercionOptions) -> Parsed {
    let plain_point = options.decimal_separator == '.';
    let (array, failures) = parse_primitive::<Float32Type>(
        text,
        options,
        |bytes| {
            let (negative, digits, behind) = fast_fraction(bytes)?;
            if digits >= 1 << 24
                || behind > 10
                || (behind > 0 && !plain_point)
                || (negative && digits == 0)
            {
                return None;
            }
            let value = digits as f32 / *POWERS.get(behind as usize)? as f32;
            Some(if negative { -value } else { value })
        },
        |text| {
            float(text, options, f32::INFINITY, f32::NAN, |value: f32| {
                value.is_finite()
            })
        },
    );
    (Arc::new(array), failures)
}

/// The long way to a float: words, decorations, exponents; an overflow is a problem.
fn float<F>(
    text: &str,
    options: &CoercionOptions,
    infinity: F,
    nan: F,
    finite: impl Fn(F) -> bool,
) -> Result<F, Problem>
where
    F: std::str::FromStr + std::ops::Neg<Output = F> + Copy,
{
    let word = text.to_lowercase();
    let own = |place: usize| options.float_words[place].as_deref() == Some(word.as_str());
    match word.as_str() {
        "nan" => return Ok(nan),
        "inf" | "+inf" | "infinity" | "+infinity" => return Ok(infinity),
        "-inf" | "-infinity" => return Ok(-infinity),
        _ if own(0) => return Ok(nan),
        _ if own(1) => return Ok(infinity),
        _ if own(2) => return Ok(-infinity),
        _ => {}
    }
    let value: F = if options.plain_numbers() {
        parse_float(text).ok_or_else(|| explain(text, Problem::NotANumber))?
    } else {
        let number = Number::parse(text, options)?;
        let sign = if number.negative { "-" } else { "" };
        let plain = format!("{sign}{}e{}", number.significand, number.exponent);
        parse_float(&plain).ok_or(Problem::NotANumber)?
    };
    if finite(value) {
        Ok(value)
    } else {
        Err(Problem::OutOfRange)
    }
}

/// Parses digits only: the standard library's words for infinity were dealt with before.
fn parse_float<F: std::str::FromStr>(text: &str) -> Option<F> {
    let numeric =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    text.bytes().all(numeric).then(|| text.parse().ok())?
}

/// Text to BOOLEAN by words.
pub(super) fn booleans(text: &StringViewArray, options: &CoercionOptions) -> Parsed {
    let rows = text.len();
    let mut values = BooleanBufferBuilder::new(rows);
    let mut validity = Validity::of(text);
    let mut failures = Vec::new();
    let defaults = CoercionOptions::default();
    let usual = options.null_values.is_empty()
        && options.true_values == defaults.true_values
        && options.false_values == defaults.false_values;
    for_each_text(text, |row, bytes| {
        let Some(bytes) = bytes else {
            values.append(false);
            return;
        };
        let known = match bytes {
            b"true" | b"1" if usual => Some(true),
            b"false" | b"0" if usual => Some(false),
            _ => None,
        };
        let outcome = match known {
            Some(value) => Ok(Some(value)),
            None => slowly(bytes, options, |text| boolean(text, options)),
        };
        values.append(matches!(outcome, Ok(Some(true))));
        if !matches!(outcome, Ok(Some(_))) {
            validity.clear(row);
        }
        if let Err(problem) = outcome {
            failures.push(ValueFailure {
                row: row as u32,
                problem,
            });
        }
    });
    (
        Arc::new(BooleanArray::new(values.finish(), validity.finish())),
        failures,
    )
}

fn boolean(text: &str, options: &CoercionOptions) -> Result<bool, Problem> {
    let is = |words: &[String]| {
        words
            .iter()
            .any(|word| word.eq_ignore_ascii_case(text) || *word == text.to_lowercase())
    };
    if is(&options.true_values) {
        return Ok(true);
    }
    if is(&options.false_values) {
        return Ok(false);
    }
    Err(Problem::NotABoolean)
}

/// Text to BINARY.
pub(super) fn binaries(text: &StringViewArray, options: &CoercionOptions) -> Parsed {
    if options.binary_format == BinaryFormat::Utf8 {
        return (Arc::new(text.clone().to_binary_view()), Vec::new());
    }
    let mut values = BinaryViewBuilder::with_capacity(text.len());
    let mut failures = Vec::new();
    for_each_text(text, |row, bytes| {
        let outcome = match bytes {
            Some(bytes) => slowly(bytes, options, |text| {
                let decoded = match options.binary_format {
                    BinaryFormat::Hex => from_hex(text.as_bytes()),
                    _ => from_base64(text.as_bytes()),
                };
                decoded.ok_or(Problem::NotBinary)
            }),
            None => Ok(None),
        };
        match outcome {
            Ok(value) => values.append_option(value),
            Err(problem) => {
                values.append_null();
                failures.push(ValueFailure {
                    row: row as u32,
                    problem,
                });
            }
        }
    });
    (Arc::new(values.finish()), failures)
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.chunks_exact(2)
        .map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8))
        .collect()
}

fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let text = &text[..text.len() - padding];
    let remainder = text.len() % 4;
    if remainder == 1 || padding > 2 || (padding > 0 && !(remainder + padding).is_multiple_of(4)) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut word: u32 = 0;
        for byte in group {
            let six = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return None,
            };
            word = word << 6 | u32::from(six);
        }
        let bits = group.len() * 6;
        let spare = bits % 8;
        if word & ((1 << spare) - 1) != 0 {
            return None;
        }
        let whole = word >> spare;
        bytes.extend_from_slice(&whole.to_be_bytes()[4 - bits / 8..]);
    }
    Some(bytes)
}
