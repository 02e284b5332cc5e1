//! A TOML document, asked for its values one by one. It knows places, and that a key nobody asked for is a mistake;
//! which keys there are and what they may hold is said by its callers.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigProblem, Fault};
use super::value::Wrong;
use crate::core::nearest::nearest;
use crate::core::shown::shown;

/// Reads values out of `text` and collects what is wrong with them.
pub(super) struct Reader<'text> {
    text: &'text str,
    document: DeTable<'text>,
    /// The keys that were asked for, named with their table, and these tables.
    known: Vec<&'static str>,
    /// Those of the tables that stand any number of times, as `[[poll]]` does.
    repeated: Vec<&'static str>,
    syntax: Vec<ConfigProblem>,
    values: Vec<ConfigProblem>,
}

impl<'text> Reader<'text> {
    pub(super) fn new(text: &'text str) -> Reader<'text> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let syntax = errors.iter().map(|error| {
            let fault = Fault::Syntax(shown(error.message()));
            problem(text, error.span().unwrap_or(0..0), String::new(), fault)
        });
        Reader {
            text,
            syntax: syntax.collect(),
            document: document.into_inner(),
            known: Vec::new(),
            repeated: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Reads the value of `key`, a name or `table.name`, into `slot`. An absent key leaves `slot` as it is; so does a
    /// wrong value, which becomes a problem.
    pub(super) fn one<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue) -> Result<T, Wrong>,
        slot: &mut T,
    ) {
        self.know(key);
        if let Some(value) = find(&self.document, key) {
            let problem = read_into(self.text, key, value, read, slot);
            self.values.extend(problem);
        }
    }

    /// Refuses the value of `key`, right by itself, in these words: another key says otherwise.
    pub(super) fn refuse(&mut self, key: &'static str, words: String) {
        if let Some(value) = find(&self.document, key) {
            let refused = problem(self.text, value.span(), key.to_owned(), Fault::Words(words));
            self.values.push(refused);
        }
    }

    /// The lines of the tables `[[table]]`, whose `keys` are then read by `one_in`. They are known where there is none, too.
    pub(super) fn tables(&mut self, table: &'static str, keys: &[&'static str]) -> Vec<usize> {
        self.repeated.push(table);
        keys.iter().for_each(|key| self.know(key));
        let lines = tables(&self.document, table).map(|entry| place(self.text, entry.span()).0);
        lines.collect()
    }

    /// Reads the value of `key`, as `one` does, in the table at `index` of its `[[table]]`s.
    pub(super) fn one_in<T>(
        &mut self,
        index: usize,
        key: &'static str,
        read: impl Fn(&DeValue) -> Result<T, Wrong>,
        slot: &mut T,
    ) {
        let (table, name) = split(key);
        let entry = tables(&self.document, table).nth(index);
        let value = entry.and_then(|entry| entry.get_ref().as_table()?.get(name));
        if let Some(value) = value {
            let problem = read_into(self.text, key, value, read, slot);
            self.values.extend(problem);
        }
    }

    /// Refuses the table at `index` of the `[[table]]`s when it has none of `names`.
    pub(super) fn demand_one_of(&mut self, index: usize, table: &'static str, names: &[&str]) {
        let entry = tables(&self.document, table).nth(index);
        let Some(entry) = entry.filter(|entry| {
            let keys = entry.get_ref().as_table();
            keys.is_some_and(|keys| names.iter().all(|name| !keys.contains_key(*name)))
        }) else {
            return;
        };
        let fault = Fault::Words(format!("says nothing; expected one of {}", names.join(", ")));
        self.values
            .push(problem(self.text, entry.span(), table.to_owned(), fault));
    }

    /// Reads the list at `key`, with as many elements as `lengths` allows, each by `read`, as `one` does.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        lengths: RangeInclusive<usize>,
        read: impl Fn(&DeValue) -> Result<T, Wrong>,
        slot: &mut Vec<T>,
    ) {
        self.know(key);
        let Some(value) = find(&self.document, key) else {
            return;
        };
        let elements = value
            .get_ref()
            .as_array()
            .filter(|elements| lengths.contains(&elements.len()));
        let Some(elements) = elements else {
            let (least, most) = lengths.into_inner();
            let wrong = Wrong::expected(format!("a list of {least} to {most} values"));
            self.values
                .push(wrong_value(self.text, value, key.to_owned(), wrong));
            return;
        };
        let mut good = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            match read(element.get_ref()) {
                Ok(read) => good.push(read),
                Err(wrong) => {
                    let key = format!("{key}[{index}]");
                    self.values.push(wrong_value(self.text, element, key, wrong));
                }
            }
        }
        if good.len() == elements.len() {
            *slot = good;
        }
    }

    /// Every problem, in the order of their places. Where the text is not TOML, the parser's guess goes on: values on
    /// other lines are still told, but not unknown keys, which may only stand in a table whose header is broken.
    pub(super) fn finish(mut self) -> Vec<ConfigProblem> {
        let mut problems = std::mem::take(&mut self.values);
        if self.syntax.is_empty() {
            self.refuse_unknown("", &self.document, &mut problems);
        }
        problems.retain(|problem| self.syntax.iter().all(|broken| broken.line != problem.line));
        problems.append(&mut self.syntax);
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    }

    /// Every key that could be asked for so far, and every table with such keys.
    #[cfg(test)]
    pub(super) fn known(&self) -> &[&'static str] {
        &self.known
    }

    fn know(&mut self, key: &'static str) {
        let (table, _) = split(key);
        for known in [table, key] {
            if !known.is_empty() && !self.known.contains(&known) {
                self.known.push(known);
            }
        }
    }

    fn refuse_unknown(&self, table: &str, entries: &DeTable, problems: &mut Vec<ConfigProblem>) {
        for (name, value) in entries {
            let key = match table {
                "" => name.get_ref().to_string(),
                _ => format!("{table}.{}", name.get_ref()),
            };
            let is_table = self.known.iter().any(|known| split(known).0 == key);
            let is_repeated = self.repeated.contains(&key.as_str());
            let fault = match value.get_ref() {
                DeValue::Table(entries) if is_table && !is_repeated => {
                    self.refuse_unknown(&key, entries, problems);
                    continue;
                }
                DeValue::Array(entries) if is_repeated && entries.iter().all(is_a_table) => {
                    for entries in entries.iter().filter_map(|entry| entry.get_ref().as_table()) {
                        self.refuse_unknown(&key, entries, problems);
                    }
                    continue;
                }
                _ if is_repeated => Fault::Value {
                    expected: format!("tables, each under [[{key}]]"),
                    received: spelled(self.text, value),
                },
                _ if is_table => Fault::Value {
                    expected: format!("a table, as under [{key}]"),
                    received: spelled(self.text, value),
                },
                _ if self.known.contains(&key.as_str()) => continue,
                _ => Fault::UnknownKey {
                    meant: self.meant(table, name.get_ref()),
                },
            };
            problems.push(problem(self.text, name.span(), shown(&key), fault));
        }
    }

    /// The known key that is nearest in the same table, or that has this very name in another one: in TOML a key lands
    /// in the wrong table when it is written below that table's header.
    fn meant(&self, table: &str, name: &str) -> Option<&'static str> {
        let siblings = self.known.iter().map(|known| split(known));
        let siblings = siblings.filter_map(|(of, sibling)| (of == table).then_some(sibling));
        let near = nearest(name, siblings);
        let mut known = self.known.iter().copied();
        match near {
            Some(near) => known.find(|known| split(known) == (table, near)),
            None => known.find(|known| split(known).1 == name),
        }
    }
}

/// The table and the name of `key`.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

fn find<'doc, 'text>(document: &'doc DeTable<'text>, key: &str) -> Option<&'doc Spanned<DeValue<'text>>> {
    match split(key) {
        ("", name) => document.get(name),
        (table, name) => document.get(table)?.get_ref().as_table()?.get(name),
    }
}

/// The tables that stand under `[[table]]`.
fn tables<'doc, 'text>(
    document: &'doc DeTable<'text>,
    table: &str,
) -> impl Iterator<Item = &'doc Spanned<DeValue<'text>>> {
    let entries = document.get(table).and_then(|value| value.get_ref().as_array());
    let entries = entries.into_iter().flat_map(|entries| entries.iter());
    entries.filter(|entry| is_a_table(entry))
}

fn is_a_table(value: &Spanned<DeValue>) -> bool {
    matches!(value.get_ref(), DeValue::Table(_))
}

/// Reads `value` into `slot`, or returns what is wrong with it.
fn read_into<T>(
    text: &str,
    key: &str,
    value: &Spanned<DeValue>,
    read: impl Fn(&DeValue) -> Result<T, Wrong>,
    slot: &mut T,
) -> Option<ConfigProblem> {
    match read(value.get_ref()) {
        Ok(read) => {
            *slot = read;
            None
        }
        Err(wrong) => Some(wrong_value(text, value, key.to_owned(), wrong)),
    }
}

fn wrong_value(text: &str, value: &Spanned<DeValue>, key: String, wrong: Wrong) -> ConfigProblem {
    let fault = match wrong.words {
        Some(words) => Fault::Words(words),
        None => Fault::Value {
            expected: wrong.expected,
            received: wrong.received.unwrap_or_else(|| spelled(text, value)),
        },
    };
    problem(text, value.span(), key, fault)
}

/// The value as the file spells it; a whole table only by its type, since its place is enough.
fn spelled(text: &str, value: &Spanned<DeValue>) -> String {
    match (value.get_ref(), text.get(value.span())) {
        (DeValue::Table(_), _) | (_, None) => format!("a {}", value.get_ref().type_str()),
        (_, Some(source)) => format!("`{}`", shown(source)),
    }
}

fn problem(text: &str, span: Range<usize>, key: String, fault: Fault) -> ConfigProblem {
    let (line, column) = place(text, span);
    ConfigProblem {
        line,
        column,
        key,
        fault,
    }
}

/// The line and the column where `span` begins.
fn place(text: &str, span: Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}
