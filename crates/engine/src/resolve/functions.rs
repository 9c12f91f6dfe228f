//! The functions that exist, by name and kind.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Query, Visit, Visitor};

use super::mistake::nearest;
use super::relations::last_part;
use crate::session::FunctionKind;

/// The functions of the session, and those that are rewritten before the session sees them.
#[derive(Debug)]
pub(crate) struct Functions {
    known: HashMap<String, FunctionKind>,
}

impl Functions {
    /// The functions of a session, with Spark's own names added.
    pub(crate) fn new(mut known: HashMap<String, FunctionKind>) -> Self {
        for name in super::calls::SCALAR {
            known
                .entry((*name).to_owned())
                .or_insert(FunctionKind::Scalar);
        }
        for name in super::calls::AGGREGATE {
            known.insert((*name).to_owned(), FunctionKind::Aggregate);
        }
        Self { known }
    }

    /// What a function is computed over; `None` if there is none of this name (in lower case).
    pub(crate) fn kind(&self, name: &str) -> Option<FunctionKind> {
        self.known.get(name).copied()
    }

    /// The nearest name, if one is near.
    pub(crate) fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.known.keys().map(String::as_str))
    }

    /// Whether an expression aggregates or looks through a window, outside its subqueries.
    pub(crate) fn aggregates(&self, expression: &Expr) -> bool {
        let mut search = Search {
            functions: self,
            depth: 0,
        };
        expression.visit(&mut search).is_break()
    }
}

struct Search<'f> {
    functions: &'f Functions,
    depth: usize,
}

impl Visitor for Search<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expression else {
            return ControlFlow::Continue(());
        };
        let name = last_part(&function.name).to_lowercase();
        let aggregates =
            function.over.is_some() || self.functions.kind(&name) == Some(FunctionKind::Aggregate);
        if self.depth == 0 && aggregates {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
