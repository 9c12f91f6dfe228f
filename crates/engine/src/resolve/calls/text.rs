//! Text by Spark's names.

use sqlparser::ast::{DataType, Expr, Function, Value};

use super::{constant, named, with_arguments, wrong_arguments};
use crate::resolve::mistake::Mistake;
use crate::resolve::{literals, trees};

/// Rewrites a call on text; `None` if it is none of these.
///
/// # Errors
/// A mistake if a JSON path cannot be read.
pub(super) fn rewrite(
    name: &str,
    given: &[Expr],
    function: &Function,
) -> Result<Option<Expr>, Mistake> {
    let renamed = |other: &str| Expr::Function(named(function.clone(), other));
    Ok(Some(match (name, given) {
        ("ucase", _) => renamed("upper"),
        ("lcase", _) => renamed("lower"),
        ("len" | "char_length" | "character_length", _) => renamed("length"),
        ("startswith", _) => renamed("starts_with"),
        ("endswith", _) => renamed("ends_with"),
        ("locate" | "position" | "charindex", [part, text]) => {
            trees::call("strpos", vec![text.clone(), part.clone()])
        }
        ("locate" | "position" | "charindex", [_, _, _]) => renamed("locate_from"),
        ("instr", [text, part]) => trees::call("strpos", vec![text.clone(), part.clone()]),
        // Spark names what is cut off first.
        ("ltrim" | "rtrim", [cut, text]) => {
            let given = vec![text.clone(), cut.clone()];
            Expr::Function(with_arguments(function.clone(), given))
        }
        ("replace", [text, part]) => {
            let given = vec![text.clone(), part.clone(), trees::string("")];
            Expr::Function(with_arguments(function.clone(), given))
        }
        ("regexp" | "rlike", [_, _]) => renamed("regexp_like"),
        ("regexp_replace", [text, pattern, replacement]) => {
            let replacement = match constant(replacement) {
                Some(text) => trees::string(&java_groups(text)),
                None => replacement.clone(),
            };
            let given = vec![
                text.clone(),
                pattern.clone(),
                replacement,
                trees::string("g"),
            ];
            Expr::Function(with_arguments(function.clone(), given))
        }
        ("regexp_substr", [text, pattern]) => {
            let whole = vec![text.clone(), pattern.clone(), literals::whole(0)];
            let found = trees::call("regexp_extract", whole);
            trees::call("nullif", vec![found, trees::string("")])
        }
        ("json_array_length", [_]) => {
            let length = Expr::Function(named(function.clone(), "json_length"));
            trees::cast(length, DataType::Int(None))
        }
        ("regexp_count", [_, _]) => {
            trees::cast(Expr::Function(function.clone()), DataType::Int(None))
        }
        ("lpad" | "rpad", [text, length]) => {
            let given = vec![text.clone(), length.clone(), trees::string(" ")];
            Expr::Function(with_arguments(function.clone(), given))
        }
        ("get_json_object", [json, path]) => json_path(json, path, function)?,
        _ => return Ok(None),
    }))
}

/// Spark writes the groups of a replacement as `$1`, DataFusion as `\1` or `${1}`.
fn java_groups(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(one) = rest.next() {
        if one != '$' || !rest.peek().is_some_and(char::is_ascii_digit) {
            out.push(one);
            continue;
        }
        out.push_str("${");
        while let Some(digit) = rest.next_if(char::is_ascii_digit) {
            out.push(digit);
        }
        out.push('}');
    }
    out
}

/// `get_json_object(json, '$.a[0].b')` as the JSON functions write it.
fn json_path(json: &Expr, path: &Expr, function: &Function) -> Result<Expr, Mistake> {
    let expected = "the path as a constant such as '$.customer.name' or '$.items[0]', without `*`";
    let steps = constant(path)
        .and_then(steps)
        .ok_or_else(|| wrong_arguments(function, expected))?;
    let mut arguments = vec![json.clone()];
    arguments.extend(steps);
    Ok(trees::call("json_as_text", arguments))
}

fn steps(path: &str) -> Option<Vec<Expr>> {
    let mut rest = path.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            steps.push(trees::string(
                after.get(..end).filter(|name| !name.is_empty())?,
            ));
            rest = &after[end..];
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            if inside == "*" {
                return None;
            }
            let quoted = inside.trim_matches(|c| c == '\'' || c == '"');
            steps.push(match inside.parse::<u32>() {
                Ok(_) => Expr::Value(Value::Number(inside.to_owned(), false).with_empty_span()),
                Err(_) => trees::string(quoted),
            });
            rest = after;
        }
    }
    Some(steps)
}
