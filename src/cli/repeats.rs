//! Which log lines are repeats: of one event a few are told within a minute, and the rest are counted, so that a thousand
//! failing instances don't fill a small disk. What says the same again and again is told more and more seldom, once an
//! hour in the end. How a line looks, and where it goes, is not decided here.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use log::Level;

/// How long lines of one event are counted together.
const SPAN: SignedDuration = SignedDuration::from_secs(60);

/// How long one line that comes again and again is counted at most.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// How many of them are told.
const TOLD: u32 = 20;

/// The events that were told of lately. There are as many as there are kinds of lines, so it stays small.
#[derive(Debug, Default)]
pub(super) struct Repeats(BTreeMap<String, Span>);

#[derive(Debug)]
struct Span {
    level: Level,
    began: Timestamp,
    length: SignedDuration,
    lines: u32,
    /// How many are told.
    told: u32,
    /// The one line that all of them were.
    same: Option<String>,
}

impl Repeats {
    /// No events yet.
    pub(super) const fn new() -> Repeats {
        Repeats(BTreeMap::new())
    }

    /// Whether a line is told, or counted.
    pub(super) fn is_told(&mut self, level: Level, message: &str, now: Timestamp) -> bool {
        let new = || Span {
            level,
            began: now,
            length: SPAN,
            lines: 0,
            told: TOLD,
            same: Some(message.to_owned()),
        };
        let span = self.0.entry(event(message).to_owned()).or_insert_with(new);
        if span.same.as_deref().is_some_and(|same| same != message) {
            span.same = None;
            if span.length > SPAN {
                (span.length, span.told) = (SPAN, span.lines.saturating_add(TOLD));
            }
        }
        span.lines = span.lines.saturating_add(1);
        span.lines <= span.told
    }

    /// What is to be told of the events whose time is over, or of all at the `end`: the level, and the line.
    pub(super) fn over(&mut self, now: Timestamp, end: bool) -> Vec<(Level, String)> {
        let mut told = Vec::new();
        self.0.retain(|event, span| {
            let age = now.duration_since(span.began);
            // A clock that was set back ends it, too.
            let is_over = end || age >= span.length || age.is_negative();
            let is_more = is_over && span.lines > span.told;
            if is_more {
                let (more, seconds) = (span.lines - span.told, age.as_secs());
                let line =
                    format!("repeated, and only counted event={event:?} times={more} within_s={seconds}");
                told.push((span.level, line));
            }
            let goes_on = is_more && !end && span.same.is_some();
            if goes_on {
                (span.began, span.lines, span.told) = (now, 0, 1);
                span.length = (span.length * 2).min(LONGEST);
            }
            goes_on || !is_over
        });
        told
    }
}

/// What a line says before its first `key=value`.
fn event(message: &str) -> &str {
    let is_key = |word: &str| {
        word.split_once('=').is_some_and(|(key, _)| {
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
    };
    let mut end = 0;
    for word in message.split_inclusive(' ') {
        if is_key(word) {
            break;
        }
        end += word.len();
    }
    message[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).unwrap()
    }

    #[test]
    fn an_event_is_what_stands_before_the_first_key() {
        assert_eq!(event("poll failed instance=\"a=b c\" error=\"x\""), "poll failed");
        assert_eq!(event("stopped"), "stopped");
        assert_eq!(event("instance=1"), "");
        assert_eq!(event("größer 1+1=2 url=\"x\""), "größer 1+1=2");
    }

    #[test]
    fn of_one_event_the_first_lines_are_told_and_the_others_counted() {
        let mut repeats = Repeats::new();
        let mut told = 0;
        for number in 0..1_000 {
            let message = format!("poll failed instance={number:?}");
            told += u32::from(repeats.is_told(Level::Warn, &message, at(number / 100)));
        }
        assert_eq!(told, TOLD);
        assert!(repeats.is_told(Level::Info, "another event", at(10)));
        assert_eq!(repeats.over(at(59), false), []);
        let line = "repeated, and only counted event=\"poll failed\" times=980 within_s=60";
        assert_eq!(repeats.over(at(60), false), [(Level::Warn, line.to_owned())]);
        assert!(
            repeats.is_told(Level::Warn, "poll failed instance=1", at(61)),
            "told again"
        );
    }

    #[test]
    fn one_line_that_comes_every_second_is_told_once_an_hour_in_the_end_and_another_at_once() {
        let mut repeats = Repeats::new();
        let mut told = Vec::new();
        for second in 0..6 * 3_600 {
            if repeats.is_told(Level::Error, "the disk is full path=\"a\"", at(second)) {
                told.push(second);
            }
            repeats.over(at(second), false);
        }
        assert_eq!(told.len(), 20 + 10, "{told:?}");
        assert_eq!(told[29] - told[28], 3_600, "{told:?}");
        let other = "the disk is full path=\"b\"";
        assert!((0..20).all(|_| repeats.is_told(Level::Error, other, at(6 * 3_600))));
    }

    #[test]
    fn what_was_counted_is_told_at_the_end_and_when_the_clock_is_set_back() {
        for (now, end) in [(at(1), true), (at(-3600), false)] {
            let mut repeats = Repeats::new();
            for _ in 0..=TOLD {
                repeats.is_told(Level::Warn, "poll failed", at(0));
            }
            assert_eq!(repeats.over(now, end).len(), 1);
            assert_eq!(repeats.over(now, end), []);
        }
    }
}
