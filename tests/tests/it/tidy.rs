//! What every source file keeps to, checked as text.

use std::path::{Path, PathBuf};
use std::process::Command;

const LONGEST_FILE_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The files that git knows, or would know once added.
fn files(suffix: &str) -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "git ls-files failed");
    let names = String::from_utf8(listed.stdout).unwrap();
    let matching = names.lines().filter(|name| name.ends_with(suffix) && root().join(name).is_file());
    let files: Vec<_> =
        matching.map(|name| (name.to_owned(), std::fs::read_to_string(root().join(name)).unwrap())).collect();
    assert!(!files.is_empty(), "no {suffix} files found");
    files
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("tests.rs") || name.contains("/conformance/")
}

#[test]
fn no_file_is_too_long_to_be_read() {
    for (name, text) in files(".rs").iter().filter(|(name, _)| !is_test(name)) {
        let lines = text.lines().count();
        assert!(
            lines <= LONGEST_FILE_LINES,
            "{name} has {lines} lines: split it (at most {LONGEST_FILE_LINES})"
        );
    }
}

#[test]
fn there_are_two_mains_and_the_chores() {
    let mains: Vec<String> = files(".rs")
        .into_iter()
        .filter(|(name, text)| {
            // Examples and test programs have one each.
            name.contains("/src/")
                && text
                    .lines()
                    .any(|line| line.starts_with("fn main()") || line.starts_with("async fn main()"))
        })
        .map(|(name, _)| name)
        .collect();
    assert_eq!(mains, ["cli/src/bin/orchctl.rs", "cli/src/bin/orchd.rs", "hack/xtask/src/main.rs"]);
}

#[test]
fn nothing_is_left_for_later() {
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["todo", "!("], ["unimplemented", "!("]]
        .map(|parts| parts.concat());
    for (name, text) in files(".rs") {
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().find(|word| line.contains(word.as_str()));
            assert!(found.is_none(), "{name}:{}: {:?} is not a plan", number + 1, found.unwrap());
        }
    }
}

#[test]
fn tests_neither_sleep_nor_skip() {
    let ignored = ["#[", "ignore"].concat();
    let sleep = ["thread::", "sleep"].concat();
    for (name, text) in files(".rs") {
        assert!(!text.contains(&ignored), "{name}: an ignored test says nothing");
        // The test kits, which wait for conditions of other processes, and the one that kills at random moments.
        let allowed = ["tests/src/", "/src/testing/", "/tests/host/", "store/tests/crash.rs"]
            .iter()
            .any(|kit| name.contains(kit));
        assert!(allowed || !text.contains(&sleep), "{name}: wait for a condition instead of sleeping");
    }
}

#[test]
fn every_crate_says_what_it_is() {
    for (name, text) in files("src/lib.rs") {
        assert!(text.starts_with("//! "), "{name} has no crate documentation");
        assert!(!text.contains("Under construction"), "{name} is not written yet");
    }
}

/// The tests that the last column of a table's row names, by the crate that is named before each.
fn named_tests(row: &str) -> Vec<String> {
    let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    last.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_limit_is_shown_by_a_test_that_is_there() {
    let sources = files(".rs");
    let is_there = |name: &str| {
        let function = format!("fn {}(", name.rsplit("::").next().unwrap_or(name));
        sources.iter().any(|(_, text)| text.contains(&function))
    };
    let page = std::fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| test |"));
    for row in rows {
        let named = named_tests(row);
        assert!(!named.is_empty(), "no test shows: {row}");
        for name in named {
            let is_shown = if name.ends_with('/') { root().join(&name).is_dir() } else { is_there(&name) };
            assert!(is_shown, "{name} is not there: {row}");
        }
    }
}
