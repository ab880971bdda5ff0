//! Field selectors: `metadata.name=web,spec.nodeName!=n1`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A parsed field selector: all of its terms must hold. The empty query matches everything.
///
/// Which fields can be asked for depends on the kind: see [`check`](Self::check).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldQuery {
    /// The terms, as written.
    pub terms: Vec<FieldTerm>,
}

/// One term of a [`FieldQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field: `metadata.name`, `spec.nodeName`.
    pub field: String,
    /// The value it is compared with, unescaped.
    pub value: String,
    /// Whether the field must equal the value (`=`, `==`) or must not (`!=`).
    pub equals: bool,
}

/// Why a field selector cannot be used. Each is a `400`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldQueryError {
    /// A term has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole selector.
        selector: String,
        /// The term.
        term: String,
    },
    /// A backslash is followed by something else than a comma, an equals sign or a backslash.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A comma or equals sign in a value is not escaped.
    #[error("invalid field selector: unescaped character in value: {0}")]
    Unescaped(char),
    /// The kind has no such selectable field.
    #[error("field label not supported: {0}")]
    Unsupported(String),
}

impl FieldQuery {
    /// A query for one value of one field.
    pub fn equals(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self { terms: vec![FieldTerm { field: field.into(), value: value.into(), equals: true }] }
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether all terms hold; `lookup` gives the value of a field, and an absent field is the empty string.
    pub fn matches<'v, V: AsRef<str> + 'v>(&self, lookup: impl Fn(&str) -> Option<V>) -> bool {
        self.terms.iter().all(|term| {
            let actual = lookup(&term.field);
            (actual.as_ref().map_or("", AsRef::as_ref) == term.value) == term.equals
        })
    }

    /// Refuses the first field that `supported` does not know.
    pub fn check(&self, supported: impl Fn(&str) -> bool) -> Result<(), FieldQueryError> {
        match self.terms.iter().find(|term| !supported(&term.field)) {
            Some(term) => Err(FieldQueryError::Unsupported(term.field.clone())),
            None => Ok(()),
        }
    }

    /// The value that `field` must have, if the query says so: lets a list become a get.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equals && term.field == field).map(|term| term.value.as_str())
    }
}

impl FromStr for FieldQuery {
    type Err = FieldQueryError;

    fn from_str(selector: &str) -> Result<Self, FieldQueryError> {
        let terms = split_unescaped(selector, ',').into_iter().filter(|term| !term.is_empty());
        terms.map(|term| parse_term(selector, term)).collect::<Result<_, _>>().map(|terms| Self { terms })
    }
}

fn parse_term(selector: &str, term: &str) -> Result<FieldTerm, FieldQueryError> {
    let not_understood = || FieldQueryError::Term { selector: selector.to_owned(), term: term.to_owned() };
    let at = term.find(['=', '!']).ok_or_else(not_understood)?;
    let (field, rest) = term.split_at(at);
    let (equals, value) = if let Some(value) = rest.strip_prefix("!=") {
        (false, value)
    } else if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
        (true, value)
    } else {
        return Err(not_understood());
    };
    Ok(FieldTerm { field: field.trim().to_owned(), value: unescape(value)?.into_owned(), equals })
}

fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c| {
        let splits = c == separator && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
    .collect()
}

fn unescape(value: &str) -> Result<Cow<'_, str>, FieldQueryError> {
    if !value.contains(['\\', ',', '=']) {
        return Ok(Cow::Borrowed(value));
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(FieldQueryError::Escape(format!("\\{c}"))),
                None => return Err(FieldQueryError::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(FieldQueryError::Unescaped(c)),
            c => out.push(c),
        }
    }
    Ok(Cow::Owned(out))
}

impl fmt::Display for FieldQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, term) in self.terms.iter().enumerate() {
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            let (comma, operator) = (if n > 0 { "," } else { "" }, if term.equals { "=" } else { "!=" });
            write!(f, "{comma}{}{operator}{value}", term.field)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn query(text: &str) -> FieldQuery {
        text.parse().unwrap()
    }

    fn pod(field: &str) -> Option<&'static str> {
        match field {
            "metadata.name" => Some("web"),
            "spec.nodeName" => Some("n1"),
            "metadata.annotations.odd" => Some("a,b=c\\d"),
            _ => None,
        }
    }

    #[test]
    fn all_terms_must_hold() {
        for (text, expected) in [
            ("", true),
            ("metadata.name=web", true),
            ("metadata.name==web,spec.nodeName!=n2", true),
            ("metadata.name=web,spec.nodeName!=n1", false),
            ("status.phase=", true),
            ("status.phase!=", false),
            (r"metadata.annotations.odd=a\,b\=c\\d", true),
        ] {
            assert_eq!(query(text).matches(pod), expected, "{text}");
        }
    }

    #[test]
    fn malformed_selectors_are_explained() {
        for (text, expected) in [
            ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
            ("a=b=c", "invalid field selector: unescaped character in value: ="),
            (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
            ("a!b", "invalid selector: 'a!b'; can't understand 'a!b'"),
        ] {
            assert_eq!(text.parse::<FieldQuery>().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn unsupported_fields_are_named() {
        let error = query("metadata.name=a,spec.foo=b").check(|f| f.starts_with("metadata.")).unwrap_err();
        assert_eq!(error.to_string(), "field label not supported: spec.foo");
    }

    #[test]
    fn the_value_that_is_asked_for_is_known() {
        let query = query("metadata.name=web,spec.nodeName!=n1");
        assert_eq!(query.required_value("metadata.name"), Some("web"));
        assert_eq!(query.required_value("spec.nodeName"), None);
    }

    proptest! {
        #[test]
        fn printing_and_parsing_gives_the_same_query(values in prop::collection::vec(("[a-z.]{1,8}", ".{0,8}", any::<bool>()), 0..4)) {
            let terms = values.into_iter().map(|(field, value, equals)| FieldTerm { field, value, equals });
            let query = FieldQuery { terms: terms.collect() };
            prop_assert_eq!(query.to_string().parse::<FieldQuery>().unwrap(), query);
        }
    }
}
