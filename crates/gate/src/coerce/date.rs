//! Text to DATE, TIMESTAMP and TIMESTAMP_NTZ. ISO 8601 goes a short way by hand; every other form
//! goes through `moment.rs` or the given patterns.

use std::sync::Arc;

use arrow::array::StringViewArray;
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};

use super::calendar::{self, DAY, SECOND};
use super::moment::{self, Moment};
use super::number::Number;
use super::options::{CoercionOptions, EpochUnit};
use super::pattern::{Pattern, parse_any};
use super::problem::Problem;
use super::scalar::Parsed;
use super::text::parse_primitive;
use super::zone::Zone;

/// Text to DATE.
pub(super) fn dates(text: &StringViewArray, options: &CoercionOptions) -> Parsed {
    let given = !options.date_formats.is_empty();
    let (array, failures) = parse_primitive::<Date32Type>(
        text,
        options,
        |bytes| {
            if given {
                None
            } else {
                iso_date(bytes.try_into().ok()?)
            }
        },
        |text| {
            let moment = if given {
                parse_any(&options.date_formats, text, options)?
            } else {
                moment::parse(text, options, Problem::NotADate)?
            };
            match moment.time {
                None | Some(0) => Ok(moment.days),
                Some(_) => Err(Problem::TimeLost),
            }
        },
    );
    (Arc::new(array), failures)
}

/// Text to TIMESTAMP: an instant in microseconds since 1970 UTC.
pub(super) fn timestamps(
    text: &StringViewArray,
    zone: Arc<str>,
    options: &CoercionOptions,
) -> Parsed {
    let given = !options.timestamp_formats.is_empty();
    let local_is_utc = options.time_zone == chrono_tz::Tz::UTC;
    let (array, failures) = parse_primitive::<TimestampMicrosecondType>(
        text,
        options,
        |bytes| {
            if given {
                return None;
            }
            let (local, offset) = iso_timestamp(bytes)?;
            match offset {
                Some(seconds) => Some(local - i64::from(seconds) * SECOND),
                None => local_is_utc.then_some(local),
            }
        },
        |text| {
            let moment = match read(text, &options.timestamp_formats, options)? {
                Read::Instant(micros) => return Ok(micros),
                Read::Moment(moment) => moment,
            };
            let zone = moment.zone.unwrap_or(Zone::Named(options.time_zone));
            zone.instant(local(moment))
        },
    );
    (Arc::new(array.with_timezone(zone)), failures)
}

/// Text to TIMESTAMP_NTZ: a local time in microseconds; a zone would be lost, so is refused.
pub(super) fn local_timestamps(text: &StringViewArray, options: &CoercionOptions) -> Parsed {
    let given = !options.timestamp_ntz_formats.is_empty();
    let (array, failures) = parse_primitive::<TimestampMicrosecondType>(
        text,
        options,
        |bytes| {
            if given {
                return None;
            }
            let (local, offset) = iso_timestamp(bytes)?;
            offset.is_none().then_some(local)
        },
        |text| match read(text, &options.timestamp_ntz_formats, options)? {
            Read::Instant(micros) => Ok(micros),
            Read::Moment(Moment { zone: Some(_), .. }) => Err(Problem::ZoneLost),
            Read::Moment(moment) => Ok(local(moment)),
        },
    );
    (Arc::new(array), failures)
}

fn local(moment: Moment) -> i64 {
    i64::from(moment.days) * DAY + moment.time.unwrap_or(0)
}

enum Read {
    Instant(i64),
    Moment(Moment),
}

fn read(text: &str, formats: &[Pattern], options: &CoercionOptions) -> Result<Read, Problem> {
    if !formats.is_empty() {
        return parse_any(formats, text, options).map(Read::Moment);
    }
    if let Some(unit) = options.epoch
        && let Ok(number) = Number::parse_plain(text.as_bytes())
    {
        return epoch(number, unit, options).map(Read::Instant);
    }
    moment::parse(text, options, Problem::NotATimestamp).map(Read::Moment)
}

/// A number of units since 1970 in microseconds, if it is in the years 1 to 9999.
fn epoch(number: Number, unit: EpochUnit, options: &CoercionOptions) -> Result<i64, Problem> {
    let places = match unit {
        EpochUnit::Seconds => 6,
        EpochUnit::Milliseconds => 3,
        EpochUnit::Microseconds => 0,
        EpochUnit::Nanoseconds => -3,
    };
    let micros = match number.scaled(places) {
        Err(Problem::DigitsLost) if options.truncate_fraction => {
            // Down to nanoseconds and further digits are cut off, towards the past.
            number.scaled(places + 12)?.div_euclid(10_i128.pow(12))
        }
        Err(Problem::DigitsLost) => return Err(Problem::FractionLost),
        scaled => scaled?,
    };
    let first = i64::from(calendar::days_of(1, 1, 1)) * DAY;
    let end = i64::from(calendar::days_of(10_000, 1, 1)) * DAY;
    i64::try_from(micros)
        .ok()
        .filter(|micros| (first..end).contains(micros))
        .ok_or(Problem::OutOfRange)
}

/// Digits of a fixed place, gathered so that one test at the end finds any that is none.
struct Digits<'a> {
    bytes: &'a [u8],
    worst: u8,
}

impl Digits<'_> {
    #[inline(always)]
    fn two(&mut self, at: usize) -> u32 {
        let tens = self.bytes[at].wrapping_sub(b'0');
        let ones = self.bytes[at + 1].wrapping_sub(b'0');
        self.worst = self.worst.max(tens).max(ones);
        u32::from(tens) * 10 + u32::from(ones)
    }
}

/// `YYYY-MM-DD` to days; none if it is anything else or no day.
#[inline(always)]
fn iso_date(bytes: &[u8; 10]) -> Option<i32> {
    let mut digits = Digits { bytes, worst: 0 };
    let year = digits.two(0) * 100 + digits.two(2);
    let (month, day) = (digits.two(5), digits.two(8));
    if digits.worst > 9 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    calendar::date(year as i32, month, day).ok()
}

/// Eight bytes of a fixed form, looked at together.
struct Form {
    template: u64,
    slack: u64,
}

impl Form {
    /// A form in which `0` stands for any digit and every other byte for itself.
    const fn new(form: &[u8; 8]) -> Self {
        let mut slack = [0x7f_u8; 8];
        let mut at = 0;
        while at < 8 {
            if form[at] == b'0' {
                slack[at] = 0x7f - 9;
            }
            at += 1;
        }
        Self {
            template: u64::from_le_bytes(*form),
            slack: u64::from_le_bytes(slack),
        }
    }

    /// The value of each digit, in its byte; none if a byte does not fit.
    #[inline(always)]
    const fn digits(&self, word: u64) -> Option<u64> {
        // A byte becomes the value of its digit, or 0 where another byte was to stand. What is larger
        // than 9, or than 0, sets the top bit when the slack is added.
        let values = word ^ self.template;
        if (values | values.wrapping_add(self.slack)) & 0x8080_8080_8080_8080 != 0 {
            return None;
        }
        Some(values)
    }
}

/// The number of two digits that begins at a byte.
#[inline(always)]
const fn pair(digits: u64, byte: u32) -> u32 {
    let digits = digits >> (byte * 8);
    (digits & 0xff) as u32 * 10 + (digits >> 8 & 0xff) as u32
}

/// `YYYY-MM-DD[T ]HH:MM:SS[.f…][Z|±HH:MM]` to local microseconds and the offset in seconds; none if
/// it is anything else, or has more than six digits of a second.
#[inline(always)]
fn iso_timestamp(bytes: &[u8]) -> Option<(i64, Option<i32>)> {
    const DATE: Form = Form::new(b"0000-00-");
    const TIME: Form = Form::new(b"00T00:00");
    const MILLIS: Form = Form::new(b":00.000Z");
    let (date, rest) = bytes.split_first_chunk::<8>()?;
    let (time, tail) = rest.split_first_chunk::<8>()?;
    let date = DATE.digits(u64::from_le_bytes(*date))?;
    let mut time = *time;
    if time[2] == b' ' {
        time[2] = b'T';
    }
    let time = TIME.digits(u64::from_le_bytes(time))?;
    let year = pair(date, 0) * 100 + pair(date, 2);
    let days = calendar::date(year as i32, pair(date, 5), pair(time, 0)).ok()?;
    let (hour, minute) = (pair(time, 3), pair(time, 6));
    let (second, micros, offset) = match tail
        .try_into()
        .ok()
        .map(|tail| MILLIS.digits(u64::from_le_bytes(tail)))
    {
        Some(Some(digits)) => {
            let millis = pair(digits, 4) * 10 + (digits >> 48 & 0xff) as u32;
            (pair(digits, 1), millis * 1000, Some(0))
        }
        _ => iso_second(tail)?,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(days) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    Some((seconds * SECOND + i64::from(micros), offset))
}

/// `:SS[.f…][Z|±HH:MM]`: seconds, microseconds and the offset.
#[inline]
fn iso_second(tail: &[u8]) -> Option<(u32, u32, Option<i32>)> {
    let [b':', tens @ b'0'..=b'9', ones @ b'0'..=b'9', tail @ ..] = tail else {
        return None;
    };
    let second = u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
    let (micros, zone) = iso_fraction(tail)?;
    let offset = match zone {
        [] => None,
        [b'Z'] => Some(0),
        _ => Some(iso_offset(zone)?),
    };
    Some((second, micros, offset))
}

/// The microseconds of `.f…`, if there is one, and what follows.
#[inline(always)]
fn iso_fraction(tail: &[u8]) -> Option<(u32, &[u8])> {
    const SCALE: [u32; 7] = [0, 100_000, 10_000, 1_000, 100, 10, 1];
    let [b'.', tail @ ..] = tail else {
        return Some((0, tail));
    };
    let (mut value, mut count) = (0_u32, 0);
    while count < tail.len() && count < 7 {
        let digit = tail[count].wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value * 10 + u32::from(digit);
        count += 1;
    }
    if count == 0 || count > 6 {
        return None;
    }
    Some((value * SCALE[count], &tail[count..]))
}

/// The seconds of `±HH:MM`.
#[inline]
fn iso_offset(zone: &[u8]) -> Option<i32> {
    let zone: &[u8; 6] = zone.try_into().ok()?;
    let mut digits = Digits {
        bytes: zone,
        worst: 0,
    };
    let (hours, minutes) = (digits.two(1), digits.two(4));
    if digits.worst > 9 || zone[3] != b':' || hours > 18 || minutes > 59 {
        return None;
    }
    let seconds = (hours * 3600 + minutes * 60) as i32;
    match zone[0] {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}
