//! An upper bound of the work that an expression can cause on some values, found without evaluating it.
//!
//! Loops in CEL are macros over lists and maps: none runs longer than what it ranges over. Where that is a path to a value, its
//! length is known; else no list can be longer than everything in the values taken together and the literals of the expression.

use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr};
use serde_json::Value as Json;

use crate::ast::children;
use crate::{Variable, escape};

/// Steps that the evaluation takes at most.
pub(crate) fn cost<'a>(expression: &'a IdedExpr, variables: &'a [(&'a str, &'a Variable<'a>)]) -> u64 {
    let size = variables.iter().filter_map(|(_, variable)| variable.json.as_deref()).map(size).sum::<u64>();
    let size = size.saturating_add(literals(expression));
    Bound { variables, size, items: Vec::new() }.of(expression)
}

struct Bound<'a> {
    variables: &'a [(&'a str, &'a Variable<'a>)],
    /// Entries and characters of everything that there is.
    size: u64,
    /// The variables of the loops around, with the size of the largest value that each can have.
    items: Vec<(&'a str, u64)>,
}

/// What is known of the value of a path.
enum Known<'a> {
    /// The value.
    Value(&'a Json),
    /// A part of something no larger than this.
    PartOf(u64),
}

/// Entries of lists and maps and, for the functions that go through them, characters of strings.
fn size(json: &Json) -> u64 {
    match json {
        Json::String(text) => 1 + text.len() as u64,
        Json::Array(items) => 1 + items.iter().map(size).sum::<u64>(),
        Json::Object(fields) => {
            1 + fields.iter().map(|(name, value)| name.len() as u64 + size(value)).sum::<u64>()
        }
        _ => 1,
    }
}

fn literals(expression: &IdedExpr) -> u64 {
    // A literal is no longer than the expression, whose length is limited.
    1 + children(&expression.expr).into_iter().map(literals).sum::<u64>()
}

impl<'a> Bound<'a> {
    fn of(&mut self, expression: &'a IdedExpr) -> u64 {
        match &expression.expr {
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Call(call) => self.call(call),
            other => {
                let mut sum = 1_u64;
                for child in children(other) {
                    sum = sum.saturating_add(self.of(child));
                }
                sum
            }
        }
    }

    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> u64 {
        let (rounds, item) = self.rounds(&comprehension.iter_range);
        let outside = self.of(&comprehension.iter_range).saturating_add(self.of(&comprehension.accu_init));
        let before = self.items.len();
        self.items.push((&comprehension.iter_var, item));
        self.items.extend(comprehension.iter_var2.as_deref().map(|name| (name, item)));
        self.items.push((&comprehension.accu_var, self.size));
        let round = self.of(&comprehension.loop_cond).saturating_add(self.of(&comprehension.loop_step));
        let result = self.of(&comprehension.result);
        self.items.truncate(before);
        outside.saturating_add(rounds.saturating_mul(round)).saturating_add(result)
    }

    fn call(&mut self, call: &'a CallExpr) -> u64 {
        let (mut sum, mut through) = (1_u64, 0_u64);
        for part in call.target.iter().map(|target| &**target).chain(&call.args) {
            sum = sum.saturating_add(self.of(part));
            through = through.saturating_add(self.extent(part));
        }
        if call.func_name == "check" {
            sum = sum.saturating_add(DECISION);
        }
        if !CHEAP.contains(&call.func_name.as_str()) {
            // It may go through all of its arguments. Ten characters or entries are a step.
            sum = sum.saturating_add(through / 10);
        }
        sum
    }

    /// How many rounds a loop over the value of an expression has at most, and how large an item is.
    fn rounds(&self, range: &'a IdedExpr) -> (u64, u64) {
        match &range.expr {
            Expr::List(list) => (list.elements.len() as u64, self.size),
            Expr::Map(map) => (map.entries.len() as u64, self.size),
            _ => match self.known(range) {
                Some(Known::Value(Json::Array(items))) => {
                    (items.len() as u64, items.iter().map(size).max().unwrap_or(0))
                }
                Some(Known::Value(Json::Object(fields))) => {
                    let item = |(name, value): (&String, &Json)| name.len() as u64 + size(value);
                    (fields.len() as u64, fields.iter().map(item).max().unwrap_or(0))
                }
                Some(Known::Value(_)) => (1, 1),
                Some(Known::PartOf(whole)) => (whole, whole),
                None => (self.size, self.size),
            },
        }
    }

    fn extent(&self, expression: &'a IdedExpr) -> u64 {
        match (&expression.expr, self.known(expression)) {
            (Expr::Literal(_), _) => 10,
            (_, Some(Known::Value(value))) => size(value),
            (_, Some(Known::PartOf(whole))) => whole,
            (_, None) => self.size,
        }
    }

    /// What a path of fields leads to.
    fn known(&self, expression: &'a IdedExpr) -> Option<Known<'a>> {
        match &expression.expr {
            Expr::Ident(name) => match self.items.iter().rev().find(|(known, _)| known == name) {
                Some((_, whole)) => Some(Known::PartOf(*whole)),
                None => {
                    let (_, variable) = self.variables.iter().find(|(known, _)| known == name)?;
                    variable.json.as_deref().map(Known::Value)
                }
            },
            Expr::Select(select) if !select.test => match self.known(&select.operand)? {
                Known::PartOf(whole) => Some(Known::PartOf(whole)),
                Known::Value(value) => {
                    let is_meant = |name: &str| escape(name) == select.field || name == select.field;
                    let field = value.as_object()?.iter().find(|(name, _)| is_meant(name));
                    Some(Known::Value(field.map_or(&Json::Null, |(_, value)| value)))
                }
            },
            _ => None,
        }
    }
}

/// What a decision about rights takes: some look-ups in an index. Kubernetes, which may ask over a network, counts 350,000.
const DECISION: u64 = 1_000;

/// Operators that look at no more than a step's worth.
const CHEAP: [&str; 15] = [
    "_&&_",
    "_||_",
    "!_",
    "_?_:_",
    "_<_",
    "_<=_",
    "_>_",
    "_>=_",
    "-_",
    "_*_",
    "_/_",
    "_%_",
    "@not_strictly_false",
    "_[_]",
    "size",
];
