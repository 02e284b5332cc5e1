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
pub(super) fn of_item(field: Field, item: &str, words: &[&str]) -> Option<String> {
    let (range, step) = item.split_once('/').unwrap_or((item, ""));
    let said = |text: &str| Some(text.to_owned());
    if item.is_empty() {
        return said("a value stands before and after each comma");
    }
    if words.contains(&"?") {
        return quartz(words);
    }
    if item.contains("TZ=") {
        return zone_in_front();
    }
    if let Some(time) = time_of_day(item) {
        return Some(time);
    }
    if item.contains(['–', '—', '−']) || item.contains("..") {
        let plain = ["–", "—", "−", ".."]
            .iter()
            .fold(item.to_owned(), |text, dash| text.replace(dash, "-"));
        return Some(format!("write `{}`", shown(&plain)));
    }
    if item.contains('~') || item.starts_with(['H', 'R']) && item.len() == 1 {
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
        _ => falling(field, range, step).or_else(|| long_name(field, range)),
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

/// `5m`, `2h`, `30s` or `15`, in minutes, as an expression where there is one.
fn rhythm(text: &str) -> Option<String> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, unit) if unit.is_ascii_alphabetic() => (&text[..at], unit),
        _ => (text, 'm'),
    };
    let count = number(digits).filter(|count| *count > 0);
    let parts = match (count, unit) {
        (Some(count), 's') if count < 60 => (count, 60, "", " * * * * *"),
        (Some(count), 'm') if count < 60 => (count, 60, "", " * * * *"),
        (Some(60), 'm') | (Some(1), 'h') => return Some("write `@hourly`".to_owned()),
        (Some(24), 'h') | (Some(1), 'd') => return Some("write `@daily`".to_owned()),
        (Some(count), 'h') if count < 24 => (count, 24, "0 ", " * * *"),
        (Some(_), 's' | 'm' | 'h' | 'd') => (7, 0, "", ""),
        _ => return None,
    };
    match parts {
        (1, _, before, behind) => Some(format!("write `{before}*{behind}`")),
        (count, whole, before, behind) if whole % count == 0 && whole > 0 => {
            Some(format!("write `{before}*/{count}{behind}`"))
        }
        _ => Some(
            "crontab has no such rhythm, since it counts anew each hour and each day; \
             `event.poller.refresh_interval` takes any number of minutes"
                .to_owned(),
        ),
    }
}

/// A step that means nothing, or that has nothing to step through.
fn bad_step(field: Field, range: &str, step: &str) -> Option<String> {
    let step = number(step)?;
    let (first, last) = field.range();
    let start = value(field, range).filter(|start| *start <= last);
    match start {
        Some(start) if step > 0 && start < last => Some(format!(
            "write `{}-{}/{step}`",
            field.spelled(start),
            field.spelled(last)
        )),
        None if range == "*" && step > last - first => Some(format!(
            "a step counts anew from the first {field}: write `{}`, or the next field with a step",
            field.spelled(first)
        )),
        _ => None,
    }
}

/// `22-2`: a range that goes over the end.
fn falling(field: Field, range: &str, step: &str) -> Option<String> {
    let (start, end) = range.split_once('-')?;
    let (start, end) = (value(field, start)?, value(field, end)?);
    let (first, last) = field.range();
    if start <= end || start > last {
        return None;
    }
    let step = if step.is_empty() {
        ""
    } else {
        &format!("/{}", number(step)?)
    };
    let part = |from: u32, to: u32| match from == to {
        true => field.spelled(from),
        false => format!("{}-{}{step}", field.spelled(from), field.spelled(to)),
    };
    // A week that ends with Sunday goes in one range.
    Some(match field {
        Field::DayOfWeek if end == 0 => format!("write `{}`", part(start, 7)),
        Field::DayOfWeek => format!("write `{},{}`", part(start, 7), part(1, end)),
        _ => format!("write `{},{}`", part(start, last), part(first, end)),
    })
}

/// `Monday`: a name of more than three letters.
fn long_name(field: Field, range: &str) -> Option<String> {
    let mut shortened = Vec::new();
    for name in range.split('-') {
        let known = field.names().iter().find(|known| {
            let start = name.get(..3);
            start.is_some_and(|start| start.eq_ignore_ascii_case(known))
        })?;
        shortened.push(*known);
    }
    Some(format!(
        "names have three letters: write `{}`",
        shortened.join("-")
    ))
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
