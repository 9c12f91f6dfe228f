//! Headers of records as a column: for each record, its names and values in order.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewBuilder, ListBuilder, StringViewBuilder, StructBuilder};
use arrow::datatypes::{DataType, Field, Fields};

/// The fields of one header.
fn fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8View, true),
        Field::new("value", DataType::BinaryView, true),
    ])
}

/// The type of the column of headers.
#[must_use]
pub fn headers_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(
        DataType::Struct(fields()),
        true,
    )))
}

/// Makes the column; it costs nothing until the first record with headers comes.
pub(crate) struct HeadersBuilder {
    rows: usize,
    list: Option<ListBuilder<StructBuilder>>,
}

impl HeadersBuilder {
    pub(crate) fn new() -> Self {
        Self {
            rows: 0,
            list: None,
        }
    }

    /// A record without headers.
    pub(crate) fn none(&mut self) {
        self.rows += 1;
        if let Some(list) = &mut self.list {
            list.append_null();
        }
    }

    /// A record with these.
    pub(crate) fn some<'a>(&mut self, headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) {
        let rows = self.rows;
        let list = self.list.get_or_insert_with(|| {
            let mut list = ListBuilder::new(StructBuilder::from_fields(fields(), 0));
            (0..rows).for_each(|_| list.append_null());
            list
        });
        let entries = list.values();
        for (name, value) in headers {
            if let Some(names) = entries.field_builder::<StringViewBuilder>(0) {
                names.append_value(name);
            }
            if let Some(values) = entries.field_builder::<BinaryViewBuilder>(1) {
                values.append_option(value);
            }
            entries.append(true);
        }
        list.append(true);
        self.rows += 1;
    }

    /// The finished column; `None` if no record had headers.
    pub(crate) fn finish(self) -> Option<ArrayRef> {
        self.list
            .map(|mut list| Arc::new(list.finish()) as ArrayRef)
    }
}
