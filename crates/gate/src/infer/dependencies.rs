//! Dependencies between columns: where one value decides another, as a zip code decides a city.
//!
//! A dependency `A → B` is measured by the share of rows that must go for it to hold exactly (g3 of
//! Kivinen and Mannila, "Approximate inference of functional dependencies from relations", 1995), over
//! groups of three rows or more, and by how much better than chance two rows of a group agree (τ of
//! Goodman and Kruskal, "Measures of association for cross classifications", 1954). It is believed if at
//! most 1 % of the rows speak against it, or 5 % with values that are usual nowhere, and τ is 0.85 or
//! more. Where the rows against it share a value of a third column, the dependency is on both columns.
//! With a smaller τ a dependency tells too little to be reported; but a value that speaks against it and
//! is usual nowhere is still likely to be a slip.

use super::sample::{MISSING, Sample, SampleColumn};

/// Largest share of rows that may speak against a dependency.
const AGAINST: f64 = 0.05;
/// Least association.
const LEAST_TAU: f64 = 0.85;
/// Largest share of rows that may speak against it with values that are usual elsewhere.
const EXCEPTIONS: f64 = 0.01;
/// Fewest rows that must have been tested.
const FEWEST: u64 = 30;
/// Most columns that are compared with each other; wider samples are compared up to this.
const WIDEST: usize = 60;
/// Most rows that are looked at.
const ROWS: usize = 50_000;

/// A dependency that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    /// The deciding columns: one, or two.
    pub(crate) on: Vec<usize>,
    /// The decided column.
    pub(crate) of: usize,
    /// Rows tested.
    pub(crate) tested: u64,
    /// Rows that speak against it.
    pub(crate) against: u64,
    /// Those of them with a value that is usual nowhere, in a group with a clear majority.
    pub(crate) errors: Vec<Contradiction>,
    /// Rows that spoke against the dependency until a third column explained them.
    pub(crate) explained: Vec<usize>,
    /// Whether it tells enough to be reported.
    pub(crate) strong: bool,
}

/// A row that says something else than the others of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction {
    pub(crate) row: usize,
    /// The value it has, by index.
    pub(crate) value: u32,
    /// The value the others have.
    pub(crate) usual: u32,
}

/// Finds the dependencies between the columns of a sample.
pub(crate) fn find(sample: &Sample) -> Vec<Found> {
    let rows = (sample.rows as usize).min(ROWS);
    let candidates: Vec<usize> = (0..sample.columns.len())
        .filter(|&at| can_take_part(&sample.columns[at], rows))
        .take(WIDEST)
        .collect();
    let mut found = Vec::new();
    for &on in &candidates {
        let Some(groups) = Groups::new(&sample.columns[on].rows[..rows])
            .filter(|_| can_decide(&sample.columns[on]))
        else {
            continue;
        };
        for &of in candidates.iter().filter(|&&of| of != on) {
            if let Some(dependency) = test(&groups, vec![on], of, sample, rows) {
                found.push(refine(dependency, sample, &candidates, rows));
            }
        }
    }
    found.sort_by(|a, b| a.on.cmp(&b.on).then(a.of.cmp(&b.of)));
    found.dedup_by(|a, b| a.on == b.on && a.of == b.of);
    found
}

/// Neither constant nor nearly unique, and there in half of the rows.
fn can_take_part(column: &SampleColumn, rows: usize) -> bool {
    let (present, distinct) = (column.present(), column.distinct());
    present * 2 >= rows as u64 && distinct >= 2 && distinct * 10 < present * 9
}

/// What is measured decides nothing: two prices are equal by chance.
fn can_decide(column: &SampleColumn) -> bool {
    let measured = column.of_kind(|kind| {
        matches!(
            kind,
            crate::profile::ValueKind::Decimal | crate::profile::ValueKind::Timestamp
        )
    });
    measured * 2 < column.present()
}

/// Rows ordered by the value of a column.
struct Groups {
    rows: Vec<u32>,
    starts: Vec<u32>,
}

impl Groups {
    /// Groups of three rows or more; `None` if they hold less than a quarter of the rows.
    fn new(codes: &[u32]) -> Option<Self> {
        let mut order: Vec<u32> = (0..codes.len() as u32)
            .filter(|&row| codes[row as usize] != MISSING)
            .collect();
        order.sort_by_key(|&row| codes[row as usize]);
        let mut groups = Self {
            rows: Vec::with_capacity(order.len()),
            starts: vec![0],
        };
        for group in order
            .chunk_by(|&a, &b| codes[a as usize] == codes[b as usize])
            .filter(|group| group.len() >= 3)
        {
            groups.rows.extend_from_slice(group);
            groups.starts.push(groups.rows.len() as u32);
        }
        (groups.rows.len() * 4 >= codes.len() && groups.starts.len() > 2).then_some(groups)
    }

    fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.starts
            .windows(2)
            .map(|ends| &self.rows[ends[0] as usize..ends[1] as usize])
    }
}

/// Tests whether the groups decide column `of`.
fn test(groups: &Groups, on: Vec<usize>, of: usize, sample: &Sample, rows: usize) -> Option<Found> {
    let codes = &sample.columns[of].rows[..rows];
    let mut counts = vec![0_u32; sample.columns[of].values.len()];
    let mut found = Found {
        on,
        of,
        tested: 0,
        against: 0,
        errors: Vec::new(),
        explained: Vec::new(),
        strong: false,
    };
    let (mut agreeing, mut pairs) = (0.0, 0.0);
    let mut majorities: Vec<u32> = Vec::new();
    let bound = (groups.rows.len() as f64 * AGAINST) as u64 + 1;
    for group in groups.iter() {
        let present = || {
            group
                .iter()
                .map(|&row| (row, codes[row as usize]))
                .filter(|&(_, code)| code != MISSING)
        };
        present().for_each(|(_, code)| counts[code as usize] += 1);
        let size: u64 = present().count() as u64;
        let Some((majority, most)) = present()
            .map(|(_, code)| (code, u64::from(counts[code as usize])))
            .max_by_key(|&(code, count)| (count, std::cmp::Reverse(code)))
        else {
            continue;
        };
        if size >= 3 {
            found.tested += size;
            found.against += size - most;
            agreeing += present()
                .map(|(_, code)| f64::from(counts[code as usize]) - 1.0)
                .sum::<f64>();
            pairs += size as f64 * (size as f64 - 1.0);
            majorities.push(majority);
            if most * 3 >= size * 2 {
                let others = present().filter(|&(_, code)| code != majority);
                found
                    .errors
                    .extend(others.map(|(row, value)| Contradiction {
                        row: row as usize,
                        value,
                        usual: majority,
                    }));
            }
        }
        present().for_each(|(_, code)| counts[code as usize] = 0);
        if found.against > bound {
            return None;
        }
    }
    majorities.sort_unstable();
    majorities.dedup();
    let chance = chance_agreement(&sample.columns[of]);
    let tau = (agreeing / f64::max(pairs, 1.0) - chance) / f64::max(1.0 - chance, 1e-12);
    found
        .errors
        .retain(|error| majorities.binary_search(&error.value).is_err());
    found.strong = tau >= LEAST_TAU;
    let exceptions = (found.against - found.errors.len() as u64) as f64;
    let believed = found.against as f64 <= AGAINST * found.tested as f64
        && exceptions <= EXCEPTIONS * found.tested as f64;
    let enough = found.tested >= FEWEST && found.tested * 4 >= rows as u64 && majorities.len() >= 2;
    (believed && enough).then_some(found)
}

/// The chance that two rows hold the same value.
fn chance_agreement(column: &SampleColumn) -> f64 {
    let present = column.present() as f64;
    let same: f64 = column
        .present_values()
        .map(|(_, value)| value.count as f64 * (value.count as f64 - 1.0))
        .sum();
    same / f64::max(present * (present - 1.0), 1.0)
}

/// If the rows against a dependency have a value of a third column in common, which hardly any other
/// row has, the dependency is on both.
fn refine(found: Found, sample: &Sample, candidates: &[usize], rows: usize) -> Found {
    if found.errors.len() < 5 {
        return found;
    }
    let thirds = candidates
        .iter()
        .copied()
        .filter(|at| !found.on.contains(at) && *at != found.of);
    let better = thirds
        .filter_map(|third| with_third(&found, third, sample, rows))
        .max_by_key(|better| (better.tested, std::cmp::Reverse(better.against)));
    better.unwrap_or(found)
}

/// The dependency on a third column too, if that explains it.
fn with_third(found: &Found, third: usize, sample: &Sample, rows: usize) -> Option<Found> {
    let value = explaining(found, &sample.columns[third], rows)?;
    let (first, second) = (&sample.columns[found.on[0]], &sample.columns[third]);
    let width = second.values.len() as u32;
    let combined: Vec<u32> = first.rows[..rows]
        .iter()
        .zip(&second.rows[..rows])
        .map(|(&a, &b)| {
            if a == MISSING || b == MISSING {
                MISSING
            } else {
                a.saturating_mul(width).saturating_add(b)
            }
        })
        .collect();
    let on = vec![found.on[0], third];
    let mut better =
        Groups::new(&combined).and_then(|groups| test(&groups, on, found.of, sample, rows))?;
    better.explained = found
        .errors
        .iter()
        .map(|error| error.row)
        .filter(|&row| second.rows[row] == value)
        .collect();
    (better.against * 10 <= found.against * 7).then_some(better)
}

/// The value of the column that is behind a third of the errors, if nearly all its rows are errors.
fn explaining(found: &Found, column: &SampleColumn, rows: usize) -> Option<u32> {
    let mut errors = vec![0_u64; column.values.len()];
    for error in found
        .errors
        .iter()
        .filter(|error| error.row < rows && column.rows[error.row] != MISSING)
    {
        errors[column.rows[error.row] as usize] += 1;
    }
    let behind = |(errors, value): (&u64, &super::sample::Value)| {
        *errors >= 5 && errors * 3 >= found.errors.len() as u64 && errors * 10 >= value.count * 8
    };
    errors
        .iter()
        .zip(&column.values)
        .position(behind)
        .map(|value| value as u32)
}
