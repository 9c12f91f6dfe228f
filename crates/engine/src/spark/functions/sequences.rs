//! `sequence(first, last)`: whole numbers, dates or times with a step between them.
//!
//! Steps of months count from the first value, so that January's 31st does not stay on the 29th
//! after February.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Builder, ListBuilder};
use arrow::compute::{cast, cast_with_options};
use arrow::datatypes::{
    DataType, Field, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::kernel::{self, Kernel};
use super::times::{DAY, later_by_months, time_type};
use crate::spark::types::name_of;

/// The longest sequence that is made; a longer one is a mistake more likely than a wish.
const LONGEST: usize = 10_000_000;

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![Kernel::new(
        "sequence",
        takes,
        |given| Ok(DataType::new_list(given[0].clone(), true)),
        sequence,
    )]
}

fn takes(given: &[DataType]) -> Result<Vec<DataType>> {
    kernel::count(given, 2..=3, "`sequence(first, last)`, or with a step")?;
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let known = match &given[0] {
        DataType::Null => &given[1],
        first => first,
    };
    let whole = |one: &DataType| one.is_integer() || one.is_null();
    if given.iter().all(whole) && !known.is_null() {
        let wide = given.contains(&DataType::Int64);
        let whole = if wide {
            DataType::Int64
        } else {
            DataType::Int32
        };
        return Ok(vec![whole; given.len()]);
    }
    let bound = match known {
        DataType::Date32 if !matches!(given[1], DataType::Timestamp(..)) => DataType::Date32,
        DataType::Date32 | DataType::Timestamp(..) => time_type(known),
        other => {
            let name = name_of(other);
            return plan_err!("sequence of {name}: it needs whole numbers, dates or times");
        }
    };
    let mut wanted = vec![bound.clone(), bound, interval];
    wanted.truncate(given.len());
    Ok(wanted)
}

/// How far it is from one value to the next.
#[derive(Clone, Copy)]
enum Step {
    Number(i64),
    Time(IntervalMonthDayNano),
}

impl Step {
    /// The value so many steps after the first; `None` if there is none.
    fn after(self, first: i64, steps: i64) -> Option<i64> {
        match self {
            Self::Number(step) => first.checked_add(step.checked_mul(steps)?),
            Self::Time(step) => {
                let moved = later_by_months(first, i64::from(step.months).checked_mul(steps)?)?;
                let days = i64::from(step.days).checked_mul(DAY)?;
                let rest = days.checked_add(step.nanoseconds / 1_000)?;
                moved.checked_add(rest.checked_mul(steps)?)
            }
        }
    }
}

fn sequence(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let item = arguments.arg_fields[0].data_type().clone();
    let (first, last) = (numbers(arguments, 0)?, numbers(arguments, 1)?);
    let (first, last) = (
        first.as_primitive::<Int64Type>(),
        last.as_primitive::<Int64Type>(),
    );
    let steps = Steps::of(arguments)?;
    let mut builder = ListBuilder::new(Int64Builder::new());
    for row in 0..first.len() {
        if first.is_null(row) || last.is_null(row) || steps.is_null(row) {
            builder.append_null();
            continue;
        }
        let (first, last) = (first.value(row), last.value(row));
        fill(builder.values(), first, last, steps.at(row, first > last))?;
        builder.append(true);
    }
    let made = builder.finish();
    let field = Arc::new(Field::new_list_field(item.clone(), true));
    let values = back(made.values(), &item)?;
    let (_, offsets, _, nulls) = made.into_parts();
    let lists = arrow::array::ListArray::try_new(field, offsets, values, nulls)?;
    kernel::result(arguments, Arc::new(lists))
}

fn fill(values: &mut Int64Builder, first: i64, last: i64, step: Step) -> Result<()> {
    let up = match step.after(first, 1) {
        Some(second) if second > first => true,
        Some(second) if second < first => false,
        _ if first == last => {
            values.append_value(first);
            return Ok(());
        }
        _ => return exec_err!("sequence: the step goes nowhere"),
    };
    if first != last && up != (last > first) {
        return exec_err!("sequence: the step goes away from the last value");
    }
    let mut count = 0;
    while let Some(value) = step.after(first, count) {
        if (up && value > last) || (!up && value < last) {
            break;
        }
        if usize::try_from(count).is_ok_and(|count| count >= LONGEST) {
            return exec_err!("sequence: more than {LONGEST} values");
        }
        values.append_value(value);
        count += 1;
    }
    Ok(())
}

/// The third argument, or what stands in for it.
enum Steps {
    Default { time: bool },
    Numbers(arrow::array::Int64Array),
    Times(arrow::array::IntervalMonthDayNanoArray),
}

impl Steps {
    fn of(arguments: &ScalarFunctionArgs) -> Result<Self> {
        let time = !arguments.arg_fields[0].data_type().is_integer();
        if arguments.args.len() < 3 {
            return Ok(Self::Default { time });
        }
        let steps = kernel::array(arguments, 2)?;
        Ok(if time {
            Self::Times(steps.as_primitive::<IntervalMonthDayNanoType>().clone())
        } else {
            let steps = cast(&steps, &DataType::Int64)?;
            Self::Numbers(steps.as_primitive::<Int64Type>().clone())
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Default { .. } => false,
            Self::Numbers(steps) => steps.is_null(row),
            Self::Times(steps) => steps.is_null(row),
        }
    }

    fn at(&self, row: usize, down: bool) -> Step {
        let one = if down { -1 } else { 1 };
        match self {
            Self::Default { time: false } => Step::Number(one),
            Self::Default { time: true } => {
                Step::Time(IntervalMonthDayNano::new(0, if down { -1 } else { 1 }, 0))
            }
            Self::Numbers(steps) => Step::Number(steps.value(row)),
            Self::Times(steps) => Step::Time(steps.value(row)),
        }
    }
}

/// Numbers as they are, dates and times in microseconds.
fn numbers(arguments: &ScalarFunctionArgs, at: usize) -> Result<arrow::array::ArrayRef> {
    let array = kernel::array(arguments, at)?;
    let array = match array.data_type() {
        DataType::Date32 => cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
        _ => array,
    };
    Ok(cast(&array, &DataType::Int64)?)
}

fn back(values: &arrow::array::ArrayRef, item: &DataType) -> Result<arrow::array::ArrayRef> {
    let strict = arrow::compute::CastOptions {
        safe: false,
        ..Default::default()
    };
    match item {
        DataType::Date32 => {
            let times = values
                .as_primitive::<Int64Type>()
                .reinterpret_cast::<TimestampMicrosecondType>();
            Ok(cast(&times, item)?)
        }
        _ => Ok(cast_with_options(values, item, &strict)?),
    }
}
