//! CEL, the language of rules: compile an expression once, evaluate it within bounds.
//!
//! The language and Kubernetes' libraries (strings, lists, sets, regular expressions, URLs, quantities, IP addresses and CIDRs,
//! versions, formats) come from the crate `kube-cel`, which only this crate sees. It does not check types, and evaluates
//! without limit; what is added here is
//!
//! - limits on what is compiled: length, nesting, names that nobody declares;
//! - a limit on what is evaluated: before each evaluation, the work that the expression can cause *on these values* is bounded
//!   from above (`bound.rs`), and an expression that could go beyond its [`Budget`] is refused rather than begun;
//! - the variable `authorizer` of policies (`authorizer.rs`);
//! - values as Kubernetes shows them to rules (`value.rs`): escaped names, times and durations by the schema's format.
//!
//! It deliberately knows nothing of kinds or admission. Everything is synchronous and pure.
//!
//! Start reading at [`Expression`].
#![deny(missing_docs)]

mod ast;
mod authorizer;
mod bound;
mod check;
mod types;
mod value;

use std::sync::Arc;

use kube_cel::KubeCelExt as _;
use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr};
use kube_cel::cel::parser::Parser;
use kube_cel::cel::{self, Context, ExecutionError};

pub use ast::REQUEST_RESOURCE;
pub use authorizer::{Asked, Authority, Question, Resource};
pub use check::{Checked, ResultType};
pub use value::{Computed, Evaluated, Variable, escape};

/// The longest expression, in bytes.
pub const MAX_LENGTH: usize = 8 * 1024;
/// How deep expressions, and brackets in them, may nest: what a thread's stack bears.
const MAX_DEPTH: usize = 120;
/// The name of the threads on which expressions are parsed. The parser panics on some input; that is known, and an error.
pub const PARSER_THREAD: &str = "cel-parser";
/// Parsing needs more stack than a request's thread has.
const PARSER_STACK: usize = 64 * 1024 * 1024;
/// What evaluating a level takes at most, unoptimised; some 35 KiB were seen.
const STACK_PER_LEVEL: usize = 64 * 1024;

/// Why an expression cannot be used or has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CelError {
    /// The expression is malformed, too long, too deep, or names what nobody declares.
    #[error("compilation failed: {0}")]
    Compile(String),
    /// The evaluation failed: a key is missing, types don't fit.
    #[error("{0}")]
    Evaluate(String),
    /// The evaluation could cost more than is allowed, so it was not begun.
    #[error("cost limit exceeded")]
    Cost,
}

/// What is left to spend. A unit is about one step of the evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    left: u64,
}

impl Budget {
    /// What one evaluation may cost.
    pub const PER_EVALUATION: u64 = 1_000_000;
    /// What a rule may cost at most, by an estimate from its schema, evaluated as often as it can be for one object.
    pub const PER_RULE: u64 = 10_000_000;
    /// What all rules of a schema may cost at most, by estimate.
    pub const PER_SCHEMA: u64 = 100_000_000;
    /// What the evaluations for one object may cost together.
    pub const PER_OBJECT: u64 = 10_000_000;

    /// The budget of one object.
    pub fn of_an_object() -> Self {
        Self { left: Self::PER_OBJECT }
    }

    fn spend(&mut self, cost: u64) -> Result<(), CelError> {
        if cost > Self::PER_EVALUATION {
            return Err(CelError::Cost);
        }
        self.left = self.left.checked_sub(cost).ok_or(CelError::Cost)?;
        Ok(())
    }
}

/// Whether a text is a word that an expression can use as a name.
pub fn is_identifier(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first == '_' || first.is_ascii_alphabetic())
        && letters.all(|c| c == '_' || c.is_ascii_alphanumeric())
        && escape(text) != format!("__{text}__")
}

/// A compiled expression. Immutable; shared freely.
#[derive(Debug)]
pub struct Expression {
    root: IdedExpr,
    /// The stack that evaluating may take. Where a thread has less left, more is made for the time.
    stack: usize,
}

/// What an expression evaluates to, as far as rules are concerned.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// `true` or `false`.
    Bool(bool),
    /// A string.
    Text(String),
    /// `null`.
    Null,
    /// Anything else, by the name of its type.
    Other(String),
}

impl Expression {
    /// Compiles an expression that may use these variables.
    ///
    /// # Errors
    /// [`CelError::Compile`]. Cost: a short-lived thread, and microseconds to milliseconds.
    pub fn compile(source: &str, variables: &[&str]) -> Result<Self, CelError> {
        let failed = |why: String| CelError::Compile(why);
        if source.len() > MAX_LENGTH {
            return Err(failed(format!("the expression is longer than {MAX_LENGTH} bytes")));
        }
        if nesting(source) > MAX_DEPTH {
            return Err(failed(format!("the expression nests deeper than {MAX_DEPTH}")));
        }
        let names = Names { declared: variables.iter().map(|name| (*name).to_owned()).collect() };
        let mut root = parse(source.to_owned(), names)?;
        ast::rewrite(&mut root);
        let stack = (ast::depth(&root) + 1) * STACK_PER_LEVEL;
        Ok(Self { root, stack })
    }

    /// Whether the expression uses the variable.
    pub fn uses(&self, variable: &str) -> bool {
        ast::names(&self.root, variable)
    }

    /// The fields of a variable that the expression names.
    pub fn fields_of(&self, variable: &str) -> Vec<&str> {
        let mut found = Vec::new();
        ast::fields_of(&self.root, variable, &mut found);
        found
    }

    /// Evaluates the expression with these variables.
    ///
    /// # Errors
    /// [`CelError::Cost`] if it could cost more than is left; the budget is then as it was. [`CelError::Evaluate`].
    pub fn evaluate(
        &self,
        variables: &[(&str, &Variable<'_>)],
        budget: &mut Budget,
    ) -> Result<Outcome, CelError> {
        self.compute(variables, budget).map(|value| outcome(value.0))
    }

    /// As [`evaluate`](Self::evaluate), for a value that other expressions use: see [`Computed`].
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub fn compute(
        &self,
        variables: &[(&str, &Variable<'_>)],
        budget: &mut Budget,
    ) -> Result<Evaluated, CelError> {
        budget.spend(bound::cost(&self.root, variables))?;
        stacker::maybe_grow(self.stack, self.stack, || self.resolve(variables))
    }

    fn resolve(&self, variables: &[(&str, &Variable<'_>)]) -> Result<Evaluated, CelError> {
        BASE.with(|base| {
            let mut context = base.new_inner_scope();
            for (name, variable) in variables {
                context.add_variable_from_value(*name, variable.value());
            }
            cel::Value::resolve(&self.root, &context)
                .map(Evaluated)
                .map_err(|error| CelError::Evaluate(told(&error)))
        })
    }
}

thread_local! {
    /// Every function that rules may call. Costs too much to be made for each evaluation.
    static BASE: Context<'static> = base();
}

/// Kubernetes' functions, and the types: `type(x) == string` compares their names.
fn base() -> Context<'static> {
    let mut context = Context::default().with_all();
    authorizer::register(&mut context);
    context.add_function("type", |value: cel::Value| Arc::new(value.type_of().to_string()));
    for name in TYPES {
        context.add_variable_from_value(name, cel::Value::String(Arc::new(name.to_owned())));
    }
    context
}

fn outcome(value: cel::Value) -> Outcome {
    match value {
        cel::Value::Bool(so) => Outcome::Bool(so),
        cel::Value::String(text) => Outcome::Text((*text).clone()),
        cel::Value::Null => Outcome::Null,
        other => Outcome::Other(other.type_of().to_string()),
    }
}

/// An error in CEL's own words.
fn told(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        other => other.to_string(),
    }
}

/// Parses and checks. What nests too deep is also dropped where there is stack for that: `1+1+1+…` is as deep as it is long.
fn parse(source: String, mut names: Names) -> Result<IdedExpr, CelError> {
    let failed = |why: &dyn std::fmt::Display| CelError::Compile(why.to_string());
    let parser = std::thread::Builder::new().name(PARSER_THREAD.into()).stack_size(PARSER_STACK);
    let parsing = parser.spawn(move || {
        // `a.?b` and `[?a]`: Kubernetes has optional values.
        let parser = Parser::default().enable_optional_syntax(true);
        let root =
            parser.parse(&source).map_err(|error| CelError::Compile(error.to_string().trim().to_owned()))?;
        names.check(&root, 0).map(|()| root)
    });
    match parsing.map_err(|error| failed(&error))?.join() {
        Ok(parsed) => parsed,
        Err(_) => Err(failed(&"the parser does not understand the expression")),
    }
}

/// How deep brackets, conditions and signs before values nest, at most.
fn nesting(source: &str) -> usize {
    let (mut open, mut signs, mut conditions, mut deepest) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut quote = None;
    let mut escaped = false;
    for c in source.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote.is_some() => escaped = true,
            c if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '!' | '-' => signs += 1,
            '?' => conditions += 1,
            c if c.is_whitespace() => {}
            _ => signs = 0,
        }
        deepest = deepest.max(open + signs + conditions);
    }
    deepest
}

/// Names that may be used where an expression stands: the variables, and those of the macros around it.
struct Names {
    declared: Vec<String>,
}

impl Names {
    fn check(&mut self, expression: &IdedExpr, depth: usize) -> Result<(), CelError> {
        if depth > MAX_DEPTH {
            return Err(CelError::Compile(format!("the expression nests deeper than {MAX_DEPTH}")));
        }
        let deeper = depth + 1;
        match &expression.expr {
            Expr::Ident(name) if !self.declared.contains(name) && !TYPES.contains(&name.as_str()) => {
                return Err(CelError::Compile(format!("undeclared reference to '{name}'")));
            }
            Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => {}
            Expr::Select(select) => self.check(&select.operand, deeper)?,
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.check(element, deeper))?,
            Expr::Call(call) => self.call(call.target.as_deref(), &call.args, deeper)?,
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr, deeper))?,
            Expr::Struct(of) => of.entries.iter().try_for_each(|entry| self.entry(&entry.expr, deeper))?,
            Expr::Comprehension(comprehension) => {
                self.check(&comprehension.iter_range, deeper)?;
                self.check(&comprehension.accu_init, deeper)?;
                let before = self.declared.len();
                self.declared.push(comprehension.iter_var.clone());
                self.declared.extend(comprehension.iter_var2.clone());
                self.declared.push(comprehension.accu_var.clone());
                let inside = [&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result];
                inside.into_iter().try_for_each(|part| self.check(part, deeper))?;
                self.declared.truncate(before);
            }
        }
        Ok(())
    }

    fn call(&mut self, target: Option<&IdedExpr>, args: &[IdedExpr], depth: usize) -> Result<(), CelError> {
        // `optional.of(x)` looks like a call on a variable.
        if let Some(target) = target.filter(|target| !is_library(target)) {
            self.check(target, depth)?;
        }
        args.iter().try_for_each(|arg| self.check(arg, depth))
    }

    fn entry(&mut self, entry: &EntryExpr, depth: usize) -> Result<(), CelError> {
        match entry {
            EntryExpr::StructField(field) => self.check(&field.value, depth),
            EntryExpr::MapEntry(entry) => {
                self.check(&entry.key, depth)?;
                self.check(&entry.value, depth)
            }
        }
    }
}

/// Whether an expression is the name of a library rather than of a value.
fn is_library(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if LIBRARIES.contains(&name.as_str()))
}

/// How many values of a schema fit into one request.
pub fn most_values(schema: &serde_json::Value) -> u64 {
    types::most(schema)
}

/// Types that stand for themselves, as in `type(x) == string`.
const TYPES: [&str; 13] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
    "duration",
    "timestamp",
    "dyn",
];
const LIBRARIES: [&str; 7] = ["optional", "math", "sets", "strings", "base64", "format", "cel"];

#[cfg(test)]
mod tests;
