//! Whether who sends a delivery knows the token: by a signature of the body, or by the token itself.

use http::{HeaderMap, HeaderName, header};
use ring::{digest, hmac};
use subtle::{Choice, ConstantTimeEq as _};

/// How GitHub, and those who do as GitHub does, sign: `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.
const GITHUB: HeaderName = HeaderName::from_static("x-hub-signature-256");
/// How Gitea and Forgejo sign: the digits alone.
const GITEA: HeaderName = HeaderName::from_static("x-gitea-signature");
/// How GitLab says who it is: the token.
const GITLAB: HeaderName = HeaderName::from_static("x-gitlab-token");
/// How anybody else may sign, in GitHub's form.
const GENERIC: HeaderName = HeaderName::from_static("x-signature");

/// Whether any of the ways proves that the sender knows the token. An empty token is known by nobody. How long it takes depends on
/// the body alone, and not on how much of a signature or a token is right.
pub(super) fn is_given(headers: &HeaderMap, body: &[u8], token: &[u8]) -> bool {
    let signature = hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, token), body).as_ref());
    let is_signed = |name: &HeaderName, prefix: &str| {
        let given = text(headers, name).strip_prefix(prefix).unwrap_or_default().to_ascii_lowercase();
        given.as_bytes().ct_eq(signature.as_bytes())
    };
    let bearer = match text(headers, &header::AUTHORIZATION).split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    };
    let is_token = |given: &str| is_same(given.as_bytes(), token);
    let proven = is_signed(&GITHUB, "sha256=")
        | is_signed(&GITEA, "")
        | is_signed(&GENERIC, "sha256=")
        | is_token(text(headers, &GITLAB))
        | is_token(bearer);
    (proven & !Choice::from(u8::from(token.is_empty()))).into()
}

/// The bytes of a Secret without the line break that an editor, or `echo`, leaves at the end of a token.
pub(super) fn without_line_break(token: &[u8]) -> &[u8] {
    let token = token.strip_suffix(b"\n").unwrap_or(token);
    token.strip_suffix(b"\r").unwrap_or(token)
}

/// Compares hashes, so that not even the length can be learned from how long it takes.
fn is_same(given: &[u8], token: &[u8]) -> Choice {
    let hash = |bytes| digest::digest(&digest::SHA256, bytes);
    hash(given).as_ref().ct_eq(hash(token).as_ref())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // GitHub's own example, of "Validating webhook deliveries".
    const TOKEN: &[u8] = b"It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn given(name: &str, value: &str) -> HeaderMap {
        let name: HeaderName = name.parse().unwrap();
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    fn check(name: &str, value: &str, expected: bool) {
        assert_eq!(is_given(&given(name, value), BODY, TOKEN), expected, "{name}: {value}");
    }

    #[test]
    fn whoever_knows_the_token_proves_it_in_one_of_five_ways() {
        let (signature, token) = (format!("sha256={SIGNATURE}"), std::str::from_utf8(TOKEN).unwrap());
        check("X-Hub-Signature-256", &signature, true);
        check("X-Hub-Signature-256", &signature.to_uppercase().replace("SHA256", "sha256"), true);
        check("X-Gitea-Signature", SIGNATURE, true);
        check("X-Signature", &signature, true);
        check("X-Gitlab-Token", token, true);
        check("Authorization", &format!("bearer {token}"), true);
    }

    #[test]
    fn what_is_nearly_right_proves_nothing() {
        check("X-Hub-Signature-256", SIGNATURE, false);
        check("X-Hub-Signature-256", &format!("sha1={SIGNATURE}"), false);
        check("X-Hub-Signature-256", &format!("sha256={}", &SIGNATURE[..63]), false);
        check("X-Hub-Signature-256", &format!("sha256={}8", &SIGNATURE[..63]), false);
        check("X-Hub-Signature-256", "sha256=", false);
        check("X-Gitea-Signature", &format!("sha256={SIGNATURE}"), false);
        check("X-Gitlab-Token", "It's a Secret to Everybod", false);
        check("X-Gitlab-Token", SIGNATURE, false);
        check("Authorization", "Basic It's a Secret to Everybody", false);
        check("X-Unknown", SIGNATURE, false);
        let signed = given("X-Gitea-Signature", SIGNATURE);
        assert!(!is_given(&signed, b"Hello, World?", TOKEN), "the body is another");
        assert!(!is_given(&signed, BODY, b"another token"));
        assert!(!is_given(&HeaderMap::new(), BODY, TOKEN));
    }

    #[test]
    fn an_empty_token_is_known_by_nobody() {
        let signature = hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), BODY).as_ref());
        for headers in [
            given("X-Gitea-Signature", &signature),
            given("X-Gitlab-Token", ""),
            given("Authorization", "Bearer "),
            HeaderMap::new(),
        ] {
            assert!(!is_given(&headers, BODY, b""), "{headers:?}");
        }
    }

    #[test]
    fn the_line_break_at_the_end_of_a_token_does_not_count() {
        for token in [&b"abc"[..], b"abc\n", b"abc\r\n"] {
            assert_eq!(without_line_break(token), b"abc");
        }
        assert_eq!(without_line_break(b"a\nb\n\n"), b"a\nb\n");
    }
}
