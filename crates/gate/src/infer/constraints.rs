//! From what the columns show to the promises of the contract.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;

use super::categories::{self, Accepted, Slip, Testimony};
use super::dependencies::Found;
use super::evidence::{Trial, list, quoted};
use super::merged::{self, Merged};
use super::sample::{Sample, SampleColumn};
use super::sql::{identifier, literal};
use super::types::InferredType;
use super::{
    ConstraintKind, InferOptions, InferredColumn, InferredConstraint, formats, names, ranges,
};
use crate::profile::suspicion::{grouped, percent};

/// The promises with the cells that break them.
#[derive(Default)]
pub(crate) struct Promises {
    pub(crate) constraints: Vec<InferredConstraint>,
    /// For each constraint the cells: column, row.
    pub(crate) broken: Vec<Vec<(usize, usize)>>,
    /// Slips in columns without accepted values: column, row, what was meant.
    pub(crate) slips: Vec<(usize, usize, String)>,
    pub(crate) remarks: Vec<String>,
    names: BTreeSet<String>,
}

/// Finds the promises.
pub(crate) fn find(
    sample: &Sample,
    columns: &[InferredColumn],
    types: &[InferredType],
    dependencies: &[Found],
    options: &InferOptions,
) -> Promises {
    let mut promises = Promises::default();
    for (at, column) in sample.columns.iter().enumerate() {
        let nullable = !columns[at].not_null;
        match types[at].data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                promises.of_text(
                    column,
                    at,
                    nullable,
                    columns[at].primary_key,
                    &Testimony::of(at, dependencies),
                    options,
                );
            }
            _ => promises.of_range(column, at, nullable, &types[at].data_type, options),
        }
    }
    for merged in merged::find(&sample.columns) {
        promises.of_merged(&merged, sample);
    }
    promises
}

impl Promises {
    /// Accepted values if there are few, else a format; slips are remarked if there is neither.
    fn of_text(
        &mut self,
        column: &SampleColumn,
        at: usize,
        nullable: bool,
        key: bool,
        testimony: &Testimony,
        options: &InferOptions,
    ) {
        let is_code = names::is_code(&column.name);
        let slips = if key || is_code {
            Vec::new()
        } else {
            categories::slips(column, testimony)
        };
        let accepted = if key || is_code {
            None
        } else {
            categories::accepted(column, &slips, options.accepted_values)
        };
        if let Some(accepted) = accepted {
            self.of_accepted(column, at, nullable, &slips, &accepted);
            return;
        }
        if let Some(format) = formats::find(column, options.must_hold) {
            let expression = format!(
                "{} RLIKE {}",
                identifier(&column.name),
                literal(&format.pattern)
            );
            let cells = cells(column, at, &format.trial);
            let evidence = vec![format.trial.words()];
            self.push(
                column,
                "format",
                ConstraintKind::Format,
                expression,
                nullable,
                evidence,
                cells,
            );
        }
        if !slips.is_empty() {
            self.remark_slips(column, at, &slips);
        }
    }

    fn of_accepted(
        &mut self,
        column: &SampleColumn,
        at: usize,
        nullable: bool,
        slips: &[Slip],
        accepted: &Accepted,
    ) {
        let values: Vec<String> = accepted
            .values
            .iter()
            .map(|&value| literal(&column.values[value].text))
            .collect();
        let expression = format!("{} IN ({})", identifier(&column.name), values.join(", "));
        let rarest = accepted
            .values
            .last()
            .map_or(0, |&value| column.values[value].count);
        let mut evidence = vec![format!(
            "{} in {} of {} rows or more; chance of a new one in the next row {}",
            if accepted.values.len() == 1 {
                "one value,".to_owned()
            } else {
                format!("{} values, each", accepted.values.len())
            },
            grouped(rarest),
            grouped(column.present()),
            if accepted.new_value > 0.0 {
                percent(accepted.new_value)
            } else {
                format!("below {}", percent(3.0 / column.present().max(1) as f64))
            }
        )];
        if !slips.is_empty() {
            evidence.push(format!("left out as slips: {}", pairs(column, slips)));
        }
        if !accepted.once.is_empty() {
            let once = accepted
                .once
                .iter()
                .map(|&value| (column.values[value].text.as_str(), 1));
            evidence.push(format!("seen once and left out: {}", list(once, 4)));
        }
        let left_out = slips
            .iter()
            .map(|slip| slip.value)
            .chain(accepted.once.iter().copied());
        let broken = left_out
            .flat_map(|value| rows_of(column, value))
            .map(|row| (at, row))
            .collect();
        self.push(
            column,
            "known",
            ConstraintKind::AcceptedValues,
            expression,
            nullable,
            evidence,
            broken,
        );
    }

    fn remark_slips(&mut self, column: &SampleColumn, at: usize, slips: &[Slip]) {
        self.remarks.push(format!(
            "{}: rare values that look like slips: {}",
            column.name,
            pairs(column, slips)
        ));
        for slip in slips {
            let meant = &column.values[slip.meant].text;
            self.slips
                .extend(rows_of(column, slip.value).map(|row| (at, row, meant.clone())));
        }
    }

    fn of_range(
        &mut self,
        column: &SampleColumn,
        at: usize,
        nullable: bool,
        data_type: &DataType,
        options: &InferOptions,
    ) {
        let Some(range) = ranges::find(column, data_type, options.must_hold) else {
            return;
        };
        let name = identifier(&column.name);
        let bounds: Vec<String> = range
            .bounds
            .iter()
            .map(|bound| format!("{name} {bound}"))
            .collect();
        let evidence = vec![range.trial.words()];
        let cells = cells(column, at, &range.trial);
        self.push(
            column,
            "range",
            ConstraintKind::Range,
            bounds.join(" AND "),
            nullable,
            evidence,
            cells,
        );
    }

    fn of_merged(&mut self, merged: &Merged, sample: &Sample) {
        let (into, missing) = (
            &sample.columns[merged.into],
            &sample.columns[merged.missing],
        );
        let endings: Vec<String> = merged
            .endings
            .iter()
            .map(|ending| ending.chars().flat_map(escape_pattern).collect())
            .collect();
        let pattern = literal(&format!("[ ,]({})$", endings.join("|")));
        let (into_name, missing_name) = (identifier(&into.name), identifier(&missing.name));
        let expression = format!(
            "{missing_name} IS NOT NULL OR {into_name} IS NULL OR NOT ({into_name} RLIKE {pattern})"
        );
        let example = merged
            .rows
            .first()
            .map(|&row| quoted(&into.values[into.rows[row] as usize].text))
            .unwrap_or_default();
        let evidence = vec![format!(
            "{} rows without a {} have it at the end of {}, such as {example}",
            grouped(merged.rows.len() as u64),
            missing.name,
            into.name
        )];
        let broken: Vec<(usize, usize)> = merged
            .rows
            .iter()
            .flat_map(|&row| [(merged.into, row), (merged.missing, row)])
            .collect();
        let suffix = format!("without_{}", plain(&missing.name));
        self.push(
            into,
            &suffix,
            ConstraintKind::Merged,
            expression,
            false,
            evidence,
            broken,
        );
        if let Some(constraint) = self.constraints.last_mut() {
            constraint.columns.push(missing.name.clone());
            constraint.broken = merged.rows.len() as u64;
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one private door for every kind of promise"
    )]
    fn push(
        &mut self,
        column: &SampleColumn,
        suffix: &str,
        kind: ConstraintKind,
        expression: String,
        nullable: bool,
        evidence: Vec<String>,
        broken: Vec<(usize, usize)>,
    ) {
        let expression = match (nullable, expression.contains(" AND ")) {
            (true, true) => format!("{} IS NULL OR ({expression})", identifier(&column.name)),
            (true, false) => format!("{} IS NULL OR {expression}", identifier(&column.name)),
            (false, _) => expression,
        };
        let base = format!("{}_{suffix}", plain(&column.name));
        let mut name = base.clone();
        let mut number = 2;
        while !self.names.insert(name.clone()) {
            name = format!("{base}_{number}");
            number += 1;
        }
        let columns = vec![column.name.clone()];
        self.constraints.push(InferredConstraint {
            name,
            kind,
            columns,
            expression,
            evidence,
            broken: broken.len() as u64,
        });
        self.broken.push(broken);
    }
}

/// `'birminghxm' for 'birmingham', …`
fn pairs(column: &SampleColumn, slips: &[Slip]) -> String {
    let text = |at: usize| quoted(&column.values[at].text);
    let shown: Vec<String> = slips
        .iter()
        .take(3)
        .map(|slip| format!("{} for {}", text(slip.value), text(slip.meant)))
        .collect();
    let more = if slips.len() > 3 {
        format!(", and {} more", slips.len() - 3)
    } else {
        String::new()
    };
    shown.join(", ") + &more
}

/// The cells that hold an offender.
fn cells(column: &SampleColumn, at: usize, trial: &Trial) -> Vec<(usize, usize)> {
    rows_with(column, trial).map(|row| (at, row)).collect()
}

/// The rows that hold one of a trial's offenders.
pub(crate) fn rows_with<'a>(
    column: &'a SampleColumn,
    trial: &Trial,
) -> impl Iterator<Item = usize> + 'a {
    let offending: BTreeSet<&str> = trial
        .offenders
        .iter()
        .map(|offender| offender.0.as_str())
        .collect();
    let offending: Vec<bool> = column
        .values
        .iter()
        .map(|value| offending.contains(value.text.as_str()))
        .collect();
    let is_offender = move |code: u32| offending.get(code as usize).copied().unwrap_or(false);
    column
        .rows
        .iter()
        .enumerate()
        .filter(move |(_, code)| is_offender(**code))
        .map(|(row, _)| row)
}

/// The rows that hold one value.
fn rows_of(column: &SampleColumn, value: usize) -> impl Iterator<Item = usize> {
    column
        .rows
        .iter()
        .enumerate()
        .filter(move |(_, code)| **code as usize == value)
        .map(|(row, _)| row)
}

/// A name as a plain identifier.
fn plain(name: &str) -> String {
    let text: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    let text = text.trim_matches('_');
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) {
        format!("column_{text}")
    } else {
        text.to_owned()
    }
}

/// A character of a literal inside a regular expression.
fn escape_pattern(character: char) -> Vec<char> {
    match character {
        '.' | '+' | '*' | '?' | '(' | ')' | '[' | '{' | '}' | '|' | '$' => {
            vec!['[', character, ']']
        }
        '\\' | '^' | ']' => vec!['.'],
        other => vec![other],
    }
}
