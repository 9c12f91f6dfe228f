//! Functions of dates and times that also take text, as Spark's do: the text is read first.
//!
//! The functions themselves are those of DataFusion and `datafusion-spark`, which know how to prune
//! files by `year(day) = 2024`.

use std::sync::Arc;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Int32Type, TimeUnit, TimestampMicrosecondType,
};
use chrono::NaiveDate;
use datafusion::common::{
    Result, ScalarValue, exec_datafusion_err, exec_err, internal_err, plan_err,
};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::ExprSimplifyResult;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF};
use datafusion_spark::function::datetime;

use super::kernel::{self, Kernel};
use super::times::time_type;
use crate::spark::types::{name_of, timestamp};

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    let date = |_: &[DataType]| Ok(DataType::Date32);
    let day = |_: &[DataType]| Ok(DataType::Int32);
    vec![
        Kernel::replaced("add_months", date_and_number, date, |arguments, _| {
            becomes(datetime::add_months(), arguments)
        }),
        Kernel::replaced("date_add", date_and_number, date, |arguments, _| {
            becomes(datetime::date_add(), arguments)
        }),
        Kernel::replaced("date_sub", date_and_number, date, |arguments, _| {
            becomes(datetime::date_sub(), arguments)
        }),
        Kernel::replaced("last_day", date_alone, date, |arguments, _| {
            becomes(datetime::last_day(), arguments)
        }),
        Kernel::replaced("weekday", date_alone, day, |arguments, _| {
            becomes(datetime::weekday(), arguments)
        }),
        Kernel::replaced("next_day", date_and_text, date, |arguments, _| {
            becomes(datetime::next_day(), arguments)
        }),
        Kernel::replaced(
            "date_part",
            |given| {
                kernel::count(given, 2..=2, "`date_part('year', time)`")?;
                let time = match &given[1] {
                    text if kernel::is_text(text) || text.is_null() => timestamp(),
                    other => other.clone(),
                };
                Ok(vec![DataType::Utf8View, time])
            },
            day,
            |arguments, context| -> Result<_> {
                datetime::date_part().simplify(arguments, context)
            },
        ),
        Kernel::new(
            "date_trunc",
            |given| {
                kernel::count(given, 2..=2, "`date_trunc('DAY', time)`")?;
                Ok(vec![DataType::Utf8View, time_type(&given[1])])
            },
            |given| Ok(given[1].clone()),
            truncated,
        ),
        Kernel::new("make_timestamp", six_numbers, |_| Ok(timestamp()), made),
    ]
}

/// DataFusion's own `date_trunc` over times without a zone. The session's zone is UTC, so that nothing has to be moved; with
/// the zone's name on them each value would go through the calendar of that zone, and back (a tenth of the CPU time of
/// the gate benchmark).
fn truncated(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let DataType::Timestamp(TimeUnit::Microsecond, zone) = arguments.args[1].data_type() else {
        return internal_err!("date_trunc takes times in microseconds");
    };
    let Some(unit) = kernel::constant_text(arguments, 0) else {
        return exec_err!("the unit of `date_trunc` is a constant such as 'DAY'");
    };
    let unit = match unit.to_ascii_lowercase().as_str() {
        "yy" | "yyyy" => "year".to_owned(),
        "mm" | "mon" => "month".to_owned(),
        "dd" => "day".to_owned(),
        other => other.to_owned(),
    };
    let bare = DataType::Timestamp(TimeUnit::Microsecond, None);
    let bare = ScalarFunctionArgs {
        return_field: Arc::new(Field::new("time", bare, true)),
        args: vec![
            ColumnarValue::Scalar(ScalarValue::from(unit)),
            in_zone(&arguments.args[1], None)?,
        ],
        ..arguments.clone()
    };
    let result = datafusion::functions::datetime::date_trunc().invoke_with_args(bare)?;
    in_zone(&result, zone)
}

/// The same moments, said to be in another zone.
fn in_zone(times: &ColumnarValue, zone: Option<Arc<str>>) -> Result<ColumnarValue> {
    match times {
        ColumnarValue::Array(times) => {
            let times = times
                .as_primitive_opt::<TimestampMicrosecondType>()
                .ok_or_else(|| exec_datafusion_err!("these are no times in microseconds"))?;
            Ok(ColumnarValue::Array(Arc::new(
                times.clone().with_timezone_opt(zone),
            )))
        }
        ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(time, _)) => Ok(
            ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(*time, zone)),
        ),
        ColumnarValue::Scalar(other) => exec_err!("{other} is no time in microseconds"),
    }
}

fn becomes(function: Arc<ScalarUDF>, arguments: Vec<Expr>) -> Result<ExprSimplifyResult> {
    let call = ScalarFunction::new_udf(function, arguments);
    Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)))
}

/// A date, or what is read as one.
fn date_of(given: &DataType) -> Result<DataType> {
    match given {
        DataType::Date32 | DataType::Timestamp(..) | DataType::Null => Ok(DataType::Date32),
        text if kernel::is_text(text) => Ok(DataType::Date32),
        other => plan_err!("a date is needed, not {}", name_of(other)),
    }
}

fn date_alone(given: &[DataType]) -> Result<Vec<DataType>> {
    kernel::count(given, 1..=1, "one date")?;
    Ok(vec![date_of(&given[0])?])
}

fn date_and_text(given: &[DataType]) -> Result<Vec<DataType>> {
    kernel::count(given, 2..=2, "a date and a day such as 'MON'")?;
    Ok(vec![date_of(&given[0])?, DataType::Utf8View])
}

fn date_and_number(given: &[DataType]) -> Result<Vec<DataType>> {
    kernel::count(given, 2..=2, "a date and a number")?;
    match &given[1] {
        number if number.is_integer() || number.is_null() || kernel::is_text(number) => {}
        other => return plan_err!("a whole number is needed, not {}", name_of(other)),
    }
    Ok(vec![date_of(&given[0])?, DataType::Int32])
}

/// Seconds have six digits behind the point.
fn six_numbers(given: &[DataType]) -> Result<Vec<DataType>> {
    let usage = "`make_timestamp(year, month, day, hour, minute, second)`";
    kernel::count(given, 6..=6, usage)?;
    let mut wanted = vec![DataType::Int32; 5];
    wanted.push(DataType::Decimal128(16, 6));
    Ok(wanted)
}

fn made(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let parts = (0..6)
        .map(|at| kernel::array(arguments, at))
        .collect::<Result<Vec<_>>>()?;
    let whole = |at: usize, row: usize| present::<Int32Type>(parts[at].as_ref(), row);
    let rows = parts[0].len();
    let mut times = Vec::with_capacity(rows);
    for row in 0..rows {
        let six = (|| {
            let date = (whole(0, row)?, whole(1, row)?, whole(2, row)?);
            let seconds = present::<Decimal128Type>(parts[5].as_ref(), row)?;
            Some((date, whole(3, row)?, whole(4, row)?, seconds))
        })();
        let Some(((year, month, day), hour, minute, seconds)) = six else {
            times.push(None);
            continue;
        };
        let time = (|| {
            let (month, day) = (month.try_into().ok()?, day.try_into().ok()?);
            let date = NaiveDate::from_ymd_opt(year, month, day)?;
            let (hour, minute) = (hour.try_into().ok()?, minute.try_into().ok()?);
            let moment = date.and_hms_opt(hour, minute, 0)?.and_utc();
            // A minute has a second 60 in Spark: the first of the next minute.
            let within = i64::try_from(seconds)
                .ok()
                .filter(|s| (0..=60_000_000).contains(s))?;
            Some(moment.timestamp_micros() + within)
        })();
        times.push(Some(time.ok_or_else(|| {
            exec_datafusion_err!(
                "make_timestamp: there is no time {year}-{month}-{day} {hour}:{minute} and {} s",
                seconds / 1_000_000
            )
        })?));
    }
    let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
    kernel::result(arguments, Arc::new(times))
}

fn present<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Option<T::Native> {
    array
        .is_valid(row)
        .then(|| array.as_primitive::<T>().value(row))
}
