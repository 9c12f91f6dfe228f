//! `try_add`, `try_divide` and their kin: the operation, with NULL where it fails.
//!
//! A column is computed at once; only when that fails, row by row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// A function that gives NULL instead of an error.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::spark) struct Trying {
    name: String,
    inner: Arc<ScalarUDF>,
}

impl Trying {
    pub(in crate::spark) fn new(inner: Arc<ScalarUDF>) -> Self {
        Self {
            name: format!("try_{}", inner.name()),
            inner,
        }
    }
}

impl ScalarUDFImpl for Trying {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(arguments)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Ok(value) = self.inner.invoke_with_args(arguments.clone()) {
            return Ok(value);
        }
        let data_type = arguments.return_field.data_type();
        let row = |at: usize| -> ArrayRef {
            let mut one = arguments.clone();
            one.number_rows = 1;
            for argument in &mut one.args {
                if let ColumnarValue::Array(array) = argument {
                    *argument = ColumnarValue::Array(array.slice(at, 1));
                }
            }
            let computed = self.inner.invoke_with_args(one);
            computed
                .and_then(|value| value.into_array(1))
                .unwrap_or_else(|_| new_null_array(data_type, 1))
        };
        let rows: Vec<ArrayRef> = (0..arguments.number_rows).map(row).collect();
        let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
        super::kernel::result(&arguments, concat(&rows)?)
    }
}
