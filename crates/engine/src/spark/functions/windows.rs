//! Windows of time: the markers that stand for them in a plan, and the steps that
//! [`crate::windows`] makes of them.
//!
//! A marker says of which type a window is and with what lengths, in microseconds. A tumbling window is
//! computed as any function; the others must have been replaced before they run.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, Int64BufferBuilder, ListArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, lit};

use super::kernel::{self, Kernel};
use super::times::{like, time_type, times};
use crate::windows::{CUMULATING, HOPPING, SESSION, TUMBLING};

/// The functions that a query may call.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::new(
            TUMBLING,
            |given| numbers_and_time(given, 2),
            window_type,
            tumbling_window,
        ),
        Kernel::new(
            HOPPING,
            |given| numbers_and_time(given, 3),
            window_type,
            not_replaced,
        ),
        Kernel::new(
            SESSION,
            |given| numbers_and_time(given, 1),
            window_type,
            not_replaced,
        ),
        Kernel::new(
            CUMULATING,
            |given| numbers_and_time(given, 2),
            window_type,
            not_replaced,
        ),
        Kernel::new(
            "window_time",
            |given| match given {
                [DataType::Struct(fields)] if fields.find("end").is_some() => Ok(given.to_vec()),
                _ => plan_err!("write `window_time(w)`, where `w` is a window"),
            },
            |given| end_type(&given[0]),
            window_time,
        ),
    ]
}

/// A step of an expansion, by what it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `(length, start, time)` → where the time's tumbling window starts.
    Start,
    /// `(length, slide, start, time)` → where the time's hopping windows start.
    HoppingStarts,
    /// `(max, step, time)` → where the time's cumulating windows end.
    CumulatingEnds,
    /// `(microseconds, time)` → the time so much later.
    Shift,
    /// `(start, end)` → the window.
    Window,
}

/// A call of a step.
pub(crate) fn call(step: Step, numbers: &[i64], times: Vec<Expr>) -> Expr {
    let [start, hopping, cumulating, shift, window] = &*STEPS;
    let function = match step {
        Step::Start => start,
        Step::HoppingStarts => hopping,
        Step::CumulatingEnds => cumulating,
        Step::Shift => shift,
        Step::Window => window,
    };
    let numbers = numbers.iter().map(|number| lit(*number));
    let arguments = numbers.chain(times).collect();
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), arguments))
}

/// The last moment of a window.
///
/// # Errors
/// None, unless the function is missing.
pub(crate) fn time_of(window: Expr) -> Result<Expr> {
    match super::named("window_time") {
        Some(function) => Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
            function,
            vec![window],
        ))),
        None => internal_err!("there is no function window_time"),
    }
}

static STEPS: LazyLock<[Arc<ScalarUDF>; 5]> = LazyLock::new(|| {
    [
        Kernel::new(
            "__window_start",
            |given| numbers_and_time(given, 2),
            |given| Ok(given[2].clone()),
            |arguments| {
                let (length, start) = (number(arguments, 0)?, number(arguments, 1)?);
                mapped(arguments, 2, |time| start_of(time, length, start))
            },
        ),
        Kernel::new(
            "__hopping_starts",
            |given| numbers_and_time(given, 3),
            |given| Ok(list_type(&given[3])),
            hopping_starts,
        ),
        Kernel::new(
            "__cumulating_ends",
            |given| numbers_and_time(given, 2),
            |given| Ok(list_type(&given[2])),
            cumulating_ends,
        ),
        Kernel::new(
            "__window_shift",
            |given| numbers_and_time(given, 1),
            |given| Ok(given[1].clone()),
            |arguments| {
                let by = number(arguments, 0)?;
                mapped(arguments, 1, |time| time.saturating_add(by))
            },
        ),
        Kernel::new(
            "__window",
            |given| Ok(vec![time_type(&given[0]), time_type(&given[1])]),
            |given| Ok(DataType::Struct(fields(&given[0]))),
            |arguments| window(arguments, times(arguments, 0)?, &times(arguments, 1)?),
        ),
    ]
    .map(|kernel| Arc::new(ScalarUDF::new_from_impl(kernel)))
});

/// So many numbers and a time, or a window, of which its time is meant.
fn numbers_and_time(given: &[DataType], numbers: usize) -> Result<Vec<DataType>> {
    if given.len() != numbers + 1 {
        return plan_err!("{} arguments are given, not {}", given.len(), numbers + 1);
    }
    let time = match &given[numbers] {
        window @ DataType::Struct(fields) if fields.find("end").is_some() => window.clone(),
        DataType::Null | DataType::Date32 | DataType::Timestamp(..) => time_type(&given[numbers]),
        text if kernel::is_text(text) => time_type(text),
        _ => return plan_err!("a window needs a TIMESTAMP, `window(time, '10 minutes')`"),
    };
    let mut wanted = vec![DataType::Int64; numbers];
    wanted.push(time);
    Ok(wanted)
}

fn window_type(given: &[DataType]) -> Result<DataType> {
    let time = given.last().map(end_type).transpose()?;
    Ok(DataType::Struct(fields(&time.unwrap_or(DataType::Null))))
}

/// The type of a window's end; of a time, its own.
fn end_type(given: &DataType) -> Result<DataType> {
    match given {
        DataType::Struct(fields) => match fields.find("end") {
            Some((_, end)) => Ok(time_type(end.data_type())),
            None => plan_err!("a window has a `start` and an `end`"),
        },
        other => Ok(other.clone()),
    }
}

fn fields(time: &DataType) -> Fields {
    Fields::from(vec![
        Field::new("start", time.clone(), true),
        Field::new("end", time.clone(), true),
    ])
}

fn list_type(time: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(time.clone(), false)))
}

/// A constant number of microseconds.
fn number(arguments: &ScalarFunctionArgs, at: usize) -> Result<i64> {
    match arguments.args.get(at) {
        Some(ColumnarValue::Scalar(ScalarValue::Int64(Some(number)))) => Ok(*number),
        _ => exec_err!(
            "argument {} must be a constant number of microseconds",
            at + 1
        ),
    }
}

fn not_replaced(_: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    exec_err!("an overlapping window can only be grouped by: write it in GROUP BY")
}

/// Where the window starts that a time falls into.
fn start_of(time: i64, length: i64, start: i64) -> i64 {
    time.saturating_sub(time.saturating_sub(start).rem_euclid(length.max(1)))
}

/// Another time for each.
fn mapped(
    arguments: &ScalarFunctionArgs,
    at: usize,
    becomes: impl Fn(i64) -> i64,
) -> Result<ColumnarValue> {
    let times = times(arguments, at)?;
    let mapped: TimestampMicrosecondArray = times.unary(becomes);
    let mapped = like(mapped, arguments.arg_fields[at].data_type());
    kernel::result(arguments, Arc::new(mapped))
}

/// The window of a fixed length that a time falls into.
fn tumbling_window(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (length, first) = (number(arguments, 0)?, number(arguments, 1)?);
    let times = times(arguments, 2)?;
    let start: TimestampMicrosecondArray = times.unary(|time| start_of(time, length, first));
    let end: TimestampMicrosecondArray = start.unary(|start| start.saturating_add(length));
    let data_type = arguments.arg_fields[2].data_type();
    window(arguments, like(start, data_type), &like(end, data_type))
}

/// Windows of these starts and ends; NULL where a start is.
fn window(
    arguments: &ScalarFunctionArgs,
    start: TimestampMicrosecondArray,
    end: &TimestampMicrosecondArray,
) -> Result<ColumnarValue> {
    let nulls = start.nulls().cloned();
    let columns: Vec<ArrayRef> = vec![Arc::new(start), Arc::new(end.clone())];
    let fields = fields(columns[0].data_type());
    let windows = StructArray::try_new_with_length(fields, columns, nulls, end.len())?;
    kernel::result(arguments, Arc::new(windows))
}

fn hopping_starts(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (length, slide, first) = (
        number(arguments, 0)?,
        number(arguments, 1)?.max(1),
        number(arguments, 2)?,
    );
    listed(arguments, 3, |time, starts| {
        let mut start = start_of(time, slide, first);
        while start > time.saturating_sub(length) {
            starts.append(start);
            start -= slide;
        }
    })
}

fn cumulating_ends(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (max, step) = (number(arguments, 0)?, number(arguments, 1)?.max(1));
    listed(arguments, 2, |time, ends| {
        let start = start_of(time, max, 0);
        let mut end = start_of(time, step, start).saturating_add(step);
        while end <= start.saturating_add(max) {
            ends.append(end);
            end += step;
        }
    })
}

/// Several times for each.
fn listed(
    arguments: &ScalarFunctionArgs,
    at: usize,
    list: impl Fn(i64, &mut Int64BufferBuilder),
) -> Result<ColumnarValue> {
    let times = times(arguments, at)?;
    let mut values = Int64BufferBuilder::new(times.len());
    let mut lengths = Vec::with_capacity(times.len());
    for time in &times {
        let before = values.len();
        if let Some(time) = time {
            list(time, &mut values);
        }
        lengths.push(values.len() - before);
    }
    let data_type = arguments.arg_fields[at].data_type();
    let values = TimestampMicrosecondArray::new(values.finish().into(), None);
    let field = Arc::new(Field::new_list_field(data_type.clone(), false));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls: Option<NullBuffer> = times.nulls().cloned();
    let lists = ListArray::try_new(field, offsets, Arc::new(like(values, data_type)), nulls)?;
    kernel::result(arguments, Arc::new(lists))
}

/// The last moment that is in a window.
fn window_time(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let windows = kernel::array(arguments, 0)?;
    let windows = windows.as_struct();
    let Some(end) = windows.column_by_name("end") else {
        return exec_err!("a window has a `start` and an `end`");
    };
    let end = arrow::compute::cast(end, &time_type(end.data_type()))?;
    let end = end.as_primitive::<TimestampMicrosecondType>();
    let last: TimestampMicrosecondArray = end.unary(|end| end.saturating_sub(1));
    let nulls = NullBuffer::union(windows.nulls(), end.nulls());
    let last = TimestampMicrosecondArray::new(last.values().clone(), nulls);
    kernel::result(arguments, Arc::new(like(last, end.data_type())))
}
