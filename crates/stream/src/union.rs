//! UNION ALL: the rows of all inputs.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::clock::AFTER_ALL;
use crate::error::Result;
use crate::operator::{Changes, Operator, Turn};

/// The rows of several inputs.
pub(crate) struct Union {
    pub(crate) inputs: Vec<Box<dyn Operator>>,
    pub(crate) schema: SchemaRef,
}

impl Operator for Union {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Changes> {
        let mut all = Changes::none(AFTER_ALL);
        for input in &mut self.inputs {
            let changes = input.turn(turn)?;
            all.watermark = all.watermark.min(changes.watermark);
            for batch in changes.rows {
                let schema = Arc::clone(&self.schema).as_ref().clone();
                let columns = batch.columns().to_vec();
                all.rows
                    .push(crate::groups::batch(schema, columns, batch.num_rows())?);
            }
        }
        Ok(all)
    }

    fn inputs(&mut self) -> Vec<&mut Box<dyn Operator>> {
        self.inputs.iter_mut().collect()
    }

    fn inputs_ref(&self) -> Vec<&dyn Operator> {
        self.inputs.iter().map(AsRef::as_ref).collect()
    }
}
