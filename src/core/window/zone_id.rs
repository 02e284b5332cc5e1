//! Java's ids of time zones: which IANA name, or which fixed offset, each of them means. Whether there is such a zone is for
//! who has a database of them.

use jiff::tz::{Offset, TimeZone};

/// The JDK's short ids (`java.time.ZoneId.SHORT_IDS`) that are no IANA names, or mean something else there.
const SHORT_IDS: &[(&str, &str)] = &[
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// The ids that stand for the whole year's offset, in hours.
const FIXED_IDS: &[(&str, i8)] = &[
    ("GMT", 0),
    ("UTC", 0),
    ("UT", 0),
    ("Z", 0),
    ("EST", -5),
    ("MST", -7),
    ("HST", -10),
];

/// What a Java zone id means.
#[derive(Clone, Debug, PartialEq)]
pub enum ZoneId {
    Fixed(Offset),
    /// To be looked up by this IANA name.
    Named(String),
}

impl ZoneId {
    /// What `id` means: one of Java's short ids, `GMT-8`, `GMT+05:30`, or else an IANA name. The JDK takes an id that it does
    /// not know for GMT, silently; here it is a name that cannot be found.
    pub fn of(id: &str) -> ZoneId {
        let fixed = FIXED_IDS.iter().find(|(name, _)| *name == id);
        let fixed = fixed.and_then(|(_, hours)| Offset::from_hours(*hours).ok());
        let custom = || match id.strip_prefix("GMT").and_then(numeric_offset) {
            Some((offset, "")) => Some(offset),
            _ => None,
        };
        if let Some(offset) = fixed.or_else(custom) {
            return ZoneId::Fixed(offset);
        }
        let short = SHORT_IDS.iter().find(|(name, _)| *name == id);
        ZoneId::Named(short.map_or(id, |(_, name)| name).to_owned())
    }

    /// The zone, the named ones by `find`. `None` where that finds none.
    pub fn zone(&self, find: &dyn Fn(&str) -> Option<TimeZone>) -> Option<TimeZone> {
        match self {
            ZoneId::Fixed(offset) => Some(offset.to_time_zone()),
            ZoneId::Named(name) => find(name),
        }
    }
}

/// The offset `+8`, `-08`, `+530`, `+0530` or `+5:30` that `text` begins with, and what follows it; `None` for anything else,
/// and beyond 23:59.
pub(super) fn numeric_offset(text: &str) -> Option<(Offset, &str)> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (number, rest) = digits(&text[1..]);
    let (hours, minutes, rest) = match (number.len(), rest.strip_prefix(':')) {
        (1 | 2, Some(behind)) => {
            let (minutes, rest) = digits(behind);
            (number, Some(minutes).filter(|minutes| minutes.len() == 2)?, rest)
        }
        (1 | 2, None) => (number, "0", rest),
        (length @ (3 | 4), _) => (&number[..length - 2], &number[length - 2..], rest),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
    Some((offset, rest))
}

/// The digits that `text` begins with, at most four, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take(4).take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fixed(id: &str, minutes: i32) {
        let offset = Offset::from_seconds(minutes * 60).unwrap();
        assert_eq!(ZoneId::of(id), ZoneId::Fixed(offset), "{id}");
    }

    #[track_caller]
    fn named(id: &str, name: &str) {
        assert_eq!(ZoneId::of(id), ZoneId::Named(name.to_owned()), "{id}");
    }

    #[test]
    fn an_id_means_what_the_jdk_says() {
        fixed("GMT", 0);
        fixed("EST", -300);
        fixed("GMT-8", -480);
        fixed("GMT+05:30", 330);
        fixed("GMT+0530", 330);
        fixed("GMT-08", -480);
        fixed("GMT+530", 330);
        named("PST", "America/Los_Angeles");
        named("Europe/Berlin", "Europe/Berlin");
        named("CET", "CET");
    }

    #[test]
    fn an_id_that_the_jdk_takes_for_gmt_without_a_word_is_looked_up_and_not_found() {
        for id in [
            "UTC+1",
            "GMT+24:00",
            "GMT+",
            "GMT+1:2",
            "GMT+12345",
            "Nowhere",
            "PDT",
            "GMT+é",
        ] {
            named(id, id);
        }
    }
}
