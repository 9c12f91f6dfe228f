//! JSON text as a tree of borrowed parts, for nested types. Numbers stay text, so that they never
//! pass through a float.

use std::borrow::Cow;

use super::problem::Problem;

/// How deep JSON may be nested.
const DEPTH_MAX: usize = 256;

/// A JSON value and its text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<'a> {
    /// As it was written.
    pub(super) raw: &'a str,
    pub(super) kind: Kind<'a>,
}

/// What a JSON value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'a> {
    Null,
    /// A number, `true` or `false`: its text is its value.
    Plain,
    Text(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads one value that is the whole text.
    pub(super) fn parse(text: &'a str) -> Result<Self, Problem> {
        let mut reader = Reader { text, at: 0 };
        let node = reader.value(0)?;
        reader.space();
        if reader.at == text.len() {
            Ok(node)
        } else {
            Err(reader.wrong())
        }
    }

    /// The value of a member; names are compared exactly first, then without regard to case. Of
    /// several the last counts.
    pub(super) fn member<'n>(
        members: &'n [(Cow<'a, str>, Node<'a>)],
        name: &str,
    ) -> Option<&'n Self> {
        let found = members.iter().rev().find(|(key, _)| key == name);
        found
            .or_else(|| {
                members
                    .iter()
                    .rev()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
            })
            .map(|(_, node)| node)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self) -> Problem {
        Problem::Json { offset: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, Problem> {
        if depth > DEPTH_MAX {
            return Err(Problem::TooDeep);
        }
        self.space();
        let start = self.at;
        let kind = match self.peek().ok_or_else(|| self.wrong())? {
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b'"' => Kind::Text(self.string()?),
            b't' => self.word("true", Kind::Plain)?,
            b'f' => self.word("false", Kind::Plain)?,
            b'n' => self.word("null", Kind::Null)?,
            _ => self.number()?,
        };
        Ok(Node {
            raw: &self.text[start..self.at],
            kind,
        })
    }

    fn word(&mut self, word: &str, kind: Kind<'a>) -> Result<Kind<'a>, Problem> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong());
        }
        self.at += word.len();
        Ok(kind)
    }

    fn digits(&mut self) -> Result<(), Problem> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.wrong())
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<Kind<'a>, Problem> {
        self.eat(b'-');
        self.digits()?;
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(Kind::Plain)
    }

    fn array(&mut self, depth: usize) -> Result<Kind<'a>, Problem> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(Kind::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.eat(b']') {
                return Ok(Kind::Array(items));
            }
            if !self.eat(b',') {
                return Err(self.wrong());
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Kind<'a>, Problem> {
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Kind::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong());
            }
            let key = self.string()?;
            self.space();
            if !self.eat(b':') {
                return Err(self.wrong());
            }
            members.push((key, self.value(depth + 1)?));
            self.space();
            if self.eat(b'}') {
                return Ok(Kind::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.wrong());
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Problem> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek().ok_or_else(|| self.wrong())? {
                b'"' => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                b'\\' => return self.escaped(start).map(Cow::Owned),
                0..0x20 => return Err(self.wrong()),
                _ => self.at += 1,
            }
        }
    }

    /// Goes on with a string at its first escape.
    fn escaped(&mut self, start: usize) -> Result<String, Problem> {
        let mut text = self.text[start..self.at].to_owned();
        loop {
            let run = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..0x20)) {
                self.at += 1;
            }
            text.push_str(&self.text[run..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err(self.wrong()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Problem> {
        self.at += 1;
        let c = match self.peek().ok_or_else(|| self.wrong())? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.wrong()),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode(&mut self) -> Result<char, Problem> {
        let first = self.four_hex()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.wrong());
        }
        if !(self.eat(b'\\') && self.eat(b'u')) {
            return Err(self.wrong());
        }
        let second = self.four_hex()?;
        if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
            return Err(self.wrong());
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            .ok_or_else(|| self.wrong())
    }

    fn four_hex(&mut self) -> Result<u32, Problem> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self
                .peek()
                .and_then(|byte| char::from(byte).to_digit(16))
                .ok_or_else(|| self.wrong())?;
            value = value * 16 + digit;
            self.at += 1;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_serde_json_on_what_is_json() {
        let texts = [
            "null",
            " true ",
            "[1, 2.5e-3 ,\"x\"]",
            r#"{"a":{"b":[{}]},"é":"\u00e9\ud83d\ude00\n"}"#,
            "[]",
            "{}",
            "-0",
            "1.0",
            "\"\"",
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "tru",
            "--1",
            "+1",
            "1.",
            "\"\\x\"",
            "\"\\ud83d\"",
            "\"\\udc00\\udc00\"",
            "\"a\nb\"",
            "[1]]",
            "nul",
            "\"\\u12g4\"",
            ".5",
        ];
        for text in texts {
            let expected = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(Node::parse(text).is_ok(), expected, "{text}");
        }
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(Node::parse(&deep), Err(Problem::TooDeep));
    }

    #[test]
    fn strings_are_unescaped() {
        let node = Node::parse(r#""\u00e9\ud83d\ude00\n\"x""#).unwrap();
        assert_eq!(node.kind, Kind::Text("é😀\n\"x".into()));
    }
}
