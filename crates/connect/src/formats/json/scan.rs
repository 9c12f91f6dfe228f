//! A JSON scanner that finds the end of a value, checking it on the way, without building anything
//! and without recursion: nesting is a bit per level in one word.
//!
//! Texts end in newlines that are not theirs (a block's padding), at which every loop stops.

/// The deepest nesting that is taken: as much as the parsers behind this one take.
pub(super) const DEPTH_MAX: u32 = 128;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The offset of the first byte that cannot be.
    pub at: usize,
    /// What should have been there, or what is wrong.
    pub what: &'static str,
}

/// A string that was passed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    /// The offset of the closing quote.
    pub close: usize,
    /// Whether there is a backslash in it.
    pub escaped: bool,
}

/// Offsets of a scanned text: `data[..end]`, with at least 16 bytes behind `end`.
#[derive(Clone, Copy)]
pub(super) struct Scanner<'a> {
    pub data: &'a [u8],
    pub end: usize,
    /// Whether newlines are white space; if not, they end everything.
    pub newlines: bool,
}

impl Scanner<'_> {
    /// The offset of the first byte from `at` on that is no white space.
    #[inline(always)]
    pub(super) fn space(&self, mut at: usize) -> usize {
        loop {
            match self.data[at] {
                b' ' | b'\t' | b'\r' => at += 1,
                b'\n' if self.newlines && at < self.end => at += 1,
                _ => return at,
            }
        }
    }

    /// Passes over the string whose opening quote is at `open`.
    #[inline(always)]
    pub(super) fn string(&self, open: usize) -> Result<Passed, Flaw> {
        let mut at = open + 1;
        let mut escaped = false;
        loop {
            at = special(self.data, at);
            match self.data[at] {
                b'"' => return Ok(Passed { close: at, escaped }),
                b'\\' => {
                    escaped = true;
                    // An escaped control character is caught as one.
                    at += if self.data[at + 1] < 0x20 { 1 } else { 2 };
                }
                _ if at >= self.end => {
                    return Err(Flaw {
                        at: self.end,
                        what: "the string is not closed",
                    });
                }
                b'\n' | b'\r' => {
                    return Err(Flaw {
                        at,
                        what: "the string is not closed on its line",
                    });
                }
                _ => {
                    return Err(Flaw {
                        at,
                        what: "a control character in a string, which must be escaped",
                    });
                }
            }
        }
    }

    /// Passes over the number, or `NaN`, `Infinity`, at `at`.
    #[inline]
    fn number(&self, start: usize) -> Result<usize, Flaw> {
        let data = self.data;
        let flaw = |at| {
            Err(Flaw {
                at,
                what: "not a number",
            })
        };
        let digits = |mut at: usize| {
            while data[at].is_ascii_digit() {
                at += 1;
            }
            at
        };
        let mut at = start + usize::from(data[start] == b'-');
        if data[at] == b'I' {
            return self.word(at, b"Infinity");
        }
        let first = at;
        at = digits(at);
        if at == first || (data[first] == b'0' && at > first + 1) {
            return flaw(first);
        }
        if data[at] == b'.' {
            let fraction = at + 1;
            at = digits(fraction);
            if at == fraction {
                return flaw(at);
            }
        }
        if matches!(data[at], b'e' | b'E') {
            at += 1;
            at += usize::from(matches!(data[at], b'+' | b'-'));
            let exponent = at;
            at = digits(exponent);
            if at == exponent {
                return flaw(at);
            }
        }
        Ok(at)
    }

    fn word(&self, at: usize, word: &'static [u8]) -> Result<usize, Flaw> {
        if self.data[at..self.end.max(at)].starts_with(word) {
            return Ok(at + word.len());
        }
        Err(Flaw {
            at,
            what: "not a value; a string needs quotes",
        })
    }

    /// Passes over a value that is neither object nor array; gives the offset behind it.
    #[inline(always)]
    pub(super) fn scalar(&self, at: usize) -> Result<usize, Flaw> {
        match self.data[at] {
            b'"' => self.string(at).map(|passed| passed.close + 1),
            b'-' | b'0'..=b'9' | b'I' => self.number(at),
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'n' => self.word(at, b"null"),
            b'N' => self.word(at, b"NaN"),
            _ if at >= self.end => Err(Flaw {
                at: self.end,
                what: "a value is missing",
            }),
            _ => Err(Flaw {
                at,
                what: "not a value; a string needs quotes",
            }),
        }
    }

    /// Passes over any value; gives the offset behind it.
    pub(super) fn value(&self, start: usize) -> Result<usize, Flaw> {
        let mut at = start;
        // A bit a level: 1 for an object.
        let (mut levels, mut depth) = (0u128, 0u32);
        loop {
            // Here a value is expected.
            match self.data[at] {
                open @ (b'{' | b'[') => {
                    if depth == DEPTH_MAX {
                        return Err(Flaw {
                            at,
                            what: "nested deeper than 128 levels",
                        });
                    }
                    depth += 1;
                    levels = (levels << 1) | u128::from(open == b'{');
                    at = self.space(at + 1);
                    if self.data[at] == open + 2 {
                        at += 1;
                        depth -= 1;
                        levels >>= 1;
                    } else {
                        if open == b'{' {
                            at = self.key(at)?;
                        }
                        continue;
                    }
                }
                _ => at = self.scalar(at)?,
            }
            // Here a value has ended.
            loop {
                if depth == 0 {
                    return Ok(at);
                }
                at = self.space(at);
                let object = levels & 1 == 1;
                match self.data[at] {
                    b',' => {
                        at = self.space(at + 1);
                        if object {
                            at = self.key(at)?;
                        }
                        break;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ => return Err(self.unfinished(at, object)),
                }
                at += 1;
                depth -= 1;
                levels >>= 1;
            }
        }
    }

    /// An object or array that does not go on as it should.
    #[cold]
    fn unfinished(&self, at: usize, object: bool) -> Flaw {
        let what = match object {
            _ if at >= self.end => "the text ends too early",
            true => "expected , or }",
            false => "expected , or ]",
        };
        Flaw {
            at: at.min(self.end),
            what,
        }
    }

    /// Passes over a key and its colon, to the value.
    #[inline(always)]
    fn key(&self, at: usize) -> Result<usize, Flaw> {
        if self.data[at] != b'"' {
            return Err(Flaw {
                at: at.min(self.end),
                what: "expected a key in quotes",
            });
        }
        let behind = self.space(self.string(at)?.close + 1);
        self.colon(behind)
    }

    /// Passes over a colon, to the value.
    #[inline(always)]
    pub(super) fn colon(&self, at: usize) -> Result<usize, Flaw> {
        if self.data[at] != b':' {
            return Err(Flaw {
                at: at.min(self.end),
                what: "expected : behind the key",
            });
        }
        Ok(self.space(at + 1))
    }
}

/// The offset, from `at` on, of the first byte that is a quote, a backslash or a control character.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn special(data: &[u8], at: usize) -> usize {
    #[expect(unsafe_code, reason = "SSE2 is part of every x86-64 processor")]
    // SAFETY: see the reason above.
    unsafe {
        special_sse2(data, at)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn special_sse2(data: &[u8], mut at: usize) -> usize {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let (quote, slash, control) = (
        _mm_set1_epi8(b'"' as i8),
        _mm_set1_epi8(b'\\' as i8),
        _mm_set1_epi8(0x1f),
    );
    while let Some(chunk) = data[at..].first_chunk::<16>() {
        let word = u128::from_le_bytes(*chunk);
        let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
        let found = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash)),
            _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes),
        );
        let mask = _mm_movemask_epi8(found);
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += 16;
    }
    plain_special(data, at)
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn special(data: &[u8], at: usize) -> usize {
    plain_special(data, at)
}

fn plain_special(data: &[u8], at: usize) -> usize {
    let found = data[at..]
        .iter()
        .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
    // The newlines behind a text are always found.
    found.map_or(data.len() - 1, |length| at + length)
}

/// The text of a JSON string's inside, without escapes; `None` for an escape that does not exist or
/// half of a surrogate pair.
pub(super) fn unescape(inside: &[u8], text: &mut Vec<u8>) -> Option<()> {
    text.clear();
    let mut rest = inside;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        let kind = *rest.get(at + 1)?;
        rest = &rest[at + 2..];
        text.push(match kind {
            b'"' | b'\\' | b'/' => kind,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let mut unit = hexadecimal(rest)?;
                rest = &rest[4..];
                if (0xd800..0xdc00).contains(&unit) {
                    let low = hexadecimal(rest.strip_prefix(b"\\u")?)?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return None;
                    }
                    rest = &rest[6..];
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                }
                let mut utf8 = [0; 4];
                text.extend_from_slice(char::from_u32(unit)?.encode_utf8(&mut utf8).as_bytes());
                continue;
            }
            _ => return None,
        });
    }
    text.extend_from_slice(rest);
    Some(())
}

fn hexadecimal(text: &[u8]) -> Option<u32> {
    let digits = text.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, &digit| {
        Some(unit * 16 + char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<usize, Flaw> {
        let mut data = text.as_bytes().to_vec();
        let end = data.len();
        data.resize(end + 64, b'\n');
        Scanner {
            data: &data,
            end,
            newlines: true,
        }
        .value(0)
    }

    #[test]
    fn agrees_with_a_full_parser_on_what_is_json() {
        let good = [
            "{}",
            "[]",
            "[ ]",
            "{ }",
            r#"{"a":1}"#,
            r#"{"a" : [1, 2 , {"b": null}], "c": -0.5e+10}"#,
            "true",
            "0",
            "\"\\u00e9\\\\\"",
            "[[[[[]]]]]",
            "[1,\n2]",
            r#""\"""#,
            "1E5",
            "-0",
        ];
        for text in good {
            assert_eq!(check(text), Ok(text.len()), "{text}");
            serde_json::from_str::<serde_json::Value>(text).unwrap();
        }
        let bad = [
            "{",
            "[1,]",
            "{\"a\":}",
            "{\"a\" 1}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "tru",
            "\"a",
            "\"a\nb\"",
            "{]",
            "[}",
            "{\"a\":1,}",
            "[1 2]",
            "",
            "\"\t\"",
            "+1",
            ".5",
            "1e",
            "{\"a\"",
            "\\",
        ];
        for text in bad {
            assert!(
                check(text).is_err() || check(text) != Ok(text.len()),
                "{text}"
            );
            serde_json::from_str::<serde_json::Value>(text).unwrap_err();
        }
    }

    #[test]
    fn nesting_ends_at_a_limit_and_not_at_the_stack() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(check(&deep(128)), Ok(256));
        assert_eq!(
            check(&deep(129)).unwrap_err().what,
            "nested deeper than 128 levels"
        );
        assert!(check(&deep(1_000_000)).is_err());
        assert!(check(&"{\"a\":".repeat(10_000)).is_err());
    }

    #[test]
    fn escapes_become_what_they_mean() {
        let mut text = Vec::new();
        let mut undo = |inside: &str| {
            unescape(inside.as_bytes(), &mut text)
                .map(|()| String::from_utf8(text.clone()).unwrap())
        };
        assert_eq!(
            undo(r"a\n\t\u00e9\ud83d\ude00\/").as_deref(),
            Some("a\n\té😀/")
        );
        for broken in [
            r"\ud83d",
            r"\ude00",
            r"\ud83dx",
            r"\ud83d\u0041",
            r"\x",
            r"\u12",
            r"\u12g4",
        ] {
            assert_eq!(undo(broken), None, "{broken}");
        }
    }
}
