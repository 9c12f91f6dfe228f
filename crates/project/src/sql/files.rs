//! `read_files(…)`, `cloud_files(…)`, `read_kafka(…)` and `read_topic(…)`: from the arguments of a call to what is read, a
//! format and options. What an option means is left to `tidegate-connect`.

use std::collections::BTreeMap;

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{Opt, RecordSource, RelationTarget};
use crate::source::Place;

use super::Parsed;
use super::bind::Binder;
use super::decorate::Decoration;

impl Binder<'_> {
    /// `read_files('path', option => value, …)`.
    pub(super) fn read_files(
        &mut self,
        arguments: &[FunctionArg],
        decoration: &Decoration,
    ) -> Parsed<RelationTarget> {
        let takes = "read_files takes a path, and then options as `name => value`";
        self.arguments(arguments, takes)?.finish(decoration)
    }

    /// `read_kafka(bootstrapServers => 'host:port', subscribe => 'topic', …)`.
    pub(super) fn read_kafka(
        &mut self,
        arguments: &[FunctionArg],
        decoration: &Decoration,
    ) -> Parsed<RelationTarget> {
        let takes = "read_kafka takes options as `name => value`";
        let reader = self.arguments(arguments, takes)?;
        if let Some(first) = &reader.path {
            let diagnostic = Diagnostic::error(codes::BAD_OPTION, takes);
            let help = "write `bootstrapServers => 'host:9092', subscribe => 'topic'`";
            return Err(Box::new(
                diagnostic.at(first.place, "not an option").help(help),
            ));
        }
        let given = |names: &[&str]| names.iter().any(|name| reader.given.contains_key(*name));
        let missing = [
            (
                &["bootstrapservers", "kafka.bootstrap.servers"][..],
                "the brokers are missing",
                "add `bootstrapServers => 'host:9092'`",
            ),
            (
                &["subscribe", "subscribepattern", "assign"][..],
                "the topic is missing",
                "add `subscribe => 'topic'`",
            ),
        ];
        for (names, words, help) in missing {
            if !given(names) {
                let diagnostic = Diagnostic::error(codes::BAD_OPTION, takes);
                return Err(Box::new(diagnostic.at(decoration.place, words).help(help)));
            }
        }
        Ok(reader.records(RecordSource::Kafka))
    }

    /// `read_topic('name', option => value, …)`.
    pub(super) fn read_topic(
        &mut self,
        arguments: &[FunctionArg],
        decoration: &Decoration,
    ) -> Parsed<RelationTarget> {
        let takes = "read_topic takes the name of a topic, and then options as `name => value`";
        let reader = self.arguments(arguments, takes)?;
        let name = reader.path.as_ref().map(|name| {
            let parts: Vec<String> = name.value.split('.').map(str::to_owned).collect();
            self.context().namespace.resolve(&parts)
        });
        match name {
            Some(Some(name)) => Ok(reader.records(RecordSource::Topic(name))),
            _ => {
                let diagnostic = Diagnostic::error(codes::BAD_OPTION, takes);
                let words = "the name of the topic is missing";
                Err(Box::new(diagnostic.at(decoration.place, words).help(
                    "write `read_topic('name')` for a topic that `CREATE TOPIC name` declares",
                )))
            }
        }
    }

    /// `STREAM table_changes('name')`.
    pub(super) fn table_changes(
        &mut self,
        arguments: &[FunctionArg],
        decoration: &Decoration,
    ) -> Parsed<RelationTarget> {
        let takes = "table_changes takes the name of a table, and is read as a stream";
        let wrong = |words: &str, help: &str| {
            let diagnostic = Diagnostic::error(codes::BAD_OPTION, takes);
            Err(Box::new(diagnostic.at(decoration.place, words).help(help)))
        };
        let reader = self.arguments(arguments, takes)?;
        let name = reader.path.as_ref().map(|name| {
            let parts: Vec<String> = name.value.split('.').map(str::to_owned).collect();
            self.context().namespace.resolve(&parts)
        });
        let Some(Some(name)) = name else {
            return wrong(
                "the name of the table is missing",
                "write `STREAM table_changes('name')`",
            );
        };
        if !reader.options.is_empty() {
            return wrong("it has no options", "write `STREAM table_changes('name')`");
        }
        if !decoration.streaming {
            return wrong(
                "this is not",
                "write `STREAM table_changes('name')`; two versions are compared by reading the table `VERSION AS OF` both",
            );
        }
        Ok(RelationTarget::Table {
            name,
            as_of: None,
            changes: true,
        })
    }

    /// At most one argument without a name, and options.
    fn arguments(&self, arguments: &[FunctionArg], takes: &str) -> Parsed<ReaderOptions> {
        let mut reader = ReaderOptions::default();
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) if reader.path.is_none() => {
                    reader.path = Some(self.constant(value)?);
                }
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Expr(value),
                    ..
                } => {
                    let value = self.constant(value)?;
                    let place = self.place(name.span);
                    reader.add(&name.value, value, place)?;
                }
                other => {
                    let place = self.place(other.span());
                    let diagnostic = Diagnostic::error(codes::BAD_OPTION, takes);
                    return Err(Box::new(
                        diagnostic.at(place, "neither the first argument nor an option"),
                    ));
                }
            }
        }
        Ok(reader)
    }

    /// `cloud_files('path', 'format', map('key', 'value', …))`, the older form.
    pub(super) fn cloud_files(
        &mut self,
        arguments: &[FunctionArg],
        decoration: &Decoration,
    ) -> Parsed<RelationTarget> {
        let mut reader = ReaderOptions::default();
        for (at, argument) in arguments.iter().enumerate() {
            match (at, argument) {
                (0, FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) => {
                    reader.path = Some(self.constant(value)?);
                }
                (1, FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) => {
                    reader.format = Some(self.constant(value)?.value.to_lowercase());
                }
                (2, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(map)))) => {
                    self.map_options(map, &mut reader)?;
                }
                _ => {
                    let place = self.place(argument.span());
                    let diagnostic = Diagnostic::error(
                        codes::BAD_OPTION,
                        "cloud_files takes a path, a format, and `map('option', 'value', …)`",
                    );
                    return Err(Box::new(diagnostic.at(place, "none of these")));
                }
            }
        }
        reader.finish(decoration)
    }

    fn map_options(&mut self, map: &ast::Function, reader: &mut ReaderOptions) -> Parsed<()> {
        let FunctionArguments::List(list) = &map.args else {
            return Ok(());
        };
        let mut values = Vec::new();
        for argument in &list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = argument {
                values.push(self.constant(value)?);
            }
        }
        for pair in values.chunks(2) {
            if let [key, value] = pair {
                let name = key.value.trim_start_matches("cloudFiles.");
                reader.add(name, value.clone(), key.place)?;
            }
        }
        Ok(())
    }

    /// A string, a number or a boolean.
    fn constant(&self, expression: &Expr) -> Parsed<Opt> {
        let place = self.place(expression.span());
        let (negative, expression) = match expression {
            Expr::UnaryOp {
                op: ast::UnaryOperator::Minus,
                expr,
            } => (true, expr.as_ref()),
            other => (false, other),
        };
        let value = match expression {
            Expr::Value(value) => match &value.value {
                ast::Value::SingleQuotedString(text) if !negative => Some(text.clone()),
                ast::Value::Number(digits, _) if negative => Some(format!("-{digits}")),
                ast::Value::Number(digits, _) => Some(digits.to_string()),
                ast::Value::Boolean(flag) if !negative => Some(flag.to_string()),
                _ => None,
            },
            _ => None,
        };
        match value {
            Some(value) => Ok(Opt { value, place }),
            None => {
                let message = "an option of a reader is a constant";
                let diagnostic = Diagnostic::error(codes::BAD_OPTION, message);
                Err(Box::new(
                    diagnostic.at(place, "expected a string, a number, true or false"),
                ))
            }
        }
    }
}

/// The arguments of a reader or a sink.
#[derive(Default)]
pub(super) struct ReaderOptions {
    pub(super) path: Option<Opt>,
    pub(super) format: Option<String>,
    pub(super) options: BTreeMap<String, Opt>,
    /// Names in lower case, with the places where they are given.
    given: BTreeMap<String, Place>,
}

impl ReaderOptions {
    pub(super) fn add(&mut self, name: &str, value: Opt, place: Place) -> Parsed<()> {
        let lower = name.to_lowercase();
        if let Some(first) = self.given.insert(lower.clone(), place) {
            let message = format!("the option `{name}` is given twice");
            let diagnostic = Diagnostic::error(codes::BAD_OPTION, message);
            return Err(Box::new(
                diagnostic.at(place, "again").at(first, "first here"),
            ));
        }
        match lower.as_str() {
            "format" => self.format = Some(value.value.to_lowercase()),
            "path" if self.path.is_none() => self.path = Some(value),
            _ => {
                self.options.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    fn records(self, source: RecordSource) -> RelationTarget {
        RelationTarget::Records {
            source,
            format: self.format,
            options: self.options,
        }
    }

    fn finish(self, decoration: &Decoration) -> Parsed<RelationTarget> {
        let mistake = match &self.path {
            None => Some((decoration.place, "the path of the files is missing")),
            Some(path) if path.value.trim().is_empty() => Some((path.place, "the path is empty")),
            Some(_) => None,
        };
        if let Some((place, words)) = mistake {
            let diagnostic = Diagnostic::error(codes::BAD_OPTION, "files are read from a path");
            let help = "the first argument is a file, a folder, a pattern or a URL: read_files('landing/*.csv')";
            return Err(Box::new(diagnostic.at(place, words).help(help)));
        }
        Ok(RelationTarget::Files {
            path: self.path.map(|path| path.value).unwrap_or_default(),
            format: self.format,
            options: self.options,
            as_of: None,
        })
    }
}
