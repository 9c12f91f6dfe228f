//! Every code a diagnostic of this room can carry (`TG07…`). A code keeps its meaning for good.

/// `TG0701`: an option of `read_files` that is not known, or has a value it cannot have.
pub const OPTION: &str = "TG0701";
/// `TG0702`: a declared column that no flow of the table gives.
pub const COLUMN_NOT_GIVEN: &str = "TG0702";
/// `TG0703`: a column that a flow gives but the table does not declare.
pub const COLUMN_NOT_DECLARED: &str = "TG0703";
/// `TG0704`: files that cannot be looked at while checking; what depends on their columns was not checked.
pub const FILES_UNSEEN: &str = "TG0704";
/// `TG0705`: a table declared in a way that the gate or the lake cannot keep.
pub const DECLARATION: &str = "TG0705";
/// `TG0706`: the flows of one table give a column in different types.
pub const FLOWS_DISAGREE: &str = "TG0706";
/// `TG0707`: a query that cannot be streamed as it stands.
pub const NOT_STREAMED: &str = "TG0707";
/// `TG0708`: a table whose rows are replaced is read as a stream of new rows.
pub const STREAM_OF_UPDATES: &str = "TG0708";
