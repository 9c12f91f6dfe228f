//! `CREATE SINK name TO kafka(option => value, …) AS query`, and `TO topic('name', …)`.

use sqlparser::tokenizer::Token;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{Opt, RecordSource, SinkTarget};

use super::Parsed;
use super::clauses::parse_property_value;
use super::cursor::Cursor;
use super::files::ReaderOptions;

/// Takes `TO kafka(…)` or `TO topic(…)`.
pub(crate) fn parse_sink_target(cursor: &mut Cursor<'_>) -> Parsed<SinkTarget> {
    cursor.expect_words(&["TO"])?;
    let start = cursor.here();
    let is_topic = cursor.words(&["TOPIC"]);
    if !is_topic && !cursor.words(&["KAFKA"]) {
        return Err(cursor.expected_one_of(&["KAFKA", "TOPIC"]));
    }
    let group = cursor.group("`(` with options")?;
    let place = start.to(cursor.previous());
    let mut reader = ReaderOptions::default();
    for mut item in group.split_at_commas() {
        if item.is_done() {
            continue;
        }
        if is_topic && reader.path.is_none() && !is_named(&item) {
            let (value, place) = item.string("the name of a topic in quotes")?;
            reader.path = Some(Opt { value, place });
        } else {
            let (name, place) = item.identifier("an option as `name => value`")?;
            item.expect_symbol(&Token::RArrow)?;
            let (value, value_place) = parse_property_value(&mut item)?;
            let value = Opt {
                value,
                place: value_place,
            };
            reader.add(&name, value, place)?;
        }
        item.expect_done("`,` or `)`")?;
    }
    let to = match (is_topic, &reader.path) {
        (false, _) => RecordSource::Kafka,
        (true, Some(name)) => {
            let parts: Vec<String> = name.value.split('.').map(str::to_owned).collect();
            match cursor.context().namespace.resolve(&parts) {
                Some(name) => RecordSource::Topic(name),
                None => return Err(Box::new(super::cursor::too_many_parts(name.place))),
            }
        }
        (true, None) => {
            let message = "a sink to a topic names it first: `TO topic('name')`";
            let diagnostic = Diagnostic::error(codes::BAD_OPTION, message);
            return Err(Box::new(diagnostic.at(place, "the name is missing")));
        }
    };
    Ok(SinkTarget {
        to,
        format: reader.format,
        options: reader.options,
        place,
    })
}

fn is_named(item: &Cursor<'_>) -> bool {
    item.rest().get(1).map(|token| &token.token) == Some(&Token::RArrow)
}
