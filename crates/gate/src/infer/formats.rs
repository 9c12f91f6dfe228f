//! Formats: a regular expression that nearly all values of a text column match, if they are codes.
//!
//! Values are cut into runs of one class of characters. Values with the same order of runs form a group;
//! up to three usual groups become alternatives. A run becomes a class with the lengths that are usual
//! there, or, if it takes only a few words, these words. Patterns use no backslash, so that they mean
//! the same in every SQL dialect.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::evidence::{Confidence, FEWEST, Trial};
use super::sample::SampleColumn;
use crate::profile::kind::ValueKind;
use crate::profile::similar::{Prepared, Rarity, look_alikes, slips_allowed};

/// Most alternatives.
const ALTERNATIVES: usize = 3;
/// Longest value that can be a code, in bytes.
const LONGEST: usize = 48;
/// Most words a run may take to be written out.
const WORDS: usize = 4;

/// A format that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Format {
    pub(crate) pattern: String,
    pub(crate) trial: Trial,
}

/// The format of a column, if the rule allows one.
pub(crate) fn find(column: &SampleColumn, must_hold: f64) -> Option<Format> {
    if column.present() < FEWEST {
        return None;
    }
    if let Some(pattern) = named(column) {
        return tried(column, pattern.to_owned(), must_hold);
    }
    let mut groups: Vec<Group> = groups(column)?;
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    let usual: Vec<&Group> = groups
        .iter()
        .filter(|group| group.count * 50 >= column.present() && group.count >= 3)
        .collect();
    if usual.is_empty() || usual.len() > ALTERNATIVES {
        return None;
    }
    let mut specific = true;
    let alternatives: Vec<String> = usual
        .iter()
        .map(|group| {
            let (pattern, says_something) = group.pattern();
            specific &= says_something;
            pattern
        })
        .collect();
    let pattern = if alternatives.len() == 1 {
        format!("^{}$", alternatives[0])
    } else {
        format!("^({})$", alternatives.join("|"))
    };
    specific
        .then(|| tried(column, pattern, must_hold))
        .flatten()
}

fn tried(column: &SampleColumn, pattern: String, must_hold: f64) -> Option<Format> {
    let regex = Regex::new(&pattern).ok()?;
    let trial = Trial::new(
        column.present(),
        column.refused(|value| regex.is_match(&value.text)),
    );
    (trial.confidence(must_hold) != Confidence::None).then_some(Format { pattern, trial })
}

/// Kinds of text with a form of their own.
fn named(column: &SampleColumn) -> Option<&'static str> {
    let most = |kind: ValueKind| column.of_kind(|other| other == kind) * 10 >= column.present() * 9;
    if most(ValueKind::Email) {
        Some("^[^@ ]+@[^@ ]+[.][^@ .]+$")
    } else if most(ValueKind::Uuid) {
        Some("^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$")
    } else if most(ValueKind::Url) {
        Some("^(https?|ftp)://[^ ]+$")
    } else {
        None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Digits,
    Lower,
    Upper,
    Sign(char),
}

impl Class {
    /// The class of an ASCII character; other characters have none here.
    fn of(character: char) -> Option<Self> {
        match character {
            '0'..='9' => Some(Self::Digits),
            'a'..='z' => Some(Self::Lower),
            'A'..='Z' => Some(Self::Upper),
            sign if sign.is_ascii() && !sign.is_control() => Some(Self::Sign(sign)),
            _ => None,
        }
    }
}

/// Values with the same order of runs.
struct Group {
    count: u64,
    runs: Vec<Run>,
}

struct Run {
    class: Class,
    lengths: BTreeMap<usize, u64>,
    /// The words it takes, as long as they are few.
    words: Option<BTreeMap<String, u64>>,
}

/// The groups of a column; `None` if it is prose.
fn groups(column: &SampleColumn) -> Option<Vec<Group>> {
    let mut groups: BTreeMap<Vec<Class>, Group> = BTreeMap::new();
    let mut odd = 0;
    for (_, value) in column.present_values() {
        let Some(runs) = cut(&value.text) else {
            odd += value.count;
            if odd * 10 > column.present() {
                return None;
            }
            continue;
        };
        let classes: Vec<Class> = runs.iter().map(|run| run.0).collect();
        let group = groups.entry(classes).or_insert_with(|| Group {
            count: 0,
            runs: runs
                .iter()
                .map(|run| Run {
                    class: run.0,
                    lengths: BTreeMap::new(),
                    words: Some(BTreeMap::new()),
                })
                .collect(),
        });
        group.count += value.count;
        for (run, (_, text)) in group.runs.iter_mut().zip(&runs) {
            *run.lengths.entry(text.len()).or_insert(0) += value.count;
            if let Some(words) = &mut run.words {
                *words.entry((*text).to_owned()).or_insert(0) += value.count;
                if words.len() > 200 {
                    run.words = None;
                }
            }
        }
    }
    Some(groups.into_values().collect())
}

/// Cuts a value into runs; `None` if it is too long, or not ASCII.
fn cut(text: &str) -> Option<Vec<(Class, &str)>> {
    if text.len() > LONGEST {
        return None;
    }
    let mut runs: Vec<(Class, usize, usize)> = Vec::new();
    for (at, character) in text.char_indices() {
        let class = Class::of(character)?;
        match runs.last_mut() {
            Some(last) if last.0 == class => last.2 = at + 1,
            _ => runs.push((class, at, at + 1)),
        }
    }
    Some(
        runs.into_iter()
            .map(|(class, from, to)| (class, &text[from..to]))
            .collect(),
    )
}

impl Group {
    /// The pattern, and whether it is that of a code: words of any length and the blanks and dots
    /// between them are none.
    fn pattern(&self) -> (String, bool) {
        let mut pattern = String::new();
        let (mut any_code, mut any_word) = (false, false);
        for run in &self.runs {
            let (text, says) = run.pattern(self.count);
            pattern.push_str(&text);
            any_code |= says == Says::Code;
            any_word |= says == Says::Word;
        }
        let letters_only = self
            .runs
            .iter()
            .all(|run| matches!(run.class, Class::Lower | Class::Upper));
        (pattern, any_code || (letters_only && !any_word))
    }
}

/// What a run says about the values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// That they are codes: digits, or one of a few words.
    Code,
    /// That they hold a word of any length.
    Word,
    /// Nothing: a sign between other runs, letters of fixed number.
    Nothing,
}

impl Run {
    fn pattern(&self, total: u64) -> (String, Says) {
        let class = match self.class {
            Class::Digits => "[0-9]",
            Class::Lower => "[a-z]",
            Class::Upper => "[A-Z]",
            Class::Sign(sign) => {
                return (
                    format!("{}{}", literal(sign), self.quantifier(total).0),
                    Says::Nothing,
                );
            }
        };
        if self.class != Class::Digits
            && let Some(words) = self.usual_words(total)
        {
            return (
                if words.len() == 1 {
                    words[0].clone()
                } else {
                    format!("({})", words.join("|"))
                },
                Says::Code,
            );
        }
        let (quantifier, bounded) = self.quantifier(total);
        let says = match (self.class, bounded) {
            (Class::Digits, _) => Says::Code,
            (_, true) => Says::Nothing,
            (_, false) => Says::Word,
        };
        (format!("{class}{quantifier}"), says)
    }

    /// The words of a run, if it takes up to four of them, each in 0.5 % of the group, and all others are
    /// rare and look like one of these.
    fn usual_words(&self, total: u64) -> Option<Vec<String>> {
        let words = self.words.as_ref()?;
        let least = (total / 200).max(3);
        let slips = self.slips();
        let is_usual = |word: &(&String, u64)| word.1 >= least && !slips.contains(word.0.as_str());
        let (mut usual, rare): (Vec<_>, Vec<_>) = words
            .iter()
            .map(|(word, &count)| (word, count))
            .partition(is_usual);
        if usual.is_empty() || usual.len() > WORDS {
            return None;
        }
        let models: Vec<Prepared<'_>> = usual.iter().map(|word| Prepared::new(word.0)).collect();
        let is_slip = |word: &str| {
            let word = Prepared::new(word);
            models.iter().any(|model| {
                word.distance(model, slips_allowed(word.characters()))
                    .is_some()
            })
        };
        if !rare.iter().all(|word| is_slip(word.0)) {
            return None;
        }
        usual.sort_by_key(|word| std::cmp::Reverse(word.1));
        Some(usual.into_iter().map(|word| word.0.clone()).collect())
    }

    /// The words that look like another one, twenty times as frequent; not of fewer than five letters.
    fn slips(&self) -> BTreeSet<&str> {
        let words: Vec<(&str, u64)> = self
            .words
            .iter()
            .flatten()
            .map(|(word, &count)| (word.as_str(), count))
            .collect();
        let total = words.iter().map(|word| word.1).sum();
        look_alikes(&words, Rarity::of_rows(total))
            .into_iter()
            .map(|pair| words[pair.rare].0)
            .filter(|word| word.len() >= 5)
            .collect()
    }

    /// The usual lengths (1 % or more of the group), and whether they are bounded. Where they vary, a
    /// length that was seen at all is taken in.
    fn quantifier(&self, total: u64) -> (String, bool) {
        let usual: Vec<usize> = self
            .lengths
            .iter()
            .filter(|(_, count)| **count * 100 >= total)
            .map(|(&length, _)| length)
            .collect();
        match (usual.first(), usual.last()) {
            (Some(1), Some(1)) => (String::new(), true),
            (Some(from), Some(to)) if from == to => (format!("{{{from}}}"), true),
            (Some(_), Some(_)) if self.class == Class::Digits => {
                let (from, to) = (
                    self.lengths.keys().next().copied().unwrap_or(1),
                    self.lengths.keys().next_back().copied().unwrap_or(1),
                );
                if to - from <= 6 {
                    (format!("{{{from},{to}}}"), true)
                } else {
                    ("+".to_owned(), false)
                }
            }
            _ => ("+".to_owned(), false),
        }
    }
}

/// A character that stands for itself in a pattern.
fn literal(sign: char) -> String {
    if matches!(
        sign,
        '.' | '+' | '*' | '?' | '(' | ')' | '[' | '{' | '}' | '|' | '$'
    ) {
        format!("[{sign}]")
    } else if matches!(sign, '^' | '\\' | ']') {
        ".".to_owned()
    } else {
        sign.to_string()
    }
}
