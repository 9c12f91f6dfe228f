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

/// The refusals of a query: watermarks, and windows over a stream.
pub(crate) fn query_is_executed(query: &Query) -> Vec<Diagnostic> {
    let mut refusals = Vec::new();
    for relation in &query.relations {
        if let Some(watermark) = &relation.watermark {
            refusals.push(refusal(
                codes::WINDOW_NOT_EXECUTED,
                "WATERMARK",
                "rows cannot be waited for, nor be late",
                watermark.place,
            ));
        }
    }
    if query.is_streaming() {
        for window in &query.windows {
            refusals.push(refusal(
                codes::WINDOW_NOT_EXECUTED,
                "a window over a stream",
                "windows cannot be kept open between updates",
                *window,
            ));
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
