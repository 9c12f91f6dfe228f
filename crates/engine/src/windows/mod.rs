//! Windows of time in a plan.
//!
//! The resolver turns `window(…)`, `session_window(…)` and `cumulate_window(…)` into calls of marker
//! functions of type `STRUCT<start TIMESTAMP, end TIMESTAMP>`, with lengths in microseconds. The
//! markers stay in the analysed plan ([`crate::Planned::logical_plan`]), where whoever runs it on a
//! stream reads them with [`marker_of`]. For a finished table, [`expand`] replaces each aggregation by a
//! marker before the plan is optimised. Watermarks and late rows are the stream's, not ours.

mod expand;
mod length;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable};

pub(crate) use expand::ExpandWindows;
pub use length::{interval_length, text_length};

use crate::spark;

/// The marker of [`WindowMarker::Tumbling`].
pub(crate) const TUMBLING: &str = "tumbling_window";
/// The marker of [`WindowMarker::Hopping`].
pub(crate) const HOPPING: &str = "hopping_window";
/// The marker of [`WindowMarker::Session`].
pub(crate) const SESSION: &str = "session_window";
/// The marker of [`WindowMarker::Cumulating`].
pub(crate) const CUMULATING: &str = "cumulating_window";

/// How times are put into windows; all lengths in microseconds. A window holds its start and not
/// its end; rows without a time are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowMarker {
    /// `window(ts, length)`: windows side by side, each time in exactly one.
    Tumbling {
        /// From start to end, over 0.
        length: i64,
        /// Where one of the windows starts, counted from 1970-01-01 00:00:00 UTC; less than
        /// `length` away from it.
        start: i64,
    },
    /// `window(ts, length, slide, start)`: a window of `length` starts every `slide`, so that a time
    /// is in about `length / slide` of them.
    Hopping {
        /// From start to end, over `slide`.
        length: i64,
        /// From one start to the next, over 0.
        slide: i64,
        /// Where one of the windows starts, counted from 1970-01-01 00:00:00 UTC; less than `slide`
        /// away from it.
        start: i64,
    },
    /// `session_window(ts, gap)`: times of the same key of which none is more than `gap` after the one
    /// before, as in Spark, where exactly `gap` still continues the session. It starts with the
    /// first and ends `gap` after the last.
    Session {
        /// Over 0.
        gap: i64,
    },
    /// `cumulate_window(ts, max, step)`: windows that start together every `max`, counted from
    /// 1970-01-01 00:00:00 UTC, and end one `step` after another, the last after `max`. A time is in
    /// all of them that end after it.
    Cumulating {
        /// The length of the longest, a multiple of `step`.
        max: i64,
        /// Over 0.
        step: i64,
    },
}

impl WindowMarker {
    /// Whether a row is in exactly one window that its time alone decides.
    pub fn is_tumbling(&self) -> bool {
        matches!(self, Self::Tumbling { .. })
    }
}

/// The window that an expression of a plan stands for, and the expression of its event time
/// (a TIMESTAMP in microseconds); an alias around it does not matter. `None` for all else, also for an
/// expression over a window, such as its start.
pub fn marker_of(expression: &Expr) -> Option<(WindowMarker, Expr)> {
    let call = match expression {
        Expr::Alias(alias) => return marker_of(&alias.expr),
        Expr::ScalarFunction(call) => call,
        _ => return None,
    };
    let (time, numbers) = call.args.split_last()?;
    let numbers: Vec<i64> = numbers.iter().map(number).collect::<Option<_>>()?;
    let marker = match (call.func.name(), numbers.as_slice()) {
        (TUMBLING, &[length, start]) => WindowMarker::Tumbling { length, start },
        (HOPPING, &[length, slide, start]) => WindowMarker::Hopping {
            length,
            slide,
            start,
        },
        (SESSION, &[gap]) => WindowMarker::Session { gap },
        (CUMULATING, &[max, step]) => WindowMarker::Cumulating { max, step },
        _ => return None,
    };
    Some((marker, time.clone()))
}

/// A marker over the windows of another query is one over the last moments of these.
///
/// # Errors
/// An expression whose type cannot be told.
pub(crate) fn with_plain_time(
    expression: Expr,
    schema: &DFSchema,
) -> datafusion::common::Result<Transformed<Expr>> {
    let Expr::ScalarFunction(mut call) = expression else {
        return Ok(Transformed::no(expression));
    };
    let is_marker = [TUMBLING, HOPPING, SESSION, CUMULATING].contains(&call.func.name());
    if let (true, Some(time)) = (is_marker, call.args.last_mut())
        && matches!(time.get_type(schema)?, DataType::Struct(_))
    {
        *time = spark::windows::time_of(time.clone())?;
        return Ok(Transformed::yes(Expr::ScalarFunction(call)));
    }
    Ok(Transformed::no(Expr::ScalarFunction(call)))
}

fn number(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Literal(ScalarValue::Int64(number), _) => *number,
        _ => None,
    }
}
