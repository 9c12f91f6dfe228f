//! An inferred contract written as SQL, each part with its evidence as a comment above it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Dependency, InferredContract};
use crate::profile::sql_type;
use crate::profile::suspicion::{grouped, percent};

/// Longest line of a comment.
const WIDTH: usize = 110;

/// What the statement says besides the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlOptions {
    /// The table's name; quoted if it needs to be.
    pub table: String,
    /// What `read_files` reads.
    pub path: String,
    /// Its format, if it should be written down.
    pub format: Option<String>,
    /// Further options of the reader; they win over the inferred ones.
    pub options: BTreeMap<String, String>,
}

impl InferredContract {
    /// Writes the statement.
    pub fn to_sql(&self, options: &SqlOptions) -> String {
        let mut sql = String::new();
        let table = identifier(&options.table);
        comment(
            &mut sql,
            "",
            &format!(
                "Inferred from a sample of {} rows: read it before you rely on it. A promise stands here if every value of the sample keeps it, \
             or 99 % do, or 90 % do and no single value that does not is in more than 2 % of the rows. Rows that break one go to {}__quarantine.",
                grouped(self.rows),
                options.table
            ),
        );
        let _ = writeln!(sql, "CREATE OR REFRESH STREAMING TABLE {table} (");
        self.write_columns(&mut sql);
        self.write_constraints(&mut sql);
        sql.push_str(")\n");
        self.write_remarks(&mut sql);
        let mut arguments: BTreeMap<&str, &str> = self
            .read_options
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        arguments.extend(
            options
                .options
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let _ = write!(
            sql,
            "AS SELECT * FROM STREAM read_files({}",
            literal(&options.path)
        );
        if let Some(format) = &options.format {
            let _ = write!(sql, ", format => {}", literal(format));
        }
        for (name, value) in arguments {
            let _ = write!(sql, ", {name} => {}", literal(value));
        }
        sql.push_str(");\n");
        sql
    }

    fn write_columns(&self, sql: &mut String) {
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|column| identifier(&column.name))
            .collect();
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .min(40);
        for (at, (column, name)) in self.columns.iter().zip(&names).enumerate() {
            for evidence in &column.evidence {
                comment(sql, "  ", evidence);
            }
            let mut line = format!("  {name:<width$} {}", sql_type(&column.data_type));
            if column.not_null {
                line.push_str(" NOT NULL");
            }
            if column.primary_key {
                line.push_str(" PRIMARY KEY");
            }
            let last = at + 1 == self.columns.len() && self.constraints.is_empty();
            let _ = writeln!(sql, "{line}{}", if last { "" } else { "," });
        }
    }

    fn write_constraints(&self, sql: &mut String) {
        for (at, constraint) in self.constraints.iter().enumerate() {
            for evidence in &constraint.evidence {
                comment(sql, "  ", evidence);
            }
            let comma = if at + 1 == self.constraints.len() {
                ""
            } else {
                ","
            };
            let _ = writeln!(
                sql,
                "  CONSTRAINT {} EXPECT ({}) ON VIOLATION QUARANTINE{comma}",
                constraint.name, constraint.expression
            );
        }
    }

    fn write_remarks(&self, sql: &mut String) {
        for line in summary(&self.dependencies) {
            comment(sql, "", &line);
        }
        for remark in &self.remarks {
            comment(sql, "", remark);
        }
    }
}

/// The dependencies in words: what decides most first, columns that decide each other once.
fn summary(dependencies: &[Dependency]) -> Vec<String> {
    let single: Vec<&Dependency> = dependencies
        .iter()
        .filter(|dependency| dependency.on.len() == 1)
        .collect();
    let decides = |on: &str, of: &str| {
        single
            .iter()
            .any(|dependency| dependency.on[0] == on && dependency.of == of)
    };
    let mut by_column: BTreeMap<&str, Vec<&Dependency>> = BTreeMap::new();
    for dependency in &single {
        by_column
            .entry(&dependency.on[0])
            .or_default()
            .push(dependency);
    }
    let mut order: Vec<(&str, Vec<&Dependency>)> = by_column.into_iter().collect();
    order.sort_by_key(|(_, decided)| std::cmp::Reverse(decided.len()));
    let mut told: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for (on, decided) in &order {
        if told.contains(on) {
            continue;
        }
        let mutual: Vec<&str> = decided
            .iter()
            .map(|dependency| dependency.of.as_str())
            .filter(|of| decides(of, on))
            .collect();
        told.extend(&mutual);
        let names: Vec<&str> = decided
            .iter()
            .map(|dependency| dependency.of.as_str())
            .collect();
        let worst = decided
            .iter()
            .map(|dependency| dependency.share())
            .fold(1.0, f64::min);
        let back = if mutual.is_empty() {
            String::new()
        } else {
            format!("; so do {} the other way round", mutual.join(", "))
        };
        let share = if worst >= 1.0 {
            "in every row".to_owned()
        } else {
            format!("in {} of the rows or more", percent(worst))
        };
        lines.push(format!(
            "dependency: {on} decides {} ({share}){back}",
            names.join(", ")
        ));
    }
    for dependency in dependencies
        .iter()
        .filter(|dependency| dependency.on.len() > 1)
    {
        lines.push(format!(
            "dependency: {} together decide {} (in {} of the rows)",
            dependency.on.join(" and "),
            dependency.of,
            percent(dependency.share())
        ));
    }
    lines.sort();
    lines.dedup();
    lines.truncate(20);
    lines
}

/// A comment, broken into lines.
fn comment(sql: &mut String, indent: &str, text: &str) {
    let mut line = String::new();
    let one_line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    for word in one_line.split(' ') {
        if !line.is_empty()
            && line.chars().count() + word.chars().count() + indent.len() + 4 > WIDTH
        {
            let _ = writeln!(sql, "{indent}-- {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(sql, "{indent}-- {line}");
}

/// Words that are no column names without back-ticks.
const RESERVED: &str = " all alter and any anti array as between both by case cast check cluster collate column comment \
    constraint create cross cube current_date current_time current_timestamp current_user date default delete \
    describe desc distinct drop else end escape except exists expect explain false fetch filter for foreign from full \
    function grant group grouping having if in inner insert intersect interval into is join key lateral leading left \
    like limit location map mask minus natural no not null of offset on only or order outer overlaps partition \
    partitioned primary private properties qualify range references replace returning right rlike rollup row rows schedule \
    select semi session_user set show some sort stream struct table tablesample then time timestamp to top trailing \
    trigger trim true truncate union unique unknown unpivot update user using values view when where window with ";

/// A name as SQL takes it: in back-ticks if it is not plain.
pub(crate) fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !RESERVED.contains(&format!(" {} ", name.to_ascii_lowercase())) {
        name.to_owned()
    } else {
        format!("`{}`", name.replace('`', "``"))
    }
}

/// A string literal. A quote is doubled; a backslash too, since Spark reads it as an escape.
pub(crate) fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests;
