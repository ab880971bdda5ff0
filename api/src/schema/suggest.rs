//! "Did you mean …?": the known name nearest to a mistyped or misplaced one.

use std::collections::VecDeque;

use super::Type;

/// The candidate nearest to `name`, if one is near enough to have been meant.
///
/// Case is ignored. A third of the letters, at most three, may be wrong, missing, superfluous or swapped.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase();
    let length = folded.chars().count();
    let limit = length.div_ceil(3).min(3);
    candidates
        .into_iter()
        .filter(|c| c.chars().count().abs_diff(length) <= limit)
        .map(|c| (distance(&folded, &c.to_lowercase()), c))
        .filter(|&(d, _)| d <= limit)
        .min()
        .map(|(_, c)| c)
}

/// The field that was probably meant by `name`, which `here` does not have.
///
/// `ancestors` are the types from the root down to the parent of `here`, each with the path to it. Tried in
/// order: a similar name here; the same name up to two levels below; the same name in an ancestor; a
/// similar name one level below. A field that sits elsewhere is suggested with its whole path.
pub(super) fn field<'a>(
    name: &str,
    here: (String, Type<'a>),
    ancestors: impl DoubleEndedIterator<Item = (String, Type<'a>)>,
) -> Option<String> {
    if let Some(similar) = nearest(name, here.1.properties().map(|(n, _)| n)) {
        return Some(similar.to_owned());
    }
    below(name, &here).or_else(|| above(name, ancestors)).or_else(|| similar_below(name, &here))
}

fn below(name: &str, here: &(String, Type<'_>)) -> Option<String> {
    let mut queue: VecDeque<_> = children(&here.0, here.1).map(|c| (1, c)).collect();
    while let Some((depth, (path, ty))) = queue.pop_front() {
        if ty.property(name).is_some() {
            return Some(join(&path, name));
        }
        if depth < 2 {
            queue.extend(children(&path, ty).map(|c| (depth + 1, c)));
        }
    }
    None
}

fn above<'a>(name: &str, ancestors: impl DoubleEndedIterator<Item = (String, Type<'a>)>) -> Option<String> {
    ancestors.rev().find(|(_, ty)| ty.property(name).is_some()).map(|(path, _)| join(&path, name))
}

fn similar_below(name: &str, here: &(String, Type<'_>)) -> Option<String> {
    children(&here.0, here.1)
        .find_map(|(path, ty)| Some(join(&path, nearest(name, ty.properties().map(|(n, _)| n))?)))
}

/// The objects one level below, lists seen through: `spec.containers[]`.
fn children<'a>(path: &str, ty: Type<'a>) -> impl Iterator<Item = (String, Type<'a>)> {
    let path = path.to_owned();
    ty.properties().map(move |(name, child)| match child.items() {
        Some(items) => (format!("{}[]", join(&path, name)), items),
        None => (join(&path, name), child),
    })
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Damerau–Levenshtein distance (adjacent letters may be swapped); quadratic in the length of names.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits_and_swaps() {
        for (a, b, expected) in [
            ("image", "imagee", 1),
            ("image", "image", 0),
            ("iamge", "image", 1),
            ("", "abc", 3),
            ("ab", "cd", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["image", "imagePullPolicy", "command", "args"];
        assert_eq!(nearest("imagee", names), Some("image"));
        assert_eq!(nearest("imagepullpolicy", names), Some("imagePullPolicy"));
        assert_eq!(nearest("comand", names), Some("command"));
        assert_eq!(nearest("volumeMounts", names), None);
    }
}
