//! Words for people: reasons, and names of programs. They are of one line and not too long, for they end up in logs and on terminals.

use crate::{FieldError, FieldPath};

/// The longest name of a field manager.
pub const MAX_MANAGER_BYTES: usize = 128;
/// The longest reason.
pub const MAX_REASON_BYTES: usize = 1024;

/// Everything that is wrong with words, in Kubernetes' words.
pub fn check_words(path: &FieldPath, text: &str, max_bytes: usize) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text.len() > max_bytes {
        errors.push(FieldError::too_long(path, "", max_bytes));
    }
    for (position, c) in text.char_indices().filter(|(_, c)| !is_printable(*c)) {
        let detail = format!("invalid character U+{:04X} (at position {position})", u32::from(c));
        errors.push(FieldError::invalid(path, text, detail));
    }
    errors
}

/// The words of a text that somebody wrote elsewhere: on one line, and cut where they would be too long.
pub fn as_words(text: &str, max_bytes: usize) -> String {
    let mut words = text.replace(|c| !is_printable(c), " ");
    words.truncate(words.floor_char_boundary(max_bytes));
    words
}

fn is_printable(c: char) -> bool {
    c == ' ' || !(c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_from_elsewhere_becomes_is_not_refused() {
        let path = FieldPath::new("reason");
        for (text, expected) in [
            ("the sale", "the sale"),
            ("two\nlines\u{1b}[2J", "two lines [2J"),
            ("wide\u{3000}and\u{a0}fixed", "wide and fixed"),
            ("cut before the ü", "cut before the "),
        ] {
            let words = as_words(text, 16);
            assert_eq!(words, expected);
            assert_eq!(check_words(&path, &words, 16), []);
        }
        assert_eq!(check_words(&path, "a\u{7}b\n", 3).len(), 3, "too long, and two characters");
    }
}
