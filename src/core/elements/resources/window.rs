//! The settings of a resource that is polled by dates, understood: formats and zones that are none are told here.

use jiff::SignedDuration;
use serde_json::Value;

use crate::core::feed::{DateSettings, Window};
use crate::core::problem::{Report, quoted};
use crate::core::window::{DateFormat, Template, ZoneId};

/// `createdCheckTolerance` where it is not given, in seconds: what the framework's own documentation names.
const DEFAULT_TOLERANCE: i64 = 10;

/// How the resource of `settings` at `url` is polled by dates. Problems are told for `key`.
pub(super) fn read(key: &str, url: &str, settings: &Value, report: &mut Report) -> Option<Window> {
    let before = report.problems.len();
    let template = match Template::parse(url) {
        Ok(template) => Some(template),
        Err(message) => {
            report.problem(&format!("{key}.url"), message.to_string());
            None
        }
    };
    let updated = date(key, "updated", settings, report);
    let created = date(key, "created", settings, report);
    if report.problems.len() > before {
        return None;
    }
    let dates = settings.get("datesConfiguration").unwrap_or(&Value::Null);
    let seconds = |name: &str, default: i64| {
        let given = settings
            .get(name)
            .or_else(|| dates.get(name))
            .and_then(Value::as_i64);
        SignedDuration::from_secs(given.unwrap_or(default))
    };
    let flag = |names: &[&str], default: bool| {
        let mut given = names.iter().filter_map(|name| settings.get(*name)?.as_bool());
        given.next().unwrap_or(default)
    };
    Some(Window {
        template: template?,
        zone: super::text(settings, "timezone"),
        id_field: super::text(settings, "idField").unwrap_or_else(|| "id".to_owned()),
        // Without an updated date there is nothing to filter by: records are told apart by all that is said of them.
        filter_by_updated: updated.is_some() && flag(&["filterByUpdatedDate", "filterByUpdateDate"], true),
        filter_by_current: flag(&["filterByCurrentDate"], false),
        tolerance: seconds("createdCheckTolerance", DEFAULT_TOLERANCE),
        poll_delay: seconds("pollDelay", 0),
        updated,
        created,
    })
}

/// The IANA zones that `window` names, each with its key below `key`.
pub(super) fn zones(key: &str, window: &Window) -> Vec<(String, String)> {
    let of_date = |which: &str, date: &Option<DateSettings>| {
        let id = date.as_ref()?.zone.as_deref()?;
        match ZoneId::of(id) {
            ZoneId::Named(name) => Some((format!("{key}.datesConfiguration.{which}DateTimezone"), name)),
            ZoneId::Fixed(_) => None,
        }
    };
    let of_url = window
        .template
        .zones()
        .into_iter()
        .map(|name| (format!("{key}.url"), name));
    let of_dates = [
        of_date("updated", &window.updated),
        of_date("created", &window.created),
    ];
    of_url.chain(of_dates.into_iter().flatten()).collect()
}

/// The updated, or the created, date. Its zone may stand beside `datesConfiguration`, too.
fn date(key: &str, which: &str, settings: &Value, report: &mut Report) -> Option<DateSettings> {
    let dates = settings.get("datesConfiguration").unwrap_or(&Value::Null);
    let field = super::text(dates, &format!("{which}DateField"))?;
    let format = super::text(dates, &format!("{which}DateFormat"));
    let format = format.and_then(|pattern| match DateFormat::new(&pattern) {
        Ok(format) if format.tells_the_day() => Some(format),
        Ok(_) => {
            let key = format!("{key}.datesConfiguration.{which}DateFormat");
            let message = format!("{} tells no day; it needs `y`, `M` and `d`", quoted(&pattern));
            report.problem(&key, message);
            None
        }
        Err(message) => {
            let key = format!("{key}.datesConfiguration.{which}DateFormat");
            report.problem(&key, format!("{}: {message}", quoted(&pattern)));
            None
        }
    });
    let zone_key = format!("{which}DateTimezone");
    let zone = super::text(dates, &zone_key).or_else(|| super::text(settings, &zone_key));
    Some(DateSettings { field, format, zone })
}
