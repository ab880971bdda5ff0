//! A place in a manifest, with the lines around it and a caret below.

use anstyle::{AnsiColor, Style};
use orch_client::manifest::Snippet;

const FRAME: Style = AnsiColor::Blue.on_default().bold();
const CARET: Style = AnsiColor::Red.on_default().bold();

/// Several lines, the last of which points at the place.
pub(in crate::ctl) fn render(snippet: &Snippet) -> String {
    let Snippet { source, position, lines, caret, width } = snippet;
    let gutter = lines.last().map_or(1, |(number, _)| number.to_string().len());
    let mut text =
        format!("{:gutter$}{FRAME}-->{FRAME:#} {source}:{}:{}\n", "", position.line, position.column);
    for (number, line) in lines {
        text.push_str(&format!("{FRAME}{number:gutter$} |{FRAME:#} {}\n", line.replace('\t', " ")));
    }
    let carets = "^".repeat(*width);
    let indent = caret - 1;
    text.push_str(&format!("{:gutter$}{FRAME} |{FRAME:#} {:indent$}{CARET}{carets}{CARET:#}\n", "", ""));
    text
}

#[cfg(test)]
mod tests {
    use orch_client::manifest::Manifest;

    use super::*;

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
