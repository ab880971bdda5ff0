//! The string form of label selectors: `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>3`.

use std::fmt;
use std::str::FromStr;

use super::{LabelSelector, Labels, SelectorOperator};
use crate::field_error::{FieldError, FieldPath};
use crate::names;

/// A parsed label selector: all requirements must hold. The empty query matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelQuery {
    /// The requirements, sorted by key.
    pub requirements: Vec<Requirement>,
}

/// One condition of a [`LabelQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How the label relates to the values.
    pub operator: Operator,
    /// The values, sorted: one for comparisons, any number for `In` and `NotIn`, none otherwise.
    pub values: Vec<String>,
}

/// How a label relates to the values of a [`Requirement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `a=b`, `a==b`
    Equals,
    /// `a!=b`; an absent label is not equal.
    NotEquals,
    /// `a in (b,c)`
    In,
    /// `a notin (b,c)`; an absent label is not in.
    NotIn,
    /// `a`
    Exists,
    /// `!a`
    DoesNotExist,
    /// `a>1`; the label must be an integer.
    GreaterThan,
    /// `a<1`; the label must be an integer.
    LessThan,
}

/// Why a label selector cannot be used; the message is Kubernetes'. A `400`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LabelQueryError(String);

impl LabelQuery {
    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object with these labels matches.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|r| r.matches(labels.get(&r.key).map(String::as_str)))
    }
}

impl Requirement {
    /// Whether a label with this value (`None`: no such label) meets the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |v: &str| self.values.iter().any(|allowed| allowed == v);
        match self.operator {
            Operator::Equals | Operator::In => value.is_some_and(listed),
            Operator::NotEquals | Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value).is_some_and(|o| o.is_gt()),
            Operator::LessThan => self.compare(value).is_some_and(|o| o.is_lt()),
        }
    }

    fn compare(&self, value: Option<&str>) -> Option<std::cmp::Ordering> {
        let limit: i64 = self.values.first()?.parse().ok()?;
        Some(value?.parse::<i64>().ok()?.cmp(&limit))
    }

    fn checked(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, LabelQueryError> {
        let key_error = names::qualified_name(key).into_iter().next();
        if let Some(problem) = key_error {
            return Err(refused(&FieldError::invalid(FieldPath::root(), key, problem)));
        }
        values.sort();
        values.dedup();
        let compares = matches!(operator, Operator::GreaterThan | Operator::LessThan);
        for (index, value) in values.iter().enumerate() {
            let path = FieldPath::new("values").index(index);
            if compares && value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                return Err(refused(&FieldError::invalid(path, value.as_str(), detail)));
            }
            if let Some(problem) = names::label_value(value).into_iter().next() {
                return Err(refused(&FieldError::invalid(path.key(key), value.as_str(), problem)));
            }
        }
        Ok(Self { key: key.to_owned(), operator, values })
    }
}

impl From<&LabelSelector> for LabelQuery {
    fn from(selector: &LabelSelector) -> Self {
        let labels = selector.match_labels.iter().map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.clone()],
        });
        let expressions = selector.match_expressions.iter().map(|e| {
            let operator = match e.operator {
                SelectorOperator::In => Operator::In,
                SelectorOperator::NotIn => Operator::NotIn,
                SelectorOperator::Exists => Operator::Exists,
                SelectorOperator::DoesNotExist => Operator::DoesNotExist,
            };
            let mut values = e.values.clone();
            values.sort();
            Requirement { key: e.key.clone(), operator, values }
        });
        let mut requirements: Vec<_> = labels.chain(expressions).collect();
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements }
    }
}

impl fmt::Display for LabelQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if n > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl FromStr for LabelQuery {
    type Err = LabelQueryError;

    fn from_str(selector: &str) -> Result<Self, LabelQueryError> {
        let mut tokens = Tokens { rest: selector };
        let mut requirements = Vec::new();
        match tokens.peek() {
            Token::End => return Ok(Self::default()),
            Token::Word(_) | Token::Not => {}
            other => return Err(between(other, "!, identifier, or 'end of string'")),
        }
        loop {
            requirements.push(tokens.requirement()?);
            match tokens.next() {
                Token::End => break,
                Token::Comma => {
                    let next = tokens.peek();
                    if !matches!(next, Token::Word(_) | Token::Not) {
                        return Err(between(next, "identifier after ','"));
                    }
                }
                other => return Err(between(other, "',' or 'end of string'")),
            }
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Comma,
    Open,
    Close,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    End,
}

impl Token<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::End => "",
        }
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn peek(&self) -> Token<'a> {
        Self { rest: self.rest }.next()
    }

    fn next(&mut self) -> Token<'a> {
        const FIXED: [(&str, Token<'static>); 9] = [
            ("==", Token::DoubleEquals),
            ("!=", Token::NotEquals),
            ("=", Token::Equals),
            ("!", Token::Not),
            (",", Token::Comma),
            ("(", Token::Open),
            (")", Token::Close),
            (">", Token::Greater),
            ("<", Token::Less),
        ];
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return Token::End;
        }
        for (text, token) in FIXED {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                return token;
            }
        }
        let special = |c: char| c.is_whitespace() || "=!,()<>".contains(c);
        let (word, rest) = self.rest.split_at(self.rest.find(special).unwrap_or(self.rest.len()));
        self.rest = rest;
        Token::Word(word)
    }

    fn requirement(&mut self) -> Result<Requirement, LabelQueryError> {
        let negated = self.peek() == Token::Not;
        if negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(unexpected(other, "identifier")),
        };
        if negated {
            return Requirement::checked(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Requirement::checked(key, Operator::Exists, Vec::new());
        }
        let operator = match self.next() {
            Token::Equals | Token::DoubleEquals => Operator::Equals,
            Token::NotEquals => Operator::NotEquals,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            Token::Word("in") => Operator::In,
            Token::Word("notin") => Operator::NotIn,
            other => return Err(unexpected(other, "in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.value()?],
        };
        Requirement::checked(key, operator, values)
    }

    /// One value; nothing at all is the empty string.
    fn value(&mut self) -> Result<String, LabelQueryError> {
        match self.peek() {
            Token::End | Token::Comma => Ok(String::new()),
            Token::Word(word) => {
                self.next();
                Ok(word.to_owned())
            }
            other => Err(unexpected(other, "identifier")),
        }
    }

    /// `(a,b)`; between commas nothing is the empty string.
    fn values(&mut self) -> Result<Vec<String>, LabelQueryError> {
        match self.next() {
            Token::Open => {}
            other => {
                return Err(LabelQueryError(format!("{UNPARSED}found '{}' expected: '('", other.text())));
            }
        }
        let mut values = Vec::new();
        let mut value = String::new();
        loop {
            let expected = match (value.is_empty(), values.is_empty()) {
                (false, _) => "',' or ')'",
                (true, true) => "',', ')' or identifier",
                (true, false) => "',', or identifier",
            };
            match self.next() {
                Token::Word(word) if value.is_empty() => value = word.to_owned(),
                Token::Comma => values.push(std::mem::take(&mut value)),
                Token::Close => {
                    values.push(value);
                    return Ok(values);
                }
                other => return Err(unexpected(other, expected)),
            }
        }
    }
}

/// How Kubernetes begins to say what is wrong within a requirement.
const UNPARSED: &str = "unable to parse requirement: ";

fn refused(error: &FieldError) -> LabelQueryError {
    LabelQueryError(format!("{UNPARSED}{error}"))
}

fn unexpected(found: Token<'_>, expected: &str) -> LabelQueryError {
    LabelQueryError(format!("{UNPARSED}found '{}', expected: {expected}", found.text()))
}

/// As [`unexpected`], between requirements.
fn between(found: Token<'_>, expected: &str) -> LabelQueryError {
    LabelQueryError(format!("found '{}', expected: {expected}", found.text()))
}
