//! Windows, as they stand in a plan.

use datafusion::logical_expr::Expr;
use tidegate_engine::windows::{self, WindowMarker};

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
pub(crate) fn marker_of(expression: &Expr) -> Option<(Marker, Expr)> {
    let (marker, time) = windows::marker_of(expression)?;
    let marker = match marker {
        WindowMarker::Tumbling { length, start } => {
            Marker::Slices(Slices::Tumbling { length, start })
        }
        WindowMarker::Hopping {
            length,
            slide,
            start,
        } => Marker::Slices(Slices::Hopping {
            length,
            slide,
            start,
        }),
        WindowMarker::Cumulating { max, step } => Marker::Slices(Slices::Cumulating { max, step }),
        WindowMarker::Session { gap } => Marker::Session { gap },
    };
    Some((marker, time))
}
