//! What is wrong with a document, and how a value from outside is quoted in a message: bounded and escaped.
//! Callers must not quote a secret.

use std::fmt;

use serde_json::Value;

use crate::core::shown::shown_within;

/// A document with more problems than this is not reported further: nobody reads on, and the report stays bounded.
const MOST: usize = 100;

/// How much of a value from outside a message repeats, in characters.
const QUOTED: usize = 120;

/// One thing that is wrong with an instance document, told so that its author can correct it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key it is about, below `configuration` without that prefix; empty when it is about the whole document.
    pub key: String,
    /// What was expected and what came, and what to do instead where that is not plain. Never a secret.
    pub message: String,
}

impl Problem {
    /// A problem with `key`, which may come from outside.
    pub(super) fn new(key: &str, message: impl Into<String>) -> Problem {
        Problem {
            key: escaped(key),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "`{}`: {}", self.key, self.message)
    }
}

impl std::error::Error for Problem {}

/// What the reading of a document found beside its values.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<String>,
}

impl Report {
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        match self.problems.len() {
            0..MOST => self.problems.push(Problem::new(key, message)),
            MOST => self
                .problems
                .push(Problem::new("", "there are more problems; correct these first")),
            _ => {}
        }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.notes.len() < MOST && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether further problems would not be told, so that looking for them is idle.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() > MOST
    }

    /// `value`, or `Null` where it is empty, unless there was a problem beyond the first `before`.
    pub(super) fn sound(&self, before: usize, value: Value) -> Option<Value> {
        let is_empty = match &value {
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        let value = if is_empty { Value::Null } else { value };
        (self.problems.len() == before).then_some(value)
    }

    /// `value`, unless there was a problem.
    pub(super) fn result<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(self.problems)
        }
    }
}

/// `text` in backticks, for a message.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", escaped(text))
}

/// `value` for a message: scalars as they are, collections by their kind only.
pub(super) fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => quoted(&value.to_string()),
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// `names` in backticks, separated by commas.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// At most `QUOTED` characters of `text`, with what a terminal or a page would act on escaped.
pub(super) fn escaped(text: &str) -> String {
    shown_within(text, QUOTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped_and_length_is_bounded() {
        assert_eq!(quoted("a\u{1b}[31m\"b\""), "`a\\u{1b}[31m\"b\"`");
        assert_eq!(escaped(&"x".repeat(5000)).chars().count(), QUOTED + 1);
    }

    #[test]
    fn a_report_stays_bounded_and_says_that_it_was_cut() {
        let mut report = Report::default();
        for _ in 0..10 * MOST {
            report.problem("key", "wrong");
        }
        assert!(report.is_full());
        assert_eq!(report.problems.len(), MOST + 1);
        assert_eq!(
            report.problems[MOST].to_string(),
            "there are more problems; correct these first"
        );
    }
}
