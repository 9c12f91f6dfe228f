//! Text: `split`, `regexp_extract` and what else needs more than another name.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, ListBuilder, StringViewArray, StringViewBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type};
use datafusion::common::{Result, exec_err};
use datafusion::functions_nested::concat::array_concat_udf;
use datafusion::functions_nested::reverse::array_reverse_udf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::ExprSimplifyResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs,
};
use regex::Regex;

use super::kernel::{self, Kernel};

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::new(
            "split",
            |given| {
                kernel::count(given, 2..=3, "`split(text, pattern)`")?;
                let wanted = [DataType::Utf8View, DataType::Utf8View, DataType::Int32];
                Ok(wanted[..given.len()].to_vec())
            },
            |_| Ok(list_of_text()),
            split,
        ),
        Kernel::new(
            "regexp_extract",
            |given| {
                kernel::count(given, 2..=3, "`regexp_extract(text, pattern, group)`")?;
                let wanted = [DataType::Utf8View, DataType::Utf8View, DataType::Int32];
                Ok(wanted[..given.len()].to_vec())
            },
            |_| Ok(DataType::Utf8View),
            regexp_extract,
        ),
        Kernel::new(
            "regexp_extract_all",
            |given| {
                kernel::count(given, 2..=3, "`regexp_extract_all(text, pattern, group)`")?;
                let wanted = [DataType::Utf8View, DataType::Utf8View, DataType::Int32];
                Ok(wanted[..given.len()].to_vec())
            },
            |_| Ok(list_of_text()),
            regexp_extract_all,
        ),
        Kernel::new(
            "locate_from",
            |given| {
                kernel::count(given, 3..=3, "`locate(part, text, from)`")?;
                Ok(vec![
                    DataType::Utf8View,
                    DataType::Utf8View,
                    DataType::Int32,
                ])
            },
            |_| Ok(DataType::Int32),
            locate_from,
        ),
        Kernel::new(
            "initcap",
            |given| {
                kernel::count(given, 1..=1, "`initcap(text)`")?;
                Ok(vec![DataType::Utf8View])
            },
            |_| Ok(DataType::Utf8View),
            initcap,
        ),
        Kernel::replaced(
            "reverse",
            |given| {
                kernel::count(given, 1..=1, "`reverse(text)` or `reverse(array)`")?;
                Ok(match &given[0] {
                    array if is_array(array) => vec![array.clone()],
                    _ => vec![DataType::Utf8View],
                })
            },
            |given| match &given[0] {
                array if is_array(array) => Ok(array.clone()),
                _ => datafusion::functions::unicode::reverse().return_type(given),
            },
            |arguments, context| {
                let first = arguments
                    .first()
                    .map(|first| first.get_type(context.schema()));
                let function = match first.transpose()? {
                    Some(array) if is_array(&array) => array_reverse_udf(),
                    _ => datafusion::functions::unicode::reverse(),
                };
                let call = ScalarFunction::new_udf(function, arguments);
                Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)))
            },
        ),
        Kernel::replaced(
            "concat",
            concat_takes,
            concat_gives,
            |arguments, context| {
                let first = arguments
                    .first()
                    .map(|first| first.get_type(context.schema()));
                let function = match first.transpose()? {
                    Some(array) if is_array(&array) => array_concat_udf(),
                    _ => datafusion_spark::function::string::concat(),
                };
                let call = ScalarFunction::new_udf(function, arguments);
                Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)))
            },
        ),
        Kernel::new(
            "typeof",
            |given| {
                kernel::count(given, 1..=1, "`typeof(expression)`")?;
                Ok(given.to_vec())
            },
            |_| Ok(DataType::Utf8View),
            |arguments| {
                let name = crate::spark::types::name_of(arguments.arg_fields[0].data_type());
                Ok(ColumnarValue::Scalar(
                    datafusion::common::ScalarValue::Utf8View(Some(name)),
                ))
            },
        ),
    ]
}

/// The first letter of each word in upper case, the others in lower case; words end at blanks.
fn initcap(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let texts = kernel::text(arguments, 0)?;
    let mut builder = StringViewBuilder::with_capacity(texts.len());
    let mut buffer = String::new();
    for text in texts.iter() {
        let Some(text) = text else {
            builder.append_null();
            continue;
        };
        buffer.clear();
        let mut first = true;
        for letter in text.chars() {
            if first {
                buffer.extend(letter.to_uppercase());
            } else {
                buffer.extend(letter.to_lowercase());
            }
            first = letter == ' ';
        }
        builder.append_value(&buffer);
    }
    kernel::result(arguments, Arc::new(builder.finish()))
}

fn is_array(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
    )
}

/// Arrays are joined to an array, everything else to a text.
fn concat_takes(given: &[DataType]) -> Result<Vec<DataType>> {
    if given.iter().any(is_array) {
        return array_concat_udf().coerce_types(given);
    }
    datafusion_spark::function::string::concat().coerce_types(given)
}

fn concat_gives(given: &[DataType]) -> Result<DataType> {
    if given.iter().any(is_array) {
        return array_concat_udf().return_type(given);
    }
    let fields: Vec<FieldRef> = given
        .iter()
        .map(|data_type| Arc::new(Field::new("", data_type.clone(), true)))
        .collect();
    let field =
        datafusion_spark::function::string::concat().return_field_from_args(ReturnFieldArgs {
            arg_fields: &fields,
            scalar_arguments: &vec![None; fields.len()],
        })?;
    Ok(field.data_type().clone())
}

fn list_of_text() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)))
}

fn list_builder() -> ListBuilder<StringViewBuilder> {
    ListBuilder::new(StringViewBuilder::new())
        .with_field(Field::new_list_field(DataType::Utf8View, true))
}

/// The patterns of a call, each compiled once.
#[derive(Default)]
struct Patterns {
    compiled: HashMap<String, Regex>,
}

impl Patterns {
    fn get(&mut self, pattern: &str) -> Result<Regex> {
        if let Some(known) = self.compiled.get(pattern) {
            return Ok(known.clone());
        }
        match Regex::new(pattern) {
            Ok(compiled) => {
                self.compiled.insert(pattern.to_owned(), compiled.clone());
                Ok(compiled)
            }
            Err(error) => {
                let reason = error.to_string();
                let last = reason.lines().last().unwrap_or_default().trim();
                exec_err!("the pattern '{pattern}' cannot be read: {last}")
            }
        }
    }
}

/// Calls `each` with every row of a text, its pattern, and its number (or `default`); rows in which
/// one is NULL get `None`.
fn each_match(
    arguments: &ScalarFunctionArgs,
    default: i32,
    mut each: impl FnMut(Option<(&str, &Regex, i32)>) -> Result<()>,
) -> Result<()> {
    let texts = kernel::text(arguments, 0)?;
    let patterns = kernel::text(arguments, 1)?;
    let numbers: Option<Int32Array> = match arguments.args.get(2) {
        Some(_) => Some(
            kernel::array(arguments, 2)?
                .as_primitive::<Int32Type>()
                .clone(),
        ),
        None => None,
    };
    let mut compiled = Patterns::default();
    let constant = match kernel::constant_text(arguments, 1) {
        Some(pattern) => Some(compiled.get(pattern)?),
        None => None,
    };
    for row in 0..texts.len() {
        let number_null = numbers.as_ref().is_some_and(|numbers| numbers.is_null(row));
        if texts.is_null(row) || patterns.is_null(row) || number_null {
            each(None)?;
            continue;
        }
        let number = numbers
            .as_ref()
            .map_or(default, |numbers| numbers.value(row));
        match &constant {
            Some(pattern) => each(Some((texts.value(row), pattern, number)))?,
            None => {
                let pattern = compiled.get(patterns.value(row))?;
                each(Some((texts.value(row), &pattern, number)))?;
            }
        }
    }
    Ok(())
}

fn split(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut builder = list_builder();
    each_match(arguments, -1, |row| {
        let Some((text, pattern, limit)) = row else {
            builder.append_null();
            return Ok(());
        };
        let most = usize::try_from(limit).unwrap_or(0);
        if most > 0 {
            pattern
                .splitn(text, most)
                .for_each(|part| builder.values().append_value(part));
        } else {
            pattern
                .split(text)
                .for_each(|part| builder.values().append_value(part));
        }
        builder.append(true);
        Ok(())
    })?;
    kernel::result(arguments, Arc::new(builder.finish()))
}

fn group_of(pattern: &Regex, group: i32) -> Result<usize> {
    let groups = pattern.captures_len() - 1;
    match usize::try_from(group) {
        Ok(group) if group <= groups => Ok(group),
        _ => exec_err!("the pattern '{pattern}' has {groups} groups, there is no group {group}"),
    }
}

fn regexp_extract(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut builder = StringViewBuilder::new();
    each_match(arguments, 1, |row| {
        match row {
            None => builder.append_null(),
            Some((text, pattern, group)) => {
                let group = group_of(pattern, group)?;
                let found = pattern.captures(text).and_then(|found| found.get(group));
                builder.append_value(found.map_or("", |found| found.as_str()));
            }
        }
        Ok(())
    })?;
    kernel::result(arguments, Arc::new(builder.finish()))
}

fn regexp_extract_all(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut builder = list_builder();
    each_match(arguments, 1, |row| {
        let Some((text, pattern, group)) = row else {
            builder.append_null();
            return Ok(());
        };
        let group = group_of(pattern, group)?;
        for found in pattern.captures_iter(text) {
            let part = found.get(group).map_or("", |part| part.as_str());
            builder.values().append_value(part);
        }
        builder.append(true);
        Ok(())
    })?;
    kernel::result(arguments, Arc::new(builder.finish()))
}

/// Where a text is found in another from a position on, both counted from 1 in characters; 0 if
/// nowhere.
fn locate_from(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let parts = kernel::text(arguments, 0)?;
    let texts = kernel::text(arguments, 1)?;
    let from = kernel::array(arguments, 2)?;
    let from = from.as_primitive::<Int32Type>();
    let found: Int32Array = (0..texts.len())
        .map(|row| {
            if parts.is_null(row) || texts.is_null(row) || from.is_null(row) {
                return None;
            }
            Some(locate(&parts, &texts, row, from.value(row)))
        })
        .collect();
    kernel::result(arguments, Arc::new(found))
}

fn locate(parts: &StringViewArray, texts: &StringViewArray, row: usize, from: i32) -> i32 {
    let text = texts.value(row);
    let Some(skipped) = from.checked_sub(1).and_then(|n| usize::try_from(n).ok()) else {
        return 0;
    };
    let start = match text.char_indices().nth(skipped) {
        Some((at, _)) => at,
        None if skipped == text.chars().count() => text.len(),
        None => return 0,
    };
    let found = text[start..].find(parts.value(row));
    found.map_or(0, |at| {
        let before = text[..start + at].chars().count();
        i32::try_from(before + 1).unwrap_or(i32::MAX)
    })
}
