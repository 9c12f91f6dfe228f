//! The name that was probably meant.
//!
//! Asked only once a name is known to be wrong, so that a project without mistakes never pays.

/// The candidate nearest to `written`, if one is near enough to be a slip of the hand.
pub(crate) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase();
    let allowed = (written.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(written.len()) <= 3 * allowed)
        .map(|candidate| {
            let distance = strsim::osa_distance(&written, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= allowed && *distance < written.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        assert_eq!(
            nearest("paymnets", ["orders", "payments"]),
            Some("payments")
        );
        assert_eq!(nearest("STREEM", ["stream"]), Some("stream"));
        assert_eq!(nearest("customers", ["orders", "payments"]), None);
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest("x", Vec::new()), None);
    }
}
