//! Small trees, made by hand.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Select,
    SelectItem, SetExpr, TableAlias, TableAliasColumnDef, Value,
};
use sqlparser::ast::{GroupByExpr, SelectFlavor, TableWithJoins, ValueWithSpan};
use sqlparser::tokenizer::Span;

/// An identifier.
pub(crate) fn ident(name: &str) -> Ident {
    Ident::new(name)
}

/// A column, with its relation if it has one.
pub(crate) fn column(relation: Option<&str>, name: &str) -> Expr {
    match relation {
        Some(relation) => Expr::CompoundIdentifier(vec![ident(relation), ident(name)]),
        None => Expr::Identifier(ident(name)),
    }
}

/// The same column with the span of what was written, so that later messages can point at it.
pub(crate) fn spanned(mut expression: Expr, span: Span) -> Expr {
    match &mut expression {
        Expr::Identifier(one) => one.span = span,
        Expr::CompoundIdentifier(parts) => {
            for part in parts {
                part.span = span;
            }
        }
        _ => {}
    }
    expression
}

/// A name of one part.
pub(crate) fn object_name(name: &str) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(ident(name))])
}

/// A string.
pub(crate) fn string(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

/// A whole number.
pub(crate) fn number(value: usize) -> Expr {
    Expr::Value(ValueWithSpan {
        value: Value::Number(value.to_string(), false),
        span: Span::empty(),
    })
}

/// `NULL`.
pub(crate) fn null() -> Expr {
    Expr::Value(Value::Null.with_empty_span())
}

/// A call with plain arguments.
pub(crate) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(function(name, arguments, Span::empty()))
}

/// A call with plain arguments, as the function itself.
pub(crate) fn function(name: &str, arguments: Vec<Expr>, span: Span) -> Function {
    let mut name = ident(name);
    name.span = span;
    Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments
                .into_iter()
                .map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)))
                .collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }
}

/// `CAST(expression AS data_type)`.
pub(crate) fn cast(expression: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expression),
        data_type,
        array: false,
        format: None,
    }
}

/// A binary operation.
pub(crate) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

/// In parentheses, so that an operator around it keeps its meaning when it is written out.
pub(crate) fn nested(expression: Expr) -> Expr {
    match expression {
        Expr::BinaryOp { .. } | Expr::UnaryOp { .. } | Expr::Between { .. } => {
            Expr::Nested(Box::new(expression))
        }
        other => other,
    }
}

/// `name(columns…)` as an alias of a relation.
pub(crate) fn table_alias(name: &str, columns: &[String]) -> TableAlias {
    TableAlias {
        explicit: true,
        name: ident(name),
        columns: columns
            .iter()
            .map(|column| TableAliasColumnDef {
                name: ident(column),
                data_type: None,
            })
            .collect(),
        at: None,
    }
}

/// `SELECT projection FROM from`.
pub(crate) fn select(projection: Vec<SelectItem>, from: Vec<TableWithJoins>) -> Select {
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

/// A query of this body and nothing else.
pub(crate) fn query(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}
