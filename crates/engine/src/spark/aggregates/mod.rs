//! Aggregates that neither DataFusion nor `datafusion-spark` has, or has otherwise.

mod mode;
mod quantiles;
mod summary;
mod sums;

use std::sync::Arc;

use datafusion::logical_expr::AggregateUDF;

/// All aggregates of this module.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![
        Arc::new(AggregateUDF::new_from_impl(mode::Mode::new())),
        Arc::new(AggregateUDF::new_from_impl(quantiles::Quantiles::new())),
        Arc::new(AggregateUDF::new_from_impl(sums::CheckedSum::new())),
    ]
}
