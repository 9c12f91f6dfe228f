//! What stands between a table's brackets and its `AS`: comments, properties, partitions, ….

use std::collections::BTreeMap;

use sqlparser::tokenizer::Token;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::limits::{COERCION, PROPERTIES, QuarantineLimits};
use crate::model::{
    ClusterBy, ColumnReference, RowFilter, Schedule, ScheduleUnit, ScheduleWhen, Trigger,
};
use crate::nearest::nearest;
use crate::source::Place;
use crate::streaming::StreamingProperties;

use super::Parsed;
use super::columns::parse_arguments;
use super::cursor::Cursor;
use super::query::parse_expression_here;

/// The clauses of a table.
#[derive(Debug, Default)]
pub(crate) struct Clauses {
    pub(crate) partitioned_by: Vec<ColumnReference>,
    pub(crate) cluster_by: Option<ClusterBy>,
    pub(crate) location: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) quarantine: QuarantineLimits,
    pub(crate) streaming: StreamingProperties,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) trigger: Option<Trigger>,
    pub(crate) row_filter: Option<RowFilter>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Where each clause stands.
    pub(crate) places: Vec<(Clause, Place)>,
}

/// The clauses, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    Using,
    PartitionedBy,
    ClusterBy,
    Location,
    Comment,
    Properties,
    Schedule,
    Trigger,
    RowFilter,
}

impl Clause {
    const ALL: &[Clause] = &[
        Clause::Using,
        Clause::PartitionedBy,
        Clause::ClusterBy,
        Clause::Location,
        Clause::Comment,
        Clause::Properties,
        Clause::Schedule,
        Clause::Trigger,
        Clause::RowFilter,
    ];

    /// The words that begin it.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Clause::Using => &["USING"],
            Clause::PartitionedBy => &["PARTITIONED", "BY"],
            Clause::ClusterBy => &["CLUSTER", "BY"],
            Clause::Location => &["LOCATION"],
            Clause::Comment => &["COMMENT"],
            Clause::Properties => &["TBLPROPERTIES"],
            Clause::Schedule => &["SCHEDULE"],
            Clause::Trigger => &["TRIGGER", "ON", "UPDATE"],
            Clause::RowFilter => &["WITH", "ROW", "FILTER"],
        }
    }
}

/// Takes all clauses up to `AS`, or to the end. After a mistake it goes on behind the next `AS`.
pub(crate) fn parse_clauses(cursor: &mut Cursor<'_>) -> Clauses {
    let mut clauses = Clauses::default();
    while !cursor.is_done() && !cursor.is_word_at(0, "AS") {
        if let Err(diagnostic) = parse_clause(cursor, &mut clauses) {
            clauses.diagnostics.push(*diagnostic);
            skip_to_query(cursor);
            break;
        }
    }
    clauses
}

/// Skips to the `AS` of the query, if there is one.
pub(crate) fn skip_to_query(cursor: &mut Cursor<'_>) {
    const QUERY: &[&str] = &["SELECT", "WITH", "FROM", "VALUES", "TABLE"];
    while !cursor.is_done() {
        let opens = cursor.rest().get(1).map(|token| &token.token) == Some(&Token::LParen);
        let queries = opens || QUERY.iter().any(|word| cursor.is_word_at(1, word));
        if cursor.is_word_at(0, "AS") && queries {
            return;
        }
        cursor.skip(1);
    }
}

fn parse_clause(cursor: &mut Cursor<'_>, clauses: &mut Clauses) -> Parsed<()> {
    let start = cursor.here();
    let found = Clause::ALL
        .iter()
        .copied()
        .find(|clause| cursor.words(clause.words()));
    let Some(clause) = found else {
        let words = Clause::ALL.iter().map(|clause| clause.words().join(" "));
        let words: Vec<String> = words.chain(["AS".to_owned()]).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        return Err(cursor.expected_one_of(&words));
    };
    let words = start.to(cursor.previous());
    if let Some((_, first)) = clauses.places.iter().find(|(given, _)| *given == clause) {
        let name = clause.words().join(" ");
        let diagnostic =
            Diagnostic::error(codes::REPEATED_CLAUSE, format!("{name} is given twice"));
        let diagnostic = diagnostic.at(words, "again").at(*first, "first here");
        clauses.diagnostics.push(diagnostic);
    }
    clauses.places.push((clause, words));
    match clause {
        Clause::Using => parse_using(cursor)?,
        Clause::PartitionedBy => clauses.partitioned_by = parse_partitions(cursor)?,
        Clause::ClusterBy => clauses.cluster_by = Some(parse_cluster(cursor)?),
        Clause::Location => clauses.location = Some(cursor.string("a path or URL in quotes")?.0),
        Clause::Comment => clauses.comment = Some(cursor.string("a string")?.0),
        Clause::Properties => parse_properties(cursor, clauses)?,
        Clause::Schedule => clauses.schedule = Some(parse_schedule(cursor, start)?),
        Clause::Trigger => clauses.trigger = Some(parse_trigger(cursor, start)?),
        Clause::RowFilter => clauses.row_filter = Some(parse_row_filter(cursor, start)?),
    }
    Ok(())
}

fn parse_using(cursor: &mut Cursor<'_>) -> Parsed<()> {
    let (format, place) = cursor.identifier("`DELTA`")?;
    if format.eq_ignore_ascii_case("delta") {
        return Ok(());
    }
    let message = format!("a table cannot be stored as {format}");
    let diagnostic = Diagnostic::error(codes::MISPLACED_CLAUSE, message);
    Err(Box::new(
        diagnostic
            .at(place, "expected `DELTA`")
            .help("tables are Delta tables; leave USING away"),
    ))
}

fn parse_partitions(cursor: &mut Cursor<'_>) -> Parsed<Vec<ColumnReference>> {
    let group = cursor.group("`(` with columns")?;
    let mut columns = Vec::new();
    for mut item in group.split_at_commas() {
        let (name, place) = item.identifier("the name of a column")?;
        if !item.is_done() {
            let diagnostic = item.expected("`,` or `)`");
            return Err(Box::new(diagnostic.help(
                "a table is partitioned by columns; compute the value as a column of the query",
            )));
        }
        columns.push(ColumnReference { name, place });
    }
    Ok(columns)
}

fn parse_cluster(cursor: &mut Cursor<'_>) -> Parsed<ClusterBy> {
    if cursor.words(&["AUTO"]) {
        return Ok(ClusterBy::Auto);
    }
    if cursor.words(&["NONE"]) {
        return Ok(ClusterBy::Columns(Vec::new()));
    }
    cursor
        .column_list("`(` with columns, `AUTO` or `NONE`")
        .map(ClusterBy::Columns)
}

/// `('a' = 'b', c.d = 5)`.
fn parse_properties(cursor: &mut Cursor<'_>, clauses: &mut Clauses) -> Parsed<()> {
    let group = cursor.group("`(` with properties")?;
    let mut places: BTreeMap<String, (Place, Place)> = BTreeMap::new();
    for mut item in group.split_at_commas() {
        let (key, key_place) = parse_property_key(&mut item)?;
        item.symbol(&Token::Eq);
        let (value, value_place) = parse_property_value(&mut item)?;
        item.expect_done("`,` or `)`")?;
        let lower = key.to_lowercase();
        if let Some((first, _)) = places.insert(lower.clone(), (key_place, value_place)) {
            let message = format!("the property '{key}' is given twice");
            let diagnostic = Diagnostic::error(codes::REPEATED_CLAUSE, message);
            let diagnostic = diagnostic.at(key_place, "again").at(first, "first here");
            clauses.diagnostics.push(diagnostic);
        }
        let own = |known: &&str| known.eq_ignore_ascii_case(&lower);
        let known = PROPERTIES.iter().any(own) || lower.starts_with(COERCION);
        if lower.starts_with("tidegate.") && !known {
            clauses.diagnostics.push(unknown_property(&key, key_place));
        }
        clauses.properties.insert(key, value);
    }
    let (limits, mistakes) = QuarantineLimits::from_properties(&clauses.properties);
    clauses.quarantine = limits;
    let (streaming, streaming_mistakes) = StreamingProperties::from_properties(&clauses.properties);
    clauses.streaming = streaming;
    for (key, expected) in mistakes.into_iter().chain(streaming_mistakes) {
        if let Some((_, place)) = places.get(&key.to_lowercase()) {
            let message = format!("'{key}' cannot have this value");
            let diagnostic = Diagnostic::error(codes::BAD_PROPERTY, message);
            clauses.diagnostics.push(diagnostic.at(*place, expected));
        }
    }
    Ok(())
}

fn unknown_property(key: &str, place: Place) -> Diagnostic {
    let message = format!("Tidegate has no property '{key}'");
    let diagnostic =
        Diagnostic::error(codes::UNKNOWN_PROPERTY, message).at(place, "not a property");
    match nearest(key, PROPERTIES.iter().copied()) {
        Some(near) => diagnostic.help(format!("did you mean '{near}'?")),
        None => diagnostic.help(format!("its properties are {}", PROPERTIES.join(", "))),
    }
}

fn parse_property_key(item: &mut Cursor<'_>) -> Parsed<(String, Place)> {
    match item.peek().map(|token| &token.token) {
        Some(Token::SingleQuotedString(_)) => item.string("the name of a property"),
        _ => {
            let (parts, place) = item.parts("the name of a property")?;
            Ok((parts.join("."), place))
        }
    }
}

/// Takes a string, a number or a word, as its text.
pub(crate) fn parse_property_value(item: &mut Cursor<'_>) -> Parsed<(String, Place)> {
    let place = item.here();
    let value = match item.peek().map(|token| &token.token) {
        Some(Token::SingleQuotedString(text)) => text.clone(),
        Some(Token::Number(digits, _)) => digits.clone(),
        Some(Token::Word(word)) => word.value.clone(),
        _ => return Err(item.expected("a value: a string, a number, true or false")),
    };
    item.skip(1);
    Ok((value, place))
}

/// `[REFRESH] EVERY n unit` or `[REFRESH] CRON s [AT TIME ZONE z]`.
fn parse_schedule(cursor: &mut Cursor<'_>, start: Place) -> Parsed<Schedule> {
    cursor.words(&["REFRESH"]);
    let when = if cursor.words(&["EVERY"]) {
        let (count, place) = match cursor.peek().map(|token| &token.token) {
            Some(Token::Number(..)) => cursor.whole_number("a number")?,
            _ => (1, cursor.here()),
        };
        let count = u32::try_from(count).ok().filter(|count| *count > 0);
        let Some(count) = count else {
            let diagnostic =
                Diagnostic::error(codes::SYNTAX, "a schedule runs every 1 or more units");
            return Err(Box::new(diagnostic.at(place, "not so many")));
        };
        let unit = parse_unit(cursor)?;
        ScheduleWhen::Every { count, unit }
    } else if cursor.words(&["CRON"]) {
        let (expression, _) = cursor.string("a cron line in quotes")?;
        let time_zone = match cursor.words(&["AT", "TIME", "ZONE"]) {
            true => Some(cursor.string("a time zone in quotes")?.0),
            false => None,
        };
        ScheduleWhen::Cron {
            expression,
            time_zone,
        }
    } else {
        return Err(cursor.expected_one_of(&["EVERY", "CRON"]));
    };
    Ok(Schedule {
        when,
        place: start.to(cursor.previous()),
    })
}

fn parse_unit(cursor: &mut Cursor<'_>) -> Parsed<ScheduleUnit> {
    for (word, unit) in [
        ("MINUTE", ScheduleUnit::Minute),
        ("HOUR", ScheduleUnit::Hour),
        ("DAY", ScheduleUnit::Day),
        ("WEEK", ScheduleUnit::Week),
    ] {
        if cursor.words(&[word]) || cursor.words(&[format!("{word}S").as_str()]) {
            return Ok(unit);
        }
    }
    Err(cursor.expected_one_of(&["MINUTES", "HOURS", "DAYS", "WEEKS"]))
}

fn parse_trigger(cursor: &mut Cursor<'_>, start: Place) -> Parsed<Trigger> {
    let at_most_every = match cursor.words(&["AT", "MOST", "EVERY"]) {
        true => Some(parse_expression_here(cursor)?),
        false => None,
    };
    Ok(Trigger {
        at_most_every,
        place: start.to(cursor.previous()),
    })
}

fn parse_row_filter(cursor: &mut Cursor<'_>, start: Place) -> Parsed<RowFilter> {
    let (_, name) = cursor.parts("the name of a function")?;
    let function = cursor.text(name).to_owned();
    cursor.expect_words(&["ON"])?;
    let arguments = parse_arguments(cursor)?;
    Ok(RowFilter {
        function,
        arguments,
        place: start.to(cursor.previous()),
    })
}
