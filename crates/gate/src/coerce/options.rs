//! How text is to be read: the options of coercion.

use std::collections::BTreeMap;

use crate::error::Result;

/// How text becomes values. The default is strict: what could mean two things is a `type` failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoercionOptions {
    /// Texts that stand for NULL, in columns of any type.
    pub null_values: Vec<String>,
}

impl CoercionOptions {
    /// Reads the options among `options` that concern coercion; names are compared without regard to
    /// case, and others are passed over.
    ///
    /// # Errors
    /// When a value is not understood; the error says what would be.
    pub fn from_options(options: &BTreeMap<String, String>) -> Result<Self> {
        let mut parsed = Self::default();
        for (name, value) in options {
            if name.eq_ignore_ascii_case("nullValue") {
                parsed.null_values.push(value.clone());
            }
        }
        Ok(parsed)
    }

    /// The names of all options that [`CoercionOptions::from_options`] understands.
    pub fn names() -> &'static [&'static str] {
        &["nullValue"]
    }
}
