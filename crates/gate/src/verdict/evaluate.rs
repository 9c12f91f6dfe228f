//! Evaluating a predicate on a batch, also where single rows make it fail.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::concat;

use crate::error::{GateError, Result};
use crate::expectation::{GateExpectation, PredicateError};

/// The answers for all rows, and the rows on which there is none because of an error, in order.
pub(super) type Answers = (BooleanArray, Vec<(u32, Arc<str>)>);

/// Evaluates an expectation once on the whole batch. Only if that fails are the rows concerned looked
/// for by halves; a predicate that fails even on no rows is at fault itself.
pub(super) fn evaluate(expectation: &GateExpectation, batch: &RecordBatch) -> Result<Answers> {
    match checked(expectation, batch) {
        Ok(answers) => return Ok((answers, Vec::new())),
        Err(source) => {
            if batch.num_rows() == 0 || checked(expectation, &batch.slice(0, 0)).is_err() {
                return Err(GateError::Predicate {
                    name: expectation.name.to_string(),
                    text: expectation.text.to_string(),
                    source,
                });
            }
        }
    }
    let (mut parts, mut errors) = (Vec::new(), Vec::new());
    by_halves(expectation, batch, 0, &mut parts, &mut errors);
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    let answers = concat(&parts)?;
    let answers = BooleanArray::from(answers.to_data());
    Ok((answers, errors))
}

fn by_halves(
    expectation: &GateExpectation,
    batch: &RecordBatch,
    first: usize,
    parts: &mut Vec<ArrayRef>,
    errors: &mut Vec<(u32, Arc<str>)>,
) {
    match checked(expectation, batch) {
        Ok(answers) => parts.push(Arc::new(answers)),
        Err(error) if batch.num_rows() == 1 => {
            parts.push(Arc::new(BooleanArray::new_null(1)));
            errors.push((first as u32, error.message.into()));
        }
        Err(_) => {
            let half = batch.num_rows() / 2;
            by_halves(expectation, &batch.slice(0, half), first, parts, errors);
            let rest = batch.slice(half, batch.num_rows() - half);
            by_halves(expectation, &rest, first + half, parts, errors);
        }
    }
}

fn checked(
    expectation: &GateExpectation,
    batch: &RecordBatch,
) -> Result<BooleanArray, PredicateError> {
    let answers = expectation.predicate.evaluate(batch)?;
    if answers.len() == batch.num_rows() {
        return Ok(answers);
    }
    Err(PredicateError::new(format!(
        "{} answers for {} rows",
        answers.len(),
        batch.num_rows()
    )))
}
