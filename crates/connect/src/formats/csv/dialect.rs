//! What a delimited text looks like: the characters with a meaning, and the lines before the data.

/// The dialect of a delimited text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// What stands between two fields; one or more characters.
    pub delimiter: String,
    /// What values are quoted with; `None` = quotes mean nothing.
    pub quote: Option<u8>,
    /// What stands before a quote inside a quoted value; `None` = another quote. (Doubled quotes
    /// are understood in any case.)
    pub escape: Option<u8>,
    /// Lines that begin with it are no rows.
    pub comment: Option<u8>,
    /// Lines before the header (or the data) that are neither.
    pub skip_rows: usize,
    /// Header lines.
    pub header: usize,
    /// Spaces and tabs before unquoted values, and before an opening quote, are cut.
    pub trim_leading: bool,
    /// Spaces and tabs behind unquoted values, and behind a closing quote, are cut.
    pub trim_trailing: bool,
    /// Rows end with a delimiter that the header lacks.
    pub trailing_delimiter: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: ",".to_owned(),
            quote: Some(b'"'),
            escape: None,
            comment: None,
            skip_rows: 0,
            header: 1,
            trim_leading: false,
            trim_trailing: false,
            trailing_delimiter: false,
        }
    }
}
