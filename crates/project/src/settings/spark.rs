//! `spark-pipeline.yml`: the settings of a Spark Declarative Pipelines project, as Spark reads them.
//!
//! The YAML reader gives no places, so a value is pointed at by looking its key up in the text.

use std::collections::BTreeMap;
use std::path::Path;

use serde_yaml_ng::Value;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Place, SourceMap};

use super::tidegate::unknown_key;
use super::{Located, Settings, resolve};

/// The names that the file can have; the first that exists is read.
pub(crate) const SPARK_FILES: &[&str] = &["spark-pipeline.yml", "spark-pipeline.yaml"];

const KEYS: &[&str] = &[
    "name",
    "libraries",
    "storage",
    "catalog",
    "database",
    "schema",
    "configuration",
];

/// What the file says beyond [`Settings`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SparkPipeline {
    pub(crate) name: Option<String>,
    /// The patterns of `libraries[].glob.include`.
    pub(crate) includes: Vec<Located<String>>,
}

impl SparkPipeline {
    /// Reads the file over `settings`.
    pub(crate) fn read(
        root: &Path,
        file: FileId,
        files: &SourceMap,
        settings: &mut Settings,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        settings.spark_pipeline = true;
        let text = files.file(file).map_or("", |source| source.text());
        let mut reader = Reader {
            root,
            file,
            text,
            diagnostics,
        };
        match serde_yaml_ng::from_str::<Value>(text) {
            Ok(value) => reader.top(&value, settings),
            Err(error) => {
                let at = error.location().map_or(0, |location| location.index());
                let place = Place::new(file, at..at);
                let diagnostic = Diagnostic::error(codes::SETTINGS_SYNTAX, error.to_string());
                reader.diagnostics.push(diagnostic.at(place, "here"));
                Self::default()
            }
        }
    }
}

struct Reader<'a> {
    root: &'a Path,
    file: FileId,
    text: &'a str,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn top(&mut self, value: &Value, settings: &mut Settings) -> SparkPipeline {
        let mut pipeline = SparkPipeline::default();
        let Some(mapping) = value.as_mapping() else {
            self.bad("", "expected `name:`, `storage:` and `libraries:`");
            return pipeline;
        };
        for (key, value) in mapping {
            let key = key.as_str().unwrap_or_default();
            match key {
                "name" => pipeline.name = self.string(key, value),
                "libraries" => pipeline.includes = self.libraries(value),
                "storage" => {
                    if let Some(storage) = self.string(key, value) {
                        settings.warehouse = resolve(self.root, &storage);
                    }
                }
                "catalog" => settings.catalog = self.string(key, value),
                "database" | "schema" => {
                    if let Some(schema) = self.string(key, value) {
                        settings.schema = schema;
                    }
                }
                "configuration" => settings.configuration = self.configuration(value),
                unknown => {
                    let place = self.key_place(unknown, 0);
                    self.diagnostics.push(unknown_key(unknown, place, KEYS));
                }
            }
        }
        if mapping.contains_key("database") && mapping.contains_key("schema") {
            self.bad(
                "schema",
                "`database` and `schema` are one setting: leave one away",
            );
        }
        pipeline
    }

    fn libraries(&mut self, value: &Value) -> Vec<Located<String>> {
        let mut includes = Vec::new();
        let Some(libraries) = value.as_sequence() else {
            self.bad(
                "libraries",
                "expected a list of `- glob:` with `include:` in each",
            );
            return includes;
        };
        for library in libraries {
            let include = library.get("glob").and_then(|glob| glob.get("include"));
            match include.and_then(Value::as_str) {
                Some(pattern) => {
                    let place = self.key_place("include", includes.len());
                    let value = pattern.to_owned();
                    includes.push(Located { value, place });
                }
                None => self.bad(
                    "libraries",
                    "expected `- glob:` with `include: pattern` in each",
                ),
            }
        }
        includes
    }

    fn configuration(&mut self, value: &Value) -> BTreeMap<String, String> {
        let mut configuration = BTreeMap::new();
        let Some(mapping) = value.as_mapping() else {
            self.bad("configuration", "expected a `key: value` on each line");
            return configuration;
        };
        for (key, value) in mapping {
            match (scalar(key), scalar(value)) {
                (Some(key), Some(value)) => {
                    configuration.insert(key, value);
                }
                (key, _) => {
                    let key = key.unwrap_or_else(|| "configuration".to_owned());
                    self.bad(&key, "expected a string, a number or true/false");
                }
            }
        }
        configuration
    }

    fn string(&mut self, key: &str, value: &Value) -> Option<String> {
        match value.as_str().filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(text.to_owned()),
            None => {
                self.bad(key, "expected some text");
                None
            }
        }
    }

    fn bad(&mut self, key: &str, expected: &str) {
        let message = match key {
            "" => "the pipeline has no settings".to_owned(),
            key => format!("the setting `{key}` cannot have this value"),
        };
        let place = self.key_place(key, 0);
        let diagnostic = Diagnostic::error(codes::BAD_VALUE, message);
        self.diagnostics.push(diagnostic.at(place, expected));
    }

    /// Where the text has `key:` for the `nth` time (counted from 0), with the value on its line.
    fn key_place(&self, key: &str, nth: usize) -> Place {
        let mut start = 0;
        let mut seen = 0;
        for line in self.text.split_inclusive('\n') {
            let content = line.trim_start_matches([' ', '-', '\t', '"', '\'']);
            let rest = content.strip_prefix(key);
            let is_key = rest.is_some_and(|rest| {
                rest.trim_start_matches(['"', '\''])
                    .trim_start()
                    .starts_with(':')
            });
            if is_key && !key.is_empty() {
                if seen == nth {
                    let from = start + line.len() - content.len();
                    return Place::new(self.file, from..from + content.trim_end().len());
                }
                seen += 1;
            }
            start += line.len();
        }
        Place::new(self.file, 0..0)
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
