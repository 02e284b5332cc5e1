//! Text in the macros of man(7). What it says is others' matter.

/// A page that grows.
#[derive(Debug)]
pub(super) struct Roff(String);

impl Roff {
    /// A page with its title and its name.
    pub(super) fn page(name: &str, section: u8, about: &str) -> Roff {
        let (title, version) = (escaped(&name.to_uppercase()), env!("CARGO_PKG_VERSION"));
        let mut roff = Roff(format!(
            ".TH \"{title}\" {section} \"\" \"deltapost {version}\"\n"
        ));
        roff.section("NAME");
        roff.line(&format!("{} \\- {}", escaped(name), escaped(about)));
        roff
    }

    /// The whole page.
    pub(super) fn text(self) -> String {
        self.0
    }

    pub(super) fn section(&mut self, title: &str) {
        self.0 += &format!(".SH \"{}\"\n", escaped(&title.to_uppercase()));
    }

    pub(super) fn subsection(&mut self, title: &str) {
        self.0 += &format!(".SS \"{}\"\n", escaped(title));
    }

    /// A paragraph of text with marks: `code`, **strong**.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.0 += ".PP\n";
        self.line(&marked(text));
    }

    /// A term, and what it means.
    pub(super) fn item(&mut self, term: &str, meaning: &str) {
        self.0 += ".TP\n";
        self.line(&format!("\\fB{}\\fR", escaped(term)));
        // Without a line of its own a term would swallow the next one.
        self.line(
            if meaning.is_empty() {
                "\\&".to_owned()
            } else {
                marked(meaning)
            }
            .as_str(),
        );
    }

    /// A further paragraph of the item before.
    pub(super) fn continued(&mut self, text: &str) {
        self.0 += ".IP\n";
        self.line(&marked(text));
    }

    /// Lines as they are.
    pub(super) fn verbatim(&mut self, lines: &str) {
        self.0 += ".PP\n.in +4n\n.nf\n";
        for line in lines.lines() {
            self.line(&escaped(line));
        }
        self.0 += ".fi\n.in\n";
    }

    fn line(&mut self, text: &str) {
        // What begins so would be a request.
        if text.starts_with(['.', '\'']) {
            self.0 += "\\&";
        }
        self.0 += text;
        self.0.push('\n');
    }
}

/// `text` as roff shows it, every character as it is.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out += "\\e",
            '-' => out += "\\-",
            '\'' => out += "\\(aq",
            '`' => out += "\\(ga",
            '"' => out += "\\(dq",
            '^' => out += "\\(ha",
            '~' => out += "\\(ti",
            '\n' => out.push(' '),
            c if c.is_ascii() => out.push(c),
            c => out += &format!("\\[u{:04X}]", u32::from(c)),
        }
    }
    out
}

/// `text` with its marks as fonts: code and strong words are bold.
fn marked(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 {
            out += &format!("\\fB{}\\fR", escaped(part));
            continue;
        }
        for (at, part) in part.split("**").enumerate() {
            let part = escaped(&without_links(part));
            out += &if at % 2 == 1 {
                format!("\\fB{part}\\fR")
            } else {
                part
            };
        }
    }
    out
}

/// `[words](place)` as its words, and `*words*` without the stars.
fn without_links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[')
        && let Some((words, after)) = after.split_once("](")
        && let Some((_, after)) = after.split_once(')')
    {
        out += before;
        out += words;
        rest = after;
    }
    out += rest;
    out.replace('*', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let mut roff = Roff(String::new());
        roff.paragraph(text);
        assert_eq!(roff.text(), format!(".PP\n{expect}\n"));
    }

    #[test]
    fn marks_become_fonts_and_nothing_is_taken_for_a_request() {
        check("Run `--all -x` **now**", "Run \\fB\\-\\-all \\-x\\fR \\fBnow\\fR");
        check(".TH is no request", "\\&.TH is no request");
        check("a\\b 'c' \"d\"", "a\\eb \\(aqc\\(aq \\(dqd\\(dq");
        check("[words](a/place.md) and *sealed*", "words and sealed");
        check("`*` is a star, [ no link", "\\fB*\\fR is a star, [ no link");
        check("größer", "gr\\[u00F6]\\[u00DF]er");
    }
}
