//! Numbers as people write them, exactly: a sign, digits, a point, an exponent, and what the options
//! allow around them. No number passes through a float on its way to an integer or a decimal.

use super::options::{CoercionOptions, CurrencyOption};
use super::problem::Problem;

/// Digits that fit into a `u128` whatever they are.
const DIGITS_MAX: u32 = 38;

/// Longest number, in bytes, that is read with separators or signs around it.
const DECORATED_BYTES_MAX: usize = 128;

/// `significand × 10^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) negative: bool,
    pub(super) significand: u128,
    pub(super) exponent: i32,
}

impl Number {
    /// Reads `[+-]digits[.digits][e[+-]digits]`, of which one digit must be there.
    pub(super) fn parse_plain(bytes: &[u8]) -> Result<Self, Problem> {
        let (negative, mut rest) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut number = Self {
            negative,
            significand: 0,
            exponent: 0,
        };
        let (mut any, mut behind_point, mut held) = (false, false, 0_u32);
        while let [first, tail @ ..] = rest {
            match first {
                b'0'..=b'9' => {
                    any = true;
                    number.push_digit(first - b'0', behind_point, &mut held)?;
                }
                b'.' if !behind_point => behind_point = true,
                b'e' | b'E' if any => {
                    number.exponent = number.exponent.saturating_add(parse_exponent(tail)?);
                    return Ok(number);
                }
                _ => return Err(Problem::NotANumber),
            }
            rest = tail;
        }
        if any {
            Ok(number)
        } else {
            Err(Problem::NotANumber)
        }
    }

    /// Takes in one more digit; beyond 38 of them only zeros have a place.
    fn push_digit(&mut self, digit: u8, behind_point: bool, held: &mut u32) -> Result<(), Problem> {
        if *held < DIGITS_MAX {
            self.significand = self.significand * 10 + u128::from(digit);
            *held += u32::from(self.significand != 0);
            self.exponent -= i32::from(behind_point);
            return Ok(());
        }
        match (digit, behind_point) {
            (0, true) => {}
            (_, true) => return Err(Problem::DigitsLost),
            (0, false) => self.exponent += 1,
            (_, false) => return Err(Problem::OutOfRange),
        }
        Ok(())
    }

    /// The value times `10^scale`, if that is a whole number; then as a signed integer.
    pub(super) fn scaled(self, scale: i32) -> Result<i128, Problem> {
        let Self {
            negative,
            mut significand,
            exponent,
        } = self;
        if significand == 0 {
            return Ok(0);
        }
        let mut shift = exponent.saturating_add(scale);
        while shift < 0 {
            if significand % 10 != 0 {
                return Err(Problem::DigitsLost);
            }
            significand /= 10;
            shift += 1;
        }
        let power = 10_u128
            .checked_pow(shift as u32)
            .ok_or(Problem::OutOfRange)?;
        let magnitude = significand.checked_mul(power).ok_or(Problem::OutOfRange)?;
        let signed = i128::try_from(magnitude).map_err(|_| Problem::OutOfRange)?;
        Ok(if negative { -signed } else { signed })
    }

    /// Reads a (trimmed) text by the options. A text that is no number is told apart from one that
    /// an option would allow.
    pub(super) fn parse(text: &str, options: &CoercionOptions) -> Result<Self, Problem> {
        if options.plain_numbers() {
            return Self::parse_plain(text.as_bytes()).map_err(|problem| explain(text, problem));
        }
        let mut buffer = [0; DECORATED_BYTES_MAX];
        let (plain, percent) = undecorate(text, options, &mut buffer)?;
        let mut number = Self::parse_plain(plain).map_err(|problem| explain(text, problem))?;
        if percent {
            number.exponent = number.exponent.saturating_sub(2);
        }
        Ok(number)
    }
}

fn parse_exponent(bytes: &[u8]) -> Result<i32, Problem> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return Err(Problem::NotANumber);
    }
    let mut exponent: i32 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Problem::NotANumber);
        }
        exponent = (exponent * 10 + i32::from(digit - b'0')).min(1_000_000);
    }
    Ok(if negative { -exponent } else { exponent })
}

/// Finds the reason a reader would give for a text that is no plain number.
#[cold]
pub(super) fn explain(text: &str, problem: Problem) -> Problem {
    if problem != Problem::NotANumber || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return problem;
    }
    let inner = text
        .trim_start_matches(['-', '+', '('])
        .trim_end_matches(')');
    let (unsigned, sign_or_code) = strip_currency(inner, CurrencyOption::Codes);
    let number_like = |text: &str| {
        let plain = |c: char| {
            c.is_ascii_digit() || matches!(c, '.' | ',' | '\'' | '_' | '-') || is_space(c)
        };
        text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-'))
            && text.chars().all(plain)
    };
    if sign_or_code && number_like(unsigned) {
        return Problem::Currency;
    }
    if let Some(number) = inner.strip_suffix('%')
        && number_like(number.trim_end())
    {
        return Problem::Percent;
    }
    if text.starts_with('(') && text.ends_with(')') && number_like(inner) {
        return Problem::Parentheses;
    }
    if inner.contains([',', '\'', '_', ' ', '\u{a0}', '\u{202f}']) && number_like(inner) {
        return Problem::Separator;
    }
    Problem::NotANumber
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

/// Writes the plain form of a decorated number into `buffer`; also says whether it is a percentage.
fn undecorate<'b>(
    text: &str,
    options: &CoercionOptions,
    buffer: &'b mut [u8; DECORATED_BYTES_MAX],
) -> Result<(&'b [u8], bool), Problem> {
    let mut rest = text;
    let mut negative = false;
    if options.parentheses_negative
        && let Some(inner) = rest
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
    {
        (rest, negative) = (inner.trim(), true);
    }
    let mut percent = false;
    if options.percent
        && let Some(number) = rest.strip_suffix('%')
    {
        (rest, percent) = (number.trim_end(), true);
    }
    let (mut signed, mut currency) = (negative, false);
    for _ in 0..2 {
        if !signed && let Some(number) = rest.strip_prefix(['-', '\u{2212}']) {
            (rest, negative, signed) = (number.trim_start(), true, true);
        } else if !signed && let Some(number) = rest.strip_prefix('+') {
            (rest, signed) = (number.trim_start(), true);
        }
        if !currency {
            (rest, currency) = strip_currency(rest, options.currency);
        }
    }
    let mut length = 0;
    let mut push = |byte: u8| -> Result<(), Problem> {
        *buffer.get_mut(length).ok_or(Problem::OutOfRange)? = byte;
        length += 1;
        Ok(())
    };
    if negative {
        push(b'-')?;
    }
    if rest.starts_with(['-', '+']) {
        return Err(Problem::NotANumber);
    }
    copy_digits(rest, options, text, &mut push)?;
    Ok((&buffer[..length], percent))
}

/// Copies digits, point and exponent; checks that separators stand between thousands.
fn copy_digits(
    rest: &str,
    options: &CoercionOptions,
    whole: &str,
    push: &mut impl FnMut(u8) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let separates = |c: char| match options.thousands_separator {
        Some(' ') => is_space(c),
        Some(separator) => c == separator || (separator == '\'' && c == '\u{2019}'),
        None => false,
    };
    let (mut group, mut grouped, mut whole_part) = (0_u32, false, true);
    let ends_group = |group: u32, grouped: bool| !grouped || group == 3;
    for c in rest.chars() {
        if c.is_ascii_digit() {
            group += 1;
            push(c as u8)?;
        } else if c == options.decimal_separator && whole_part {
            if !ends_group(group, grouped) {
                return Err(Problem::Grouping);
            }
            whole_part = false;
            push(b'.')?;
        } else if whole_part && separates(c) {
            let fits = if grouped {
                group == 3
            } else {
                (1..=3).contains(&group)
            };
            if !fits {
                return Err(Problem::Grouping);
            }
            (group, grouped) = (0, true);
        } else if matches!(c, 'e' | 'E' | '+' | '-') && !grouped {
            whole_part = false;
            push(c as u8)?;
        } else {
            return Err(explain(whole, Problem::NotANumber));
        }
    }
    if whole_part && !ends_group(group, grouped) {
        return Err(Problem::Grouping);
    }
    Ok(())
}

/// Takes one currency sign or code off either end.
fn strip_currency(text: &str, allowed: CurrencyOption) -> (&str, bool) {
    if allowed == CurrencyOption::None {
        return (text, false);
    }
    if let Some(rest) = text.strip_prefix(is_currency_sign) {
        return (rest.trim_start(), true);
    }
    if let Some(rest) = text.strip_suffix(is_currency_sign) {
        return (rest.trim_end(), true);
    }
    if allowed < CurrencyOption::Codes {
        return (text, false);
    }
    if let Some((code, rest)) = text.split_at_checked(3)
        && is_currency_code(code)
    {
        return (rest.trim_start(), true);
    }
    if let Some(cut) = text.len().checked_sub(3)
        && let Some((rest, code)) = text.split_at_checked(cut)
        && is_currency_code(code)
    {
        return (rest.trim_end(), true);
    }
    (text, false)
}

fn is_currency_sign(c: char) -> bool {
    matches!(
        c,
        '$' | '£' | '¥' | '¤' | '₿' | '฿' | '\u{20a0}'..='\u{20cf}'
    )
}

/// The codes of ISO 4217, in order, each with a space behind it.
const CURRENCY_CODES: &[u8] =
    b"AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL \
        BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP \
        ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR \
        IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL \
        LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR \
        NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD \
        SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX \
        USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG ";

/// Whether a text is a code of ISO 4217.
fn is_currency_code(code: &str) -> bool {
    let codes = CURRENCY_CODES.as_chunks::<4>().0;
    codes
        .binary_search_by(|known| known[..3].cmp(code.as_bytes()))
        .is_ok()
}

/// Reads up to 18 digits with an optional minus, and nothing else.
#[inline(always)]
pub(super) fn fast_integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// Reads up to 18 digits, one point among or before them, and an optional minus: the digits as one
/// number, and how many stand behind the point.
#[inline(always)]
pub(super) fn fast_fraction(bytes: &[u8]) -> Option<(bool, u64, u32)> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value: u64 = 0;
    let mut point = usize::MAX;
    for (at, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + u64::from(digit);
        } else if *byte == b'.' && point == usize::MAX {
            point = at;
        } else {
            return None;
        }
    }
    if point == usize::MAX {
        return Some((negative, value, 0));
    }
    if digits.len() == 1 {
        return None;
    }
    Some((negative, value, (digits.len() - 1 - point) as u32))
}
