//! An instance document: from JSON, or from the assignments of `instance update --set`, to checked values, every
//! problem of it at once. What values mean together stands in `settings`, what a change keeps in `merge`.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::core::model::{Configuration, ElementKey, MASK, Secret};

use super::keys::{self, CODE};
use super::secrets::mask;
use super::{json, kinds, legacy, markup, values};
use crate::core::problem::{Problem, Report, described, escaped, listed, quoted};

/// The longest name of an instance and the longest tag, in characters.
const LONGEST_NAME: usize = 200;
/// The most tags of an instance.
const MOST_TAGS: usize = 100;
/// The longest authorization code, in characters.
const LONGEST_CODE: usize = 16_384;

/// What a document says. Only what it names is here: nothing is filled in.
#[derive(Clone, Default, PartialEq)]
pub struct Document {
    /// Without markup, at most 200 characters, not all digits.
    pub name: Option<String>,
    pub element: Option<ElementKey>,
    /// Without markup, each once; an empty list takes all tags away.
    pub tags: Option<Vec<String>>,
    /// `providerData.code`, to be exchanged for tokens.
    pub code: Option<Secret>,
    /// What the code's own request was bound to (PKCE). No document says it; it is put in by who began that request.
    pub code_verifier: Option<Secret>,
    /// Keys with a value, in canonical JSON types. `********` stands for the value that is stored.
    pub configuration: Configuration,
    /// Keys given as `""` or `null`, or as something empty: back to their default.
    pub removed: Vec<String>,
    /// Keys that Cloud Elements' clients send and that mean nothing here, escaped for showing.
    pub ignored: Vec<String>,
    /// What the author should know although nothing is wrong.
    pub notes: Vec<String>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("name", &self.name)
            .field("element", &self.element)
            .field("tags", &self.tags)
            .field("code", &self.code)
            .field("configuration", &mask(&self.configuration))
            .field("removed", &self.removed)
            .field("ignored", &self.ignored)
            .field("notes", &self.notes)
            .finish()
    }
}

/// Reads an instance document, as Cloud Elements documents it or as the agent returns it.
///
/// # Errors
/// Every problem of the document; one with line and column when it is not JSON.
pub fn parse(text: &str) -> Result<Document, Vec<Problem>> {
    match read(text).map_err(|problem| vec![problem])? {
        (document, problems) if problems.is_empty() => Ok(document),
        (_, problems) => Err(problems),
    }
}

/// Reads an instance document as far as it is sound, and tells what is not.
///
/// # Errors
/// Where nothing can be read: it is not a JSON object.
pub fn read(text: &str) -> Result<(Document, Vec<Problem>), Problem> {
    let value = json::parse(text).map_err(|message| Problem::new("", message))?;
    let Value::Object(fields) = value else {
        let message = format!(
            "expected an object with `element`, `configuration` and `name`, got {}",
            kind_of(&value)
        );
        return Err(Problem::new("", message));
    };
    let mut reader = Reader::default();
    for (field, value) in &fields {
        reader.field(field, value);
    }
    reader.convert_urls();
    reader.document.notes = std::mem::take(&mut reader.report.notes);
    Ok((reader.document, reader.report.problems))
}

/// Reads assignments: `name`, `tags` (separated by commas), `providerData.code`, and the keys of a configuration.
/// An empty value removes the key.
///
/// # Errors
/// Every problem of the assignments.
pub fn set(assignments: &[(String, String)]) -> Result<Document, Vec<Problem>> {
    let mut reader = Reader::default();
    let mut seen = BTreeSet::new();
    for (key, text) in assignments {
        if !seen.insert(key.as_str()) {
            reader.report.problem(key, "given twice");
            continue;
        }
        let value = Value::from(text.as_str());
        match key.as_str() {
            "name" => reader.name(&value),
            "tags" => reader.tags(&value),
            CODE => reader.code(&value),
            "element" | "element.key" => {
                reader
                    .report
                    .problem(key, "an instance keeps its element; create another instance");
            }
            _ => reader.key(key, &value, &["name", "tags", CODE]),
        }
    }
    reader.finish()
}

/// The document as far as it has been read.
#[derive(Default)]
struct Reader {
    document: Document,
    report: Report,
    /// `event.poller.urls`, which waits for the resources that it may select from.
    urls: Option<Value>,
}

impl Reader {
    fn finish(mut self) -> Result<Document, Vec<Problem>> {
        self.convert_urls();
        self.document.notes = std::mem::take(&mut self.report.notes);
        self.report.result(self.document)
    }

    fn field(&mut self, field: &str, value: &Value) {
        const FIELDS: &[&str] = &["element", "providerData", "configuration", "tags", "name"];
        match field {
            "name" => self.name(value),
            "tags" if value != "" => self.tags(value),
            "tags" => {}
            "element" => self.element(value),
            "providerData" => self.provider_data(value),
            "configuration" => self.configuration(value),
            _ if keys::READ_ONLY_FIELDS.contains(&field) => self.ignore(field),
            _ if keys::kind(field).is_some() => self.report.problem(field, "belongs in `configuration`"),
            _ if !self.report.is_full() => {
                self.report
                    .problem(field, keys::unknown("field", field, FIELDS.iter().copied()));
            }
            _ => {}
        }
    }

    fn name(&mut self, value: &Value) {
        if value.is_null() {
            return;
        }
        match name(value) {
            Ok(name) => {
                if value != name.as_str() {
                    self.report.note(format!(
                        "the name is {}: markup and outer spaces are left out",
                        quoted(&name)
                    ));
                }
                self.document.name = Some(name);
            }
            Err(message) => self.report.problem("name", message),
        }
    }

    /// Texts, or the objects with a `name` that a returned instance holds.
    fn tags(&mut self, value: &Value) {
        if value.is_null() {
            return;
        }
        let named = match value {
            Value::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|tag| tag.get("name").unwrap_or(tag).clone())
                    .collect(),
            ),
            other => other.clone(),
        };
        let given = match values::texts(&named) {
            Ok(given) if given.len() <= MOST_TAGS => given,
            Ok(_) => return self.report.problem("tags", format!("more than {MOST_TAGS} tags")),
            Err(message) => return self.report.problem("tags", message),
        };
        let mut tags: Vec<String> = Vec::new();
        for text in given {
            if text.chars().count() > LONGEST_NAME || text.contains(char::is_control) {
                self.report
                    .problem("tags", format!("{} cannot be a tag", quoted(&text)));
                continue;
            }
            let tag = markup::stripped(&text);
            if tag != text {
                self.report.note(format!(
                    "tag {}: markup and outer spaces are left out",
                    quoted(&text)
                ));
            }
            if !tag.is_empty() && !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        self.document.tags = Some(tags);
    }

    /// The `key` of the element; its other fields describe the catalogue's entry and are read-only.
    fn element(&mut self, value: &Value) {
        let fields = match value {
            Value::Null => return,
            Value::Object(fields) => fields,
            other => {
                let message = format!("expected an object with a `key`, got {}", described(other));
                return self.report.problem("element", message);
            }
        };
        for (field, value) in fields {
            match value.as_str() {
                _ if field != "key" => self.ignore(&format!("element.{field}")),
                Some(key) if ElementKey::from_text(key).is_some() => {
                    self.document.element = ElementKey::from_text(key)
                }
                _ => {
                    let known = listed(ElementKey::ALL.iter().map(|key| key.as_str()));
                    self.report.problem(
                        "element.key",
                        format!("expected one of {known}, got {}", described(value)),
                    );
                }
            }
        }
    }

    fn provider_data(&mut self, value: &Value) {
        let Some(fields) = self.object("providerData", value) else {
            return;
        };
        for (field, value) in &fields {
            match field.as_str() {
                "code" => self.code(value),
                "state" | "scope" | "session_state" => self.ignore(&format!("providerData.{field}")),
                _ => {
                    let message = keys::unknown("field", field, ["code"]);
                    self.report.problem(&format!("providerData.{field}"), message);
                }
            }
        }
    }

    fn code(&mut self, value: &Value) {
        match value {
            _ if values::is_absent(value) || value == MASK => {}
            Value::String(code) if code.contains(char::is_control) => {
                self.report
                    .problem(CODE, "holds a line break or another control character");
            }
            Value::String(code) if code.chars().count() > LONGEST_CODE => {
                self.report
                    .problem(CODE, format!("longer than {LONGEST_CODE} characters"));
            }
            Value::String(code) => self.document.code = Some(Secret::new(code.as_str())),
            _ => self.report.problem(CODE, "expected text"),
        }
    }

    fn configuration(&mut self, value: &Value) {
        let Some(fields) = self.object("configuration", value) else {
            return;
        };
        for (key, value) in &fields {
            self.key(key, value, &[]);
        }
    }

    /// One key of the configuration; `beside` are the other names that could have been meant.
    fn key(&mut self, key: &str, value: &Value, beside: &[&'static str]) {
        let Some(kind) = keys::kind(key) else {
            if keys::is_ignored(key) {
                self.ignore(key);
            } else if !self.report.is_full() {
                let known = keys::names().chain(beside.iter().copied());
                self.report.problem(key, keys::unknown("key", key, known));
            }
            return;
        };
        if kind == keys::Kind::Urls {
            self.urls = Some(value.clone()).filter(|value| !values::is_absent(value));
            return;
        }
        match kinds::canonical(key, kind, value, &mut self.report) {
            Some(Value::Null) => self.document.removed.push(key.to_owned()),
            Some(value) => {
                self.document.configuration.insert(key.to_owned(), value);
            }
            None => {}
        }
    }

    /// Puts what `event.poller.urls` says into the resources' own key.
    fn convert_urls(&mut self) {
        let Some(urls) = self.urls.take() else { return };
        let given = self.document.configuration.get(keys::RESOURCES);
        let Some(converted) = legacy::convert(&urls, given, &mut self.report) else {
            return;
        };
        self.key(keys::RESOURCES, &Value::Object(converted), &[]);
    }

    fn ignore(&mut self, key: &str) {
        self.document.ignored.push(escaped(key));
    }

    /// The fields of the object `value`; a missing one has none.
    fn object(&mut self, field: &str, value: &Value) -> Option<Map<String, Value>> {
        match value {
            _ if values::is_absent(value) => None,
            Value::Object(fields) => Some(fields.clone()),
            other => {
                self.report
                    .problem(field, format!("expected an object, got {}", kind_of(other)));
                None
            }
        }
    }
}

/// What `value` is, without repeating it: where it stands, it could be anything.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A name of an instance. It can stand in the place of an id, so it must not look like one.
fn name(value: &Value) -> Result<String, String> {
    let given = value
        .as_str()
        .ok_or_else(|| format!("expected text, got {}", described(value)))?;
    values::refuse_placeholder(given)?;
    if given.contains(char::is_control) {
        return Err(format!("holds a control character: {}", quoted(given)));
    }
    if given.chars().count() > LONGEST_NAME {
        return Err(format!("longer than {LONGEST_NAME} characters"));
    }
    let name = markup::stripped(given);
    if name.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "must not be all digits, since it would look like an id: {}",
            quoted(&name)
        ));
    }
    Ok(name)
}
