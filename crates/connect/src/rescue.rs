//! The column for fields nobody declared: per row a JSON object of them, with the file's path, as
//! Databricks writes `_rescued_data`; NULL for a row without any.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};

/// Makes the column from text columns (name, values).
pub(crate) fn rescued_column(columns: &[(&str, ArrayRef)], rows: usize, path: &str) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(rows);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        for (name, array) in columns {
            if let Some(values) = array
                .as_string_view_opt()
                .filter(|values| values.is_valid(row))
            {
                text.push(if text.is_empty() { '{' } else { ',' });
                push_json_string(&mut text, name);
                text.push(':');
                push_json_string(&mut text, values.value(row));
            }
        }
        if text.is_empty() {
            builder.append_null();
        } else {
            close(&mut text, path);
            builder.append_value(&text);
        }
    }
    Arc::new(builder.finish())
}

/// Ends an object of rescued fields with the file's path.
pub(crate) fn close(text: &mut String, path: &str) {
    text.push_str(",\"_file_path\":");
    push_json_string(text, path);
    text.push('}');
}

/// Appends `value` as a JSON string.
pub(crate) fn push_json_string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if c < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}
