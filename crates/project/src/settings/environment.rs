//! `${NAME}` references: how secrets get into settings without being written there.

use std::fmt;
use std::sync::Arc;

/// Looks a variable up.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The variables that settings can refer to. Given from outside, so that tests need not change the
/// process.
#[derive(Clone)]
pub(crate) struct Environment(Arc<Lookup>);

impl Environment {
    /// The variables of this process.
    pub(crate) fn of_process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// Variables looked up by `lookup`.
    pub(crate) fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// Puts the values of all `${NAME}` and `${NAME:-default}` in; `$${` stands for `${`. The error
    /// says which reference is wrong.
    pub(crate) fn expand(&self, text: &str) -> Result<String, ReferenceError> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                expanded.push_str(&rest[..at - 1]);
                expanded.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            expanded.push_str(&rest[..at]);
            let Some((reference, after)) = rest[at + 2..].split_once('}') else {
                return Err(ReferenceError::Unclosed);
            };
            let (name, default) = match reference.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (reference, None),
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(plain) {
                return Err(ReferenceError::BadName(name.to_owned()));
            }
            match ((self.0)(name), default) {
                (Some(value), _) => expanded.push_str(&value),
                (None, Some(default)) => expanded.push_str(default),
                (None, None) => return Err(ReferenceError::Missing(name.to_owned())),
            }
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Environment")
    }
}

/// What is wrong with a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReferenceError {
    /// No `}` follows.
    Unclosed,
    /// The name has characters that no variable has.
    BadName(String),
    /// No variable of this name is set.
    Missing(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_put_in() {
        let environment = Environment::new(|name| (name == "USER").then(|| "ada".to_owned()));
        let expand = |text: &str| environment.expand(text);
        assert_eq!(expand("x://${USER}@h/${USER}").unwrap(), "x://ada@h/ada");
        assert_eq!(expand("${HOST:-local}").unwrap(), "local");
        assert_eq!(expand("cost $5 $${USER}").unwrap(), "cost $5 ${USER}");
        assert_eq!(
            expand("${HOST}"),
            Err(ReferenceError::Missing("HOST".into()))
        );
        assert_eq!(expand("${HOST"), Err(ReferenceError::Unclosed));
        assert_eq!(expand("${}"), Err(ReferenceError::BadName(String::new())));
        assert_eq!(expand("${A B}"), Err(ReferenceError::BadName("A B".into())));
    }
}
