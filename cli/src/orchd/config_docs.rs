//! `docs/config.md`, derived from [`Config`](super::Config), so that it cannot drift.

use std::fmt::Write as _;

use anyhow::Result;
use orch_api::schema::Type;

use super::Config;

const INTRODUCTION: &str = "\
# The configuration file of `orchd up`

`orchd up --config FILE` reads YAML that begins with `apiVersion: orch.dev/v1` and `kind: Config`. Every other field may be
left out; flags win over the file. A field that is not known is refused, with its line and a suggestion. This page is derived from the type that reads the file; a test keeps it so.

| field | what it is |
|---|---|
";

/// The page.
pub(crate) fn page() -> Result<String> {
    let schema = Config::schema()?;
    let mut page = INTRODUCTION.to_owned();
    fields(&mut page, "", schema.root())?;
    write!(
        page,
        "\nThe defaults, as a file:\n\n```yaml\napiVersion: orch.dev/v1\nkind: Config\n{}```\n",
        serde_saphyr::to_string(&Config::default())?
    )?;
    Ok(page)
}

fn fields(page: &mut String, path: &str, parent: Type<'_>) -> Result<()> {
    for (name, field) in parent.properties() {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let description = field.description.as_deref().unwrap_or_default().replace('\n', " ");
        writeln!(page, "| `{path}` | {description} |")?;
        fields(page, &path, field)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_page_is_in_step() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
        let page = super::page().unwrap();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &page).unwrap();
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == page,
            "docs/config.md is out of date; run: BLESS=1 cargo test -p orch-cli in_step"
        );
    }
}
