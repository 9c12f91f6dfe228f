//! `VERSION AS OF` and `TIMESTAMP AS OF`: from the text of a query to a version of a table.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use tidegate_lake::AsOf;
use tidegate_project as project;
use tidegate_project::Diagnostic;

use crate::codes;
use crate::error::{PipelineError, Result};

/// The version or time that a query asks for.
///
/// # Errors
/// A diagnostic with its place when the time is not a constant that reads as a date or time.
pub(crate) fn resolve(as_of: &project::AsOf) -> Result<AsOf> {
    let expression = match as_of {
        project::AsOf::Version(version) => return Ok(AsOf::Version(*version)),
        project::AsOf::Timestamp(expression) => expression,
    };
    let written = expression.text.trim();
    let quoted = written
        .find('\'')
        .map_or(written, |start| &written[start..]);
    let text = quoted.trim_matches('\'');
    parse(text).map(AsOf::Timestamp).ok_or_else(|| {
        let diagnostic = Diagnostic::error(codes::DECLARATION, "TIMESTAMP AS OF needs a constant date or time")
            .at(expression.place, "not understood")
            .help("write it as '2026-10-05', '2026-10-05 12:30:00' or '2026-10-05T12:30:00Z' (UTC where no zone is given)");
        PipelineError::Diagnostics(vec![diagnostic])
    })
}

fn parse(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    let time = [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
    ]
    .iter()
    .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let date = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    Some(time.or_else(date)?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_utc() {
        for text in [
            "2026-10-05",
            "2026-10-05 00:00:00",
            "2026-10-05T00:00:00Z",
            "2026-10-05T02:00:00+02:00",
        ] {
            assert_eq!(parse(text).unwrap().timestamp(), 1_791_158_400, "{text}");
        }
        assert!(parse("yesterday").is_none());
    }
}
