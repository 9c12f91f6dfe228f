//! Named places at which a test may end the process, to see that a run started again gives the
//! same tables.
//!
//! Without the feature `failpoints` nothing of this is compiled in but the list of names. With it,
//! the environment variable `FAILPOINTS` says what happens where, for example
//! `FAILPOINTS='lake.commit.after=2*off->return(abort)'`: pass twice, then end at once, as a power
//! cut would. `return(exit)` ends with exit code 101, running nothing else either.

/// Every fail point of the lake, in the order in which an update of a flow passes them.
pub const FAIL_POINTS: &[&str] = &[
    "lake.state.before",
    "lake.state.after",
    "lake.intent.before",
    "lake.intent.after",
    "lake.write.open",
    "lake.write.mid",
    "lake.write.finish",
    "lake.upsert.before",
    "lake.commit.before",
    "lake.commit.after",
    "lake.upsert.after",
    "lake.checkpoint.before",
    "lake.closing.before",
    "lake.closing.after",
    "lake.snapshot.before",
    "lake.snapshot.after",
    "lake.withdraw.before",
    "lake.withdraw.after",
    "lake.optimize.before",
    "lake.optimize.after",
    "lake.vacuum.mid",
];

/// Arms the fail points from `FAILPOINTS`, for the rest of the process. Without the feature
/// `failpoints` this does nothing.
pub fn arm_fail_points() {
    #[cfg(feature = "failpoints")]
    std::mem::forget(fail::FailScenario::setup());
}

/// Ends the process if this fail point is armed to.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &'static str) {
    debug_assert!(FAIL_POINTS.contains(&name), "{name} is not in FAIL_POINTS");
    match fail::eval(name, |action| action.unwrap_or_default()).as_deref() {
        Some("exit") => std::process::exit(101),
        Some(_) => std::process::abort(),
        None => {}
    }
}

/// A place at which a kill test may end the process.
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::fail_points::reach($name);
    };
}
pub(crate) use fail_point;
