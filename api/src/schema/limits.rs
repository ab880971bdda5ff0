//! Checking one value against what its node allows: closed lists, ranges, lengths, patterns, formats.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::check::Checker;
use super::{Bound, Dialect, Limits, Node};
use crate::field_error::FieldError;

impl Checker<'_> {
    pub(super) fn limits(&mut self, node: &Node, value: &Value) {
        if let Some(allowed) = &node.allowed
            && !allowed.contains(value)
        {
            self.report(|checker| {
                let names: Vec<String> = allowed.iter().map(plain).collect();
                FieldError::not_supported(checker.here(), value.clone(), &names)
            });
        }
        if let Some(format) = &node.format
            && let Some(problem) = format_problem(format, value)
        {
            self.report(|checker| FieldError::invalid(checker.here(), value.clone(), problem));
        }
        let Some(limits) = &node.limits else { return };
        match value {
            Value::Number(number) => self.number(limits, value, number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => self.string(limits, text),
            Value::Array(items) => {
                self.count(items.len(), limits.min_items, limits.max_items, "items");
            }
            Value::Object(fields) => {
                self.count(fields.len(), limits.min_properties, limits.max_properties, "properties");
            }
            _ => {}
        }
    }

    fn number(&mut self, limits: &Limits, value: &Value, number: f64) {
        let mut problems = Vec::new();
        let or_equal = |bound: Bound| if bound.exclusive { "" } else { "or equal to " };
        if let Some(bound) = limits.minimum
            && (number < bound.at || (bound.exclusive && number <= bound.at))
        {
            problems.push(format!("greater than {}{}", or_equal(bound), bound.at));
        }
        if let Some(bound) = limits.maximum
            && (number > bound.at || (bound.exclusive && number >= bound.at))
        {
            problems.push(format!("less than {}{}", or_equal(bound), bound.at));
        }
        if let Some(of) = limits.multiple_of
            && of > 0.0
            && (number / of).fract() != 0.0
        {
            problems.push(format!("a multiple of {of}"));
        }
        for problem in problems {
            let here = self.here();
            // Kubernetes says the same in other words where it checks against a schema.
            let detail = match self.dialect {
                Dialect::Derived => format!("must be {problem}"),
                Dialect::Structural => format!("{} in body should be {problem}", here.as_str()),
            };
            self.report(|_| FieldError::invalid(here, value.clone(), detail));
        }
    }

    fn string(&mut self, limits: &Limits, text: &str) {
        let length = text.chars().count();
        if let Some(max) = limits.max_length.filter(|&max| length > max) {
            self.report(|checker| FieldError::too_long(checker.here(), text, max));
        }
        if let Some(min) = limits.min_length.filter(|&min| length < min) {
            self.report(|checker| {
                let here = checker.here();
                let detail = format!("{} in body should be at least {min} chars long", here.as_str());
                FieldError::invalid(here, text, detail)
            });
        }
        if let Some(pattern) = limits.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            self.report(|checker| {
                let here = checker.here();
                let detail = format!("{} in body should match '{pattern}'", here.as_str());
                FieldError::invalid(here, text, detail)
            });
        }
    }

    fn count(&mut self, actual: usize, min: Option<usize>, max: Option<usize>, what: &str) {
        if let Some(max) = max.filter(|&max| actual > max) {
            self.report(|checker| FieldError::too_many(checker.here(), actual, max));
        }
        if let Some(min) = min.filter(|&min| actual < min) {
            self.report(|checker| {
                let here = checker.here();
                let detail = format!("{} in body should have at least {min} {what}", here.as_str());
                FieldError::invalid(here, actual, detail)
            });
        }
    }
}

/// A value as people write it in a list of values: strings without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What is wrong under a `format`; formats that are not known here say nothing.
fn format_problem(format: &str, value: &Value) -> Option<String> {
    let fits = match (format, value) {
        ("int32", Value::Number(n)) => n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        ("int64", Value::Number(n)) => n.is_i64(),
        ("uint8", Value::Number(n)) => n.as_u64().is_some_and(|n| n <= u8::MAX.into()),
        ("uint16", Value::Number(n)) => n.as_u64().is_some_and(|n| n <= u16::MAX.into()),
        ("uint32", Value::Number(n)) => n.as_u64().is_some_and(|n| n <= u32::MAX.into()),
        ("uint" | "uint64", Value::Number(n)) => n.is_u64(),
        ("date-time", Value::String(text)) => text.parse::<jiff::Timestamp>().is_ok(),
        ("quantity", Value::String(text)) => match text.parse::<crate::Quantity>() {
            Ok(_) => true,
            Err(error) => return Some(error.to_string()),
        },
        ("byte", Value::String(text)) => is_base64(text),
        ("ipv4", Value::String(text)) => text.parse::<Ipv4Addr>().is_ok(),
        ("ipv6", Value::String(text)) => text.parse::<Ipv6Addr>().is_ok(),
        ("cidr", Value::String(text)) => is_cidr(text),
        ("uuid", Value::String(text)) => is_uuid(text),
        ("date", Value::String(text)) => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        _ => true,
    };
    let shown = match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    (!fits).then(|| format!("must be of type {format}: {shown}"))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

fn is_uuid(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| *byte != b'-').count();
    digits == 32
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        && text.bytes().enumerate().all(|(at, byte)| byte != b'-' || matches!(at, 8 | 13 | 18 | 23))
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}
