//! Coercion: text, or a typed column, becomes the declared type, or a `type` failure.

mod options;

pub use options::CoercionOptions;
