//! What was typed: SQL statements, or a command of the shell.
//!
//! SQL is cut at `;` outside strings, quoted names and comments, so that a statement may go over several lines. Nothing
//! else is understood of it here.

/// A complete input.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing but blanks, comments and `;`.
    Nothing,
    /// One or more statements, without their `;`.
    Statements(Vec<String>),
    /// `\d [TABLE]`
    Describe(Option<String>),
    /// `\timing`
    Timing,
    /// `\x`
    Expanded,
    /// `\?`
    Help,
    /// `\q`
    Leave,
    /// `\` and something else.
    Unknown(String),
}

impl Input {
    /// Understands what was typed.
    pub fn read(text: &str) -> Self {
        let trimmed = text.trim();
        if let Some(command) = trimmed.strip_prefix('\\') {
            return Self::command(command.trim_end_matches(';').trim());
        }
        if matches!(
            trimmed
                .trim_end_matches(';')
                .trim()
                .to_ascii_lowercase()
                .as_str(),
            "exit" | "quit"
        ) {
            return Self::Leave;
        }
        let (statements, rest) = split(trimmed);
        let all = statements.into_iter().chain([rest]);
        let statements: Vec<String> = all
            .map(str::trim)
            .filter(|one| !is_blank(one))
            .map(str::to_owned)
            .collect();
        if statements.is_empty() {
            Self::Nothing
        } else {
            Self::Statements(statements)
        }
    }

    fn command(command: &str) -> Self {
        let (word, rest) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        match word {
            "d" | "dt" => {
                Self::Describe(Some(rest.trim().to_owned()).filter(|table| !table.is_empty()))
            }
            "timing" => Self::Timing,
            "x" => Self::Expanded,
            "?" | "h" | "help" => Self::Help,
            "q" | "quit" | "exit" => Self::Leave,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// Whether the editor should take the input as it is, rather than ask for another line.
pub fn is_complete(text: &str) -> bool {
    let trimmed = text.trim();
    if trimmed.starts_with('\\') || matches!(trimmed.to_ascii_lowercase().as_str(), "exit" | "quit")
    {
        return true;
    }
    is_blank(split(trimmed).1)
}

/// The statements that end with `;`, and what follows the last.
fn split(text: &str) -> (Vec<&str>, &str) {
    let (mut statements, mut start) = (Vec::new(), 0);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        at = match bytes[at] {
            quote @ (b'\'' | b'"' | b'`') => after(bytes, at + 1, &[quote]),
            b'-' if bytes.get(at + 1) == Some(&b'-') => after(bytes, at + 2, b"\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => after(bytes, at + 2, b"*/"),
            b';' => {
                statements.push(&text[start..at]);
                start = at + 1;
                start
            }
            _ => at + 1,
        };
    }
    (statements, &text[start.min(text.len())..])
}

/// The position behind the next `end`, or that of the end of the text.
fn after(bytes: &[u8], from: usize, end: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(end.len())
        .position(|window| window == end)
        .map_or(bytes.len(), |place| from + place + end.len())
}

/// Nothing but blanks and comments. An open comment or string is not blank: it goes on.
fn is_blank(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        if rest.is_empty() {
            return true;
        }
        let end = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            match comment.find("*/") {
                Some(end) => end + 4,
                None => return false,
            }
        } else {
            return false;
        };
        rest = rest.get(end..).unwrap_or_default().trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(text: &str) -> Vec<String> {
        match Input::read(text) {
            Input::Statements(statements) => statements,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_semicolon_inside_text_does_not_end_a_statement() {
        assert_eq!(
            statements("SELECT ';' ; SELECT 2;"),
            ["SELECT ';'", "SELECT 2"]
        );
        assert_eq!(
            statements("SELECT `a;b` -- c;\nFROM t;"),
            ["SELECT `a;b` -- c;\nFROM t"]
        );
        assert_eq!(
            statements("SELECT 'it''s; fine' /* ; */;"),
            ["SELECT 'it''s; fine' /* ; */"]
        );
        assert_eq!(statements("SELECT 'é;ü'"), ["SELECT 'é;ü'"]);
    }

    #[test]
    fn input_goes_on_until_the_semicolon() {
        assert!(!is_complete("SELECT 1"));
        assert!(!is_complete("SELECT 1; SELECT"));
        assert!(!is_complete("SELECT ';"));
        assert!(!is_complete("/* open"));
        assert!(is_complete("SELECT\n1;"));
        assert!(is_complete("SELECT 1; -- done"));
        assert!(
            is_complete("")
                && is_complete("-- nothing")
                && is_complete("\\d")
                && is_complete("exit")
        );
    }

    #[test]
    fn commands_are_understood() {
        assert_eq!(
            Input::read("\\d payments;"),
            Input::Describe(Some("payments".to_owned()))
        );
        assert_eq!(Input::read("\\d"), Input::Describe(None));
        assert_eq!(Input::read("\\q"), Input::Leave);
        assert_eq!(Input::read("quit;"), Input::Leave);
        assert_eq!(
            Input::read("\\nonsense"),
            Input::Unknown("nonsense".to_owned())
        );
        assert_eq!(Input::read(" ;; -- nothing"), Input::Nothing);
    }
}
