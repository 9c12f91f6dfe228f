//! Spark's functions that neither DataFusion nor `datafusion-spark` has, or has otherwise.
//!
//! Each is a [`Kernel`]: a name, what it takes, what it gives and a function over whole columns. A
//! kernel is made once per process; the engine registers it, and the planner's hooks ask for those
//! that stand behind an operator.

mod arithmetic;
mod arrays;
mod dates;
mod decimals;
mod json;
mod kernel;
mod moments;
mod numerals;
mod patterns;
mod rounding;
mod sequences;
mod text;
mod times;
mod trying;
pub(crate) mod windows;
mod writing;

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::{Operator, ScalarUDF};

use kernel::Kernel;

/// All functions of this module, by name.
pub(super) fn scalar() -> Vec<Arc<ScalarUDF>> {
    ALL.clone()
}

/// A function of this module by its name.
pub(super) fn named(name: &str) -> Option<Arc<ScalarUDF>> {
    ALL.iter().find(|function| function.name() == name).cloned()
}

static ALL: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let families: [Vec<Kernel>; 11] = [
        arithmetic::kernels(),
        arrays::kernels(),
        dates::kernels(),
        json::kernels(),
        numerals::kernels(),
        rounding::kernels(),
        sequences::kernels(),
        text::kernels(),
        times::kernels(),
        windows::kernels(),
        writing::kernels(),
    ];
    families
        .into_iter()
        .flatten()
        .map(|kernel| Arc::new(ScalarUDF::new_from_impl(kernel)))
        .collect()
});

macro_rules! shared {
    ($($(#[$doc:meta])* $name:ident = $kernel:expr;)*) => {
        $($(#[$doc])* pub(super) fn $name() -> Arc<ScalarUDF> {
            static SHARED: LazyLock<Arc<ScalarUDF>> =
                LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl($kernel)));
            Arc::clone(&SHARED)
        })*
    };
}

shared! {
    /// `array[index]`, counted from 0.
    subscript = arrays::subscript();
    /// `/`.
    divide = arithmetic::divide();
    /// `+` of whole numbers.
    checked_plus = arithmetic::checked_plus();
    /// `-` of whole numbers.
    checked_minus = arithmetic::checked_minus();
    /// `*` of whole numbers.
    checked_multiply = arithmetic::checked_multiply();
    /// `+` of decimals of many digits.
    decimal_plus = decimals::plus();
    /// `-` of decimals of many digits.
    decimal_minus = decimals::minus();
    /// `*` of decimals of many digits.
    decimal_multiply = decimals::multiply();
}

pub(super) use decimals::may_overflow;
pub(super) use trying::Trying;

/// `+`, `-` or `*` of decimals that [may overflow](may_overflow).
pub(super) fn decimal(operator: Operator) -> Arc<ScalarUDF> {
    match operator {
        Operator::Minus => decimal_minus(),
        Operator::Multiply => decimal_multiply(),
        _ => decimal_plus(),
    }
}

/// `+`, `-` or `*` of whole numbers of one type; an overflow is an error.
pub(super) fn checked(operator: Operator) -> Arc<ScalarUDF> {
    match operator {
        Operator::Minus => checked_minus(),
        Operator::Multiply => checked_multiply(),
        _ => checked_plus(),
    }
}
