//! Which known name somebody probably meant: the suggestion behind "unknown key" and "unknown zone".
//! It suggests only; nothing is ever corrected silently.

use strsim::osa_distance;

/// Names longer than this are not compared: nobody mistypes one that long, and the cost is quadratic.
const LONGEST: usize = 128;

/// The name in `known` that `name` most likely stands for: the one with the fewest insertions, deletions,
/// substitutions and swaps of neighbours, upper and lower case being equal. Returns `None` when even that one is off by
/// more than a third of the longer of the two names, for then the suggestion would be a guess. Among equals the first wins.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = lowered(name)?;
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let Some(letters) = lowered(candidate) else {
            continue;
        };
        let allowed = (name.chars().count().max(letters.chars().count()) / 3).max(1);
        let distance = osa_distance(&name, &letters);
        if distance <= allowed && best.is_none_or(|(shortest, _)| distance < shortest) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The name to compare; `None` where there are none, or too many.
fn lowered(name: &str) -> Option<String> {
    let letters: String = name
        .chars()
        .take(LONGEST + 1)
        .flat_map(char::to_lowercase)
        .collect();
    (!letters.is_empty() && letters.chars().count() <= LONGEST).then_some(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &[
        "event.notification.enabled",
        "event.poller.refresh_interval",
        "oauth.api.key",
        "name",
        "cron",
    ];

    #[track_caller]
    fn check(name: &str, expect: Option<&str>) {
        assert_eq!(nearest(name, KNOWN.iter().copied()), expect, "for {name:?}");
    }

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        check("event.notification.enable", Some("event.notification.enabled"));
        check(
            "event.poller.refreshInterval",
            Some("event.poller.refresh_interval"),
        );
        check("OAUTH.API.KEY", Some("oauth.api.key"));
        check("oauth.apikey", Some("oauth.api.key"));
        check("nmae", Some("name"));
        check("corn", Some("cron"));
    }

    #[test]
    fn what_resembles_nothing_suggests_nothing() {
        check("", None);
        check("colour", None);
        check("oauth", None);
        check(&"n".repeat(100_000), None);
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(nearest("bat", ["cat", "hat"]), Some("cat"));
        assert_eq!(nearest("hat", ["cat", "hat"]), Some("hat"));
    }
}
