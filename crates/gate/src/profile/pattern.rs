//! Formats: a value with its letters and digits replaced by their class.
//!
//! `AB-1234` has the exact format `AA-9999` and the loose format `A-9`, in which every run of one class
//! is a single sign. A column of codes has few exact formats; a column of names or sentences has too
//! many, and its formats say nothing.

/// Longest value, in bytes, whose format is looked at. Beyond it, text is prose.
pub(crate) const LONGEST: usize = 64;

/// The class of one character: `9` a digit, `a` a lower-case letter, `A` an upper-case one, a blank for
/// white space; any other character stands for itself.
fn class(character: char) -> char {
    if character.is_ascii_digit() {
        '9'
    } else if character.is_ascii_lowercase() {
        'a'
    } else if character.is_ascii_uppercase() {
        'A'
    } else if character.is_ascii() {
        if character.is_ascii_whitespace() {
            ' '
        } else {
            character
        }
    } else if character.is_uppercase() {
        'A'
    } else if character.is_alphabetic() {
        'a'
    } else if character.is_numeric() {
        '9'
    } else if character.is_whitespace() {
        ' '
    } else {
        character
    }
}

/// Writes the exact format of `value` into `into`, which is cleared; false if the value is too long.
pub(crate) fn exact(value: &str, into: &mut String) -> bool {
    into.clear();
    if value.len() > LONGEST {
        return false;
    }
    into.extend(value.chars().map(class));
    true
}

/// Turns an exact format into a loose one: runs of one class become a single sign.
pub(crate) fn loosen(exact: &str, into: &mut String) {
    into.clear();
    let mut last = None;
    for sign in exact.chars() {
        if last != Some(sign) || !matches!(sign, '9' | 'a' | 'A' | ' ') {
            into.push(sign);
        }
        last = Some(sign);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_keep_signs_and_forget_letters() {
        let (mut tight, mut loose) = (String::new(), String::new());
        for (value, expected, expected_loose) in [
            ("AB-1234", "AA-9999", "A-9"),
            ("scip-inf-2", "aaaa-aaa-9", "a-a-9"),
            ("Zürich 8001", "Aaaaaa 9999", "Aa 9"),
            ("12:30--x", "99:99--a", "9:9--a"),
            ("", "", ""),
        ] {
            assert!(exact(value, &mut tight));
            loosen(&tight, &mut loose);
            assert_eq!((tight.as_str(), loose.as_str()), (expected, expected_loose));
        }
        assert!(!exact(&"x".repeat(65), &mut tight));
    }
}
