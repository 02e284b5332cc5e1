//! Aligned columns of plain text, for people. Nothing in them needs colour or boxes.

use std::fmt::Write;

/// A column of a table: its heading, and its cell in the line about a `T`.
type Column<'a, T> = (&'a str, &'a dyn Fn(&T) -> String);

/// A line about each of `rows` below the headings, columns two spaces apart; those of numbers only are aligned to the
/// right. Cells are printed as they are: foreign text must have gone through `core::shown`.
pub(super) fn table<T, const N: usize>(rows: &[T], columns: [Column<'_, T>; N]) -> String {
    let headings = columns.map(|(heading, _)| heading);
    let rows = rows.iter().map(|row| columns.map(|(_, cell)| cell(row)));
    let rows: Vec<[String; N]> = rows.collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    });
    let numeric: [bool; N] = std::array::from_fn(|column| {
        let cells = || rows.iter().map(|row| row[column].as_str());
        cells().all(|cell| cell == "-" || is_number(cell)) && cells().any(is_number)
    });
    let mut out = String::new();
    let headings = headings.map(str::to_owned);
    for row in std::iter::once(&headings).chain(&rows) {
        let mut line = String::new();
        for column in 0..N {
            let gap = if column == 0 { "" } else { "  " };
            let (cell, width) = (&row[column], widths[column]);
            let written = match numeric[column] {
                true => write!(line, "{gap}{cell:>width$}"),
                false => write!(line, "{gap}{cell:<width$}"),
            };
            written.expect("a String takes everything");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Names and values, one pair a line, the values aligned.
pub(super) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let width = pairs
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let lines = pairs
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {value}").trim_end().to_owned() + "\n");
    lines.collect()
}

/// `1 page`, `2 pages`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// What stands where there is nothing to show.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn is_number(cell: &str) -> bool {
    !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let rows = [["1", "größer", "5"], ["12", "x", "-"]];
        assert_eq!(
            table(
                &rows,
                [
                    ("id", &|row| row[0].to_owned()),
                    ("name", &|row| row[1].to_owned()),
                    ("pending", &|row| row[2].to_owned()),
                ]
            ),
            "id  name    pending\n 1  größer        5\n12  x             -\n"
        );
    }

    #[test]
    fn no_line_ends_in_spaces() {
        let columns: [Column<'_, [&str; 2]>; 2] =
            [("a", &|row| row[0].to_owned()), ("b", &|row| row[1].to_owned())];
        assert_eq!(table(&[["-", "x"], ["y", ""]], columns), "a  b\n-  x\ny\n");
        assert_eq!(
            pairs([("id", "1".to_owned()), ("name", String::new())]),
            "id    1\nname\n"
        );
    }
}
