//! What a profile says, as data. JSON is this, by serde; text and HTML are drawn from it.

use serde::Serialize;

use super::kind::ValueKind;

/// A finished profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// What was profiled: a path, a table.
    pub subject: String,
    /// Rows seen.
    pub rows: u64,
    /// One entry a column, in the order in which columns appeared.
    pub columns: Vec<ColumnProfile>,
}

impl Profile {
    /// Values found suspicious, over all columns; a value suspected twice counts twice.
    pub fn suspicious_values(&self) -> u64 {
        self.columns
            .iter()
            .flat_map(|column| &column.suspicions)
            .map(|suspicion| suspicion.rows)
            .sum()
    }
}

/// What is known of one column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// The type it came in, in SQL's words; `STRING` for text.
    pub data_type: String,
    /// What its values look like.
    pub looks_like: Option<LooksLike>,
    /// Rows, missing values included.
    pub rows: u64,
    /// Missing values.
    pub nulls: u64,
    /// Texts of length zero, which are not missing.
    pub empty: u64,
    /// How many different values.
    pub distinct: Distinct,
    /// The smallest value, as written: by number, by time, or by letter.
    pub min: Option<String>,
    /// The largest value, as written.
    pub max: Option<String>,
    /// Of the numbers in it, if most values are numbers.
    pub numbers: Option<NumberSummary>,
    /// Of the moments in it, if most values are dates or timestamps.
    pub times: Option<TimeSummary>,
    /// Of the lengths of its values, in characters.
    pub lengths: Option<LengthSummary>,
    /// The most frequent values.
    pub top: Vec<TopValue>,
    /// How much each count in `top` may be too low: 0 while everything is counted exactly.
    pub top_count_error: u64,
    /// The most frequent formats: `9` a digit, `a` a lower-case and `A` an upper-case letter.
    pub formats: Vec<FormatCount>,
    /// How the values spread: numbers, moments, or lengths of text.
    pub histogram: Option<Histogram>,
    /// What looks wrong, worst first.
    pub suspicions: Vec<Suspicion>,
}

impl ColumnProfile {
    /// The share of missing values, 0 to 1.
    pub fn null_share(&self) -> f64 {
        share(self.nulls, self.rows)
    }
}

/// What most values of a column look like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LooksLike {
    /// The most frequent kind.
    pub kind: ValueKind,
    /// The share of values that are of it, 0 to 1.
    pub share: f64,
}

/// A number of different values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distinct {
    /// How many.
    pub count: u64,
    /// Whether that was counted, or else estimated (HyperLogLog).
    pub exact: bool,
    /// One standard deviation of the estimate, as a share of it; 0 if exact.
    pub standard_error: f64,
}

/// A summary of numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NumberSummary {
    /// How many values are numbers.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation; 0 of one value.
    pub standard_deviation: f64,
    /// Quantiles at 1, 5, 25, 50, 75, 95 and 99 %.
    pub quantiles: Vec<Quantile<f64>>,
    /// Whether the quantiles were counted, or else estimated (t-digest).
    pub exact: bool,
}

/// A summary of dates or timestamps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimeSummary {
    /// How many values are moments.
    pub count: u64,
    /// The earliest, in ISO form.
    pub min: String,
    /// The latest, in ISO form.
    pub max: String,
    /// Quantiles at 1, 5, 25, 50, 75, 95 and 99 %.
    pub quantiles: Vec<Quantile<String>>,
}

/// The value at a share of the ordered values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantile<T> {
    /// The share, 0 to 1.
    pub at: f64,
    /// The value there.
    pub value: T,
}

/// A summary of lengths in characters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LengthSummary {
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// The mean.
    pub mean: f64,
}

/// A frequent value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopValue {
    /// The value, its first 1,024 bytes.
    pub value: String,
    /// How often it was seen.
    pub count: u64,
    /// The share of all rows, 0 to 1.
    pub share: f64,
}

/// A format and how often it was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FormatCount {
    /// The format.
    pub format: String,
    /// A value of it.
    pub example: String,
    /// How many rows have it.
    pub count: u64,
}

/// Counts of values in intervals of equal width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// What is counted.
    pub of: HistogramOf,
    /// The intervals, ascending.
    pub bins: Vec<Bin>,
    /// Values left of the first interval: a few wild ones that would flatten all others.
    pub below: u64,
    /// Values right of the last interval.
    pub above: u64,
}

/// What a histogram counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HistogramOf {
    /// Numbers.
    Value,
    /// Moments; the bounds are microseconds since 1970.
    Time,
    /// Lengths of text in characters.
    Length,
}

/// One interval; the last of a histogram includes its upper end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// The interval in words.
    pub label: String,
    /// How many values are in it.
    pub count: u64,
}

/// Something that looks wrong, with the evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspicion {
    /// What kind of wrong.
    pub kind: SuspicionKind,
    /// How many rows.
    pub rows: u64,
    /// How many different values.
    pub values: u64,
    /// A sentence for a person: what is suspected and on what grounds.
    pub message: String,
    /// A few of the values.
    pub examples: Vec<Example>,
}

/// Kinds of suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspicionKind {
    /// A date the calendar does not have.
    ImpossibleDate,
    /// Text decoded with the wrong encoding.
    Mojibake,
    /// Control characters inside a value.
    ControlCharacter,
    /// Values of another kind than nearly all others.
    MixedTypes,
    /// A rare value that is a frequent one with a few characters wrong.
    LookAlike,
    /// A format that hardly any other value has.
    RareFormat,
    /// A number or a moment far away from all others.
    Outlier,
    /// A column of unique values with a few that come twice.
    Duplicate,
    /// A word or a number that stands for a missing value.
    Placeholder,
    /// White space around a value.
    Whitespace,
    /// One value written in several ways that differ only in case.
    Case,
}

impl SuspicionKind {
    /// A short name for a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::ImpossibleDate => "impossible date",
            Self::Mojibake => "wrong encoding",
            Self::ControlCharacter => "control character",
            Self::MixedTypes => "mixed types",
            Self::LookAlike => "look-alike",
            Self::RareFormat => "rare format",
            Self::Outlier => "outlier",
            Self::Duplicate => "duplicate",
            Self::Placeholder => "placeholder",
            Self::Whitespace => "white space",
            Self::Case => "upper and lower case",
        }
    }
}

/// One value that gave rise to a suspicion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// The value, its first 1,024 bytes.
    pub value: String,
    /// How many rows have it.
    pub count: u64,
    /// The first of those rows, from 1.
    pub row: u64,
    /// What the value probably should be, or how far off it is.
    pub note: Option<String>,
}

/// `part` of `whole`, 0 of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
