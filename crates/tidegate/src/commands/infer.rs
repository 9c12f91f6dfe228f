//! `tidegate infer`: prints the `CREATE STREAMING TABLE` that a careful engineer would write for some files.

use std::io::Write;
use std::path::Path;

use crate::arguments::Infer;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Runs the command.
///
/// # Errors
/// When the files cannot be listed or read.
pub fn run(arguments: &Infer, context: &Context) -> Result<Exit, Failure> {
    let options = arguments.options.iter().cloned().collect();
    let name = arguments
        .name
        .clone()
        .unwrap_or_else(|| table_name(arguments.files.first().map_or("", String::as_str)));
    let sql = context.block_on(async {
        let workspace = context.open_or_adhoc()?;
        let outcome = workspace.infer(&arguments.files, &name, &options).await;
        outcome.map_err(|error| Failure::in_workspace(&workspace, error))
    })?;
    let mut out = context.screen().out();
    writeln!(out, "{}", sql.trim_end())?;
    out.flush()?;
    Ok(Exit::Done)
}

/// A name for the table of a file, folder or pattern: `landing/orders/*.csv` → `orders`.
fn table_name(path: &str) -> String {
    let part = path
        .rsplit(['/', '\\'])
        .find(|part| !part.is_empty() && !part.contains(['*', '?', '{', '[']));
    let stem = Path::new(part.unwrap_or("data"))
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let stem = stem.unwrap_or_default();
    let stem = stem.split('.').next().unwrap_or_default();
    let mut name: String = stem
        .chars()
        .map(|letter| {
            if letter.is_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
        name.insert_str(0, "t_");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::table_name;

    #[test]
    fn tables_are_named_after_their_files() {
        assert_eq!(table_name("landing/orders/*.csv"), "orders");
        assert_eq!(table_name("Order Lines.csv.gz"), "order_lines");
        assert_eq!(table_name("s3://bucket/2026-10.csv"), "t_2026_10");
        assert_eq!(table_name("*.csv"), "data");
    }
}
