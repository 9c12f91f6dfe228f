//! [`Kernel`]: a scalar function told by four values instead of a type with twelve methods.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// What a function gives.
#[derive(Clone, Copy)]
enum Returns {
    /// For arguments of these types.
    Types(fn(&[DataType]) -> Result<DataType>),
    /// For these arguments, some of which are constant.
    Arguments(fn(&ReturnFieldArgs<'_>) -> Result<DataType>),
}
/// To which types the arguments are converted first.
type Takes = fn(&[DataType]) -> Result<Vec<DataType>>;
/// The function over columns.
type Run = fn(&ScalarFunctionArgs) -> Result<ColumnarValue>;
/// Another expression that means the same, once the types are settled.
type Becomes = fn(Vec<Expr>, &SimplifyContext) -> Result<ExprSimplifyResult>;

/// A scalar function of Spark.
#[derive(Clone)]
pub(super) struct Kernel {
    name: &'static str,
    signature: Signature,
    takes: Takes,
    returns: Returns,
    run: Run,
    becomes: Option<Becomes>,
}

impl Kernel {
    /// A function whose result depends on nothing but its arguments.
    pub(super) fn new(
        name: &'static str,
        takes: Takes,
        returns: fn(&[DataType]) -> Result<DataType>,
        run: Run,
    ) -> Self {
        Self {
            name,
            signature: Signature::user_defined(Volatility::Immutable),
            takes,
            returns: Returns::Types(returns),
            run,
            becomes: None,
        }
    }

    /// The same, for a function whose result has a type that depends on a constant argument.
    pub(super) fn by_arguments(
        name: &'static str,
        takes: Takes,
        returns: fn(&ReturnFieldArgs<'_>) -> Result<DataType>,
        run: Run,
    ) -> Self {
        Self {
            returns: Returns::Arguments(returns),
            ..Self::new(name, takes, |_| Ok(DataType::Null), run)
        }
    }

    /// A function that is replaced by another expression before it runs.
    pub(super) fn replaced(
        name: &'static str,
        takes: Takes,
        returns: fn(&[DataType]) -> Result<DataType>,
        becomes: Becomes,
    ) -> Self {
        let run: Run =
            |arguments| internal_err!("{} was not replaced", arguments.return_field.name());
        Self {
            becomes: Some(becomes),
            ..Self::new(name, takes, returns, run)
        }
    }

    /// A function whose result is another with each query.
    pub(super) fn stable(mut self) -> Self {
        self.signature = Signature::user_defined(Volatility::Stable);
        self
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Kernel").field(&self.name).finish()
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Kernel {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        (self.takes)(arguments)
            .map_err(|error| error.context(format!("in a call of `{}`", self.name)))
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match self.returns {
            Returns::Types(returns) => returns(arguments),
            Returns::Arguments(_) => internal_err!("the type depends on the arguments"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let data_type = match self.returns {
            Returns::Types(returns) => {
                let types = arguments.arg_fields.iter().map(|f| f.data_type().clone());
                returns(&types.collect::<Vec<_>>())?
            }
            Returns::Arguments(returns) => returns(&arguments)?,
        };
        Ok(Arc::new(Field::new(self.name, data_type, true)))
    }

    fn simplify(
        &self,
        arguments: Vec<Expr>,
        context: &SimplifyContext,
    ) -> Result<ExprSimplifyResult> {
        match self.becomes {
            Some(becomes) => becomes(arguments, context),
            None => Ok(ExprSimplifyResult::Original(arguments)),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        (self.run)(&arguments)
    }
}

/// Checks how many arguments there are.
pub(super) fn count(
    arguments: &[DataType],
    allowed: std::ops::RangeInclusive<usize>,
    usage: &str,
) -> Result<()> {
    if allowed.contains(&arguments.len()) {
        return Ok(());
    }
    match arguments.len() {
        1 => plan_err!("1 argument is given; write {usage}"),
        several => plan_err!("{several} arguments are given; write {usage}"),
    }
}

/// Whether a type is text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
    )
}

/// An argument as an array of all rows.
pub(super) fn array(arguments: &ScalarFunctionArgs, at: usize) -> Result<ArrayRef> {
    match arguments.args.get(at) {
        Some(value) => value.to_array(arguments.number_rows),
        None => exec_err!("argument {} is missing", at + 1),
    }
}

/// An argument as text.
pub(super) fn text(arguments: &ScalarFunctionArgs, at: usize) -> Result<StringViewArray> {
    let array = array(arguments, at)?;
    let array = arrow::compute::cast(&array, &DataType::Utf8View)?;
    match array.as_any().downcast_ref::<StringViewArray>() {
        Some(text) => Ok(text.clone()),
        None => exec_err!("argument {} is not text", at + 1),
    }
}

/// The constant text of an argument; `None` if it is NULL or changes from row to row.
pub(super) fn constant_text(arguments: &ScalarFunctionArgs, at: usize) -> Option<&str> {
    match arguments.args.get(at)? {
        ColumnarValue::Scalar(
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)),
        ) => Some(text),
        _ => None,
    }
}

/// A result that is constant if all arguments are.
pub(super) fn result(arguments: &ScalarFunctionArgs, array: ArrayRef) -> Result<ColumnarValue> {
    let constant = arguments
        .args
        .iter()
        .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
    if constant && array.len() == 1 {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
            &array, 0,
        )?));
    }
    Ok(ColumnarValue::Array(Arc::clone(&array)))
}
