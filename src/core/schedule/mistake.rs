//! What was probably meant by an expression that is refused: habits from Quartz, from other crons and from plain speech,
//! each with what to write instead. Hints only; nothing is corrected silently.

use super::field::Field;
use super::parse::{self, MACROS, number, value};
use crate::core::nearest::nearest;
use crate::core::shown::shown;

/// For an expression that has neither five nor six fields.
pub(super) fn of_fields(words: &[&str]) -> Option<String> {
    match words {
        [] => Some("write `*/15 * * * *` for every quarter of an hour".to_owned()),
        [first, ..] if first.contains("TZ=") => zone_in_front(),
        [word] => time_of_day(word).or_else(|| rhythm(word)),
        _ => quartz(words),
    }
}

/// For an expression that begins with `@`.
pub(super) fn of_macro(words: &[&str]) -> Option<String> {
    let names = MACROS.iter().map(|(name, _)| *name);
    match words {
        ["@reboot"] => {
            Some("none is needed: after a downtime, a poll that was missed is made up for at once".to_owned())
        }
        ["@every", period] => rhythm(period),
        [name] => nearest(name, names).map(|name| format!("did you mean `{name}`?")),
        [name, ..] if names.clone().any(|known| known == *name) => Some(format!("write `{name}` alone")),
        _ => None,
    }
}

/// For one item of a field; `words` are all fields of its expression.
pub(super) fn of_item(field: Field, text: &str, words: &[&str]) -> Option<String> {
    let (range, step) = text.split_once('/').unwrap_or((text, ""));
    let said = |text: &str| Some(text.to_owned());
    if text.is_empty() {
        return said("a value stands before and after each comma");
    }
    if words.contains(&"?") {
        return quartz(words);
    }
    if text.contains("TZ=") {
        return zone_in_front();
    }
    if let Some(time) = time_of_day(text) {
        return Some(time);
    }
    if text.contains(['–', '—', '−']) || text.contains("..") {
        let dashes = ["–", "—", "−", ".."];
        let plain = dashes
            .iter()
            .fold(text.to_owned(), |text, dash| text.replace(dash, "-"));
        return item(field, &plain);
    }
    if text.contains('~') || range == "H" {
        return said("write a plain number; `jitter` spreads the polls");
    }
    if let Some(hint) = bad_step(field, range, step) {
        return Some(hint);
    }
    match (field, range) {
        (Field::Hour, "24") => said("midnight is hour `0`"),
        (Field::Minute, "60") => said("the full hour is minute `0`"),
        (Field::Second, "60") => said("the full minute is second `0`"),
        (Field::DayOfMonth | Field::DayOfWeek, _) if is_quartz_day(range) => {
            said("crontab knows no last, nearest or n-th day; `28` is a day that every month has")
        }
        _ => falling(field, range, step).or_else(|| long_name(field, range, step)),
    }
}

fn zone_in_front() -> Option<String> {
    Some("the time zone has a key of its own, `timezone`".to_owned())
}

/// `9:30`: the minute comes first. `24:00` is midnight.
fn time_of_day(text: &str) -> Option<String> {
    let (hour, minute) = text.split_once(':')?;
    let hour = number(hour).filter(|hour| *hour <= 24)? % 24;
    let minute = number(minute).filter(|minute| *minute < 60)?;
    Some(format!(
        "the minute comes first, then the hour: `{minute} {hour} * * *`"
    ))
}

/// `5m`, `2h`, `30s`, or `15` in minutes, as an expression where there is one.
fn rhythm(text: &str) -> Option<String> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, unit) if unit.is_ascii_alphabetic() => (&text[..at], unit),
        _ => (text, 'm'),
    };
    let count = number(digits).filter(|count| *count > 0)?;
    let (whole, before, behind) = match (count, unit) {
        (60, 's') => return rhythm("1m"),
        (60, 'm') => return rhythm("1h"),
        (24, 'h') => return rhythm("1d"),
        (_, 's') => (60, "", " * * * * *"),
        (_, 'm') => (60, "", " * * * *"),
        (_, 'h') => (24, "0 ", " * * *"),
        (_, 'd') => (1, "0 0 ", " * *"),
        _ => return None,
    };
    Some(match count {
        1 => format!("write `{before}*{behind}`"),
        _ if whole % count == 0 => format!("write `{before}*/{count}{behind}`"),
        _ => "crontab has no such rhythm, since it counts anew each hour and each day; \
              `event.poller.refresh_interval` takes any number of minutes"
            .to_owned(),
    })
}

/// `5/15`: a step with nothing to step through; `*/60`: one that goes too far.
fn bad_step(field: Field, range: &str, step: &str) -> Option<String> {
    let (first, last) = field.range();
    if range == "*" {
        return number(step).filter(|step| *step > last - first).map(|_| {
            format!(
                "a step goes no further than its field: write `{}` here, and the step in the field behind it",
                field.spelled(first)
            )
        });
    }
    let start = value(field, range).filter(|start| *start < last && !step.is_empty())?;
    item(field, &format!("{start}-{last}/{step}"))
}

/// `22-2`: a range that goes over the end.
fn falling(field: Field, range: &str, step: &str) -> Option<String> {
    let (start, end) = range.split_once('-')?;
    let (start, end) = (value(field, start)?, value(field, end)?);
    let (first, last) = field.range();
    if start <= end || start > last {
        return None;
    }
    let part = |from: u32, to: u32| match from == to {
        true => field.spelled(from),
        false => with_step(&format!("{}-{}", field.spelled(from), field.spelled(to)), step),
    };
    let parts = match field {
        // A week that ends with Sunday goes in one range.
        Field::DayOfWeek if end == 0 => vec![part(start, 7)],
        Field::DayOfWeek => vec![part(start, 7), part(1, end)],
        _ => vec![part(start, last), part(first, end)],
    };
    let good = parts.iter().all(|part| parse::item_values(field, part).is_ok());
    good.then(|| format!("write `{}`", parts.join(",")))
}

/// `Monday`: a name of more than three letters.
fn long_name(field: Field, range: &str, step: &str) -> Option<String> {
    let mut shortened = Vec::new();
    for name in range.split('-') {
        let known = field.names().iter().find(|known| {
            let start = name.get(..3);
            start.is_some_and(|start| start.eq_ignore_ascii_case(known))
        })?;
        shortened.push(*known);
    }
    let range = shortened.join("-");
    falling(field, &range, step).or_else(|| item(field, &with_step(&range, step)))
}

/// The suggestion to write `text`, if that is an item of `field`.
fn item(field: Field, text: &str) -> Option<String> {
    let read = parse::item_values(field, text).ok()?;
    Some(format!("write `{}`", read.text))
}

fn with_step(range: &str, step: &str) -> String {
    match step {
        "" => range.to_owned(),
        _ => format!("{range}/{step}"),
    }
}

/// `L`, `15W`, `5#3`, `6L`.
fn is_quartz_day(range: &str) -> bool {
    let known = |c: char| c.is_ascii_digit() || matches!(c, 'L' | 'W' | '#' | '-');
    range.contains(['L', 'W', '#']) && range.chars().all(known)
}

/// The same in crontab, for an expression as Quartz has it: seconds first, `?` for a day that does not matter, `5/15` for
/// from 5 on, days of the week from 1 = Sunday, a year at the end. `None` where crontab cannot say it.
fn quartz(words: &[&str]) -> Option<String> {
    let (words, year) = match words {
        [six @ .., year] if six.len() == 6 && !year.contains(char::is_alphabetic) => (six, true),
        _ => (words, false),
    };
    let fields = match words.len() {
        5 => &Field::ALL[1..],
        6 => &Field::ALL[..],
        _ => return None,
    };
    if !year && !words.contains(&"?") {
        return None;
    }
    let translated: Vec<String> = fields
        .iter()
        .zip(words)
        .map(|(field, word)| {
            word.split(',')
                .map(|item| translated(*field, item))
                .collect::<Vec<_>>()
                .join(",")
        })
        .collect();
    let read = parse::fields(&translated.join(" ")).ok()?;
    Some(format!(
        "write `{}`; Quartz counts the days of the week from 1, Sunday, crontab from 0",
        shown(&read.to_string())
    ))
}

/// One item of Quartz in crontab.
fn translated(field: Field, item: &str) -> String {
    let (range, step) = item
        .split_once('/')
        .map_or((item, None), |(range, step)| (range, Some(step)));
    let name = |text: &str| match (field, number(text)) {
        (Field::DayOfWeek, Some(day @ 1..=7)) => field.spelled(day - 1),
        _ => text.to_owned(),
    };
    let range = range.replace('?', "*");
    let named = range.split('-').map(name).collect::<Vec<_>>().join("-");
    let (first, last) = field.range();
    match step {
        None => named,
        Some(step) if named == field.spelled(first) => format!("*/{step}"),
        Some(step) if value(field, &named).is_some() => format!("{named}-{}/{step}", field.spelled(last)),
        Some(step) => format!("{named}/{step}"),
    }
}
