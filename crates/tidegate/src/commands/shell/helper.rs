//! What the line editor of the shell knows: names to complete, colours, and when a statement is complete.

use std::borrow::Cow;

use arrow::datatypes::{DataType, TimeUnit};
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use crate::terminal::style;

use super::input;

const KEYWORDS: [&str; 49] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "GROUP BY ALL",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "DISTINCT",
    "AS",
    "JOIN",
    "LEFT JOIN",
    "RIGHT JOIN",
    "FULL JOIN",
    "CROSS JOIN",
    "ON",
    "USING",
    "UNION ALL",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "WITH",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS NULL",
    "IS NOT NULL",
    "BETWEEN",
    "LIKE",
    "RLIKE",
    "EXISTS",
    "CAST",
    "INTERVAL",
    "VERSION AS OF",
    "TIMESTAMP AS OF",
    "QUALIFY",
    "OVER",
    "PARTITION BY",
    "DESC",
    "ASC",
    "read_files",
    "date_trunc",
];

const COMMANDS: [&str; 5] = ["d", "timing", "x", "?", "q"];

/// Tables and their columns.
#[derive(Debug, Default)]
pub struct Names {
    tables: Vec<(String, Vec<String>)>,
}

impl Names {
    /// Adds a table.
    pub fn add(&mut self, table: String, columns: Vec<String>) {
        self.tables.push((table, columns));
    }

    /// What could stand for `word`, whose line so far is `line`.
    fn candidates(&self, line: &str, word: &str) -> Vec<String> {
        if let Some((table, column)) = word.rsplit_once('.') {
            let columns = self
                .tables
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(table));
            let columns = columns.flat_map(|(_, columns)| columns);
            let mut found: Vec<String> = columns
                .filter(|name| begins(name, column))
                .map(|name| format!("{table}.{name}"))
                .collect();
            found.extend(
                self.tables
                    .iter()
                    .map(|(name, _)| name)
                    .filter(|name| begins(name, word))
                    .cloned(),
            );
            return found;
        }
        let tables = self
            .tables
            .iter()
            .map(|(name, _)| name)
            .filter(|name| begins(name, word));
        let mut found: Vec<String> = tables.cloned().collect();
        // Behind FROM or JOIN only a table makes sense; elsewhere the columns of the tables in the line come first.
        if !wants_table(line) {
            let lower = line.to_ascii_lowercase();
            let (mentioned, others): (Vec<_>, Vec<_>) = self
                .tables
                .iter()
                .partition(|(name, _)| lower.contains(&name.to_ascii_lowercase()));
            let columns = if mentioned.is_empty() {
                others
            } else {
                mentioned
            };
            let columns = columns.into_iter().flat_map(|(_, columns)| columns);
            found.extend(columns.filter(|name| begins(name, word)).cloned());
            found.extend(
                KEYWORDS
                    .iter()
                    .filter(|keyword| begins(keyword, word))
                    .map(|keyword| (*keyword).to_owned()),
            );
        }
        found.sort();
        found.dedup();
        found
    }
}

fn begins(name: &str, word: &str) -> bool {
    name.get(..word.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(word))
}

fn wants_table(line: &str) -> bool {
    let last = line
        .split_whitespace()
        .next_back()
        .unwrap_or_default()
        .to_ascii_uppercase();
    matches!(last.as_str(), "FROM" | "JOIN" | "STREAM")
}

/// The shell's side of the line editor.
pub struct ShellHelper {
    names: Names,
    prompt: String,
    colour: bool,
    hinter: HistoryHinter,
}

impl ShellHelper {
    /// A helper that completes `names` and shows `prompt` in colour.
    pub fn new(names: Names, prompt: String, colour: bool) -> Self {
        Self {
            names,
            prompt,
            colour,
            hinter: HistoryHinter::new(),
        }
    }
}

impl Helper for ShellHelper {}

impl Completer for ShellHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..position).unwrap_or(line);
        let start = typed
            .rfind(|letter: char| {
                !letter.is_alphanumeric() && !matches!(letter, '_' | '.' | '\\' | '?')
            })
            .map_or(0, |at| {
                at + typed[at..].chars().next().map_or(1, char::len_utf8)
            });
        let (before, word) = typed.split_at(start);
        let found = match word.strip_prefix('\\') {
            Some(command) if before.trim().is_empty() => COMMANDS
                .iter()
                .filter(|name| begins(name, command))
                .map(|name| format!("\\{name}"))
                .collect(),
            _ if before.trim() == "\\d" => self.names.candidates("FROM", word),
            _ if word.is_empty() && !wants_table(before) => Vec::new(),
            _ => self.names.candidates(before, word),
        };
        let pairs = found.into_iter().map(|name| Pair {
            display: name.clone(),
            replacement: name,
        });
        Ok((start, pairs.collect()))
    }
}

impl Hinter for ShellHelper {
    type Hint = String;

    fn hint(&self, line: &str, position: usize, context: &Context<'_>) -> Option<String> {
        self.hinter.hint(line, position, context)
    }
}

impl Highlighter for ShellHelper {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        default: bool,
    ) -> Cow<'b, str> {
        if default {
            Cow::Borrowed(&self.prompt)
        } else {
            Cow::Borrowed(prompt)
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.colour {
            Cow::Owned(format!("{}{hint}{:#}", style::FAINT, style::FAINT))
        } else {
            Cow::Borrowed(hint)
        }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        false
    }
}

impl Validator for ShellHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if input::is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// The SQL name of a type.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY".to_owned(),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "TIMESTAMP_NTZ".to_owned(),
        DataType::Timestamp(_, _) => "TIMESTAMP".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            format!("ARRAY<{}>", type_name(item.data_type()))
        }
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), type_name(field.data_type())))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!(
                    "MAP<{}, {}>",
                    type_name(fields[0].data_type()),
                    type_name(fields[1].data_type())
                )
            }
            other => format!("MAP<{other}>"),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rustyline::history::DefaultHistory;

    use super::*;

    fn completed(line: &str) -> Vec<String> {
        let mut names = Names::default();
        names.add(
            "payments".to_owned(),
            vec!["id".to_owned(), "amount".to_owned()],
        );
        names.add("people".to_owned(), vec!["id".to_owned(), "age".to_owned()]);
        let helper = ShellHelper::new(names, String::new(), false);
        let history = DefaultHistory::new();
        let (start, pairs) = helper
            .complete(line, line.len(), &Context::new(&history))
            .unwrap();
        pairs
            .into_iter()
            .map(|pair| format!("{}{}", &line[..start], pair.replacement))
            .collect()
    }

    #[test]
    fn tables_columns_keywords_and_commands_complete() {
        assert_eq!(
            completed("SELECT * FROM p"),
            ["SELECT * FROM payments", "SELECT * FROM people"]
        );
        assert_eq!(completed("SELECT payments.a"), ["SELECT payments.amount"]);
        assert!(
            completed("SELECT sum(am").is_empty()
                || completed("SELECT sum(am") == ["SELECT sum(amount"]
        );
        assert_eq!(completed("sel"), ["SELECT"]);
        assert_eq!(completed("\\t"), ["\\timing"]);
        assert_eq!(completed("\\d pe"), ["\\d people"]);
        assert!(completed("SELECT ").is_empty());
    }

    #[test]
    fn types_have_their_sql_names() {
        assert_eq!(type_name(&DataType::Decimal128(12, 2)), "DECIMAL(12,2)");
        assert_eq!(
            type_name(&DataType::Timestamp(
                TimeUnit::Microsecond,
                Some("UTC".into())
            )),
            "TIMESTAMP"
        );
    }
}
