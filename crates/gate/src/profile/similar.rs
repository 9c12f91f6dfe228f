//! Look-alikes: a rare value that is a frequent one with a few characters wrong.
//!
//! Levenshtein distance (Levenshtein, 1966), cut off early: lengths first, then the multiset of
//! characters, which alone rules out nearly every pair, and only then the banded table.

/// A value prepared for comparison.
pub(crate) struct Prepared<'a> {
    /// The value.
    pub(crate) text: &'a str,
    characters: usize,
    /// Counts of characters in 16 classes: the distance is at least half of how far two of these are
    /// apart.
    bag: [u8; 16],
}

impl<'a> Prepared<'a> {
    /// Prepares a value.
    pub(crate) fn new(text: &'a str) -> Self {
        let mut characters = 0;
        let mut bag = [0_u8; 16];
        for character in text.chars() {
            characters += 1;
            let slot =
                &mut bag[((u32::from(character) ^ (u32::from(character) >> 4)) & 15) as usize];
            *slot = slot.saturating_add(1);
        }
        Self {
            text,
            characters,
            bag,
        }
    }

    /// Whether it is so short that others are its neighbours by chance.
    fn is_short(&self) -> bool {
        self.characters < 5
    }

    /// Length in characters.
    pub(crate) fn characters(&self) -> usize {
        self.characters
    }

    /// How many single-character changes lead from one value to the other, if at most `limit`.
    pub(crate) fn distance(&self, other: &Self, limit: usize) -> Option<usize> {
        if self.characters.abs_diff(other.characters) > limit
            || bag_distance(&self.bag, &other.bag) > 2 * limit
        {
            return None;
        }
        banded(self.text, other.text, limit)
    }
}

fn bag_distance(a: &[u8; 16], b: &[u8; 16]) -> usize {
    a.iter()
        .zip(b)
        .map(|(a, b)| usize::from(a.abs_diff(*b)))
        .sum()
}

/// How many changes still look like a slip in a value of so many characters: one in a short word, two
/// in a longer one, one more for every eight characters beyond twelve.
pub(crate) fn slips_allowed(characters: usize) -> usize {
    match characters {
        0 | 1 => 0,
        2..=4 => 1,
        5..=12 => 2,
        more => 2 + (more - 12) / 8,
    }
}

/// Levenshtein distance inside a band of `limit` around the diagonal.
fn banded(a: &str, b: &str, limit: usize) -> Option<usize> {
    let b: Vec<char> = b.chars().collect();
    let beyond = limit + 1;
    let mut row: Vec<usize> = (0..=b.len()).map(|at| at.min(beyond)).collect();
    for (i, from) in a.chars().enumerate() {
        let low = i.saturating_sub(limit);
        let high = (i + limit + 1).min(b.len());
        let mut diagonal = row[low];
        row[low] = if low == 0 {
            (i + 1).min(beyond)
        } else {
            beyond
        };
        let mut best = row[low];
        for j in low..high {
            let substituted = diagonal + usize::from(b[j] != from);
            let deleted = if j + 1 > i + limit {
                beyond
            } else {
                row[j + 1] + 1
            };
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(deleted).min(row[j] + 1).min(beyond);
            best = best.min(row[j + 1]);
        }
        if best > limit {
            return None;
        }
    }
    row.last().copied().filter(|&distance| distance <= limit)
}

/// A rare value and the frequent one it resembles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LookAlike {
    /// Index of the rare value among those given.
    pub(crate) rare: usize,
    /// Index of the frequent value.
    pub(crate) frequent: usize,
    /// Changes between them.
    pub(crate) distance: usize,
}

/// When is a value frequent enough to be copied wrongly, and another rare enough to be the copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rarity {
    /// How many times as frequent the model must be.
    pub(crate) ratio: u64,
    /// How many times as frequent a model must be that no other frequent value is near to: where the
    /// true values keep their distance, a neighbour is an error on less evidence.
    pub(crate) ratio_isolated: u64,
    /// Largest count of a look-alike of five characters or more.
    pub(crate) rare_up_to: u64,
    /// Largest count of a shorter one: short words are neighbours by chance.
    pub(crate) rare_up_to_short: u64,
}

impl Rarity {
    /// The rule for a column of so many values: a model 20 times as frequent (5 times if it stands
    /// alone, which the model of a short value must), and a look-alike seen at most three times, or in
    /// 1 % of the rows (0.2 % if short).
    pub(crate) fn of_rows(rows: u64) -> Self {
        Self {
            ratio: 20,
            ratio_isolated: 5,
            rare_up_to: (rows / 100).max(3),
            rare_up_to_short: (rows / 500).max(3),
        }
    }

    fn rare_up_to(&self, value: &Prepared<'_>) -> u64 {
        if value.is_short() {
            self.rare_up_to_short
        } else {
            self.rare_up_to
        }
    }
}

/// Most values that are taken as models; a column with more frequent values than this has no categories.
const MODELS: usize = 2_000;

/// Finds the look-alikes among values with their counts, each with its nearest model.
pub(crate) fn look_alikes(values: &[(&str, u64)], rarity: Rarity) -> Vec<LookAlike> {
    let smallest = values.iter().map(|&(_, count)| count).min().unwrap_or(0);
    let floor = smallest.saturating_mul(rarity.ratio_isolated);
    let mut models: Vec<Model<'_>> = (0..values.len())
        .filter(|&at| values[at].1 >= floor)
        .map(|at| Model {
            at,
            count: values[at].1,
            value: Prepared::new(values[at].0),
        })
        .collect();
    models.sort_by_key(|model| std::cmp::Reverse(model.count));
    models.truncate(MODELS);
    let mut found = Vec::new();
    for (rare, &(text, count)) in values.iter().enumerate() {
        if models
            .first()
            .is_none_or(|model| model.count < count.saturating_mul(rarity.ratio_isolated))
        {
            continue;
        }
        let value = Prepared::new(text);
        if count > rarity.rare_up_to(&value) {
            continue;
        }
        if let Some((model, distance)) = nearest(&value, count, &models, rarity)
            && ((models[model].count >= count.saturating_mul(rarity.ratio) && !value.is_short())
                || stands_alone(model, &models))
        {
            found.push(LookAlike {
                rare,
                frequent: models[model].at,
                distance,
            });
        }
    }
    found
}

/// A frequent value.
struct Model<'a> {
    at: usize,
    count: u64,
    value: Prepared<'a>,
}

/// The nearest of the models that are frequent enough for this value; the most frequent of equals.
fn nearest(
    value: &Prepared<'_>,
    count: u64,
    models: &[Model<'_>],
    rarity: Rarity,
) -> Option<(usize, usize)> {
    let mut limit = slips_allowed(value.characters());
    let mut best = None;
    for (at, model) in models.iter().enumerate() {
        if limit == 0 || model.count < count.saturating_mul(rarity.ratio_isolated) {
            break;
        }
        let within = limit.min(slips_allowed(model.value.characters()));
        if let Some(distance) = value.distance(&model.value, within)
            && distance > 0
            && is_slip(value.text, model.value.text)
        {
            best = Some((at, distance));
            limit = distance - 1;
        }
    }
    best
}

/// Whether the difference may be a slip: not if only digits differ (`room 12`, `room 13`), which is a
/// matter of counting, nor if only letter case or outer white space does, which have rules of their own.
fn is_slip(rare: &str, model: &str) -> bool {
    let without_digits =
        |text: &str| -> String { text.chars().filter(|c| !c.is_ascii_digit()).collect() };
    without_digits(rare) != without_digits(model)
        && rare.trim().to_lowercase() != model.trim().to_lowercase()
}

/// Whether no other model is within twice the slips allowed.
fn stands_alone(model: usize, models: &[Model<'_>]) -> bool {
    let reach = 2 * slips_allowed(models[model].value.characters());
    let near = |other: &Model<'_>| models[model].value.distance(&other.value, reach).is_some();
    !models
        .iter()
        .enumerate()
        .any(|(at, other)| at != model && near(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(a: &str, b: &str) -> usize {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, from) in a.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, to) in b.iter().enumerate() {
                let next = (diagonal + usize::from(from != to))
                    .min(row[j] + 1)
                    .min(row[j + 1] + 1);
                diagonal = std::mem::replace(&mut row[j + 1], next);
            }
        }
        row[b.len()]
    }

    #[test]
    fn banded_distance_is_the_full_one_up_to_the_limit() {
        let words = [
            "",
            "a",
            "ab",
            "ba",
            "birmingham",
            "birminghxm",
            "birmngham",
            "xbirmingham",
            "sheffield",
            "größe",
            "grösse",
            "aaaa",
            "aaab",
            "baaa",
        ];
        for a in words {
            for b in words {
                for limit in 0..5 {
                    let expected = Some(plain(a, b)).filter(|&distance| distance <= limit);
                    assert_eq!(
                        Prepared::new(a).distance(&Prepared::new(b), limit),
                        expected,
                        "{a} {b} {limit}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_rare_misspelling_is_found_and_the_frequent_neighbour_is_not() {
        let values = [
            ("birmingham", 100),
            ("birminghxm", 1),
            ("al", 400),
            ("ak", 40),
            ("xl", 1),
            ("boaz", 60),
            ("mobile", 2),
        ];
        let found = look_alikes(&values, Rarity::of_rows(603));
        assert_eq!(
            found,
            [LookAlike {
                rare: 1,
                frequent: 0,
                distance: 1
            }]
        );
        assert_eq!(
            look_alikes(
                &[("yes", 100), ("maybe", 50), ("yxs", 1)],
                Rarity::of_rows(151)
            )
            .len(),
            1
        );
    }

    #[test]
    fn neighbours_among_codes_need_more_evidence_than_neighbours_of_a_name() {
        let codes = [("ami-1", 10), ("ami-2", 10), ("ami-3", 10), ("axi-2", 1)];
        assert_eq!(look_alikes(&codes, Rarity::of_rows(31)), []);
        let names = [
            ("florence", 10),
            ("sheffield", 10),
            ("huntsville", 10),
            ("fxorence", 1),
        ];
        assert_eq!(look_alikes(&names, Rarity::of_rows(31)).len(), 1);
    }
}
