//! What is read but not executed yet: refused here, with its place, and not somewhere in a run.

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{FlowKind, Query, Table};
use crate::source::Place;
use crate::sql::Parts;

pub(super) fn check_executed(parts: &Parts, diagnostics: &mut Vec<Diagnostic>) {
    for table in &parts.tables {
        check_table(table, diagnostics);
    }
    for flow in &parts.flows {
        if let FlowKind::AutoCdc(changes) = &flow.kind {
            diagnostics.push(refusal(
                codes::CDC_NOT_EXECUTED,
                "AUTO CDC",
                "changes are not applied by key",
                changes.place,
            ));
        }
        diagnostics.extend(query_is_executed(&flow.query));
    }
}

fn check_table(table: &Table, diagnostics: &mut Vec<Diagnostic>) {
    let schedule = table.schedule.as_ref().map(|schedule| schedule.place);
    let trigger = table.trigger.as_ref().map(|trigger| trigger.place);
    let filter = table.row_filter.as_ref().map(|filter| filter.place);
    for (code, words, reason, place) in [
        (
            codes::SCHEDULE_NOT_EXECUTED,
            "SCHEDULE",
            "tables are refreshed by `tidegate run` only",
            schedule,
        ),
        (
            codes::TRIGGER_NOT_EXECUTED,
            "TRIGGER ON UPDATE",
            "tables are refreshed by `tidegate run` only",
            trigger,
        ),
        (
            codes::ROW_FILTER_NOT_EXECUTED,
            "WITH ROW FILTER",
            "everyone would see all rows",
            filter,
        ),
    ] {
        diagnostics.extend(place.map(|place| refusal(code, words, reason, place)));
    }
    for column in &table.columns {
        if let Some(mask) = &column.mask {
            diagnostics.push(refusal(
                codes::MASK_NOT_EXECUTED,
                "MASK",
                "everyone would see the values",
                mask.place,
            ));
        }
    }
}

/// What of a query's watermarks cannot be executed.
pub(crate) fn query_is_executed(query: &Query) -> Vec<Diagnostic> {
    let mut refusals = Vec::new();
    for watermark in query
        .relations
        .iter()
        .filter_map(|relation| relation.watermark.as_ref())
    {
        if watermark.column().is_none() {
            let message = "the event time of a WATERMARK is a column of the table";
            refusals.push(
                Diagnostic::error(codes::WATERMARK_REFUSED, message)
                    .at(watermark.time.place, "not a column")
                    .help("compute it as a column of the table that is read as a stream"),
            );
        }
        if watermark.delay_length().is_none() {
            let message = "the delay of a WATERMARK is a constant length of time";
            refusals.push(
                Diagnostic::error(codes::WATERMARK_REFUSED, message)
                    .at(watermark.delay.place, "not a length")
                    .help("write for instance `DELAY OF INTERVAL 30 SECONDS`; months have no fixed length"),
            );
        }
    }
    refusals
}

fn refusal(code: &'static str, words: &str, reason: &str, place: Place) -> Diagnostic {
    Diagnostic::error(
        code,
        format!("{words} is read but not executed yet: {reason}"),
    )
    .at(place, "not executed yet")
}
