//! Markdown as our pages use it: titles, paragraphs, lines as they are, lists, and tables of two columns and more.

use super::roff::Roff;

/// Writes `text`; its own title is the page's name.
pub(super) fn write(roff: &mut Roff, text: &str) {
    roff.section("Description");
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("### ") {
            roff.subsection(title);
        } else if let Some(title) = line.strip_prefix("## ") {
            roff.section(title);
        } else if line.starts_with("```") {
            let verbatim: Vec<_> = lines
                .by_ref()
                .take_while(|line| !line.starts_with("```"))
                .collect();
            roff.verbatim(&verbatim.join("\n"));
        } else if let Some(first) = line.strip_prefix("    ") {
            let mut verbatim = vec![first];
            while let Some(more) = lines.next_if(|line| line.starts_with("    ")) {
                verbatim.push(&more[4..]);
            }
            roff.verbatim(&verbatim.join("\n"));
        } else if let Some(row) = line.strip_prefix('|') {
            table_row(roff, row);
        } else if line.is_empty() || line.starts_with("# ") {
        } else {
            let mut text = line.to_owned();
            while let Some(more) = lines.next_if(|line| is_plain(line)) {
                text += " ";
                text += more.trim_start();
            }
            match text.strip_prefix("- ") {
                Some(text) => roff.item("\u{2022}", text),
                None => roff.paragraph(&text),
            }
        }
    }
}

/// Whether a line only goes on with the paragraph before it.
fn is_plain(line: &str) -> bool {
    let begins = ["#", "```", "|", "    ", "- "];
    !line.is_empty() && !begins.iter().any(|mark| line.starts_with(mark))
}

/// The first cell is the term, the others say what it means; rules and titles of tables say nothing here.
fn table_row(roff: &mut Roff, row: &str) {
    let row = row.trim().trim_end_matches('|').replace("\\|", "\u{1}");
    let cells: Vec<String> = row
        .split('|')
        .map(|cell| cell.trim().replace('\u{1}', "|"))
        .collect();
    let is_rule = cells
        .iter()
        .all(|cell| cell.chars().all(|c| matches!(c, '-' | ':' | ' ')));
    let is_title = cells.iter().all(|cell| !cell.contains('`')) && cells.iter().skip(1).all(String::is_empty);
    if let (false, false, [term, meaning @ ..]) = (is_rule, is_title, &cells[..]) {
        let meaning: Vec<_> = meaning
            .iter()
            .filter(|cell| !cell.is_empty())
            .map(String::as_str)
            .collect();
        roff.item(&term.replace('`', ""), &meaning.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_uses_is_known() {
        let text = "# Title\n\n## Tables\n\nTwo\nlines.\n\n    shell\n\n```sql\n.tables\n```\n\n### item\n\n| column | |\n| --- | --- |\n| `id` | a number |\n- one\n  more\n";
        let mut roff = Roff::page("x", 5, "y");
        let before = roff.text().len();
        roff = Roff::page("x", 5, "y");
        write(&mut roff, text);
        let expect = ".SH \"DESCRIPTION\"\n.SH \"TABLES\"\n.PP\nTwo lines.\n.PP\n.in +4n\n.nf\nshell\n.fi\n.in\n.PP\n.in +4n\n.nf\n\\&.tables\n.fi\n.in\n.SS \"item\"\n.TP\n\\fBid\\fR\na number\n.TP\n\\fB\\[u2022]\\fR\none more\n";
        assert_eq!(&roff.text()[before..], expect);
    }
}
