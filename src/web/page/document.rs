//! The instance JSON beside the form for a new instance: each is made of the other, and what the form has no field for stays
//! in the JSON. Pure; what is wrong with either, `core::elements` says.

use serde_json::{Map, Value, json};

use super::form::Form;
use crate::core::elements::keys::{
    API_KEY, API_SECRET, CALLBACK_URL, EVENTS_ENABLED, GRANT, REDIRECT_URL, REFRESH_TOKEN, RESOURCES,
    SCHEDULE, SIGNATURE_KEY, TENANT, TIMEZONE,
};
use crate::core::model::MASK;
use crate::core::shown::shown;

/// The JSON as the person left it.
pub(super) const DOCUMENT: &str = "document";
/// The JSON as it was shown: by it is known who edited it.
pub(super) const SHOWN: &str = "shown";

/// A field of the form that is one value of the JSON. Name and tags, which are always there, and resources are apart.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// The object of the JSON that holds the value, and its key there.
    object: &'static str,
    key: &'static str,
    /// The JSON shows a mask in its place.
    is_secret: bool,
}

const fn field(name: &'static str, object: &'static str, key: &'static str) -> Field {
    Field {
        name,
        object,
        key,
        is_secret: false,
    }
}

const fn setting(key: &'static str) -> Field {
    field(key, "configuration", key)
}

const fn secret(field: Field) -> Field {
    Field {
        is_secret: true,
        ..field
    }
}

pub(super) const FIELDS: &[Field] = &[
    field("element", "element", "key"),
    secret(field("code", "providerData", "code")),
    setting(API_KEY),
    secret(setting(API_SECRET)),
    setting(REDIRECT_URL),
    setting(TENANT),
    setting(EVENTS_ENABLED),
    setting(CALLBACK_URL),
    secret(setting(SIGNATURE_KEY)),
    setting(SCHEDULE),
    setting(TIMEZONE),
];

impl Field {
    /// What the JSON is to say, by the form.
    fn given<'f>(&self, form: &'f Form) -> &'f str {
        match (self.name, form.get(self.name)) {
            ("element", "") => "onedrivev2",
            ("code", _) if form.get("connect") != "code" => "",
            (EVENTS_ENABLED, "") => "false",
            (_, text) => text,
        }
    }

    /// Fills in the form what the JSON says.
    fn fill(&self, form: &mut Form, said: &str) {
        match (self.name, said) {
            (_, MASK) if self.is_secret => {}
            ("code", "") if form.get("connect") != "code" => {}
            ("code", code) => {
                form.set("connect", "code");
                form.set("code", code);
            }
            (EVENTS_ENABLED, "false") => form.set(EVENTS_ENABLED, ""),
            (name, said) => form.set(name, said),
        }
    }
}

/// The secrets in the JSON, by the names of their fields, one after the other.
fn for_each_secret(document: &mut Value, mut act: impl FnMut(&'static str, &mut Value)) {
    for field in FIELDS.iter().filter(|field| field.is_secret) {
        let object = document.get_mut(field.object);
        if let Some(value) = object.and_then(|object| object.get_mut(field.key)) {
            act(field.name, value);
        }
    }
}

/// What a resource without a path reads: its account's drive.
const DRIVE: &str = "/hubs/documents/events";
/// The resources that a form has room for, at most.
pub(super) const MOST_RESOURCES: usize = 20;

/// The name of a resource's field.
pub(super) fn of_resource(field: &str, at: usize) -> String {
    format!("{field}.{at}")
}

/// What the form's fields say, without the JSON and what is not of the instance.
pub(super) fn fields(form: &Form) -> Map<String, Value> {
    let of_instance = |name: &str| !matches!(name, "token" | "do" | DOCUMENT | SHOWN);
    form.all()
        .filter(|(name, _)| of_instance(name))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

/// How many resources the form has room for; one at least.
pub(super) fn resource_count(form: &Form) -> usize {
    let known = (0..MOST_RESOURCES).take_while(|at| form.has(&of_resource("url", *at)));
    known.count().max(1)
}

/// Form and JSON brought together: whichever was edited holds. The form has the JSON in it, without secrets; the JSON is
/// complete.
///
/// # Errors
/// Where the JSON cannot be read, where both were edited and say different things, and as `by_form`.
pub(super) fn settled(form: &Form) -> Result<(Form, Value), String> {
    if form.get(DOCUMENT) == form.get(SHOWN) {
        return by_form(form);
    }
    let (filled, document) = by_json(form)?;
    let before = read(form.get(SHOWN)).map(|shown| filled_by(&shown, form));
    let unedited = before.is_ok_and(|before| says_the_same(&before, form));
    match unedited || says_the_same(&filled, form) {
        true => Ok((filled, document)),
        false => Err(
            "both the form and the JSON were edited, and they say different things: `Form to JSON` or `JSON to form` \
             says which holds"
                .to_owned(),
        ),
    }
}

/// The JSON as the form has it, over what stands in the JSON that no field is for. One that cannot be read gives way to the one
/// that was shown.
///
/// # Errors
/// Where two resources have one name, since the JSON has room for one.
pub(super) fn by_form(form: &Form) -> Result<(Form, Value), String> {
    let names: Vec<&str> = rows(form).into_iter().map(|row| row.name).collect();
    let twice = (1..names.len()).find(|at| names[..*at].contains(&names[*at]));
    if let Some(at) = twice {
        return Err(format!(
            "two resources are named `{}`: give each a name of its own",
            shown(names[at])
        ));
    }
    let under = read(form.get(DOCUMENT)).or_else(|_| read(form.get(SHOWN)));
    let document = written_over(under.unwrap_or_else(|_| json!({})), form);
    Ok((with_json(form.clone(), &document), document))
}

/// The form as its JSON fills it.
///
/// # Errors
/// Where the JSON cannot be read.
pub(super) fn by_json(form: &Form) -> Result<(Form, Value), String> {
    let mut document = read(form.get(DOCUMENT))?;
    unmask(&mut document, form);
    let filled = filled_by(&document, form);
    Ok((with_json(filled, &document), document))
}

fn read(text: &str) -> Result<Value, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(document) if document.is_object() => Ok(document),
        Ok(_) => Err("the JSON is no object: expected `{…}`".to_owned()),
        Err(error) => Err(format!("the JSON cannot be read: {error}")),
    }
}

fn with_json(mut form: Form, document: &Value) -> Form {
    let mut masked = document.clone();
    for_each_secret(&mut masked, |_, secret| *secret = MASK.into());
    let text = format!("{masked:#}");
    form.set(DOCUMENT, &text);
    form.set(SHOWN, &text);
    form
}

/// Puts the fields' secrets where the JSON has a mask.
fn unmask(document: &mut Value, form: &Form) {
    for_each_secret(document, |name, secret| {
        if secret == MASK {
            *secret = form.get(name).into();
        }
    });
}

/// Whether the fields of both say the same of the instance.
fn says_the_same(one: &Form, other: &Form) -> bool {
    let of = |form: &Form| written_over(json!({}), form);
    of(one) == of(other)
}

/// Sets `key` to a field's text; a value that reads like it stays as it is, and an empty field takes it away.
fn put(object: &mut Map<String, Value>, key: &str, text: &str) {
    if text.is_empty() {
        object.shift_remove(key);
    } else if object.get(key).is_none_or(|value| words(value) != text) {
        object.insert(key.to_owned(), text.into());
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The object below `key`, made where there is none.
fn below<'v>(object: &'v mut Map<String, Value>, key: &str) -> Option<&'v mut Map<String, Value>> {
    let value = object.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut()
}

fn written_over(base: Value, form: &Form) -> Value {
    let mut document = match base {
        Value::Object(document) => document,
        _ => Map::new(),
    };
    for field in FIELDS {
        if let Some(object) = below(&mut document, field.object) {
            put(object, field.key, field.given(form));
        }
    }
    if document.get("providerData") == Some(&json!({})) {
        document.shift_remove("providerData");
    }
    if let Some(configuration) = below(&mut document, "configuration") {
        put_resources(configuration, form);
    }
    let tags = form.get("tags").split(',').map(str::trim);
    let tags: Vec<&str> = tags.filter(|tag| !tag.is_empty()).collect();
    document.insert("tags".to_owned(), tags.into());
    document.insert("name".to_owned(), form.get("name").into());
    document.into()
}

/// A resource as the form has it.
struct Row<'f> {
    /// Its place among the fields.
    at: usize,
    name: &'f str,
    url: &'f str,
    /// Empty for a snapshot, which is what holds where nothing is said.
    baseline: &'f str,
}

/// The form's resources; nothing filled in is none.
fn rows(form: &Form) -> Vec<Row<'_>> {
    let row = |at| {
        let [name, url, baseline] =
            ["resource", "url", "baseline"].map(|field| form.get(&of_resource(field, at)));
        let baseline = if baseline == "snapshot" { "" } else { baseline };
        let row = |name| Row {
            at,
            name,
            url,
            baseline,
        };
        match (name, url, baseline) {
            ("", "", "") => None,
            ("", ..) => Some(row("events")),
            (name, ..) => Some(row(name)),
        }
    };
    (0..resource_count(form)).filter_map(row).collect()
}

/// The form's resources, each with the settings that it has in the JSON already. Nothing filled in leaves the drive.
fn put_resources(configuration: &mut Map<String, Value>, form: &Form) {
    let known = resources(configuration.get(RESOURCES));
    if known.len() > MOST_RESOURCES {
        return;
    }
    let rows = rows(form);
    let mut all = Map::new();
    for row in &rows {
        let is_free = |(name, _): &(&String, &Value)| !rows.iter().any(|row| row.name == *name);
        let renamed = || known.iter().nth(row.at).filter(is_free).map(|(_, value)| value);
        let settings = known.get(row.name).or_else(renamed).and_then(Value::as_object);
        let mut settings = settings.cloned().unwrap_or_default();
        let url = if row.url.is_empty() { DRIVE } else { row.url };
        put(&mut settings, "url", url);
        let said = settings.get("baseline").map(words).unwrap_or_default();
        if !(row.baseline.is_empty() && said == "snapshot") {
            put(&mut settings, "baseline", row.baseline);
        }
        all.insert(row.name.to_owned(), settings.into());
    }
    if !all.is_empty() {
        configuration.insert(RESOURCES.to_owned(), all.into());
    } else if !known.is_empty() {
        configuration.shift_remove(RESOURCES);
    }
}

/// The resources of a configuration; none where it says nothing of them, or `<SEE_BELOW>`.
fn resources(value: Option<&Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(all)) => all.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Map::new(),
    }
}

fn filled_by(document: &Value, before: &Form) -> Form {
    let mut form = before.clone();
    let said = |object: &str, key: &str| {
        let value = document.get(object).and_then(|object| object.get(key));
        value.map(words).unwrap_or_default()
    };
    for field in FIELDS {
        field.fill(&mut form, &said(field.object, field.key));
    }
    form.set("name", &document.get("name").map(words).unwrap_or_default());
    let tags = document.get("tags").and_then(Value::as_array);
    let tags: Vec<String> = tags.into_iter().flatten().map(words).collect();
    form.set("tags", &tags.join(", "));
    let has_token = !said("configuration", REFRESH_TOKEN).is_empty();
    if has_token || said("configuration", GRANT) == "client_credentials" {
        form.set("connect", "later");
    }
    form.remove_all(&["resource.", "url.", "baseline."]);
    let resources = resources(document.pointer(&format!("/configuration/{RESOURCES}")));
    for (at, (name, settings)) in resources.iter().take(MOST_RESOURCES).enumerate() {
        let said = |key: &str| settings.get(key).map(words).unwrap_or_default();
        form.set(&of_resource("resource", at), name);
        form.set(&of_resource("url", at), &said("url"));
        set_baseline(&mut form, at, &said("baseline"));
    }
    if resources.is_empty() {
        set_baseline(&mut form, 0, "");
    }
    form
}

/// Sets what a resource does with what is there already: a snapshot where nothing is said.
pub(super) fn set_baseline(form: &mut Form, at: usize, said: &str) {
    let baseline = if said.is_empty() { "snapshot" } else { said };
    form.set(&of_resource("baseline", at), baseline);
}

/// Adds the fields of one resource more, where there is room.
pub(super) fn add_resource(form: &mut Form) {
    for at in 0..(resource_count(form) + 1).min(MOST_RESOURCES) {
        let url = of_resource("url", at);
        if !form.has(&url) {
            form.set(&url, "");
            set_baseline(form, at, "");
        }
    }
}

#[cfg(test)]
mod tests;
