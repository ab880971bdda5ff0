//! What is known of an expression before it is ever evaluated: which fields it names that there are not, what it results in,
//! and what it can cost at most.
//!
//! The estimate follows Kubernetes' costs (`k8s.io/apiserver/pkg/cel/library`, cel-go's `checker`): so much for each operator,
//! a tenth for each character that is gone through, a loop as often as its list is long. Values that a schema does not bound
//! are as large as a request can be. It is about right rather than equal: who refuses by it should leave some room.

use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use serde_json::Value as Json;

use crate::types::Type;
use crate::{CelError, Expression};

/// What an expression results in, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultType {
    /// `true` or `false`.
    Bool,
    /// A string.
    Text,
    /// Something else.
    Other,
    /// That is found out when it is evaluated.
    Unknown,
}

/// What is known of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// What it results in.
    pub result: ResultType,
    /// What an evaluation can cost at most.
    pub cost: u64,
}

impl Expression {
    /// Checks the expression against the schemas of its variables; one without a schema may be anything.
    ///
    /// # Errors
    /// [`CelError::Compile`] if it names a field that there is not.
    pub fn check(&self, variables: &[(&str, Option<&Json>)]) -> Result<Checked, CelError> {
        let mut check = Check { scope: Vec::with_capacity(variables.len()) };
        for (name, schema) in variables {
            check.scope.push(((*name).to_owned(), schema.map_or(Type::Any, Type::of)));
        }
        let (ty, cost) = check.of(&self.root)?;
        let result = match ty {
            Type::Bool => ResultType::Bool,
            Type::Text(_) => ResultType::Text,
            Type::Any => ResultType::Unknown,
            _ => ResultType::Other,
        };
        Ok(Checked { result, cost })
    }
}

/// The type of a value, and what it costs to come by it.
type Found<'s> = (Type<'s>, u64);

struct Check<'s> {
    /// The variables, and those of the loops around.
    scope: Vec<(String, Type<'s>)>,
}

/// A list, a map and a structure that are written down cost this much to make.
const LIST: u64 = 10;
const MAP: u64 = 30;
const STRUCTURE: u64 = 40;

impl<'s> Check<'s> {
    fn of(&mut self, expression: &IdedExpr) -> Result<Found<'s>, CelError> {
        match &expression.expr {
            Expr::Unspecified => Ok((Type::Any, 0)),
            Expr::Literal(literal) => Ok((literal_type(literal), 0)),
            Expr::Ident(name) => {
                let known = self.scope.iter().rev().find(|(known, _)| known == name);
                Ok((known.map_or(Type::Any, |(_, ty)| ty.clone()), 1))
            }
            Expr::Select(select) => {
                let (operand, cost) = self.of(&select.operand)?;
                let field = operand.field(&select.field);
                let field =
                    field.map_err(|()| CelError::Compile(format!("undefined field '{}'", select.field)))?;
                Ok((if select.test { Type::Bool } else { field }, cost.saturating_add(1)))
            }
            Expr::List(list) => {
                let (items, cost) = self.all(&list.elements)?;
                let item = items.into_iter().reduce(Type::or).unwrap_or(Type::Any);
                Ok((Type::List(Box::new(item), list.elements.len() as u64), cost.saturating_add(LIST)))
            }
            Expr::Map(map) => {
                let cost = self.entries(map.entries.iter().map(|entry| &entry.expr))?;
                Ok((Type::Map(Box::new(Type::Any), map.entries.len() as u64), cost.saturating_add(MAP)))
            }
            Expr::Struct(of) => {
                let cost = self.entries(of.entries.iter().map(|entry| &entry.expr))?;
                Ok((Type::Any, cost.saturating_add(STRUCTURE)))
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn all(&mut self, expressions: &[IdedExpr]) -> Result<(Vec<Type<'s>>, u64), CelError> {
        let found = expressions.iter().map(|one| self.of(one)).collect::<Result<Vec<_>, _>>()?;
        let cost = found.iter().fold(0_u64, |sum, (_, cost)| sum.saturating_add(*cost));
        Ok((found.into_iter().map(|(ty, _)| ty).collect(), cost))
    }

    fn entries<'e>(&mut self, entries: impl Iterator<Item = &'e EntryExpr>) -> Result<u64, CelError> {
        entries.into_iter().try_fold(0_u64, |sum, entry| {
            let cost = match entry {
                EntryExpr::StructField(field) => self.of(&field.value)?.1,
                EntryExpr::MapEntry(entry) => self.of(&entry.key)?.1.saturating_add(self.of(&entry.value)?.1),
            };
            Ok(sum.saturating_add(cost))
        })
    }

    fn comprehension(&mut self, of: &ComprehensionExpr) -> Result<Found<'s>, CelError> {
        let (range, outside) = self.of(&of.iter_range)?;
        let (start, begin) = self.of(&of.accu_init)?;
        let before = self.scope.len();
        match (&of.iter_var2, &range) {
            (Some(second), Type::Map(value, _)) => {
                self.scope.push((of.iter_var.clone(), range.item()));
                self.scope.push((second.clone(), (**value).clone()));
            }
            (Some(second), _) => {
                self.scope.push((of.iter_var.clone(), Type::Number));
                self.scope.push((second.clone(), range.item()));
            }
            (None, _) => self.scope.push((of.iter_var.clone(), range.item())),
        }
        self.scope.push((of.accu_var.clone(), start.clone()));
        let (_, condition) = self.of(&of.loop_cond)?;
        let (step, round) = self.of(&of.loop_step)?;
        // What is gathered has at most as many items as there are rounds.
        let gathered = match (start, step) {
            (Type::List(..), Type::List(item, _)) => Type::List(item, range.size()),
            (start, _) => start,
        };
        self.scope.truncate(before);
        self.scope.push((of.accu_var.clone(), gathered));
        let (result, end) = self.of(&of.result)?;
        self.scope.truncate(before);
        let rounds = range.size().saturating_mul(condition.saturating_add(round));
        let cost = [begin, rounds, end].into_iter().fold(outside, u64::saturating_add);
        Ok((result, cost))
    }

    fn call(&mut self, call: &CallExpr) -> Result<Found<'s>, CelError> {
        if call.func_name == "_?_:_"
            && let [condition, yes, no] = call.args.as_slice()
        {
            let (_, cost) = self.of(condition)?;
            let ((yes, one), (no, two)) = (self.of(yes)?, self.of(no)?);
            return Ok((yes.or(no), cost.saturating_add(one.max(two))));
        }
        let target = match &call.target {
            // `optional.of(x)`: the name of a library is no value.
            Some(target) if !crate::is_library(target) => Some(self.of(target)?),
            _ => None,
        };
        let (types, cost) = self.all(&call.args)?;
        let (subject, before) = match target {
            Some((ty, cost)) => (Some(ty), cost),
            None => (None, 0),
        };
        let subject = subject.or_else(|| types.first().cloned()).unwrap_or(Type::Other);
        let argument = if call.target.is_some() { types.first() } else { types.get(1) };
        let argument = argument.cloned().unwrap_or(Type::Other);
        let own = own_cost(&call.func_name, &subject, &argument, call);
        Ok((result(&call.func_name, subject, argument), cost.saturating_add(before).saturating_add(own)))
    }
}

fn literal_type<'s>(literal: &LiteralValue) -> Type<'s> {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Type::Number,
        LiteralValue::String(text) => Type::Text(text.inner().len() as u64),
        LiteralValue::Bytes(_) | LiteralValue::Null => Type::Other,
    }
}

fn tenth(size: u64) -> u64 {
    size.div_ceil(10)
}

/// What a call costs beyond its arguments.
fn own_cost(function: &str, subject: &Type<'_>, argument: &Type<'_>, call: &CallExpr) -> u64 {
    let through = tenth(subject.size());
    match function {
        "_&&_" | "_||_" => 0,
        "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => tenth(subject.size().min(argument.size())),
        "@in" | "_in_" => match argument {
            Type::List(_, size) => *size,
            _ => 1,
        },
        "_+_" => match (subject, argument) {
            (Type::Text(one), Type::Text(two)) => tenth(one.saturating_add(*two)),
            _ => 1,
        },
        "startsWith" | "endsWith" => tenth(argument.size().min(subject.size())),
        "contains" | "lowerAscii" | "upperAscii" | "trim" | "substring" | "url" | "ip" | "cidr"
        | "quantity" | "isQuantity" | "isIP" | "isCIDR" | "isURL" | "semver" | "isSemver" => through,
        "indexOf" | "lastIndexOf" | "isSorted" | "sum" | "min" | "max" => match subject {
            Type::List(item, size) => size.saturating_mul(1 + tenth(item.size())),
            _ => through,
        },
        "replace" | "split" | "join" => through.saturating_mul(2),
        "matches" | "find" | "findAll" => {
            let expression = call.args.last().map_or(1, |last| match &last.expr {
                Expr::Literal(LiteralValue::String(text)) => (text.inner().len() as u64).div_ceil(4),
                _ => tenth(argument.size()),
            });
            tenth(subject.size().saturating_add(1)).saturating_mul(expression.max(1))
        }
        _ => 1,
    }
}

fn result<'s>(function: &str, subject: Type<'s>, argument: Type<'s>) -> Type<'s> {
    match function {
        "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "_&&_" | "_||_" | "!_" | "@in" | "_in_"
        | "startsWith" | "endsWith" | "contains" | "matches" | "isSorted" | "isIP" | "isCIDR" | "isURL"
        | "isQuantity" | "isSemver" | "allowed" | "errored" | "hasValue" | "isLessThan" | "isGreaterThan"
        | "bool" => Type::Bool,
        "size" | "int" | "uint" | "double" | "-_" | "_*_" | "_/_" | "_%_" => Type::Number,
        "string" => Type::Text(subject.size().max(32)),
        "duration" | "timestamp" | "quantity" | "ip" | "cidr" | "url" | "semver" => Type::Other,
        "lowerAscii" | "upperAscii" | "trim" | "substring" | "find" => match subject {
            Type::Text(size) => Type::Text(size),
            _ => Type::Any,
        },
        "split" | "findAll" => match subject {
            Type::Text(size) => Type::List(Box::new(Type::Text(size)), size),
            _ => Type::Any,
        },
        "_[_]" => match subject {
            Type::List(item, _) | Type::Map(item, _) => *item,
            _ => Type::Any,
        },
        "_+_" => match (subject, argument) {
            (Type::Text(one), Type::Text(two)) => Type::Text(one.saturating_add(two)),
            (Type::List(item, one), Type::List(other, two)) => {
                let item = if *item == Type::Any { *other } else { item.or(*other) };
                Type::List(Box::new(item), one.saturating_add(two))
            }
            (Type::Number, Type::Number) => Type::Number,
            _ => Type::Any,
        },
        _ => Type::Any,
    }
}
