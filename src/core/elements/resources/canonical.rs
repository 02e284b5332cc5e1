//! The settings of one resource: which there are, and each value in its canonical form. What they mean together stands in
//! `resources`.

use serde_json::{Map, Value};

use crate::core::elements::graph_path;
use crate::core::elements::keys;
use crate::core::elements::values;
use crate::core::problem::{described, quoted};

/// The largest page that can be asked for.
const LARGEST_PAGE: u64 = 999;

/// The longest `pollDelay` and `createdCheckTolerance`, in seconds: a year.
const LONGEST_SECONDS: u64 = 366 * 86_400;

/// What a setting of a resource may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Url,
    Baseline,
    Mode,
    PageSize,
    Schedule,
    Timezone,
    IdField,
    /// Those of polling by dates only.
    Boolean,
    Seconds,
    Dates,
    FieldTimezone,
}

impl Kind {
    /// Whether it means something for a collection without a feed only.
    pub(super) fn is_by_dates(self) -> bool {
        matches!(
            self,
            Kind::Boolean | Kind::Seconds | Kind::Dates | Kind::FieldTimezone
        )
    }
}

/// The settings of a resource. `filterByUpdateDate`, and zones beside `datesConfiguration`, are spellings in use.
pub(super) const SETTINGS: &[(&str, Kind)] = &[
    ("url", Kind::Url),
    ("baseline", Kind::Baseline),
    ("mode", Kind::Mode),
    ("pageSize", Kind::PageSize),
    ("idField", Kind::IdField),
    ("filterByUpdatedDate", Kind::Boolean),
    ("filterByUpdateDate", Kind::Boolean),
    ("filterByCurrentDate", Kind::Boolean),
    ("createdCheckTolerance", Kind::Seconds),
    ("pollDelay", Kind::Seconds),
    ("datesConfiguration", Kind::Dates),
    ("updatedDateTimezone", Kind::FieldTimezone),
    ("createdDateTimezone", Kind::FieldTimezone),
    ("schedule", Kind::Schedule),
    ("timezone", Kind::Timezone),
];

const DATES: &[&str] = &[
    "updatedDateField",
    "updatedDateFormat",
    "updatedDateTimezone",
    "createdDateField",
    "createdDateFormat",
    "createdDateTimezone",
    TOLERANCE,
];

/// A setting that documents have within `datesConfiguration`, too.
const TOLERANCE: &str = "createdCheckTolerance";

/// The canonical form of one setting.
///
/// # Errors
/// What was expected, and what came.
pub(super) fn setting(kind: Kind, value: &Value) -> Result<Value, String> {
    match kind {
        Kind::Url => match value.as_str() {
            Some(url) => graph_path::resolve(url, None, None).map(|_| Value::from(url)),
            None => Err(format!("expected a Graph path, got {}", described(value))),
        },
        Kind::Baseline => values::choice(value, &["snapshot", "emit", "latest"]),
        Kind::Mode => values::choice(value, &["delta", "window"]),
        Kind::PageSize => values::number(value, "a number", 1..=LARGEST_PAGE),
        Kind::IdField => values::text(value).and_then(path).map(Value::from),
        Kind::FieldTimezone => values::text(value).map(Value::from),
        Kind::Boolean => values::boolean(value),
        Kind::Seconds => values::number(value, "seconds", 0..=LONGEST_SECONDS),
        Kind::Dates => dates(value),
        Kind::Schedule => values::text(value).and_then(values::schedule),
        Kind::Timezone => values::text(value).and_then(values::timezone),
    }
}

/// A dotted path to a field of a record.
fn path(text: &str) -> Result<&str, String> {
    if text.split('.').any(str::is_empty) {
        return Err(format!(
            "expected names of fields separated by dots, got {}",
            quoted(text)
        ));
    }
    Ok(text)
}

/// `datesConfiguration`, without what is empty in it.
fn dates(value: &Value) -> Result<Value, String> {
    let mut dates = Map::new();
    for (name, value) in values::object(value)? {
        if !DATES.contains(&name.as_str()) {
            return Err(format!(
                "{}: {}",
                quoted(&name),
                keys::unknown("key", &name, DATES.iter().copied())
            ));
        }
        if values::is_absent(&value) {
            continue;
        }
        if name == TOLERANCE {
            let value =
                setting(Kind::Seconds, &value).map_err(|message| format!("{}: {message}", quoted(&name)))?;
            dates.insert(name, value);
            continue;
        }
        let Some(text) = value.as_str() else {
            return Err(format!(
                "{}: expected text, got {}",
                quoted(&name),
                described(&value)
            ));
        };
        if name.ends_with("Field") {
            path(text).map_err(|message| format!("{}: {message}", quoted(&name)))?;
        }
        dates.insert(name, value);
    }
    Ok(Value::Object(dates))
}
