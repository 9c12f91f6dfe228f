//! Operators, by the types of their operands.
//!
//! `/` never divides whole numbers to a whole number; a whole literal beside a DECIMAL has as many
//! digits as it needs, so that `1 - discount` stays narrow; text beside a number is read as a number;
//! a date moves by days. Subscripts count from 0. Numbers themselves come as operations, too
//! ([`TYPED_NUMBER`]).

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{BinaryExpr, Cast, ScalarFunction};
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr,
};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, Operator, ScalarUDF, lit};
use sqlparser::ast::BinaryOperator;

use super::functions;

/// The operator that stands for a number: its text on the left, nothing on the right.
pub(crate) const TYPED_NUMBER: &str = "typed number";

/// What stands before the sign of an operator that gives NULL where it fails.
pub(crate) const TRYING: &str = "try ";

/// Spark's operators.
#[derive(Debug)]
pub(super) struct SparkOperators;

impl ExprPlanner for SparkOperators {
    fn plan_binary_op(
        &self,
        expression: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expression;
        if let (BinaryOperator::Custom(mark), Expr::Literal(text, _)) = (&op, &left)
            && mark == TYPED_NUMBER
        {
            let text = text.try_as_str().flatten().unwrap_or_default();
            return Ok(PlannerResult::Planned(lit(number(text)?)));
        }
        let (Ok(left_type), Ok(right_type)) = (left.get_type(schema), right.get_type(schema))
        else {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        };
        if is_comparison(&op) {
            let (left, right) = truths_from_text(
                Operand::new(left, left_type),
                Operand::new(right, right_type),
            );
            let (left, right) = (left.expression, right.expression);
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let sign = op.to_string();
        let (trying, sign) = match sign.strip_prefix(TRYING) {
            Some(sign) => (true, sign),
            None => (false, sign.as_str()),
        };
        let operator = match sign {
            "+" => Operator::Plus,
            "-" => Operator::Minus,
            "*" => Operator::Multiply,
            "/" => Operator::Divide,
            "%" => Operator::Modulo,
            _ => return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right })),
        };
        let left = Operand::new(left, left_type);
        let right = Operand::new(right, right_type);
        Ok(match arithmetic(operator, left, right) {
            Ok(Expr::ScalarFunction(call)) if trying => {
                let function = ScalarUDF::new_from_impl(functions::Trying::new(call.func));
                let call = ScalarFunction::new_udf(Arc::new(function), call.args);
                PlannerResult::Planned(Expr::ScalarFunction(call))
            }
            Ok(planned) => PlannerResult::Planned(planned),
            // Nothing that can fail.
            Err((left, right)) if trying => {
                let (left, right) = (Box::new(left.expression), Box::new(right.expression));
                let plain = BinaryExpr::new(left, operator, right);
                PlannerResult::Planned(Expr::BinaryExpr(plain))
            }
            Err((left, right)) => PlannerResult::Original(RawBinaryExpr {
                op,
                left: left.expression,
                right: right.expression,
            }),
        })
    }

    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { expr, field_access } = access;
        let data_type = expr.get_type(schema)?;
        let key = match (field_access, &data_type) {
            (GetFieldAccess::ListIndex { key }, DataType::List(_) | DataType::LargeList(_)) => *key,
            // A constant key of a map reads as a field's name; the kernel brings both to one type.
            (GetFieldAccess::ListIndex { key }, DataType::Map(..)) => *key,
            (GetFieldAccess::NamedStructField { name }, DataType::Map(..)) => {
                Expr::Literal(name, None)
            }
            (field_access, _) => {
                return Ok(PlannerResult::Original(RawFieldAccessExpr {
                    expr,
                    field_access,
                }));
            }
        };
        let element = ScalarFunction::new_udf(functions::subscript(), vec![expr, key]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(element)))
    }
}

struct Operand {
    expression: Expr,
    data_type: DataType,
}

impl Operand {
    fn new(expression: Expr, data_type: DataType) -> Self {
        Self {
            expression,
            data_type,
        }
    }

    fn cast(self, data_type: DataType) -> Self {
        if self.data_type == data_type {
            return self;
        }
        if let Expr::Literal(value, _) = &self.expression
            && let Ok(value) = value.cast_to(&data_type)
        {
            return Self::new(Expr::Literal(value, None), data_type);
        }
        let cast = Expr::Cast(Cast::new(Box::new(self.expression), data_type.clone()));
        Self::new(cast, data_type)
    }

    /// A whole literal beside a DECIMAL is one of as many digits as it has.
    fn beside(self, neighbour: &DataType) -> Self {
        let value = match &self.expression {
            Expr::Literal(ScalarValue::Int32(Some(value)), _) => i64::from(*value),
            Expr::Literal(ScalarValue::Int64(Some(value)), _) => *value,
            _ => return self,
        };
        if !matches!(neighbour, DataType::Decimal128(..)) {
            return self;
        }
        let scalar = decimal(value.into());
        Self::new(lit(scalar.clone()), scalar.data_type())
    }
}

/// The literal of a number without a point, as Spark types it.
fn number(text: &str) -> Result<ScalarValue> {
    if let Ok(narrow) = text.parse::<i32>() {
        return Ok(narrow.into());
    }
    if let Ok(wide) = text.parse::<i64>() {
        return Ok(wide.into());
    }
    if text.contains(['e', 'E'])
        && let Ok(double) = text.parse::<f64>()
        && double.is_finite()
    {
        return Ok(double.into());
    }
    match text.parse::<i128>() {
        Ok(value) if value.unsigned_abs() < 10_u128.pow(38) => Ok(decimal(value)),
        _ => plan_err!("the number {text} is too large: a DECIMAL has 38 digits at most"),
    }
}

/// A whole number as a decimal of as many digits as it has.
fn decimal(value: i128) -> ScalarValue {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    let precision = u8::try_from(digits).unwrap_or(DECIMAL128_MAX_PRECISION);
    ScalarValue::Decimal128(Some(value), precision, 0)
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// Text beside a BOOLEAN is read as one.
fn truths_from_text(left: Operand, right: Operand) -> (Operand, Operand) {
    match (&left.data_type, &right.data_type) {
        (DataType::Boolean, text) if is_text(text) => (left, right.cast(DataType::Boolean)),
        (text, DataType::Boolean) if is_text(text) => (left.cast(DataType::Boolean), right),
        _ => (left, right),
    }
}

fn is_whole(data_type: &DataType) -> bool {
    data_type.is_integer()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
    )
}

/// The operation as Spark means it, or the operands back if DataFusion means the same.
fn arithmetic(
    operator: Operator,
    left: Operand,
    right: Operand,
) -> std::result::Result<Expr, (Operand, Operand)> {
    let (left_type, right_type) = (left.data_type.clone(), right.data_type.clone());
    let (left, right) = (left.beside(&right_type), right.beside(&left_type));
    let (left, right) = numbers_from_text(left, right);
    if let (DataType::Date32, true) = (&left.data_type, is_whole(&right.data_type)) {
        return moved_date(operator, left, right);
    }
    if operator == Operator::Divide {
        return division(left, right);
    }
    let integers = is_whole(&left.data_type) && is_whole(&right.data_type);
    let checked = matches!(
        operator,
        Operator::Plus | Operator::Minus | Operator::Multiply
    );
    if integers && checked {
        let wide = if left.data_type.primitive_width() >= right.data_type.primitive_width() {
            left.data_type.clone()
        } else {
            right.data_type.clone()
        };
        let arguments = vec![
            left.cast(wide.clone()).expression,
            right.cast(wide).expression,
        ];
        let function = functions::checked(operator);
        return Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
            function, arguments,
        )));
    }
    let (left, right) = match checked && overflowing(operator, &left, &right) {
        true => {
            let arguments = vec![as_decimal(left).expression, as_decimal(right).expression];
            let function = functions::decimal(operator);
            return Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
                function, arguments,
            )));
        }
        false => (left, right),
    };
    if left.data_type == left_type && right.data_type == right_type {
        return Err((left, right));
    }
    Ok(Expr::BinaryExpr(BinaryExpr::new(
        Box::new(left.expression),
        operator,
        Box::new(right.expression),
    )))
}

/// Whether at least one operand is a decimal, the other one or a whole number, and the result may
/// need more digits than a decimal has.
fn overflowing(operator: Operator, left: &Operand, right: &Operand) -> bool {
    let digits = |operand: &Operand| match &operand.data_type {
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        whole if is_whole(whole) => Some((whole_digits(whole), 0)),
        _ => None,
    };
    match (digits(left), digits(right)) {
        (Some(left), Some(right)) => functions::may_overflow(operator, left, right),
        _ => false,
    }
}

/// Text beside a number is read as a number: beside a whole one as BIGINT, else as DOUBLE.
fn numbers_from_text(left: Operand, right: Operand) -> (Operand, Operand) {
    let target = |other: &DataType| {
        if is_whole(other) {
            DataType::Int64
        } else {
            DataType::Float64
        }
    };
    let numeric = |data_type: &DataType| data_type.is_numeric();
    if is_text(&left.data_type) && numeric(&right.data_type) {
        let data_type = target(&right.data_type);
        return (left.cast(data_type), right);
    }
    if is_text(&right.data_type) && numeric(&left.data_type) {
        let data_type = target(&left.data_type);
        return (left, right.cast(data_type));
    }
    if is_text(&left.data_type) && is_text(&right.data_type) {
        return (left.cast(DataType::Float64), right.cast(DataType::Float64));
    }
    (left, right)
}

fn moved_date(
    operator: Operator,
    date: Operand,
    days: Operand,
) -> std::result::Result<Expr, (Operand, Operand)> {
    let function = match operator {
        Operator::Plus => datafusion_spark::function::datetime::date_add(),
        Operator::Minus => datafusion_spark::function::datetime::date_sub(),
        _ => return Err((date, days)),
    };
    let days = days.cast(DataType::Int32);
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
        function,
        vec![date.expression, days.expression],
    )))
}

/// Decimals divide to a decimal, everything else to a DOUBLE; dividing by zero is an error.
fn division(left: Operand, right: Operand) -> std::result::Result<Expr, (Operand, Operand)> {
    let decimal = |data_type: &DataType| matches!(data_type, DataType::Decimal128(..));
    let (left, right) = match (&left.data_type, &right.data_type) {
        (one, other) if decimal(one) && (decimal(other) || is_whole(other)) => {
            (left, as_decimal(right))
        }
        (one, other) if decimal(other) && is_whole(one) => (as_decimal(left), right),
        (one, other) if one.is_numeric() && other.is_numeric() => {
            (left.cast(DataType::Float64), right.cast(DataType::Float64))
        }
        (DataType::Null, other) | (other, DataType::Null)
            if other.is_numeric() || other.is_null() =>
        {
            (left.cast(DataType::Float64), right.cast(DataType::Float64))
        }
        _ => return Err((left, right)),
    };
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
        functions::divide(),
        vec![left.expression, right.expression],
    )))
}

/// A whole number as the decimal that holds all numbers of its type.
fn as_decimal(operand: Operand) -> Operand {
    if let DataType::Decimal128(..) = operand.data_type {
        return operand;
    }
    let precision = whole_digits(&operand.data_type);
    operand.cast(DataType::Decimal128(precision, 0))
}

/// How many digits the decimal has that holds all numbers of a type.
fn whole_digits(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Int8 => 3,
        DataType::Int16 => 5,
        DataType::Int32 => 10,
        _ => 20,
    }
}
