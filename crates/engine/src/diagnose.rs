//! Mistakes, told to the user: from spans of the tree to places in the file, from DataFusion's
//! errors to sentences.
//!
//! Most mistakes are found before planning, with a span of their own ([`crate::resolve`]). What
//! DataFusion's planner finds comes as a text, sometimes with a span; the text is cut to its
//! sentence, bindings get their tables' names back, and where no span came along, the function that
//! the text names is looked for in the query.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Diagnostic as Hint, SchemaError};
use sqlparser::ast::{Expr, ObjectName, Spanned, Visit, Visitor};
use sqlparser::tokenizer::{Location, Span};
use tidegate_project::{Diagnostic, Place, SourceMap};

use crate::bindings::Bindings;
use crate::codes;
use crate::error::{EngineError, sentence};
use crate::resolve::{Functions, Mistake};

/// Tells the mistakes of one query or expression.
pub(crate) struct Teller<'a> {
    files: &'a SourceMap,
    place: Place,
    functions: &'a Functions,
    calls: HashMap<String, Span>,
}

impl<'a> Teller<'a> {
    /// For the text at `place`, whose tree is `tree`.
    pub(crate) fn new(
        files: &'a SourceMap,
        place: Place,
        functions: &'a Functions,
        tree: &impl Visit,
    ) -> Self {
        let mut calls = Calls::default();
        let _ = tree.visit(&mut calls);
        Self {
            files,
            place,
            functions,
            calls: calls.spans,
        }
    }

    /// Mistakes found on the tree.
    pub(crate) fn mistakes(&self, mistakes: Vec<Mistake>) -> EngineError {
        EngineError::Mistakes(mistakes.into_iter().map(|m| self.mistake(m)).collect())
    }

    /// One mistake with its place.
    pub(crate) fn mistake(&self, mistake: Mistake) -> Diagnostic {
        let place = self.place_of(mistake.span);
        let mut told = Diagnostic::error(mistake.code, mistake.message).at(place, mistake.label);
        if let Some(help) = mistake.help {
            told = told.help(help);
        }
        for note in mistake.notes {
            told = told.note(note);
        }
        told
    }

    /// The place of a span; that of the whole text if the span is empty.
    fn place_of(&self, span: Span) -> Place {
        self.files.span(self.place.file, span).unwrap_or(self.place)
    }

    /// An error of DataFusion's planner.
    pub(crate) fn planning(&self, error: &DataFusionError, bindings: &Bindings) -> EngineError {
        let mut told = Vec::new();
        self.tell(error, None, bindings, &mut told);
        EngineError::Mistakes(told)
    }

    fn tell(
        &self,
        error: &DataFusionError,
        hint: Option<&Hint>,
        bindings: &Bindings,
        told: &mut Vec<Diagnostic>,
    ) {
        match error {
            DataFusionError::Collection(all) => {
                for one in all {
                    self.tell(one, hint, bindings, told);
                }
            }
            DataFusionError::Diagnostic(hint, inner) => {
                self.tell(inner, Some(hint), bindings, told)
            }
            DataFusionError::Context(_, inner) => self.tell(inner, hint, bindings, told),
            DataFusionError::Shared(inner) => self.tell(inner, hint, bindings, told),
            other => told.push(self.one(other, hint, bindings)),
        }
    }

    fn one(&self, error: &DataFusionError, hint: Option<&Hint>, bindings: &Bindings) -> Diagnostic {
        let text = cleaned(&sentence(error), bindings);
        let (code, message, help) = self.classify(error, &text);
        let span = hint
            .and_then(|hint| hint.span)
            .map(|span| {
                let location = |at: datafusion::common::Location| Location::new(at.line, at.column);
                Span::new(location(span.start), location(span.end))
            })
            .or_else(|| self.call_in(&text));
        let place = span.map_or(self.place, |span| self.place_of(span));
        let label = match code {
            codes::GROUPING => "neither grouped nor aggregated",
            codes::ARGUMENTS => "these arguments do not fit",
            codes::UNSUPPORTED => "this construct",
            _ => "here",
        };
        let mut told = Diagnostic::error(code, message).at(place, label);
        if let Some(help) = help {
            told = told.help(help);
        }
        told
    }

    fn classify(
        &self,
        error: &DataFusionError,
        text: &str,
    ) -> (&'static str, String, Option<String>) {
        if let DataFusionError::SchemaError(inner, _) = error {
            return match inner.as_ref() {
                SchemaError::FieldNotFound { field, .. } => {
                    let message = format!("there is no column `{}` here", field.name);
                    (codes::UNKNOWN_COLUMN, message, None)
                }
                SchemaError::AmbiguousReference { field } => {
                    let message = format!("`{}` can mean several columns", field.name);
                    let help = "name its relation too".to_owned();
                    (codes::AMBIGUOUS_COLUMN, message, Some(help))
                }
                SchemaError::DuplicateQualifiedField { name, .. }
                | SchemaError::DuplicateUnqualifiedField { name } => {
                    let message = format!("two columns are named `{name}`");
                    let help = "give one of them another name with AS".to_owned();
                    (codes::DUPLICATE_COLUMN, message, Some(help))
                }
            };
        }
        if matches!(error, DataFusionError::NotImplemented(_)) {
            let message = format!("not executed by Tidegate's engine: {text}");
            return (codes::UNSUPPORTED, message, None);
        }
        if text.contains("must appear in the GROUP BY clause")
            || text.contains("must be in GROUP BY")
        {
            let column = text.split('"').nth(1).unwrap_or("a column");
            let message = format!("`{column}` is neither grouped nor aggregated");
            let help = format!(
                "add it to GROUP BY, or take one value of the group, as with `any_value({column})`"
            );
            return (codes::GROUPING, message, Some(help));
        }
        if text.contains("there is no type") {
            return (codes::UNKNOWN_TYPE, text.to_owned(), None);
        }
        let about_call = self.call_in(text).is_some()
            || text.contains("coerce")
            || text.contains("Cannot infer common")
            || text.contains("arguments");
        if about_call {
            return (codes::ARGUMENTS, arguments_message(text), None);
        }
        (codes::INVALID_QUERY, text.to_owned(), None)
    }

    /// The call that a text is about, found by the names of functions that it quotes.
    fn call_in(&self, text: &str) -> Option<Span> {
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words
            .filter(|word| self.functions.kind(&word.to_lowercase()).is_some())
            .find_map(|word| self.calls.get(&word.to_lowercase()).copied())
    }
}

/// What DataFusion says of arguments, without its list of all signatures.
fn arguments_message(text: &str) -> String {
    let first = text
        .split("You might need to add explicit type casts")
        .next();
    let first = first.unwrap_or(text).split("\n\t").next().unwrap_or(text);
    // What one of the engine's own functions said of its arguments.
    let own = first.split_once("user-defined coercion failed with:");
    let own = own.and_then(|(_, said)| said.rsplit_once("caused by\n"));
    let own = own.map(|(_, said)| said.split(". No function matches").next().unwrap_or(said));
    own.unwrap_or(first)
        .replace("Error during planning: ", "")
        .replace("Utf8View", "STRING")
        .replace("Utf8", "STRING")
        .replace("Int64", "BIGINT")
        .replace("Int32", "INT")
        .replace("Float64", "DOUBLE")
        .replace("Date32", "DATE")
        .trim()
        .trim_end_matches(['.', ','])
        .to_owned()
}

/// Bindings replaced by what they stand for; names that only the engine made left out.
fn cleaned(text: &str, bindings: &Bindings) -> String {
    let mut text = text.to_owned();
    for (name, binding) in bindings.iter() {
        text = text.replace(name, &binding.display);
    }
    text.strip_prefix("Error during planning: ")
        .map_or(text.clone(), str::to_owned)
}

/// The spans of the calls of a query, by function.
#[derive(Default)]
struct Calls {
    spans: HashMap<String, Span>,
}

impl Calls {
    fn note(&mut self, name: &ObjectName) {
        let written = name.to_string().to_lowercase();
        self.spans.entry(written).or_insert_with(|| name.span());
    }
}

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression {
            self.note(&function.name);
        }
        ControlFlow::Continue(())
    }
}
