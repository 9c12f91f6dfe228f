//! Where the records are: text of `tidegate.toml` → a checked [`StoreUrl`]. Opens nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::StoreError;

/// Where the records are kept. Its `Display` hides a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl(pub(crate) Place);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A SQLite file; it and its folder are made when missing.
    File(PathBuf),
    /// SQLite in memory: gone when the store is dropped. For tests.
    Memory,
    /// A PostgreSQL database.
    Postgres(url::Url),
}

impl StoreUrl {
    /// The default place of a project: `<root>/.tidegate/tidegate.db`.
    pub fn of_project(root: &Path) -> Self {
        Self(Place::File(root.join(".tidegate").join("tidegate.db")))
    }

    /// A SQLite file at `path`.
    pub fn of_file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// SQLite in memory, for tests and for commands that must leave no trace.
    pub fn in_memory() -> Self {
        Self(Place::Memory)
    }

    /// Reads a setting. A relative path is taken from `root`.
    ///
    /// # Errors
    /// [`StoreError::Url`] when it is neither a path nor a SQLite or PostgreSQL URL.
    pub fn parse(text: &str, root: &Path) -> Result<Self, StoreError> {
        let Self(place) = text.parse()?;
        Ok(Self(match place {
            Place::File(path) => Place::File(root.join(path)),
            other => other,
        }))
    }

    /// The file of a SQLite store; none in memory and for PostgreSQL.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Place::File(path) => Some(path),
            Place::Memory | Place::Postgres(_) => None,
        }
    }

    /// The URL that the driver takes, password included.
    pub(crate) fn driver_url(&self) -> String {
        match &self.0 {
            Place::File(path) => format!("sqlite:{}?mode=rwc", percent_encoded(path)),
            Place::Memory => "sqlite::memory:".to_owned(),
            Place::Postgres(url) => url.to_string(),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let refuse = |reason: &str| StoreError::Url {
            url: hidden(text),
            reason: reason.to_owned(),
        };
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if let Some(rest) = text.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return match path {
                "" => Err(refuse("the path is missing")),
                ":memory:" => Ok(Self(Place::Memory)),
                path => Ok(Self(Place::File(PathBuf::from(path)))),
            };
        }
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            let url: url::Url = text
                .parse()
                .map_err(|error: url::ParseError| refuse(&error.to_string()))?;
            return match url.has_host() || url.query().is_some() {
                true => Ok(Self(Place::Postgres(url))),
                false => Err(refuse("the host is missing")),
            };
        }
        match text.split_once("://") {
            Some((scheme, _)) => Err(refuse(&format!("`{scheme}` databases are not supported"))),
            None => Ok(Self(Place::File(PathBuf::from(text)))),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::File(path) => write!(formatter, "{}", path.display()),
            Place::Memory => formatter.write_str("sqlite::memory:"),
            Place::Postgres(url) => formatter.write_str(&hidden(url.as_str())),
        }
    }
}

/// The text with what stands between the user's name and the host replaced.
fn hidden(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    let shown = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    let tail = match tail.split_once("password=") {
        Some((before, after)) => {
            let rest = after.find('&').map_or("", |end| &after[end..]);
            format!("{before}password=***{rest}")
        }
        None => tail.to_owned(),
    };
    format!("{scheme}://{shown}{tail}")
}

/// A path as the driver's URL wants it: everything but the plainest characters escaped.
fn percent_encoded(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                out.push(char::from(*byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str) {
        let got = match StoreUrl::parse(text, Path::new("/shop")) {
            Ok(url) => url.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert!(got.starts_with(shown), "{text}: {got}");
    }

    #[test]
    fn settings_become_places() {
        check("records.db", "/shop/records.db");
        check("sqlite:records.db", "/shop/records.db");
        check("sqlite:///var/records.db", "/var/records.db");
        check("sqlite::memory:", "sqlite::memory:");
        check(
            "postgres://ann:secret@db/shop",
            "postgres://ann:***@db/shop",
        );
        check(
            "postgresql://db/shop?user=ann&password=secret&sslmode=require",
            "postgresql://db/shop?user=ann&password=***&sslmode=require",
        );
        check(
            "mysql://a:b@c/d",
            "error: `mysql://a:***@c/d` is no store: `mysql` databases",
        );
        check(
            "sqlite:",
            "error: `sqlite:` is no store: the path is missing",
        );
        check(" ", "error: `` is no store: it is empty");
    }

    #[test]
    fn odd_paths_reach_the_driver_whole() {
        let url = StoreUrl::of_file("/a b/ü?#%.db").driver_url();
        assert_eq!(url, "sqlite:/a%20b/%C3%BC%3F%23%25.db?mode=rwc");
    }
}
