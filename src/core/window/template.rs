//! The `url` of a collection, with its dates to be filled in: `${date}`, `${date:FORMAT}`, `${gmtDate:FORMAT}`,
//! `${dateTimeZone:ZONE:FORMAT}`, `${epoch}` and `${epoch:s}`, `${epoch:ms}`, `${epoch:us}`.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::format::DateFormat;
use super::zone_id::ZoneId;
use crate::core::shown::shown;

/// How a date is written where no format is given: it says its offset, so that it means the same in every zone.
const DEFAULT_FORMAT: &str = "yyyy-MM-dd'T'HH:mm:ss.SSSXXX";

/// A `url`, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Date(Clocks, DateFormat),
    /// The time since the epoch, in units of so many nanoseconds.
    Epoch(i128),
}

/// Whose clocks a date is written by.
#[derive(Clone, Debug, PartialEq)]
enum Clocks {
    /// The service's.
    Service,
    Utc,
    Zone(String, ZoneId),
}

impl Template {
    /// Reads `url`.
    ///
    /// # Errors
    /// What is wrong with its first wrong placeholder, with that placeholder.
    pub fn parse(url: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = url;
        while let Some((before, after)) = rest.split_once("${") {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let column = url[..url.len() - after.len()].chars().count() - 1;
            let end = end_of_placeholder(after)
                .ok_or_else(|| format!("the placeholder at character {column} has no `}}`"))?;
            let inside = &after[..end];
            let piece = placeholder(inside);
            pieces.push(piece.map_err(|message| format!("`${{{}}}`: {message}", shown(inside)))?);
            rest = &after[end + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Template(pieces))
    }

    /// Whether it asks for a time at all.
    pub fn has_date(&self) -> bool {
        self.0.iter().any(|piece| !matches!(piece, Piece::Text(_)))
    }

    /// The IANA names that `expand` looks up.
    pub fn zones(&self) -> Vec<String> {
        let named = self.0.iter().filter_map(|piece| match piece {
            Piece::Date(Clocks::Zone(_, ZoneId::Named(name)), _) => Some(name.clone()),
            _ => None,
        });
        named.collect()
    }

    /// The url for what came since `instant`; `zone` is the service's, and `find` knows the others. What is filled in is
    /// encoded where a url needs it: the `+` of an offset, blanks, quotes.
    ///
    /// # Errors
    /// Which zone there is not.
    pub fn expand(
        &self,
        instant: Timestamp,
        zone: &TimeZone,
        find: &dyn Fn(&str) -> Option<TimeZone>,
    ) -> Result<String, String> {
        let mut url = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => url.push_str(text),
                Piece::Date(place, format) => {
                    let zone = match place {
                        Clocks::Service => zone.clone(),
                        Clocks::Utc => TimeZone::UTC,
                        Clocks::Zone(id, zone) => zone
                            .zone(find)
                            .ok_or_else(|| format!("there is no time zone `{}`", shown(id)))?,
                    };
                    url.extend(utf8_percent_encode(&format.print(instant, &zone), QUERY));
                }
                Piece::Epoch(unit) => {
                    write!(url, "{}", instant.as_nanosecond().div_euclid(*unit))
                        .expect("writing to a string does not fail");
                }
            }
        }
        Ok(url)
    }
}

/// Where the placeholder ends: at the first brace that is not within quotes.
fn end_of_placeholder(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(position, letter)| {
        quoted ^= letter == '\'';
        (letter == '}' && !quoted).then_some(position)
    })
}

fn placeholder(inside: &str) -> Result<Piece, String> {
    let (name, argument) = match inside.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (inside, None),
    };
    let format = |pattern: Option<&str>| DateFormat::new(pattern.unwrap_or(DEFAULT_FORMAT));
    match name {
        "date" => Ok(Piece::Date(Clocks::Service, format(argument)?)),
        "gmtDate" => Ok(Piece::Date(Clocks::Utc, format(argument)?)),
        "dateTimeZone" => {
            let (id, pattern) = zone_and_format(argument.unwrap_or_default());
            if id.is_empty() {
                return Err("expected `${dateTimeZone:ZONE:FORMAT}`".to_owned());
            }
            Ok(Piece::Date(
                Clocks::Zone(id.to_owned(), ZoneId::of(id)),
                format(pattern)?,
            ))
        }
        "epoch" => match argument.unwrap_or("ms") {
            "ms" => Ok(Piece::Epoch(1_000_000)),
            "s" => Ok(Piece::Epoch(1_000_000_000)),
            "us" => Ok(Piece::Epoch(1_000)),
            other => Err(format!("expected `ms`, `s` or `us`, got `{}`", shown(other))),
        },
        _ => Err("unknown; known are `date`, `gmtDate`, `dateTimeZone` and `epoch`".to_owned()),
    }
}

/// `ZONE:FORMAT`, in which the zone may be one such as `GMT+05:30`.
fn zone_and_format(argument: &str) -> (&str, Option<&str>) {
    let colons = argument.match_indices(':').map(|(position, _)| position);
    let with_minutes = colons
        .clone()
        .nth(1)
        .filter(|end| matches!(ZoneId::of(&argument[..*end]), ZoneId::Fixed(_)));
    match with_minutes.or(argument.find(':')) {
        Some(end) => (&argument[..end], Some(&argument[end + 1..])),
        // `GMT+05:30` without a format.
        None => (argument, None),
    }
}

/// What a query holds as it is (RFC 3986, 3.4), as far as dates need it; a `+` would be read as a blank.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b',');

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-02T09:32:01.123Z
    fn instant() -> Timestamp {
        Timestamp::from_millisecond(1_772_443_921_123).unwrap()
    }

    #[track_caller]
    fn check(url: &str, expect: &str) {
        let find = |name: &str| TimeZone::get(name).ok();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let template = Template::parse(url).unwrap();
        assert_eq!(
            template.expand(instant(), &berlin, &find).unwrap(),
            expect,
            "{url}"
        );
    }

    #[test]
    fn each_placeholder_becomes_the_time_by_the_clocks_that_it_names() {
        check("/a?b=1", "/a?b=1");
        check("/a?since=${date}", "/a?since=2026-03-02T10:32:01.123%2B01:00");
        check(
            "/a?since=${date:yyyy-MM-dd'T'HH:mm:ss}&x",
            "/a?since=2026-03-02T10:32:01&x",
        );
        check(
            "${gmtDate:yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}",
            "2026-03-02T09:32:01.123Z",
        );
        check("${gmtDate}", "2026-03-02T09:32:01.123Z");
        check(
            "${dateTimeZone:PST:yyyy-MM-dd HH:mm:ss Z}",
            "2026-03-02%2001:32:01%20-0800",
        );
        check("${dateTimeZone:GMT-8:HH:mm}", "01:32");
        check("${dateTimeZone:GMT+05:30:HH:mm}", "15:02");
        check("${dateTimeZone:Asia/Tokyo:EEE, d MMM}", "Mon,%202%20Mar");
        check(
            "${epoch}|${epoch:ms}|${epoch:s}|${epoch:us}",
            "1772443921123|1772443921123|1772443921|1772443921123000",
        );
        check("${gmtDate:yyyy'}'MM''}", "2026%7D03%27");
    }

    #[track_caller]
    fn refused(url: &str, message: &str) {
        assert_eq!(Template::parse(url).unwrap_err(), message, "{url}");
    }

    #[test]
    fn a_placeholder_that_means_nothing_is_named() {
        refused(
            "/a?${now}",
            "`${now}`: unknown; known are `date`, `gmtDate`, `dateTimeZone` and `epoch`",
        );
        refused("/a?x=${date:yyyy", "the placeholder at character 6 has no `}`");
        refused("/ä?x=${date:yyyy", "the placeholder at character 6 has no `}`");
        refused(
            "${epoch:ns}",
            "`${epoch:ns}`: expected `ms`, `s` or `us`, got `ns`",
        );
        refused(
            "${dateTimeZone}",
            "`${dateTimeZone}`: expected `${dateTimeZone:ZONE:FORMAT}`",
        );
        assert!(
            Template::parse("${date:QQQ}")
                .unwrap_err()
                .contains("the letter `Q` at character 1")
        );
    }

    #[test]
    fn the_zones_to_look_up_are_told_by_their_iana_names() {
        let template = Template::parse("${dateTimeZone:PST:HH}${dateTimeZone:GMT-8:HH}${date:HH}").unwrap();
        assert_eq!(template.zones(), ["America/Los_Angeles"]);
        assert!(template.has_date() && !Template::parse("/users").unwrap().has_date());
    }
}
