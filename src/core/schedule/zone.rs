//! Time zones by their IANA names: what an unknown one was probably meant to be. The database is passed in.

use jiff::tz::TimeZone;

use crate::core::nearest::nearest;
use crate::core::shown::shown;

/// How many names are suggested at most.
const SUGGESTED: usize = 5;

/// The longest name of a zone; those there are have at most 32 characters.
const LONGEST_NAME: usize = 64;

/// A name that is no zone's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an IANA time zone such as `Europe/Berlin`, got `{found}`")]
pub struct ZoneError {
    found: String,
    hint: Option<String>,
}

impl ZoneError {
    /// The names that were probably meant.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// The zone that `find` knows by `name`. `known` lists the names of the database; it is asked only when there is none.
///
/// # Errors
/// When there is none: with a hint that names near matches in `known`, if there are any.
pub fn zone_named<Names: IntoIterator<Item: AsRef<str>>>(
    name: &str,
    find: impl FnOnce(&str) -> Option<TimeZone>,
    known: impl FnOnce() -> Names,
) -> Result<TimeZone, ZoneError> {
    find(name).ok_or_else(|| ZoneError {
        found: shown(name),
        hint: fixed_offset(name).or_else(|| near(name, known())),
    })
}

/// Whether `name` is spelled as the names of zones are. They become paths, so what climbs out of a directory is none.
pub fn is_zone_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+');
    name.len() <= LONGEST_NAME
        && name
            .split('/')
            .all(|part| !part.is_empty() && part.bytes().all(plain))
}

/// `+02:00` or `UTC+2`: zones at whole hours exist under names of the opposite sign.
fn fixed_offset(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let signed = ["UTC", "GMT"]
        .iter()
        .find_map(|prefix| upper.strip_prefix(prefix))
        .unwrap_or(&upper);
    let (sign, digits) = signed.split_at_checked(1)?;
    let opposite = match sign {
        "+" => '-',
        "-" => '+',
        _ => return None,
    };
    let (hours, minutes) = digits
        .split_once(':')
        .unwrap_or(match digits.split_at_checked(2) {
            Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
            _ => (digits, "0"),
        });
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    match (hours, minutes) {
        (0, 0) => Some("write `UTC`".to_owned()),
        (1..=14, 0) if opposite == '-' || hours <= 12 => Some(format!(
            "write `Etc/GMT{opposite}{hours}` (there the sign is the other way round)"
        )),
        _ => None,
    }
}

/// The zones with `name` as their place, or else the one that is spelled most alike.
fn near(name: &str, known: impl IntoIterator<Item: AsRef<str>>) -> Option<String> {
    let wanted = plain(name);
    let place = plain(name.rsplit('/').next().unwrap_or(name));
    let known: Vec<_> = known.into_iter().collect();
    let mut known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    known.sort_unstable();
    let is_place = |zone: &&&str| {
        let zone = plain(zone);
        let (_, city) = zone.rsplit_once('/').unwrap_or(("", &zone));
        city == place || zone == wanted
    };
    let mut found: Vec<&str> = known.iter().filter(is_place).take(SUGGESTED).copied().collect();
    if found.is_empty() {
        let cities = known
            .iter()
            .filter_map(|zone| Some((zone.rsplit('/').next()?, *zone)));
        let alike = nearest(name, known.iter().copied()).or_else(|| {
            let city = nearest(name, cities.clone().map(|(city, _)| city))?;
            cities
                .clone()
                .find(|(known, _)| *known == city)
                .map(|(_, zone)| zone)
        });
        found.extend(alike);
    }
    let names: Vec<String> = found.iter().map(|zone| format!("`{zone}`")).collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}

/// A name as people remember it: without case, and with spaces or hyphens for underscores.
fn plain(name: &str) -> String {
    name.to_lowercase().replace([' ', '-'], "_")
}
