//! deltapost.toml(5), from the commented configuration: sections, and keys below what is said about them.

use super::roff::Roff;

/// Writes what the page says after its name.
pub(super) fn write(roff: &mut Roff, template: &str) {
    roff.section("Description");
    let mut said: Vec<String> = Vec::new();
    for line in template.lines() {
        if let Some(key) = key(line) {
            item(roff, key, &std::mem::take(&mut said));
        } else if let Some(text) = line.strip_prefix('#') {
            said.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
        } else {
            tell(roff, &std::mem::take(&mut said));
            if line.starts_with('[') {
                roff.section(line);
            }
        }
    }
    tell(roff, &said);
}

/// A key with its default, as in `#workers = 4`.
fn key(line: &str) -> Option<&str> {
    let key = line.strip_prefix('#')?;
    let is_key = key.starts_with(|c: char| c.is_ascii_lowercase()) && key.contains(" = ");
    is_key.then_some(key)
}

fn item(roff: &mut Roff, key: &str, said: &[String]) {
    let paragraphs = paragraphs(said);
    let mut paragraphs = paragraphs.iter();
    roff.item(key, paragraphs.next().map_or("", String::as_str));
    for paragraph in paragraphs {
        roff.continued(paragraph);
    }
}

/// What is said of no key: text, and what looks like an example as it is.
fn tell(roff: &mut Roff, said: &[String]) {
    let example = said.iter().position(|line| line.starts_with('['));
    let (text, example) = said.split_at(example.unwrap_or(said.len()));
    for paragraph in paragraphs(text) {
        roff.paragraph(&paragraph);
    }
    if !example.is_empty() {
        roff.verbatim(&example.join("\n"));
    }
}

fn paragraphs(lines: &[String]) -> Vec<String> {
    let paragraphs = lines.split(|line| line.is_empty());
    let paragraphs = paragraphs.filter(|lines| !lines.is_empty());
    paragraphs.map(|lines| lines.join(" ")).collect()
}
