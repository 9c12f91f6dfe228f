//! The type of a text column: the narrowest that its values, present and to come, surely have.
//!
//! Digits are a number only if they count or measure something: a leading zero, or a name such as
//! `zip` or `phone`, makes them a code, which stays STRING.

use arrow::datatypes::{DataType, TimeUnit};

use super::evidence::{Confidence, FEWEST, Trial, list};
use super::names;
use super::sample::{SampleColumn, Value};
use crate::profile::kind::{self, ValueKind};
use crate::profile::suspicion::{grouped, percent};
use crate::profile::temporal::DateForm;

/// A type with the reasons for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InferredType {
    pub(crate) data_type: DataType,
    /// What was seen, in words; empty if there is nothing to say.
    pub(crate) evidence: Vec<String>,
    /// How the type fared; the offenders will be quarantined as `type`.
    pub(crate) trial: Trial,
    /// Options the reader needs for this column.
    pub(crate) needs: Vec<(&'static str, String)>,
}

impl InferredType {
    fn string(evidence: Vec<String>) -> Self {
        Self {
            data_type: DataType::Utf8View,
            evidence,
            trial: Trial::default(),
            needs: Vec::new(),
        }
    }
}

/// Infers the type of a text column.
pub(crate) fn infer(column: &SampleColumn, must_hold: f64) -> InferredType {
    let present = column.present();
    if present < FEWEST {
        return InferredType::string(vec![format!(
            "only {} values: too few to tell",
            grouped(present)
        )]);
    }
    let candidates: [fn(&SampleColumn, f64) -> Option<InferredType>; 5] =
        [boolean, compact_date, whole, temporal, fraction];
    candidates
        .iter()
        .find_map(|candidate| candidate(column, must_hold))
        .unwrap_or_else(|| other(column))
}

/// A type if the rule allows it.
fn tried(
    column: &SampleColumn,
    data_type: DataType,
    must_hold: f64,
    accepts: impl Fn(&Value) -> bool,
) -> Option<InferredType> {
    let trial = Trial::new(column.present(), column.refused(accepts));
    let evidence = match trial.confidence(must_hold) {
        Confidence::None => return None,
        Confidence::Unbroken => Vec::new(),
        Confidence::WithErrors => vec![trial.words()],
    };
    Some(InferredType {
        data_type,
        evidence,
        trial,
        needs: Vec::new(),
    })
}

/// Two words for true and false; or 0 and 1 under a name that asks a question.
fn boolean(column: &SampleColumn, must_hold: f64) -> Option<InferredType> {
    let digits = names::is_flag(&column.name);
    let truth = |value: &Value| match value.text.trim() {
        "0" if digits => Some(false),
        "1" if digits => Some(true),
        word => kind::boolean(word),
    };
    let both = [true, false].into_iter().all(|wanted| {
        column
            .present_values()
            .any(|(_, value)| truth(value) == Some(wanted))
    });
    both.then(|| {
        tried(column, DataType::Boolean, must_hold, |value| {
            truth(value).is_some()
        })
    })
    .flatten()
}

/// Eight digits that are a day, under a name that says so.
fn compact_date(column: &SampleColumn, must_hold: f64) -> Option<InferredType> {
    let is_day = |value: &Value| {
        let text = value.text.trim();
        text.len() == 8
            && chrono::NaiveDate::parse_from_str(text, "%Y%m%d")
                .is_ok_and(|day| (1900..2100).contains(&chrono::Datelike::year(&day)))
    };
    names::is_day(&column.name)
        .then(|| tried(column, DataType::Date32, must_hold, is_day))
        .flatten()
}

/// Whole numbers: INT, or BIGINT for ids and for what may outgrow it. A single fraction among them and
/// they are no whole numbers: DOUBLE loses nothing.
fn whole(column: &SampleColumn, must_hold: f64) -> Option<InferredType> {
    let is_whole = |value: &Value| value.reading.kind == ValueKind::Integer;
    let codes = column.of_kind(|kind| kind == ValueKind::DigitCode);
    let digits = column.of_kind(|kind| matches!(kind, ValueKind::DigitCode | ValueKind::Integer));
    let leading_zeros = codes * 1_000 > column.present();
    if leading_zeros || names::is_code(&column.name) {
        let mostly = digits * 10 >= column.present() * 9;
        let reason = if leading_zeros {
            "some begin with 0"
        } else {
            "by its name a code"
        };
        return mostly.then(|| {
            InferredType::string(vec![format!(
                "digits, but {reason}: nothing to calculate with"
            )])
        });
    }
    if column.of_kind(|kind| kind == ValueKind::Decimal) > 0 {
        return None;
    }
    let digits = column
        .present_values()
        .filter(|(_, value)| is_whole(value))
        .filter_map(|(_, value)| value.reading.number)
        .map(|number| number.integer_digits)
        .max()?;
    let data_type = match digits {
        0..=8 if names::key_rank(&column.name) == 0 => DataType::Int32,
        0..=18 => DataType::Int64,
        _ => DataType::Decimal128(38, 0),
    };
    tried(column, data_type, must_hold, is_whole)
}

/// Dates and timestamps, in one form or in several that can be told apart.
fn temporal(column: &SampleColumn, must_hold: f64) -> Option<InferredType> {
    let timestamps = column.of_kind(|kind| kind == ValueKind::Timestamp);
    let data_type = if timestamps > 0 {
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    } else {
        DataType::Date32
    };
    let mut inferred = tried(column, data_type, must_hold, |value| {
        value.reading.kind.is_temporal()
    })?;
    settle_order(column, &mut inferred);
    Some(inferred)
}

/// Which of day and month comes first where slashes part them: the dates that allow only one reading
/// decide for those that allow two.
fn settle_order(column: &SampleColumn, inferred: &mut InferredType) {
    let of_form = |wanted: DateForm| -> u64 {
        let written = |value: &Value| {
            value
                .reading
                .temporal
                .is_some_and(|moment| moment.form == wanted)
        };
        column
            .present_values()
            .filter(|(_, value)| written(value))
            .map(|(_, value)| value.count)
            .sum()
    };
    let (day_first, month_first, ambiguous) = (
        of_form(DateForm::DayFirst),
        of_form(DateForm::MonthFirst),
        of_form(DateForm::Ambiguous),
    );
    match (day_first, month_first, ambiguous) {
        (_, _, 0) => {}
        (1.., 0, _) => {
            inferred.needs.push(("dateOrder", "dmy".to_owned()));
            inferred.evidence.push(format!(
                "the day comes first: {} dates can be read in no other way",
                grouped(day_first)
            ));
        }
        (0, 1.., _) => {
            inferred.needs.push(("dateOrder", "mdy".to_owned()));
            inferred.evidence.push(format!(
                "the month comes first: {} dates can be read in no other way",
                grouped(month_first)
            ));
        }
        (0, 0, _) => inferred
            .evidence
            .push("day and month cannot be told apart: say dateOrder => 'dmy' or 'mdy'".to_owned()),
        _ => inferred.evidence.push(format!(
            "{} dates have the day first and {} the month: dates such as 03/04/2026 cannot be read",
            grouped(day_first),
            grouped(month_first)
        )),
    }
}

/// Numbers with a fraction: DECIMAL for money and for a fixed scale of two, else DOUBLE.
fn fraction(column: &SampleColumn, must_hold: f64) -> Option<InferredType> {
    let plain = column.of_kind(ValueKind::is_number);
    let formatted = column.of_kind(|kind| kind == ValueKind::FormattedNumber);
    if formatted * 2 > column.present() {
        return dressed(column, must_hold);
    }
    if plain * 2 <= column.present() {
        return None;
    }
    let data_type = number_type(column, |value| value.reading.kind.is_number());
    if let Some(inferred) = tried(column, data_type.clone(), must_hold, |value| {
        value.reading.kind.is_number()
    }) {
        return Some(inferred);
    }
    same_in_another_dress(column, data_type)
}

/// A column of numbers of which many, too many to be slips, are written with a sign or a unit.
fn same_in_another_dress(column: &SampleColumn, data_type: DataType) -> Option<InferredType> {
    let plain = |value: &Value| value.reading.kind.is_number();
    let strangers = column.refused(|value| value.reading.number.is_some());
    if Trial::new(column.present(), strangers).confidence(0.99) == Confidence::None {
        return None;
    }
    let trial = Trial::new(column.present(), column.refused(plain));
    let (broken, tested) = (trial.broken(), trial.tested);
    let evidence = format!(
        "numbers, of which {} ({}) are written in another way ({}): find out whether they mean the same",
        grouped(broken),
        percent(broken as f64 / tested as f64),
        list(
            trial
                .offenders
                .iter()
                .map(|offender| (offender.0.as_str(), 1)),
            3
        )
    );
    Some(InferredType {
        data_type,
        evidence: vec![evidence],
        trial,
        needs: Vec::new(),
    })
}

/// A column of numbers with currency signs or separators, all in the same style.
fn dressed(column: &SampleColumn, must_hold: f64) -> Option<InferredType> {
    let style = Style::of(column)?;
    let accepts = |value: &Value| value.reading.number.is_some() && style.allows(&value.text);
    let mut inferred = tried(column, number_type(column, accepts), must_hold, accepts)?;
    inferred.needs = style.options();
    Some(inferred)
}

/// How a column's numbers are written.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Style {
    comma: bool,
    thousands: Option<char>,
    signs: bool,
    parentheses: bool,
}

impl Style {
    /// The style that its values show; `None` if comma and point contradict each other.
    fn of(column: &SampleColumn) -> Option<Self> {
        let (mut comma_last, mut point_last) = (0, 0);
        let mut style = Self {
            comma: false,
            thousands: None,
            signs: false,
            parentheses: false,
        };
        for (_, value) in column
            .present_values()
            .filter(|(_, value)| value.reading.number.is_some())
        {
            let number = value.reading.number?;
            style.signs |= value.text.contains(['$', '€', '£', '¥', '₹', '₽']);
            style.parentheses |= value.text.contains('(');
            let last = value
                .text
                .rfind([',', '.'])
                .map(|at| value.text.as_bytes()[at]);
            match last {
                Some(b',') if number.scale > 0 => comma_last += value.count,
                Some(b'.') if number.scale > 0 => point_last += value.count,
                _ => {}
            }
        }
        style.comma = comma_last > point_last;
        if comma_last > 0 && point_last > 0 {
            return None;
        }
        let decimal = if style.comma { ',' } else { '.' };
        let separators = ['.', ',', ' ', '\'', '\u{a0}', '\u{202f}'];
        let between = |text: &str| {
            let inner = text.trim_matches(|c: char| !c.is_ascii_digit());
            separators
                .into_iter()
                .find(|&separator| separator != decimal && inner.contains(separator))
        };
        style.thousands = column
            .present_values()
            .find_map(|(_, value)| value.reading.number.and_then(|_| between(&value.text)));
        Some(style)
    }

    fn allows(self, text: &str) -> bool {
        let decimal = if self.comma { ',' } else { '.' };
        text.chars().all(|c| {
            c.is_ascii_digit()
                || c == decimal
                || Some(c) == self.thousands
                || !matches!(c, '.' | ',' | '\'')
        })
    }

    fn options(self) -> Vec<(&'static str, String)> {
        let mut options = Vec::new();
        if self.comma {
            options.push(("decimalSeparator", ",".to_owned()));
        }
        if let Some(separator) = self.thousands {
            let separator = if separator.is_whitespace() {
                ' '
            } else {
                separator
            };
            options.push(("thousandsSeparator", separator.to_string()));
        }
        if self.signs {
            options.push(("currency", "signs".to_owned()));
        }
        if self.parentheses {
            options.push(("parenthesesNegative", "true".to_owned()));
        }
        options
    }
}

/// DECIMAL with room for amounts a hundred times as large, or DOUBLE.
fn number_type(column: &SampleColumn, accepts: impl Fn(&Value) -> bool) -> DataType {
    let numbers = || {
        column
            .present_values()
            .filter(|(_, value)| accepts(value))
            .filter_map(|(_, value)| value.reading.number.map(|number| (number, value.count)))
    };
    let total: u64 = numbers().map(|(_, count)| count).sum();
    let scale = numbers().map(|(number, _)| number.scale).max().unwrap_or(0);
    let at_scale: u64 = numbers()
        .filter(|(number, _)| number.scale == 2)
        .map(|(_, count)| count)
        .sum();
    let exponents = numbers().any(|(number, _)| number.exponent);
    let money = names::is_money(&column.name) && scale <= 4;
    let fixed = scale == 2 && at_scale * 10 >= total * 9;
    if exponents || !(money || fixed) {
        return DataType::Float64;
    }
    let scale = scale.max(2);
    let digits = numbers()
        .map(|(number, _)| number.integer_digits)
        .max()
        .unwrap_or(1);
    let precision = [12, 18, 28, 38]
        .into_iter()
        .find(|&precision| precision >= digits + 2 + scale);
    precision.map_or(DataType::Float64, |precision| {
        DataType::Decimal128(precision as u8, scale as i8)
    })
}

/// Text, with a remark on what else it might have been.
fn other(column: &SampleColumn) -> InferredType {
    let present = column.present();
    let share = |kind: ValueKind| column.of_kind(|other| other == kind) as f64 / present as f64;
    let mut evidence = Vec::new();
    if share(ValueKind::Percent) > 0.8 {
        evidence.push(
            "percentages: with percent => 'true' they could be numbers, 95% being 0.95".to_owned(),
        );
    }
    if share(ValueKind::Quantity) > 0.8 {
        evidence.push(units(column));
    }
    InferredType::string(evidence)
}

fn units(column: &SampleColumn) -> String {
    let mut units = std::collections::BTreeMap::new();
    for (_, value) in column.present_values() {
        if let Some(unit) = kind::unit_of(&value.text) {
            *units.entry(unit).or_insert(0_u64) += value.count;
        }
    }
    let mut units: Vec<_> = units.into_iter().collect();
    units.sort_by_key(|unit| std::cmp::Reverse(unit.1));
    let usual = units
        .iter()
        .filter(|unit| unit.1 * 50 >= column.present())
        .count();
    let several = if usual > 1 {
        format!(", spelt in {usual} ways")
    } else {
        String::new()
    };
    format!(
        "numbers with their unit in the value{several}: {}",
        list(units.into_iter(), 5)
    )
}
