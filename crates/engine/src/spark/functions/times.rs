//! Dates and times: to and from text, and steps between them.

use std::sync::Arc;

use arrow::array::{
    Array, AsArray, Date32Array, Float64Array, Int64Array, StringViewBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{Datelike, Months, NaiveDateTime, TimeDelta};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::kernel::{self, Kernel};
use super::moments;
use super::patterns::{Pattern, moment};
use crate::spark::types::timestamp;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// Microseconds in a day.
pub(super) const DAY: i64 = 86_400 * SECOND;

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::new(
            "to_timestamp",
            readable,
            |_| Ok(timestamp()),
            |a| to_timestamp(a, Failing::Loudly),
        ),
        Kernel::new(
            "try_to_timestamp",
            readable,
            |_| Ok(timestamp()),
            |a| to_timestamp(a, Failing::Quietly),
        ),
        Kernel::new(
            "to_date",
            readable,
            |_| Ok(DataType::Date32),
            |a| to_date(a, Failing::Loudly),
        ),
        Kernel::new(
            "try_to_date",
            readable,
            |_| Ok(DataType::Date32),
            |a| to_date(a, Failing::Quietly),
        ),
        Kernel::new(
            "unix_timestamp",
            readable,
            |_| Ok(DataType::Int64),
            unix_timestamp,
        )
        .stable(),
        Kernel::new(
            "to_unix_timestamp",
            readable,
            |_| Ok(DataType::Int64),
            unix_timestamp,
        )
        .stable(),
        Kernel::new(
            "from_unixtime",
            |given| {
                kernel::count(given, 1..=2, "`from_unixtime(seconds, 'yyyy-MM-dd')`")?;
                Ok([DataType::Int64, DataType::Utf8View][..given.len()].to_vec())
            },
            |_| Ok(DataType::Utf8View),
            from_unixtime,
        ),
        Kernel::new(
            "date_format",
            |given| {
                kernel::count(given, 2..=2, "`date_format(time, 'yyyy-MM-dd')`")?;
                Ok(vec![time_type(&given[0]), DataType::Utf8View])
            },
            |_| Ok(DataType::Utf8View),
            date_format,
        ),
        Kernel::new(
            "timestamp_plus",
            |given| {
                kernel::count(given, 3..=3, "`dateadd(DAY, 3, time)`")?;
                Ok(vec![
                    DataType::Utf8View,
                    DataType::Int64,
                    time_type(&given[2]),
                ])
            },
            |given| Ok(given[2].clone()),
            timestamp_plus,
        ),
        Kernel::new(
            "timestamp_difference",
            |given| {
                kernel::count(given, 3..=3, "`datediff(DAY, start, end)`")?;
                Ok(vec![
                    DataType::Utf8View,
                    time_type(&given[1]),
                    time_type(&given[2]),
                ])
            },
            |_| Ok(DataType::Int64),
            timestamp_difference,
        ),
        Kernel::new(
            "months_between",
            |given| {
                kernel::count(given, 2..=3, "`months_between(end, start)`")?;
                let wanted = [
                    time_type(&given[0]),
                    time_type(&given[1]),
                    DataType::Boolean,
                ];
                Ok(wanted[..given.len()].to_vec())
            },
            |_| Ok(DataType::Float64),
            months_between,
        ),
        Kernel::new(
            "timestamp_seconds",
            whole_number,
            |_| Ok(timestamp()),
            |a| from_count(a, SECOND),
        ),
        Kernel::new(
            "timestamp_millis",
            whole_number,
            |_| Ok(timestamp()),
            |a| from_count(a, 1_000),
        ),
        Kernel::new(
            "timestamp_micros",
            whole_number,
            |_| Ok(timestamp()),
            |a| from_count(a, 1),
        ),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Failing {
    Loudly,
    Quietly,
}

/// Text, dates and timestamps, and a pattern.
fn readable(given: &[DataType]) -> Result<Vec<DataType>> {
    kernel::count(given, 0..=2, "a text and a pattern")?;
    let mut wanted = Vec::with_capacity(given.len());
    for (at, data_type) in given.iter().enumerate() {
        wanted.push(
            if at == 1 || kernel::is_text(data_type) || data_type.is_null() {
                DataType::Utf8View
            } else {
                time_type(data_type)
            },
        );
    }
    Ok(wanted)
}

fn whole_number(given: &[DataType]) -> Result<Vec<DataType>> {
    kernel::count(given, 1..=1, "one number")?;
    Ok(vec![DataType::Int64])
}

/// A timestamp keeps its kind, everything else is read as a TIMESTAMP.
pub(super) fn time_type(given: &DataType) -> DataType {
    match given {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => timestamp(),
    }
}

/// An argument in microseconds.
pub(super) fn times(
    arguments: &ScalarFunctionArgs,
    at: usize,
) -> Result<TimestampMicrosecondArray> {
    let array = kernel::array(arguments, at)?;
    Ok(array.as_primitive::<TimestampMicrosecondType>().clone())
}

/// Times in the zone of a type.
pub(super) fn like(
    array: TimestampMicrosecondArray,
    data_type: &DataType,
) -> TimestampMicrosecondArray {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => array.with_timezone(Arc::clone(zone)),
        _ => array,
    }
}

/// Reads an argument as microseconds, by the pattern in the second argument if there is one.
fn read(arguments: &ScalarFunctionArgs, failing: Failing) -> Result<TimestampMicrosecondArray> {
    if !kernel::is_text(arguments.arg_fields[0].data_type()) {
        return times(arguments, 0);
    }
    if arguments.args.len() < 2 {
        return moments::read(kernel::text(arguments, 0)?, failing == Failing::Quietly);
    }
    let Some(pattern) = kernel::constant_text(arguments, 1) else {
        return exec_err!("the pattern must be a constant text");
    };
    let compiled = Pattern::new(pattern).map_err(|error| exec_datafusion_err!("{error}"))?;
    let texts = kernel::text(arguments, 0)?;
    let mut out = Vec::with_capacity(texts.len());
    for text in texts.iter() {
        let read = text.and_then(|text| compiled.read(text));
        if let (Some(text), None, Failing::Loudly) = (text, read, failing) {
            return exec_err!("'{text}' does not follow the pattern '{pattern}'");
        }
        out.push(read.map(|moment| moment.and_utc().timestamp_micros()));
    }
    Ok(TimestampMicrosecondArray::from(out).with_timezone("UTC"))
}

fn to_timestamp(arguments: &ScalarFunctionArgs, failing: Failing) -> Result<ColumnarValue> {
    let read = read(arguments, failing)?;
    kernel::result(arguments, Arc::new(read.with_timezone("UTC")))
}

fn to_date(arguments: &ScalarFunctionArgs, failing: Failing) -> Result<ColumnarValue> {
    let read = read(arguments, failing)?;
    let days: Date32Array = read
        .iter()
        .map(|time| time.and_then(|time| i32::try_from(time.div_euclid(DAY)).ok()))
        .collect();
    kernel::result(arguments, Arc::new(days))
}

fn unix_timestamp(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    if arguments.args.is_empty() {
        let now = chrono::Utc::now().timestamp();
        let rows = vec![now; arguments.number_rows.max(1)];
        return Ok(ColumnarValue::Array(Arc::new(Int64Array::from(rows))));
    }
    let seconds: Int64Array = read(arguments, Failing::Loudly)?
        .iter()
        .map(|time| time.map(|time| time.div_euclid(SECOND)))
        .collect();
    kernel::result(arguments, Arc::new(seconds))
}

fn from_count(arguments: &ScalarFunctionArgs, unit: i64) -> Result<ColumnarValue> {
    let counts = kernel::array(arguments, 0)?;
    let counts = counts.as_primitive::<Int64Type>();
    let times: TimestampMicrosecondArray = arrow::compute::try_unary(counts, |count| {
        count.checked_mul(unit).ok_or_else(|| {
            arrow::error::ArrowError::ArithmeticOverflow(format!("{count} is no moment"))
        })
    })?;
    kernel::result(arguments, Arc::new(times.with_timezone("UTC")))
}

/// Writes every time of an argument.
pub(super) fn written(
    arguments: &ScalarFunctionArgs,
    at: usize,
    mut write: impl FnMut(NaiveDateTime, &mut String),
) -> Result<ColumnarValue> {
    let times = times(arguments, at)?;
    let mut builder = StringViewBuilder::with_capacity(times.len());
    let mut buffer = String::new();
    for time in times.iter() {
        match time.and_then(moment) {
            Some(moment) => {
                buffer.clear();
                write(moment, &mut buffer);
                builder.append_value(&buffer);
            }
            None => builder.append_null(),
        }
    }
    kernel::result(arguments, Arc::new(builder.finish()))
}

fn date_format(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let Some(pattern) = kernel::constant_text(arguments, 1) else {
        return exec_err!("the pattern of date_format must be a constant text");
    };
    let pattern = Pattern::new(pattern).map_err(|error| exec_datafusion_err!("{error}"))?;
    let zoned = matches!(
        arguments.arg_fields[0].data_type(),
        DataType::Timestamp(_, Some(_))
    );
    written(arguments, 0, |moment, out| {
        pattern.write(&moment, zoned, out)
    })
}

fn from_unixtime(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let pattern = match arguments.args.len() {
        1 => "yyyy-MM-dd HH:mm:ss",
        _ => kernel::constant_text(arguments, 1)
            .ok_or_else(|| exec_datafusion_err!("the pattern must be a constant text"))?,
    };
    let pattern = Pattern::new(pattern).map_err(|error| exec_datafusion_err!("{error}"))?;
    let seconds = kernel::array(arguments, 0)?;
    let mut builder = StringViewBuilder::new();
    let mut buffer = String::new();
    for second in seconds.as_primitive::<Int64Type>().iter() {
        match second.and_then(|s| s.checked_mul(SECOND)).and_then(moment) {
            Some(moment) => {
                buffer.clear();
                pattern.write(&moment, true, &mut buffer);
                builder.append_value(&buffer);
            }
            None => builder.append_null(),
        }
    }
    kernel::result(arguments, Arc::new(builder.finish()))
}

/// The unit of the first argument: so many microseconds, or so many months.
enum Unit {
    Microseconds(i64),
    Months(i64),
}

fn unit(arguments: &ScalarFunctionArgs) -> Result<Unit> {
    let name = kernel::constant_text(arguments, 0).unwrap_or_default();
    Ok(match name {
        "microsecond" => Unit::Microseconds(1),
        "millisecond" => Unit::Microseconds(1_000),
        "second" => Unit::Microseconds(SECOND),
        "minute" => Unit::Microseconds(60 * SECOND),
        "hour" => Unit::Microseconds(3_600 * SECOND),
        "day" => Unit::Microseconds(DAY),
        "week" => Unit::Microseconds(7 * DAY),
        "month" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" => Unit::Months(12),
        other => return exec_err!("there is no unit of time `{other}`"),
    })
}

fn timestamp_plus(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let unit = unit(arguments)?;
    let counts = kernel::array(arguments, 1)?;
    let times = times(arguments, 2)?;
    let moved: TimestampMicrosecondArray = counts
        .as_primitive::<Int64Type>()
        .iter()
        .zip(times.iter())
        .map(|(count, time)| match unit {
            Unit::Microseconds(size) => time?.checked_add(count?.checked_mul(size)?),
            Unit::Months(size) => later_by_months(time?, count?.checked_mul(size)?),
        })
        .collect();
    let moved = like(moved, arguments.arg_fields[2].data_type());
    kernel::result(arguments, Arc::new(moved))
}

/// A time in microseconds, so many months later; a day that the month has not is its last.
pub(super) fn later_by_months(time: i64, months: i64) -> Option<i64> {
    let moment = moment(time)?;
    let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    let moved = if months < 0 {
        moment.checked_sub_months(count)
    } else {
        moment.checked_add_months(count)
    };
    moved.map(|moved| moved.and_utc().timestamp_micros())
}

/// Whole units from one time to another, cut towards zero.
fn timestamp_difference(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let unit = unit(arguments)?;
    let (from, to) = (times(arguments, 1)?, times(arguments, 2)?);
    let counts: Int64Array = from
        .iter()
        .zip(to.iter())
        .map(|(from, to)| match unit {
            Unit::Microseconds(size) => Some((to? - from?) / size),
            Unit::Months(size) => Some(whole_months(moment(from?)?, moment(to?)?) / size),
        })
        .collect();
    kernel::result(arguments, Arc::new(counts))
}

fn month_number(moment: &NaiveDateTime) -> i64 {
    i64::from(moment.year()) * 12 + i64::from(moment.month0())
}

fn whole_months(from: NaiveDateTime, to: NaiveDateTime) -> i64 {
    let months = month_number(&to) - month_number(&from);
    let rest = |moment: &NaiveDateTime| (moment.day(), moment.time());
    match months {
        1.. if rest(&to) < rest(&from) => months - 1,
        ..=-1 if rest(&to) > rest(&from) => months + 1,
        _ => months,
    }
}

/// Months between two times: whole if both are the same day of the month or both its last, else by
/// months of 31 days, to eight digits.
fn months_between(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (to, from) = (times(arguments, 0)?, times(arguments, 1)?);
    let months: Float64Array = to
        .iter()
        .zip(from.iter())
        .map(|(to, from)| Some(months_from(moment(from?)?, moment(to?)?)))
        .collect();
    kernel::result(arguments, Arc::new(months))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "months and microseconds of a month are small"
)]
fn months_from(from: NaiveDateTime, to: NaiveDateTime) -> f64 {
    let months = (month_number(&to) - month_number(&from)) as f64;
    let is_last = |moment: &NaiveDateTime| (*moment + TimeDelta::days(1)).month() != moment.month();
    if to.day() == from.day() || (is_last(&to) && is_last(&from)) {
        return months;
    }
    let within = |moment: &NaiveDateTime| {
        let seconds = moment.and_utc().timestamp_micros().rem_euclid(DAY);
        i64::from(moment.day()) * DAY + seconds
    };
    let rest = (within(&to) - within(&from)) as f64 / (31 * DAY) as f64;
    ((months + rest) * 1e8).round() / 1e8
}
