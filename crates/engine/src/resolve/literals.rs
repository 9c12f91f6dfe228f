//! Numbers as Spark types them: INT where they fit, BIGINT beyond, DECIMAL further on; `1e3` is a
//! DOUBLE.
//!
//! DataFusion's planner makes every whole number a BIGINT and `1e3` a DECIMAL, and has no hook for
//! a number. It has one for operators, though: so a number becomes an operation that nobody can
//! write, and [`crate::spark`] makes the typed literal of it (docs/decisions/0007-literals.md).
//! Where the planner reads numbers off the tree (the bounds of a window, an interval, a position in
//! ORDER BY), they stay as they are.

use sqlparser::ast::{
    BinaryOperator, DataType, ExactNumberInfo, Expr, Ident, UnaryOperator, Value, ValueWithSpan,
    WindowFrame, WindowFrameBound, WindowType,
};
use sqlparser::tokenizer::Span;

use super::trees;
use crate::spark;

/// A number that is typed as Spark would; anything else stays as it is.
pub(super) fn settle(expression: &mut Expr) {
    let typed = match expression {
        Expr::Value(ValueWithSpan {
            value: Value::Number(text, false),
            span,
        }) if !text.contains('.') || text.contains(['e', 'E']) => marked(text.clone(), *span),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match number_of(expr) {
            Some((text, span)) if !text.starts_with('-') => marked(format!("-{text}"), span),
            _ => return,
        },
        _ => return,
    };
    *expression = typed;
}

/// A number whose type is written behind it (`5L`), which the parser takes for a name.
pub(super) fn suffixed(word: &Ident) -> Option<Expr> {
    let digits = word
        .value
        .trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_digit = |one: char| one.is_ascii_digit() || one == '.';
    if word.quote_style.is_some() || digits.is_empty() || !digits.chars().all(is_digit) {
        return None;
    }
    let suffix = word.value[digits.len()..].to_ascii_uppercase();
    let data_type = match suffix.as_str() {
        "L" => DataType::BigInt(None),
        "S" => DataType::SmallInt(None),
        "Y" => DataType::TinyInt(None),
        "BD" if digits.contains('.') => {
            let number = Value::Number(digits.to_owned(), false);
            return Some(Expr::Value(number.with_span(word.span)));
        }
        "F" => DataType::Float(ExactNumberInfo::None),
        "D" => DataType::Double(ExactNumberInfo::None),
        "BD" => {
            let precision = u64::try_from(digits.len()).ok()?;
            DataType::Decimal(ExactNumberInfo::Precision(precision))
        }
        _ => return None,
    };
    let number = Value::Number(digits.to_owned(), false).with_span(word.span);
    Some(trees::cast(Expr::Value(number), data_type))
}

/// A whole number, typed as Spark would.
pub(super) fn whole(value: u32) -> Expr {
    marked(value.to_string(), Span::empty())
}

/// -1.
pub(super) fn negative_one() -> Expr {
    marked("-1".to_owned(), Span::empty())
}

fn marked(text: String, span: Span) -> Expr {
    let number = Expr::Value(Value::SingleQuotedString(text).with_span(span));
    let mark = BinaryOperator::Custom(spark::TYPED_NUMBER.to_owned());
    trees::binary(number, mark, trees::null())
}

/// The text of a number that was [settled](settle), and where it is written.
fn number_of(expression: &Expr) -> Option<(&str, Span)> {
    let Expr::BinaryOp {
        left,
        op: BinaryOperator::Custom(mark),
        ..
    } = expression
    else {
        return None;
    };
    match left.as_ref() {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            span,
        }) if mark == spark::TYPED_NUMBER => Some((text, *span)),
        _ => None,
    }
}

/// Whether an expression is a number that was [settled](settle).
pub(super) fn is_number(expression: &Expr) -> bool {
    number_of(expression).is_some()
}

/// Makes a settled number plain again, for where the planner reads it off the tree.
pub(super) fn make_plain(expression: &mut Expr) {
    let Some((text, span)) = number_of(expression) else {
        return;
    };
    let number = |text: &str| {
        let value = Value::Number(text.to_owned(), false);
        Expr::Value(value.with_span(span))
    };
    *expression = match text.strip_prefix('-') {
        Some(text) => Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(number(text)),
        },
        None => number(text),
    };
}

/// Makes the bounds of a window's frame plain again.
pub(super) fn make_bounds_plain(over: &mut WindowType) {
    let WindowType::WindowSpec(window) = over else {
        return;
    };
    let Some(WindowFrame {
        start_bound,
        end_bound,
        ..
    }) = &mut window.window_frame
    else {
        return;
    };
    for bound in std::iter::once(start_bound).chain(end_bound) {
        if let WindowFrameBound::Preceding(Some(count)) | WindowFrameBound::Following(Some(count)) =
            bound
        {
            make_plain(count);
        }
    }
}
