//! Every code a diagnostic of this room can carry, in one list.
//!
//! A code is a promise: it keeps its meaning for good, so that people can look it up and scripts can
//! match on it. `TG01` is about settings and files, `TG02` about the syntax, `TG03` about names and
//! shapes, `TG04` about what is read but not executed yet. Other rooms own the hundreds from `TG05`.

/// A code with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// As printed, for instance `TG0305`.
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
    UNREADABLE = "TG0101", "a file or folder cannot be read";
    NOT_TEXT = "TG0102", "a file is not UTF-8 text";
    SETTINGS_SYNTAX = "TG0103", "a settings file is not valid TOML or YAML";
    UNKNOWN_KEY = "TG0104", "a settings file has a key that means nothing";
    BAD_VALUE = "TG0105", "a setting has a value that it cannot take";
    MISSING_VARIABLE = "TG0106", "a `${NAME}` reference names nothing that is set";
    SECRET_IN_CLEAR = "TG0107", "a password is written into a settings file";
    NO_PROJECT = "TG0108", "the folder holds no project";
    BAD_GLOB = "TG0109", "a pattern of files is malformed or matches nothing";
    FOREIGN_FILE = "TG0110", "a pattern matches a file that is not SQL";

    BAD_TOKEN = "TG0201", "a string, a quoted name or a comment has no end, or a character means nothing";
    SYNTAX = "TG0202", "a statement does not follow the grammar";
    UNKNOWN_STATEMENT = "TG0203", "a statement that a project cannot hold";
    MISSING_SEMICOLON = "TG0204", "two statements without a `;` between them";
    UNKNOWN_TYPE = "TG0205", "no type has this name";
    REFUSED_TYPE = "TG0206", "a type that cannot be stored in a table";
    REPEATED_CLAUSE = "TG0207", "a clause is given twice";
    TOO_DEEP = "TG0208", "a statement is nested too deeply or chained too long";
    MISPLACED_CLAUSE = "TG0209", "a clause that this statement cannot have, or lacks one that it must have";
    BAD_OPTION = "TG0210", "an option of a file reader is not a constant, or is given twice";
    REFUSED_QUERY = "TG0211", "a construct that a query of a project cannot use";
    UNCHECKED_LENGTH = "TG0212", "the length of a CHAR or VARCHAR is not checked";

    DUPLICATE_TABLE = "TG0301", "two tables have one name";
    DUPLICATE_FLOW = "TG0302", "two flows have one name";
    DUPLICATE_COLUMN = "TG0303", "two columns of a table have one name";
    DUPLICATE_CONSTRAINT = "TG0304", "two constraints of a table have one name";
    UNKNOWN_TABLE = "TG0305", "no table has this name";
    CYCLE = "TG0306", "tables feed each other in a circle";
    UNKNOWN_TARGET = "TG0307", "a flow feeds a table that does not exist";
    NOT_A_STREAMING_TABLE = "TG0308", "a flow feeds something that is not a streaming table";
    STREAM_MISSING = "TG0309", "a streaming table is fed by a query without STREAM";
    STREAM_MISPLACED = "TG0310", "STREAM in a query whose result is computed as a whole";
    NO_FLOW = "TG0311", "nothing feeds a streaming table";
    UNKNOWN_COLUMN = "TG0312", "no column of the table has this name";
    NOTHING_BUT_PARTITIONS = "TG0313", "all columns of a table are partition columns";
    NO_EFFECT = "TG0314", "a clause would have no effect here";
    BAD_PROPERTY = "TG0315", "a table property has a value that it cannot take";
    UNKNOWN_PROPERTY = "TG0316", "no `tidegate.` property has this name";
    KEY_TWICE = "TG0317", "a table has two primary keys";
    ROW_ONLY = "TG0318", "an expectation looks further than at one row";
    RESERVED_NAME = "TG0319", "a name that Tidegate uses itself";

    WATERMARK_REFUSED = "TG0401", "a watermark whose event time is no column, or whose delay is no fixed length";
    CDC_NOT_EXECUTED = "TG0402", "AUTO CDC is read but not executed yet";
    SCHEDULE_NOT_EXECUTED = "TG0403", "SCHEDULE is read but not executed yet";
    TRIGGER_NOT_EXECUTED = "TG0404", "TRIGGER ON UPDATE is read but not executed yet";
    MASK_NOT_EXECUTED = "TG0405", "MASK is read but not executed yet";
    ROW_FILTER_NOT_EXECUTED = "TG0406", "WITH ROW FILTER is read but not executed yet";
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
