//! Windows, as they stand in a plan: calls of marker functions of type `STRUCT<start, end>`.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

use crate::error::{Result, StreamError};
use crate::slices::Slices;

/// How times are put into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    Slices(Slices),
    /// Times of a key of which none is more than `gap` microseconds after the one before.
    Session {
        gap: i64,
    },
}

/// The window that an expression stands for, and the expression of its time.
pub(crate) fn marker_of(expression: &Expr) -> Result<Option<(Marker, Expr)>> {
    let call = match expression {
        Expr::Alias(alias) => return marker_of(&alias.expr),
        Expr::ScalarFunction(call) => call,
        _ => return Ok(None),
    };
    let known = ["tumbling_window", "hopping_window", "session_window", "cumulating_window"];
    let (true, Some((time, lengths))) = (known.contains(&call.func.name()), call.args.split_last())
    else {
        return Ok(None);
    };
    let lengths: Vec<i64> = lengths.iter().map(length).collect::<Result<_>>()?;
    let marker = match (call.func.name(), lengths.as_slice()) {
        ("tumbling_window", &[length]) => Marker::Slices(Slices::Tumbling { length, start: 0 }),
        ("tumbling_window", &[length, start]) => Marker::Slices(Slices::Tumbling { length, start }),
        ("hopping_window", &[length, slide, start]) => Marker::Slices(Slices::Hopping {
            length,
            slide,
            start,
        }),
        ("cumulating_window", &[max, step]) => Marker::Slices(Slices::Cumulating { max, step }),
        ("session_window", &[gap]) => Marker::Session { gap },
        (name, lengths) => {
            return Err(StreamError::bug(format!(
                "{name} with {} lengths",
                lengths.len()
            )));
        }
    };
    Ok(Some((marker, time.clone())))
}

/// A constant number of microseconds.
fn length(expression: &Expr) -> Result<i64> {
    match expression {
        Expr::Alias(alias) => length(&alias.expr),
        Expr::Cast(cast) => length(&cast.expr),
        Expr::Literal(ScalarValue::Int64(Some(length)), _) => Ok(*length),
        other => Err(StreamError::bug(format!(
            "a window of the length {other}"
        ))),
    }
}
