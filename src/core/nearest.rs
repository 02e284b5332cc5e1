//! Which known name somebody probably meant: the suggestion behind "unknown key" and "unknown zone".
//! It suggests only; nothing is ever corrected silently.

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
        let allowed = (name.len().max(letters.len()) / 3).max(1);
        let limit = best.map_or(allowed, |(distance, _)| allowed.min(distance.saturating_sub(1)));
        if name.len().abs_diff(letters.len()) > limit {
            continue;
        }
        let distance = edits(&name, &letters);
        if distance <= limit && best.is_none_or(|(shortest, _)| distance < shortest) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The letters to compare; `None` where there are none, or too many.
fn lowered(name: &str) -> Option<Vec<char>> {
    let letters: Vec<char> = name
        .chars()
        .take(LONGEST + 1)
        .flat_map(char::to_lowercase)
        .collect();
    (!letters.is_empty() && letters.len() <= LONGEST).then_some(letters)
}

/// The optimal string alignment distance: three rows of the usual table, the third for swaps of neighbours.
fn edits(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut cost = (above[j] + usize::from(a != b))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
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

    proptest::proptest! {
        #[test]
        fn a_distance_is_symmetric_and_zero_only_for_equals(left in "[ab.]{0,8}", right in "[ab.]{0,8}") {
            let (a, b): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
            proptest::prop_assert_eq!(edits(&a, &b), edits(&b, &a));
            proptest::prop_assert_eq!(edits(&a, &b) == 0, a == b);
        }
    }
}
