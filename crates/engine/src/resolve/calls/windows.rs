//! Windows of time by Spark's names, and `cumulate_window` after Flink's: each becomes a call of the
//! marker in [`crate::windows`], its lengths in microseconds.

use sqlparser::ast::{Expr, Function, Spanned, Value};
use sqlparser::tokenizer::Span;

use super::{named, with_arguments, wrong_arguments};
use crate::codes;
use crate::resolve::mistake::Mistake;
use crate::resolve::relations::last_part;
use crate::windows::{CUMULATING, HOPPING, SESSION, TUMBLING, interval_length};

/// The calls that make windows, as they are written.
pub(in crate::resolve) const NAMES: &[&str] = &["window", "session_window", "cumulate_window"];

/// Rewrites a call that makes windows; `None` if it is none of these.
///
/// # Errors
/// A mistake if a length is none, or does not fit the others.
pub(super) fn rewrite(
    name: &str,
    given: &[Expr],
    function: &Function,
) -> Result<Option<Expr>, Mistake> {
    let Some((time, lengths)) = given.split_first() else {
        return Ok(None);
    };
    let (marker, numbers) = match (name, lengths) {
        ("window", [_] | [_, _] | [_, _, _]) => window(lengths, function)?,
        ("session_window", [gap]) => (SESSION, vec![positive(gap, "gap", function)?]),
        ("cumulate_window", [max, step]) => cumulating(max, step, function)?,
        ("window", _) => {
            let expected = "`window(time, '10 minutes')`, with a slide and a start behind it if \
                            windows overlap or begin elsewhere";
            return Err(wrong_arguments(function, expected));
        }
        ("session_window", _) => {
            return Err(wrong_arguments(
                function,
                "`session_window(time, '5 minutes')`",
            ));
        }
        ("cumulate_window", _) => {
            let expected = "`cumulate_window(time, '1 day', '1 hour')`";
            return Err(wrong_arguments(function, expected));
        }
        _ => return Ok(None),
    };
    let mut arguments: Vec<Expr> = numbers.into_iter().map(number).collect();
    arguments.push(time.clone());
    let call = named(with_arguments(function.clone(), arguments), marker);
    Ok(Some(Expr::Function(call)))
}

/// `window(time, length[, slide[, start]])`.
fn window(lengths: &[Expr], function: &Function) -> Result<(&'static str, Vec<i64>), Mistake> {
    let length = positive(&lengths[0], "length", function)?;
    let slide = match lengths.get(1) {
        Some(slide) => positive(slide, "slide", function)?,
        None => length,
    };
    if slide > length {
        let message = "the slide of a window is longer than the window: times between two \
                       windows would be lost";
        return Err(unfitting(message, &lengths[1], function));
    }
    let start = match lengths.get(2) {
        Some(start) => length_of(start, "start", function)?,
        None => 0,
    };
    if start.abs() >= slide {
        let message = "the start of a window is not less than its slide";
        return Err(unfitting(message, &lengths[2], function));
    }
    Ok(match slide == length {
        true => (TUMBLING, vec![length, start]),
        false => (HOPPING, vec![length, slide, start]),
    })
}

fn cumulating(
    max: &Expr,
    step: &Expr,
    function: &Function,
) -> Result<(&'static str, Vec<i64>), Mistake> {
    let longest = positive(max, "greatest length", function)?;
    let step_length = positive(step, "step", function)?;
    if longest % step_length != 0 {
        let message = "the greatest length of a cumulating window is not a multiple of its step";
        return Err(unfitting(message, step, function));
    }
    Ok((CUMULATING, vec![longest, step_length]))
}

fn positive(length: &Expr, what: &str, function: &Function) -> Result<i64, Mistake> {
    let read = length_of(length, what, function)?;
    if read > 0 {
        return Ok(read);
    }
    let message = format!("the {what} of a window must be longer than nothing");
    Err(unfitting(message, length, function))
}

fn length_of(length: &Expr, what: &str, function: &Function) -> Result<i64, Mistake> {
    interval_length(length).map_err(|wrong| {
        let message = format!("the {what} of a window {wrong}: {length}");
        unfitting(message, length, function)
            .help("write for instance '10 minutes', '1 hour 30 minutes' or INTERVAL 10 MINUTES")
    })
}

fn unfitting(message: impl Into<String>, at: &Expr, function: &Function) -> Mistake {
    let span = match at.span() {
        span if span == Span::empty() => function.name.span(),
        span => span,
    };
    let label = format!("in this `{}`", last_part(&function.name));
    Mistake::new(codes::ARGUMENTS, message, span, label)
}

fn number(value: i64) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).with_empty_span())
}
