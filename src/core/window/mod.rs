//! Polling by dates, as far as it can be decided: what a url asks for since an instant, what a record's dates say, and
//! whether the record belongs to a window. `poll` asks and `store` remembers; here are neither clocks nor zones.

mod format;
mod names;
mod reading;
mod template;
#[cfg(test)]
mod tests;
mod zone_id;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::fields::values;
use super::model::{EventType, LONGEST};
use super::shown::shown;

pub use format::DateFormat;
pub use template::Template;
pub use zone_id::ZoneId;

/// Where a date of a record stands, and how it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct DateField {
    /// Names of members, parted by dots.
    pub path: String,
    /// RFC 3339 where there is none.
    pub format: Option<DateFormat>,
    /// For a date that does not tell its zone.
    pub zone: TimeZone,
}

/// By what the records of a collection are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Names of members, parted by dots.
    pub id_field: String,
    pub updated: Option<DateField>,
    pub created: Option<DateField>,
    /// A record that was not updated since the window's start is passed over.
    pub filter_by_updated: bool,
    /// A record that is dated after now waits for its time.
    pub filter_by_current: bool,
    /// Up to this long after its creation, an updated record is one that was created.
    pub tolerance: SignedDuration,
}

impl Rules {
    /// The earliest time that the date of a record updated at `since` may be read as: one in whole seconds, or in days, lies
    /// before instants that it is not older than.
    pub fn floor(&self, since: Timestamp) -> Timestamp {
        let second = Timestamp::from_second(since.as_second()).unwrap_or(since);
        let told = self.updated.as_ref().and_then(|field| {
            let format = field.format.as_ref()?;
            let text = Value::from(format.print(since, &field.zone));
            format.read(&text, &field.zone, since)
        });
        told.map_or(second, |told| told.min(second))
    }

    /// Whether a later update always bears a later date, or the same one. A time without its offset does not, in the hour
    /// that comes twice when clocks are set back: it is read as the second of the two.
    pub fn keeps_order(&self) -> bool {
        let fixed = |field: &DateField| field.zone.to_fixed_offset().is_ok();
        self.updated.as_ref().is_none_or(fixed)
    }
}

/// What a record that belongs to the window says.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub id: String,
    pub updated: Option<Timestamp>,
    pub event_type: EventType,
}

/// Whether a record belongs to the window.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Ignored,
    Taken(Judged),
}

/// Judges the record `raw` for the window that begins at `from`, which belongs to it. One without a date of its creation
/// in the rules, or of its update, cannot be told from one that was updated.
///
/// # Errors
/// What is wrong with the record, and in which field.
pub fn judge(raw: &str, rules: &Rules, from: Timestamp, now: Timestamp) -> Result<Verdict, String> {
    let id = match member(raw, &rules.id_field) {
        Some(Value::String(id)) if !id.is_empty() && id.len() <= LONGEST => id,
        Some(Value::Number(id)) if !id.is_f64() => id.to_string(),
        found => {
            return Err(format!(
                "a record has no id: expected text or a whole number in `{}`, got {}",
                shown(&rules.id_field),
                described(found.as_ref())
            ));
        }
    };
    let date = |field: &DateField| date(raw, &id, field, now);
    let updated = rules.updated.as_ref().map(date).transpose()?;
    let created = rules.created.as_ref().map(date).transpose()?;
    let too_old = rules.filter_by_updated && updated.is_some_and(|updated| updated < from);
    let too_new = rules.filter_by_current && updated.is_some_and(|updated| updated > now);
    if too_old || too_new {
        return Ok(Verdict::Ignored);
    }
    let event_type = match (created, updated) {
        (Some(created), Some(updated)) if updated.duration_since(created) <= rules.tolerance => {
            EventType::Created
        }
        // The only date that is known is that of the creation: each record shows once, when it is new.
        (Some(_), None) => EventType::Created,
        _ => EventType::Updated,
    };
    Ok(Verdict::Taken(Judged {
        id,
        updated,
        event_type,
    }))
}

fn date(record: &str, id: &str, field: &DateField, now: Timestamp) -> Result<Timestamp, String> {
    let found = member(record, &field.path);
    let read = found.as_ref().and_then(|value| match &field.format {
        Some(format) => format.read(value, &field.zone, now),
        None => reading::iso(value, &field.zone),
    });
    read.ok_or_else(|| {
        format!(
            "record `{}`: expected a date in the configured format in `{}`, got {}",
            shown(id),
            shown(&field.path),
            described(found.as_ref())
        )
    })
}

/// The member at `path`; a name that itself holds dots goes before a path. Of an object or a list no more is read than that
/// it is one.
fn member(record: &str, path: &str) -> Option<Value> {
    let get = |record, name| values(record, [name]).and_then(|[value]| value);
    let found = get(record, path).or_else(|| path.split('.').try_fold(record, get))?;
    match found.as_bytes() {
        [b'{', ..] => Some(Value::Object(Map::new())),
        [b'[', ..] => Some(Value::Array(Vec::new())),
        _ => serde_json::from_str(found).ok(),
    }
}

fn described(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Object(_)) => "an object".to_owned(),
        Some(Value::Array(_)) => "a list".to_owned(),
        Some(Value::String(text)) => format!("`{}`", shown(text)),
        Some(other) => format!("`{}`", shown(&other.to_string())),
    }
}
