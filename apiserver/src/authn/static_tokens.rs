//! Static bearer tokens, read from a file at the start.

use std::path::Path;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::Identity;

/// Static bearer tokens, from kube-apiserver's CSV format: `token,user,uid[,"group1,group2"]`.
#[derive(Clone, Default)]
pub struct Tokens(Arc<[(String, Identity)]>);

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read.
    #[error("cannot read the token file {}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A line is not `token,user,uid[,"groups"]`.
    #[error("token file, line {line}: {problem}")]
    Line {
        /// Counted from one.
        line: usize,
        /// What is wrong with it. Never quotes the line: it holds a secret.
        problem: &'static str,
    },
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("count", &self.0.len()).finish()
    }
}

impl Tokens {
    /// Reads a token file.
    ///
    /// # Errors
    /// If it cannot be read or a line is malformed.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TokensError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| TokensError::File { path: path.into(), source })?;
        Self::parse(&text)
    }

    /// Reads the text of a token file. Empty lines are skipped.
    ///
    /// # Errors
    /// If a line is malformed.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let tokens = lines.map(|(index, line)| {
            parse_line(line).map_err(|problem| TokensError::Line { line: index + 1, problem })
        });
        tokens.collect::<Result<Vec<_>, _>>().map(|tokens| Self(tokens.into()))
    }

    /// The owner of a token. Takes the same time for every token of the same length.
    pub(super) fn find(&self, token: &str) -> Option<&Identity> {
        // Every token is compared, and each to its end: neither which one matches nor how far it does shows in the time.
        let matching = self.0.iter().fold(None, |found, (known, identity)| {
            if bool::from(known.as_bytes().ct_eq(token.as_bytes())) { Some(identity) } else { found }
        });
        matching.filter(|_| !token.is_empty())
    }
}

fn parse_line(line: &str) -> Result<(String, Identity), &'static str> {
    let fields = split_csv(line)?;
    let [token, user, uid, rest @ ..] = fields.as_slice() else { return Err("fewer than three fields") };
    if token.is_empty() || user.is_empty() {
        return Err("the token or the user is empty");
    }
    let groups = rest.first().map(String::as_str).unwrap_or_default();
    let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
    Ok((token.clone(), Identity { uid: uid.clone(), ..Identity::new(user.clone(), groups) }))
}

/// The fields of one CSV line; a field may be quoted, and `""` in quotes is a quote.
fn split_csv(line: &str) -> Result<Vec<String>, &'static str> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => {
                field.clear();
                quoted = true;
            }
            ',' if !quoted => fields.push(std::mem::take(&mut field).trim().to_owned()),
            c => field.push(c),
        }
    }
    if quoted {
        return Err("a quote is not closed");
    }
    fields.push(field.trim().to_owned());
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::super::AUTHENTICATED;
    use super::*;

    #[test]
    fn token_files_are_read_as_kube_apiserver_reads_them() {
        let tokens =
            Tokens::parse("secret,alice,u1,\"admins,dev\"\n\nother,bob,u2\nthird,carol,,ops\n").unwrap();
        let alice = tokens.find("secret").unwrap();
        assert_eq!((alice.user.as_str(), alice.uid.as_str()), ("alice", "u1"));
        assert_eq!(alice.groups, ["admins", "dev", AUTHENTICATED]);
        assert_eq!(tokens.find("other").unwrap().groups, [AUTHENTICATED]);
        assert_eq!(tokens.find("third").unwrap().groups, ["ops", AUTHENTICATED]);
        for unknown in ["", "secre", "secrets", "nobody"] {
            assert_eq!(tokens.find(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_malformed_line_is_named_but_not_quoted() {
        for text in ["a,b", ",user,uid", "good,u,1\ntoken,\"user,uid"] {
            let error = Tokens::parse(text).unwrap_err().to_string();
            assert!(error.contains("line") && !error.contains("token,"), "{error}");
        }
    }
}
