//! A place in a manifest, with the lines around it and a caret below.

use anstyle::{AnsiColor, Style};
use orch_client::manifest::Snippet;

use super::plain;

const FRAME: Style = AnsiColor::Blue.on_default().bold();
const CARET: Style = AnsiColor::Red.on_default().bold();

/// Several lines, the last of which points at the place.
pub(in crate::ctl) fn render(snippet: &Snippet) -> String {
    let Snippet { source, position, lines, caret, width } = snippet;
    let gutter = lines.last().map_or(1, |(number, _)| number.to_string().len());
    let mut text =
        format!("{:gutter$}{FRAME}-->{FRAME:#} {source}:{}:{}\n", "", position.line, position.column);
    for (number, line) in lines {
        text.push_str(&format!("{FRAME}{number:gutter$} |{FRAME:#} {}\n", plain(line)));
    }
    let (indent, carets) = (" ".repeat(caret.saturating_sub(1)), "^".repeat(*width));
    text.push_str(&format!("{:gutter$}{FRAME} |{FRAME:#} {indent}{CARET}{carets}{CARET:#}\n", ""));
    text
}

#[cfg(test)]
mod tests {
    use orch_client::manifest::Manifest;

    use super::*;

    #[test]
    fn of_a_long_line_what_is_around_the_place_is_shown() {
        let text = format!(
            r#"{{"apiVersion": "v1", "kind": "Pod", "data": "{}", "spec": {{"imagee": 1}}}}"#,
            "x".repeat(70_000)
        );
        let manifest = Manifest::parse("web.json", &text).remove(0).unwrap();
        let shown = render(&manifest.snippet("spec.imagee").unwrap());
        let plain = anstream::adapter::strip_str(&shown).to_string();
        let [_, line, carets] = plain.lines().collect::<Vec<_>>()[..] else { panic!("{plain}") };
        assert!(
            line.starts_with("1 | …xxxx") && line.ends_with("\"imagee\": 1}}") && line.len() < 250,
            "{line}"
        );
        let caret = carets.find('^').unwrap();
        assert_eq!(line.chars().skip(caret).take(8).collect::<String>(), "\"imagee\"");

        let whole = render(&manifest.snippet("data").unwrap());
        assert!(whole.len() < 700, "{}", whole.len());
    }

    #[test]
    fn the_caret_stands_below_the_field() {
        let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - name: web\n      imagee: nginx\n";
        let manifest = Manifest::parse("web.yaml", text).remove(0).unwrap();
        let shown = render(&manifest.snippet("spec.containers[0].imagee").unwrap());
        let plain = anstream::adapter::strip_str(&shown).to_string();
        assert_eq!(
            plain,
            " --> web.yaml:6:7\n\
             4 |   containers:\n\
             5 |     - name: web\n\
             6 |       imagee: nginx\n  \
               |       ^^^^^^\n"
        );
    }
}
