//! Amounts of a resource: `100m`, `1.5Gi`, `2`, `1e3`. Kubernetes' `resource.Quantity`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A fixed-point amount of a resource, exact to one billionth.
///
/// Written with a binary (`Ki Mi Gi Ti Pi Ei`) or decimal (`n u m k M G T P E`) suffix or an exponent (`e3`).
/// It prints canonically in the notation it was written in: no fraction, the largest suffix that keeps the
/// number whole: `1000m` is `1`, `0.5` is `500m`, `1.5Gi` is `1536Mi`. Two quantities are equal when they
/// are the same amount, however written. As in Kubernetes, what is finer than `1n` is rounded away from
/// zero, and magnitudes are capped at 2^63-1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    notation: Notation,
}

/// How a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notation {
    /// `n u m k M G T P E`: powers of 1000.
    #[default]
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`: powers of 1024.
    BinarySi,
    /// `e3`: powers of ten, in steps of three.
    DecimalExponent,
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not of the form number and suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number is followed by something that is no suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANO: i128 = 1_000_000_000;
const CAP: i128 = i64::MAX as i128;
const CAP_NANOS: i128 = CAP * NANO;
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Quantity {
    /// No amount.
    pub const ZERO: Self = Self { nanos: 0, notation: Notation::DecimalSi };

    /// A whole number in the given notation.
    pub const fn new(value: i64, notation: Notation) -> Self {
        Self { nanos: value as i128 * NANO, notation }
    }

    /// Thousandths, as CPU is counted: `from_milli(1500)` is `1500m`.
    pub const fn from_milli(thousandths: i64) -> Self {
        Self { nanos: thousandths as i128 * (NANO / 1000), notation: Notation::DecimalSi }
    }

    /// The amount as a whole number, rounded away from zero.
    pub fn value(self) -> i64 {
        saturate(div_away_from_zero(self.nanos, NANO))
    }

    /// The amount in thousandths, rounded away from zero; saturates at the limits of `i64`.
    pub fn milli(self) -> i64 {
        saturate(div_away_from_zero(self.nanos, NANO / 1000))
    }

    /// Whether there is no amount.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// The notation in which it prints.
    pub fn notation(self) -> Notation {
        self.notation
    }

    /// The sum, in this quantity's notation (the other's if this is zero); `None` beyond 2^63-1.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let nanos = self.nanos.checked_add(other.nanos)?;
        let notation = if self.is_zero() { other.notation } else { self.notation };
        (nanos.abs() <= CAP_NANOS).then_some(Self { nanos, notation })
    }

    /// The difference, in this quantity's notation (the other's if this is zero); `None` beyond 2^63-1.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Self { nanos: -other.nanos, notation: other.notation })
    }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn div_away_from_zero(a: i128, b: i128) -> i128 {
    a / b + if a % b == 0 { 0 } else { a.signum() }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError::Format);
        }
        let (magnitude, notation) = match suffix_of(suffix)? {
            Suffix::Binary(power) => (binary_nanos(whole, fraction, power), Notation::BinarySi),
            Suffix::Decimal(power) => (decimal_nanos(whole, fraction, power), Notation::DecimalSi),
            Suffix::Exponent(power) => (decimal_nanos(whole, fraction, power), Notation::DecimalExponent),
        };
        Ok(Self { nanos: if negative { -magnitude } else { magnitude }, notation })
    }
}

enum Suffix {
    Binary(u32),
    Decimal(i32),
    Exponent(i32),
}

fn suffix_of(suffix: &str) -> Result<Suffix, QuantityError> {
    if let Some(&(_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok(Suffix::Decimal(power));
    }
    if let Some(power) = (1u32..).zip(&BINARY[1..]).find_map(|(n, name)| (*name == suffix).then_some(n)) {
        return Ok(Suffix::Binary(power));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    exponent.parse().map(Suffix::Exponent).map_err(|_| QuantityError::Suffix)
}

/// `whole.fraction * 10^power` in billionths: the decimal point is moved, and what is left of it is cut off.
fn decimal_nanos(whole: &str, fraction: &str, power: i32) -> i128 {
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    let point = power as i64 + 9 - fraction.len() as i64;
    let kept = (digits.len() as i64 + point).max(0);
    if kept > 30 {
        return CAP_NANOS;
    }
    let keep = usize::try_from(kept).unwrap_or(0).min(digits.len());
    let rounds_up = digits[keep..].bytes().any(|d| d != b'0');
    let zeros = usize::try_from(kept).unwrap_or(0) - keep;
    let nanos = parse_digits(&digits[..keep]) * 10i128.pow(u32::try_from(zeros).unwrap_or(0));
    (nanos + i128::from(rounds_up)).min(CAP_NANOS)
}

/// `whole.fraction * 1024^power` in billionths. Digits after the twentieth of a fraction only round up.
fn binary_nanos(whole: &str, fraction: &str, power: u32) -> i128 {
    const FRACTION_DIGITS: usize = 20;
    const ONE: i128 = 10i128.pow(FRACTION_DIGITS as u32);
    let unit = 1i128 << (10 * power);
    let whole = whole.trim_start_matches('0');
    if whole.len() > 19 {
        return CAP_NANOS;
    }
    let units = parse_digits(whole) * unit;
    if units > CAP {
        return CAP_NANOS;
    }
    let keep = fraction.len().min(FRACTION_DIGITS);
    let rounds_up = fraction[keep..].bytes().any(|d| d != b'0');
    let part = parse_digits(&format!("{:0<FRACTION_DIGITS$}", &fraction[..keep])) + i128::from(rounds_up);
    let scaled = part * unit;
    let below_one = div_away_from_zero((scaled % ONE) * NANO, ONE);
    ((units + scaled / ONE) * NANO + below_one).min(CAP_NANOS)
}

/// At most 30 ASCII digits as a number; none is zero.
fn parse_digits(digits: &str) -> i128 {
    digits.bytes().fold(0, |n, d| n * 10 + i128::from(d - b'0'))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Binary suffixes cannot show fractions, and below 1Ki there are none: decimal then.
        let fits_binary = self.nanos.abs() >= 1024 * NANO && self.nanos % NANO == 0;
        match self.notation {
            _ if self.nanos == 0 => f.write_str("0"),
            Notation::BinarySi if fits_binary => {
                let (mut number, mut power) = (self.nanos / NANO, 0);
                while number % 1024 == 0 && power < BINARY.len() - 1 {
                    number /= 1024;
                    power += 1;
                }
                write!(f, "{number}{}", BINARY[power])
            }
            notation => {
                let (mut number, mut step) = (self.nanos, 0);
                while number % 1000 == 0 && step < DECIMAL.len() - 1 {
                    number /= 1000;
                    step += 1;
                }
                match (notation, DECIMAL[step]) {
                    (Notation::DecimalExponent, (_, 0)) => write!(f, "{number}"),
                    (Notation::DecimalExponent, (_, power)) => write!(f, "{number}e{power}"),
                    (_, (suffix, _)) => write!(f, "{number}{suffix}"),
                }
            }
        }
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 500m or 1Gi")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity::new(number, Notation::DecimalSi))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    /// As in Kubernetes' OpenAPI, a string or a number; the format lets the schema check the syntax.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount of a resource: 500m, 2, 1.5Gi.",
            "format": "quantity",
            "oneOf": [{"type": "string"}, {"type": "number"}],
        })
    }
}

#[cfg(test)]
mod tests;
