//! `tests/*.toml`: the text of a test case, as checked values.
//!
//! A file holds one case (its keys at the top), or several under `[[test]]`.

use std::path::Path;

use serde::Deserialize;

use crate::error::{PipelineError, Result};

/// A test case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows, in words; by default the name of the file.
    #[serde(default)]
    pub(crate) name: String,
    /// Rows that tables are given in place of what feeds them.
    #[serde(default)]
    pub(crate) given: Vec<Given>,
    /// Rows that must then be there.
    pub(crate) expect: Vec<Expect>,
}

/// Rows for one table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    pub(crate) table: String,
    #[serde(default)]
    pub(crate) rows: Option<Vec<toml::Table>>,
    #[serde(default)]
    pub(crate) csv: Option<String>,
    #[serde(default)]
    pub(crate) json: Option<String>,
    #[serde(default)]
    pub(crate) file: Option<String>,
}

/// Rows that must be in a table, or come out of a query.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    #[serde(default)]
    pub(crate) table: Option<String>,
    #[serde(default)]
    pub(crate) query: Option<String>,
    /// Only these columns are compared; by default those that the expected rows have.
    #[serde(default)]
    pub(crate) columns: Option<Vec<String>>,
    /// Whether the order counts.
    #[serde(default)]
    pub(crate) ordered: bool,
    #[serde(default)]
    pub(crate) rows: Option<Vec<toml::Table>>,
    #[serde(default)]
    pub(crate) csv: Option<String>,
    #[serde(default)]
    pub(crate) json: Option<String>,
    #[serde(default)]
    pub(crate) file: Option<String>,
    /// Only the number of rows is compared.
    #[serde(default)]
    pub(crate) count: Option<u64>,
}

/// The forms in which rows can be written.
#[derive(Debug, Clone)]
pub(crate) enum Written<'c> {
    Rows(&'c [toml::Table]),
    Csv(&'c str),
    Json(&'c str),
    File(&'c str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    test: Vec<Case>,
}

/// Reads the cases of a file.
///
/// # Errors
/// With file and line, when it is not a test.
pub(crate) fn read(path: &Path) -> Result<Vec<Case>> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| PipelineError::file("reading", path, source))?;
    let document: toml::Table =
        toml::from_str(&text).map_err(|error| wrong(path, &text, &error))?;
    let mut cases = if document.contains_key("test") {
        toml::from_str::<Several>(&text)
            .map_err(|error| wrong(path, &text, &error))?
            .test
    } else {
        vec![toml::from_str::<Case>(&text).map_err(|error| wrong(path, &text, &error))?]
    };
    for case in &mut cases {
        if case.name.is_empty() {
            case.name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
        }
        for given in &case.given {
            one_form(
                path,
                &format!("given rows of `{}`", given.table),
                &given.forms(),
            )?;
        }
        for expect in &case.expect {
            if expect.table.is_some() == expect.query.is_some() {
                return Err(request(
                    path,
                    "each [[expect]] needs either `table` or `query`",
                ));
            }
            if expect.count.is_none() {
                one_form(path, "expected rows", &expect.forms())?;
            }
        }
    }
    Ok(cases)
}

impl Given {
    fn forms(&self) -> Vec<Written<'_>> {
        forms(
            self.rows.as_deref(),
            self.csv.as_deref(),
            self.json.as_deref(),
            self.file.as_deref(),
        )
    }

    /// The rows as they are written; [`read`] has made sure that there is exactly one form.
    pub(crate) fn written(&self) -> Written<'_> {
        self.forms().pop().unwrap_or(Written::Rows(&[]))
    }
}

impl Expect {
    fn forms(&self) -> Vec<Written<'_>> {
        forms(
            self.rows.as_deref(),
            self.csv.as_deref(),
            self.json.as_deref(),
            self.file.as_deref(),
        )
    }

    /// The rows as they are written; none where only their number is expected.
    pub(crate) fn written(&self) -> Option<Written<'_>> {
        self.forms().pop()
    }
}

fn forms<'c>(
    rows: Option<&'c [toml::Table]>,
    csv: Option<&'c str>,
    json: Option<&'c str>,
    file: Option<&'c str>,
) -> Vec<Written<'c>> {
    [
        rows.map(Written::Rows),
        csv.map(Written::Csv),
        json.map(Written::Json),
        file.map(Written::File),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn one_form(path: &Path, what: &str, forms: &[Written<'_>]) -> Result<()> {
    if forms.len() == 1 {
        return Ok(());
    }
    Err(request(
        path,
        &format!("{what}: give exactly one of `rows`, `csv`, `json` and `file`"),
    ))
}

fn request(path: &Path, message: &str) -> PipelineError {
    PipelineError::Request(format!("{}: {message}", path.display()))
}

fn wrong(path: &Path, text: &str, error: &toml::de::Error) -> PipelineError {
    let line = error.span().map_or(1, |span| {
        text[..span.start.min(text.len())].matches('\n').count() + 1
    });
    PipelineError::Request(format!("{}:{line}: {}", path.display(), error.message()))
}

/// Rows as JSON lines: what the reader of given and expected rows takes.
pub(crate) fn to_json_lines(rows: &[toml::Table]) -> String {
    let lines = rows.iter().map(|row| {
        serde_json::Value::Object(row.iter().map(|(k, v)| (k.clone(), to_json(v))).collect())
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn to_json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.iter().map(to_json).collect(),
        toml::Value::Table(table) => serde_json::Value::Object(
            table
                .iter()
                .map(|(key, value)| (key.clone(), to_json(value)))
                .collect(),
        ),
    }
}
