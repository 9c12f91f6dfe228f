//! Every code a diagnostic of the engine can carry, in one list.
//!
//! A code keeps its meaning for good, as in `tidegate_project::codes`; the engine owns `TG05`.

/// A code with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// As printed, for instance `TG0501`.
    pub code: &'static str,
    /// What it means, in a few words.
    pub title: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        $(#[doc = concat!("`", $code, "`: ", $title, ".")]
        pub const $name: &str = $code;)*
        /// All codes, in order.
        pub const ALL: &[Code] = &[$(Code { code: $code, title: $title },)*];
    };
}

codes! {
    UNKNOWN_COLUMN = "TG0501", "no relation of the query has this column";
    AMBIGUOUS_COLUMN = "TG0502", "several relations of the query have this column";
    UNKNOWN_RELATION = "TG0503", "no relation of the query has this name";
    UNKNOWN_FUNCTION = "TG0504", "no function has this name";
    ARGUMENTS = "TG0505", "a function or operator cannot take these arguments";
    NOT_BOOLEAN = "TG0506", "an expression that decides something is not BOOLEAN";
    UNSUPPORTED = "TG0507", "a construct of SQL that the engine does not execute";
    GROUPING = "TG0508", "a column is neither grouped nor aggregated";
    COLUMN_COUNT = "TG0509", "two lists of columns differ in length";
    DUPLICATE_COLUMN = "TG0510", "two columns of one result have the same name";
    UNKNOWN_TYPE = "TG0511", "no type has this name, or the engine cannot hold it";
    INVALID_QUERY = "TG0512", "the query cannot be planned";
    DUPLICATE_RELATION = "TG0513", "two relations of one FROM have the same name";
    NOT_CONSTANT = "TG0514", "an argument must be a constant";
}

/// The meaning of a code, if it is one of this room's.
pub fn title(code: &str) -> Option<&'static str> {
    ALL.iter()
        .find(|known| known.code == code)
        .map(|known| known.title)
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn codes_are_in_order_and_unique() {
        assert!(ALL.windows(2).all(|pair| pair[0].code < pair[1].code));
    }
}
