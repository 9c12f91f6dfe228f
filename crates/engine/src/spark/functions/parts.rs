//! `date_part`: DataFusion's, for text too.
//!
//! `year('2024-03-05')` reads the text as a time first. Everything else is left to the function
//! itself, which knows how to prune files by `year(day) = 2024`.

use arrow::datatypes::DataType;
use datafusion::common::Result;

use super::kernel::{self, Kernel};
use crate::spark::types::timestamp;

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![Kernel::replaced(
        "date_part",
        |given| {
            kernel::count(given, 2..=2, "`date_part('year', time)`")?;
            let time = match &given[1] {
                text if kernel::is_text(text) || text.is_null() => timestamp(),
                other => other.clone(),
            };
            Ok(vec![DataType::Utf8View, time])
        },
        |_| Ok(DataType::Int32),
        |arguments, context| -> Result<_> {
            datafusion_spark::function::datetime::date_part().simplify(arguments, context)
        },
    )]
}
