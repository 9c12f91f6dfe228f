//! `tidegate.toml`.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::source::{FileId, Place, SourceMap};

use super::environment::{Environment, ReferenceError};
use super::{Settings, resolve};

/// Reads `tidegate.toml` over `settings`, and gives the project's name if it says one.
pub(crate) fn read_tidegate(
    root: &Path,
    file: FileId,
    files: &SourceMap,
    environment: &Environment,
    settings: &mut Settings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let text = files.file(file).map_or("", |source| source.text());
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let diagnostic = Diagnostic::error(codes::SETTINGS_SYNTAX, error.message().trim());
        diagnostics.push(diagnostic.at(Place::new(file, span), "here"));
    }
    let mut reader = Reader {
        root,
        file,
        environment,
        diagnostics,
    };
    reader.top(table.get_ref(), settings)
}

const TOP_KEYS: &[&str] = &[
    "name",
    "warehouse",
    "catalog",
    "schema",
    "engine",
    "store",
    "alerts",
    "configuration",
];

type Value<'a> = Spanned<DeValue<'a>>;

struct Reader<'a> {
    root: &'a Path,
    file: FileId,
    environment: &'a Environment,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>, settings: &mut Settings) -> Option<String> {
        let mut name = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => name = self.non_empty(value),
                "warehouse" => {
                    if let Some(location) = self.non_empty(value) {
                        settings.warehouse = resolve(self.root, &location);
                    }
                }
                "catalog" => settings.catalog = self.non_empty(value).or(settings.catalog.take()),
                "schema" => {
                    if let Some(schema) = self.non_empty(value) {
                        settings.schema = schema;
                    }
                }
                "engine" => self.engine(value, settings),
                "store" => self.store(value, settings),
                "alerts" => self.alerts(value, settings),
                "configuration" => self.configuration(value, settings),
                unknown => self.unknown_key(key.span(), unknown, TOP_KEYS),
            }
        }
        name
    }

    fn engine(&mut self, value: &Value<'_>, settings: &mut Settings) {
        const KEYS: &[&str] = &["threads", "memory", "spill"];
        for (key, value) in self.table(value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "threads" => match self.integer(value) {
                    Some(threads @ 1..=4096) => settings.threads = usize::try_from(threads).ok(),
                    Some(_) => self.bad_value(value, "expected 1 to 4096 threads"),
                    None => {}
                },
                "memory" => self.memory(value, settings),
                "spill" => {
                    let folder = self.non_empty(value);
                    settings.spill = folder.map(|folder| self.root.join(folder));
                }
                unknown => self.unknown_key(key.span(), unknown, KEYS),
            }
        }
    }

    fn memory(&mut self, value: &Value<'_>, settings: &mut Settings) {
        const EXPECTED: &str =
            "expected an amount of memory such as \"4 GiB\" or \"800 MB\", at least 16 MiB";
        const MEMORY_BYTES_MIN: u64 = 16 << 20;
        let bytes = match value.get_ref() {
            DeValue::String(_) => match self.string(value) {
                Some(text) => parse_bytes(&text),
                None => return,
            },
            DeValue::Integer(_) => self.integer(value),
            _ => None,
        };
        match bytes {
            Some(bytes) if bytes >= MEMORY_BYTES_MIN => settings.memory_bytes = Some(bytes),
            _ => self.bad_value(value, EXPECTED),
        }
    }

    fn store(&mut self, value: &Value<'_>, settings: &mut Settings) {
        for (key, value) in self.table(value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "url" => {
                    self.warn_of_secret(value);
                    settings.store = self.non_empty(value);
                }
                unknown => self.unknown_key(key.span(), unknown, &["url"]),
            }
        }
    }

    fn alerts(&mut self, value: &Value<'_>, settings: &mut Settings) {
        for (key, value) in self.table(value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "webhook" => {
                    self.warn_of_secret(value);
                    let url = self.non_empty(value);
                    match url {
                        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                            settings.alerts.webhook = Some(url);
                        }
                        Some(_) => self.bad_value(value, "expected an http:// or https:// URL"),
                        None => {}
                    }
                }
                unknown => self.unknown_key(key.span(), unknown, &["webhook"]),
            }
        }
    }

    /// Keys may be quoted (`"spark.sql.x" = 1`) or dotted; both give one flat key.
    fn configuration(&mut self, value: &Value<'_>, settings: &mut Settings) {
        let mut pending = Vec::new();
        for (key, value) in self.table(value).into_iter().flatten() {
            pending.push((key.get_ref().to_string(), value));
        }
        while let Some((key, value)) = pending.pop() {
            let text = match value.get_ref() {
                DeValue::Table(table) => {
                    for (inner, value) in table {
                        pending.push((format!("{key}.{}", inner.get_ref()), value));
                    }
                    continue;
                }
                DeValue::String(_) => self.string(value),
                DeValue::Integer(number) => Some(number.as_str().to_owned()),
                DeValue::Float(number) => Some(number.as_str().to_owned()),
                DeValue::Boolean(flag) => Some(flag.to_string()),
                DeValue::Datetime(time) => Some(time.to_string()),
                DeValue::Array(_) => {
                    self.bad_value(value, "expected a string, a number or true/false");
                    None
                }
            };
            if let Some(text) = text {
                settings.configuration.insert(key, text);
            }
        }
    }

    fn table<'v, 'i>(&mut self, value: &'v Value<'i>) -> Option<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.bad_value(value, "expected a table, with a line for each key");
                None
            }
        }
    }

    fn integer(&mut self, value: &Value<'_>) -> Option<u64> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            self.bad_value(value, "expected a whole number");
        }
        number
    }

    fn non_empty(&mut self, value: &Value<'_>) -> Option<String> {
        let text = self.string(value)?;
        if text.trim().is_empty() {
            self.bad_value(value, "expected some text");
            return None;
        }
        Some(text)
    }

    /// The string with its `${NAME}` references put in.
    fn string(&mut self, value: &Value<'_>) -> Option<String> {
        let DeValue::String(text) = value.get_ref() else {
            self.bad_value(value, "expected a string in quotes");
            return None;
        };
        match self.environment.expand(text) {
            Ok(text) => Some(text),
            Err(error) => {
                let place = Place::new(self.file, value.span());
                self.diagnostics.push(reference_diagnostic(&error, place));
                None
            }
        }
    }

    fn warn_of_secret(&mut self, value: &Value<'_>) {
        let DeValue::String(text) = value.get_ref() else {
            return;
        };
        if has_password(text) {
            let diagnostic = Diagnostic::warning(
                codes::SECRET_IN_CLEAR,
                "a password is written into the settings",
            );
            self.diagnostics.push(
                diagnostic
                    .at(
                        Place::new(self.file, value.span()),
                        "everyone who reads the project reads it",
                    )
                    .help("put it into an environment variable and refer to it as \"${NAME}\""),
            );
        }
    }

    fn bad_value(&mut self, value: &Value<'_>, expected: &str) {
        let kind = match value.get_ref() {
            DeValue::Table(_) => "a table",
            DeValue::Array(_) => "an array",
            _ => "this value",
        };
        let diagnostic =
            Diagnostic::error(codes::BAD_VALUE, format!("the setting cannot be {kind}"));
        let place = Place::new(self.file, value.span());
        self.diagnostics.push(diagnostic.at(place, expected));
    }

    fn unknown_key(&mut self, span: std::ops::Range<usize>, key: &str, known: &[&str]) {
        let place = Place::new(self.file, span);
        self.diagnostics.push(unknown_key(key, place, known));
    }
}

/// The diagnostic for a key that means nothing.
pub(super) fn unknown_key(key: &str, place: Place, known: &[&str]) -> Diagnostic {
    let diagnostic = Diagnostic::error(codes::UNKNOWN_KEY, format!("no setting is called `{key}`"))
        .at(place, "not a setting");
    match nearest(key, known.iter().copied()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!("the settings here are {}", known.join(", "))),
    }
}

/// The diagnostic for a `${NAME}` reference that cannot be put in.
pub(super) fn reference_diagnostic(error: &ReferenceError, place: Place) -> Diagnostic {
    let (message, help) = match error {
        ReferenceError::Unclosed => (
            "a `${` reference has no `}`".to_owned(),
            "close it, or write `$${` for the characters themselves".to_owned(),
        ),
        ReferenceError::BadName(name) => (
            format!("`{name}` cannot be the name of a variable"),
            "a reference is `${NAME}`, the name of letters, digits and `_`".to_owned(),
        ),
        ReferenceError::Missing(name) => (
            format!("the environment variable `{name}` is not set"),
            format!("set it before you start Tidegate, or give a default as in `${{{name}:-…}}`"),
        ),
    };
    Diagnostic::error(codes::MISSING_VARIABLE, message)
        .at(place, "refers to it")
        .help(help)
}

/// Whether a URL has a password in clear.
fn has_password(url: &str) -> bool {
    let authority = url
        .split_once("://")
        .map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""));
    authority
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty() && !password.contains("${"))
}

/// `4 GiB`, `800MB`, `512` (bytes), `1.5g`: an amount of memory in bytes.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let bytes = number * factor as f64;
    (bytes.is_finite() && bytes < u64::MAX as f64).then_some(bytes as u64)
}
