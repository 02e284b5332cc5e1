//! What a form says.

use url::form_urlencoded;

use super::super::call::Call;
use super::super::reply::Refusal;

/// The fields of a form, by name.
#[derive(Clone, Debug, Default)]
pub(in crate::web) struct Form(Vec<(String, String)>);

impl Form {
    /// The form in the body of a request.
    ///
    /// # Errors
    /// 400 where the body is none.
    pub(super) fn of(call: &Call<'_>) -> Result<Form, Refusal> {
        let fields = form_urlencoded::parse(call.text()?.as_bytes());
        // Browsers send line breaks as CRLF.
        let field = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
            (name.into_owned(), value.replace("\r\n", "\n"))
        };
        Ok(Form(fields.map(field).collect()))
    }

    /// The trimmed value of a field; empty where it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// Whether the field is there, be it empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Takes away the fields whose names begin with one of `prefixes`.
    pub(super) fn remove_all(&mut self, prefixes: &[&str]) {
        self.0
            .retain(|(name, _)| !prefixes.iter().any(|prefix| name.starts_with(prefix)));
    }

    /// All fields by name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a field.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }
}
