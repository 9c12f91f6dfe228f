//! Calls of Spark's functions, rewritten to those of the session.
//!
//! Here is what can be told from the tree alone: other names, other orders of arguments, casts
//! written as calls. What depends on types is a function of its own, in [`crate::spark`]. Arguments
//! are settled already when a call is rewritten.

mod aggregates;
mod arrays;
mod numbers;
mod text;
mod times;
mod windows;

use sqlparser::ast::{
    DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectNamePart, Spanned,
};

use super::mistake::Mistake;
use super::relations::last_part;
use super::{literals, naming, trees};
use crate::codes;

pub(super) use aggregates::NAMES as AGGREGATE;
pub(super) use windows::NAMES as WINDOWS;

/// Spark's names of scalar functions that the session does not know by that name.
pub(super) const SCALAR: &[&str] = &[
    "array_append",
    "array_size",
    "bigint",
    "binary",
    "boolean",
    "cardinality",
    "ceiling",
    "char_length",
    "character_length",
    "charindex",
    "cumulate_window",
    "curdate",
    "current_timestamp",
    "current_timezone",
    "date",
    "date_from_unix_date",
    "dateadd",
    "datediff",
    "day",
    "dayname",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "decimal",
    "double",
    "e",
    "endswith",
    "equal_null",
    "exists",
    "explode",
    "explode_outer",
    "filter",
    "float",
    "forall",
    "get_json_object",
    "getdate",
    "hour",
    "if",
    "iff",
    "ifnull",
    "inline",
    "inline_outer",
    "int",
    "isnotnull",
    "isnull",
    "json_array_length",
    "lcase",
    "len",
    "localtimestamp",
    "locate",
    "log",
    "log1p",
    "map_contains_key",
    "minute",
    "month",
    "months_between",
    "named_struct",
    "nullifzero",
    "nvl",
    "pi",
    "posexplode",
    "posexplode_outer",
    "position",
    "positive",
    "quarter",
    "rand",
    "random",
    "regexp",
    "regexp_replace",
    "regexp_substr",
    "rlike",
    "second",
    "sequence",
    "sign",
    "smallint",
    "sort_array",
    "startswith",
    "string",
    "struct",
    "timestamp",
    "timestampadd",
    "timestampdiff",
    "tinyint",
    "to_timestamp_ltz",
    "to_timestamp_ntz",
    "to_varchar",
    "transform",
    "try_add",
    "try_divide",
    "try_multiply",
    "try_subtract",
    "ucase",
    "unnest",
    "unnest_outer",
    "week",
    "weekofyear",
    "window",
    "year",
    "zeroifnull",
];

/// The plain arguments of a call.
pub(super) fn arguments(function: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return Vec::new();
    };
    list.args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expression))
            | FunctionArg::Named {
                arg: FunctionArgExpr::Expr(expression),
                ..
            } => Some(expression.clone()),
            _ => None,
        })
        .collect()
}

/// Puts other arguments into a call.
pub(super) fn with_arguments(mut function: Function, expressions: Vec<Expr>) -> Function {
    if let FunctionArguments::List(list) = &mut function.args {
        list.args = expressions
            .into_iter()
            .map(|expression| FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)))
            .collect();
    }
    function
}

/// Gives a call another name.
pub(super) fn named(mut function: Function, name: &str) -> Function {
    let span = function.name.span();
    function.name = trees::object_name(name);
    if let Some(ObjectNamePart::Identifier(ident)) = function.name.0.first_mut() {
        *ident = Ident::with_span(span, name);
    }
    function
}

/// What must happen before the arguments are settled: units of time that are written as bare words
/// become strings.
pub(super) fn prepare(function: &mut Function) {
    let name = last_part(&function.name).to_lowercase();
    let takes_unit = matches!(
        name.as_str(),
        "dateadd" | "date_add" | "datediff" | "date_diff" | "timestampadd" | "timestampdiff"
    );
    if name == "struct" {
        let values = naming_pairs(arguments(function));
        *function = named(with_arguments(function.clone(), values), "named_struct");
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    if !takes_unit || list.args.len() != 3 {
        return;
    }
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(unit))) = list.args.first_mut()
        && let Expr::Identifier(word) = unit
    {
        *unit = trees::string(&word.value);
    }
}

/// `struct(a, b + 1)` with the names that Spark gives its fields: `a`, `col2`.
pub(super) fn named_struct(values: Vec<Expr>) -> Expr {
    trees::call("named_struct", naming_pairs(values))
}

fn naming_pairs(values: Vec<Expr>) -> Vec<Expr> {
    let mut pairs = Vec::with_capacity(2 * values.len());
    for (at, value) in values.into_iter().enumerate() {
        let (name, value) = match value {
            Expr::Named { expr, name } => (name.value, *expr),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => (naming::name_of(&value), value),
            other => (format!("col{}", at + 1), other),
        };
        pairs.push(trees::string(&name));
        pairs.push(value);
    }
    pairs
}

/// A call with settled arguments and a name in lower case, as the session knows it.
///
/// # Errors
/// A mistake if the arguments cannot be right.
pub(super) fn rewrite(function: Function) -> Result<Expr, Mistake> {
    let name = last_part(&function.name);
    if let Some(data_type) = cast_by_name(&name) {
        let mut given = arguments(&function);
        if let (Some(only), true) = (given.pop(), given.is_empty()) {
            return Ok(trees::cast(only, data_type));
        }
    }
    let function = match aggregates::rewrite(&name, function)? {
        Rewritten::Done(expression) => return Ok(expression),
        Rewritten::Not(function) => function,
    };
    let given = arguments(&function);
    for family in [
        numbers::rewrite,
        text::rewrite,
        times::rewrite,
        windows::rewrite,
        arrays::rewrite,
    ] {
        if let Some(expression) = family(&name, &given, &function)? {
            return Ok(expression);
        }
    }
    Ok(general(&name, function, given))
}

/// What a family of functions makes of a call.
pub(super) enum Rewritten {
    /// Another expression.
    Done(Expr),
    /// It is none of the family's.
    Not(Function),
}

fn general(name: &str, function: Function, mut given: Vec<Expr>) -> Expr {
    match (name, given.len()) {
        ("isnull", 1) => Expr::IsNull(Box::new(given.remove(0))),
        ("isnotnull", 1) => Expr::IsNotNull(Box::new(given.remove(0))),
        ("equal_null", 2) => {
            let right = given.remove(1);
            Expr::IsNotDistinctFrom(Box::new(given.remove(0)), Box::new(right))
        }
        ("if" | "iff", 3) => {
            let otherwise = given.remove(2);
            let then = given.remove(1);
            choice(given.remove(0), then, Some(otherwise))
        }
        ("nvl" | "ifnull", _) => Expr::Function(named(function, "coalesce")),
        ("nvl2", 3) => {
            let otherwise = given.remove(2);
            let then = given.remove(1);
            let condition = Expr::IsNotNull(Box::new(given.remove(0)));
            choice(condition, then, Some(otherwise))
        }
        // These are not Spark's and want their positions as BIGINT.
        _ if name.starts_with("json_") => {
            given.iter_mut().for_each(literals::make_plain);
            Expr::Function(with_arguments(function, given))
        }
        _ => Expr::Function(function),
    }
}

/// `CASE WHEN condition THEN then ELSE otherwise END`.
pub(super) fn choice(condition: Expr, then: Expr, otherwise: Option<Expr>) -> Expr {
    use sqlparser::ast::CaseWhen;
    use sqlparser::ast::helpers::attached_token::AttachedToken;
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition,
            result: then,
        }],
        else_result: otherwise.map(Box::new),
    }
}

fn cast_by_name(name: &str) -> Option<DataType> {
    use sqlparser::ast::{ExactNumberInfo, TimezoneInfo};
    Some(match name {
        "string" => DataType::String(None),
        "int" => DataType::Int(None),
        "bigint" => DataType::BigInt(None),
        "smallint" => DataType::SmallInt(None),
        "tinyint" => DataType::TinyInt(None),
        "float" => DataType::Float(ExactNumberInfo::None),
        "double" => DataType::Double(ExactNumberInfo::None),
        "boolean" => DataType::Boolean,
        "binary" => DataType::Binary(None),
        "date" => DataType::Date,
        "decimal" => DataType::Decimal(ExactNumberInfo::None),
        "timestamp" => DataType::Timestamp(None, TimezoneInfo::None),
        _ => return None,
    })
}

/// The text of a constant string.
pub(super) fn constant(expression: &Expr) -> Option<&str> {
    use sqlparser::ast::Value;
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => constant(inner),
        _ => None,
    }
}

/// A mistake about the arguments of a call.
pub(super) fn wrong_arguments(function: &Function, expected: &str) -> Mistake {
    let name = last_part(&function.name);
    let message = format!("`{name}` cannot take these arguments");
    Mistake::new(
        codes::ARGUMENTS,
        message,
        function.name.span(),
        "in this call",
    )
    .help(format!("write {expected}"))
}
