//! The name that Spark gives a column that has none: its expression, written Spark's way.

use sqlparser::ast::{
    CastKind, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    UnaryOperator, Value,
};

use super::relations::last_part;

/// The generated name of an expression; the column's own for a plain column.
pub(super) fn name_of(expression: &Expr) -> String {
    match expression {
        Expr::Identifier(one) => one.value.clone(),
        Expr::CompoundIdentifier(parts) => parts
            .last()
            .map_or_else(String::new, |part| part.value.clone()),
        Expr::Nested(inner) => name_of(inner),
        Expr::Value(value) => literal(&value.value),
        Expr::TypedString(typed) => {
            let text = literal(&typed.value.value);
            format!("{} '{text}'", typed.data_type.to_string().to_uppercase())
        }
        Expr::BinaryOp { left, op, right } => {
            let op = match op.to_string().as_str() {
                "<>" | "!=" => "!=".to_owned(),
                "==" => "=".to_owned(),
                other => other.to_owned(),
            };
            match op.as_str() {
                "!=" => format!("(NOT ({} = {}))", name_of(left), name_of(right)),
                "||" => format!("concat({}, {})", name_of(left), name_of(right)),
                _ => format!("({} {op} {})", name_of(left), name_of(right)),
            }
        }
        Expr::UnaryOp { op, expr } => match op {
            UnaryOperator::Not | UnaryOperator::BangNot => format!("(NOT {})", name_of(expr)),
            UnaryOperator::Minus => match expr.as_ref() {
                Expr::Value(_) => format!("-{}", name_of(expr)),
                _ => format!("(- {})", name_of(expr)),
            },
            UnaryOperator::Plus => format!("(+ {})", name_of(expr)),
            other => format!("{other}{}", name_of(expr)),
        },
        Expr::IsNull(inner) => format!("({} IS NULL)", name_of(inner)),
        Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", name_of(inner)),
        Expr::Between {
            expr, low, high, ..
        } => format!(
            "between({}, {}, {})",
            name_of(expr),
            name_of(low),
            name_of(high)
        ),
        Expr::Cast {
            kind,
            expr,
            data_type,
            ..
        } => {
            let word = match kind {
                CastKind::TryCast | CastKind::SafeCast => "TRY_CAST",
                _ => "CAST",
            };
            let data_type = data_type.to_string().to_uppercase();
            format!("{word}({} AS {data_type})", name_of(expr))
        }
        Expr::Function(function) => call(function),
        Expr::InList {
            expr,
            list,
            negated,
        } => {
            let list = join(list);
            let inside = format!("({} IN ({list}))", name_of(expr));
            match negated {
                true => format!("(NOT {inside})"),
                false => inside,
            }
        }
        Expr::Case { .. } => case(expression),
        Expr::Extract { field, expr, .. } => format!("extract({field} FROM {})", name_of(expr)),
        Expr::CompoundFieldAccess { .. } | Expr::JsonAccess { .. } => field(expression),
        Expr::Subquery(_) => "scalarsubquery()".to_owned(),
        other => other.to_string(),
    }
}

fn join(expressions: &[Expr]) -> String {
    let names: Vec<String> = expressions.iter().map(name_of).collect();
    names.join(", ")
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Number(text, _) => text.clone(),
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
        other => other.to_string(),
    }
}

fn call(function: &Function) -> String {
    let name = last_part(&function.name).to_lowercase();
    if super::calls::WINDOWS.contains(&name.as_str()) || name == "window_time" {
        return name;
    }
    let mut arguments = String::new();
    if let FunctionArguments::List(list) = &function.args {
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
            arguments.push_str("DISTINCT ");
        }
        let names: Vec<String> = list.args.iter().map(argument).collect();
        arguments.push_str(&names.join(", "));
    }
    if name == "count" && arguments == "*" {
        arguments = "1".to_owned();
    }
    let mut text = format!("{name}({arguments})");
    if let Some(filter) = &function.filter {
        text.push_str(&format!(" FILTER (WHERE {})", name_of(filter)));
    }
    if let Some(over) = &function.over {
        text.push_str(&format!(" OVER {over}"));
    }
    text
}

fn argument(argument: &FunctionArg) -> String {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => name_of(expression),
        other => other.to_string(),
    }
}

fn case(expression: &Expr) -> String {
    let Expr::Case {
        operand,
        conditions,
        else_result,
        ..
    } = expression
    else {
        return expression.to_string();
    };
    let mut text = "CASE".to_owned();
    for condition in conditions {
        let when = match operand {
            Some(operand) => format!("({} = {})", name_of(operand), name_of(&condition.condition)),
            None => name_of(&condition.condition),
        };
        text.push_str(&format!(" WHEN {when} THEN {}", name_of(&condition.result)));
    }
    if let Some(result) = else_result {
        text.push_str(&format!(" ELSE {}", name_of(result)));
    }
    text.push_str(" END");
    text
}

/// The last field of an access path, or the path as written.
fn field(expression: &Expr) -> String {
    let Expr::CompoundFieldAccess { root, access_chain } = expression else {
        return expression.to_string();
    };
    match access_chain.last() {
        Some(sqlparser::ast::AccessExpr::Dot(Expr::Identifier(name))) => name.value.clone(),
        _ => {
            let chain: String = access_chain.iter().map(ToString::to_string).collect();
            format!("{}{chain}", name_of(root))
        }
    }
}
