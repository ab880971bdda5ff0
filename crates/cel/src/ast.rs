//! Walking through expressions.

use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr, operators};

/// The expressions that an expression is directly made of.
pub(crate) fn children(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => Vec::new(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Struct(of) => of.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Comprehension(of) => {
            vec![&of.iter_range, &of.accu_init, &of.loop_cond, &of.loop_step, &of.result]
        }
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// The fields of a variable that an expression names, each once.
pub(crate) fn fields_of<'a>(expression: &'a IdedExpr, variable: &str, found: &mut Vec<&'a str>) {
    if let Expr::Select(select) = &expression.expr
        && matches!(&select.operand.expr, Expr::Ident(name) if name == variable)
        && !found.contains(&select.field.as_str())
    {
        found.push(&select.field);
    }
    children(&expression.expr).into_iter().for_each(|child| fields_of(child, variable, found));
}

/// How many expressions are within one another, at most.
pub(crate) fn depth(expression: &IdedExpr) -> usize {
    1 + children(&expression.expr).into_iter().map(depth).max().unwrap_or_default()
}

/// Whether an expression names a variable.
pub(crate) fn names(expression: &IdedExpr, variable: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == variable)
        || children(&expression.expr).into_iter().any(|child| names(child, variable))
}

/// The variable that expressions write as a field of `authorizer`.
pub const REQUEST_RESOURCE: &str = "authorizer.requestResource";

/// Writes differently what the evaluation does not understand: `a.?b` becomes `a[?'b']`, which is the same but that the
/// evaluation of the first fails where there is no `b`; `authorizer.requestResource` becomes the name of a variable.
pub(crate) fn rewrite(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => {}
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(name) if [name, ".", &select.field].concat() == REQUEST_RESOURCE => {
                expression.expr = Expr::Ident(REQUEST_RESOURCE.to_owned());
            }
            _ => rewrite(&mut select.operand),
        },
        Expr::List(list) => list.elements.iter_mut().for_each(rewrite),
        Expr::Call(call) => {
            if call.func_name == operators::OPT_SELECT {
                call.func_name = operators::OPT_INDEX.to_owned();
            }
            call.target.iter_mut().for_each(|target| rewrite(target));
            call.args.iter_mut().for_each(rewrite);
        }
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| rewrite_entry(&mut entry.expr)),
        Expr::Struct(of) => of.entries.iter_mut().for_each(|entry| rewrite_entry(&mut entry.expr)),
        Expr::Comprehension(of) => {
            for part in
                [&mut of.iter_range, &mut of.accu_init, &mut of.loop_cond, &mut of.loop_step, &mut of.result]
            {
                rewrite(part);
            }
        }
    }
}

fn rewrite_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => rewrite(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            rewrite(&mut entry.key);
            rewrite(&mut entry.value);
        }
    }
}
