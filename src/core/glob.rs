//! Globs on paths, as `event.filter.paths` has them. Matching takes time in proportion to pattern times path,
//! whatever they hold: both may come from somebody who means no good.

/// Whether all of `path`, from the drive's root, matches `pattern`.
///
/// `*` stands for any run of characters within a name, `?` for one character of a name, and `**` for any run across
/// folders; as a whole name, `**` also stands for no folder at all: `/a/**/b` matches `/a/b`. Everything else stands
/// for itself, without regard to case, since OneDrive has one name where only the case differs. OneDrive allows no
/// `*` and no `?` in names, so there is nothing to escape. Both sides begin at the root, with or without a `/`.
pub fn matches(pattern: &str, path: &str) -> bool {
    let tokens = tokens(pattern);
    let path = path.strip_prefix('/').unwrap_or(path);
    // The set of tokens that could come next: each character moves the whole set at once, and nothing is ever
    // tried again. The place behind the last token means that the pattern is used up.
    let mut next = vec![false; tokens.len() + 1];
    next[0] = true;
    skip_what_may_be_empty(&tokens, &mut next);
    for c in path.chars() {
        next = step(&tokens, &next, c);
        skip_what_may_be_empty(&tokens, &mut next);
    }
    next[tokens.len()]
}

#[derive(Clone, Copy)]
enum Token {
    /// This character, in either case.
    Char(char),
    /// `?`
    One,
    /// `*`
    Name,
    /// `**`
    Any,
    /// The next two tokens, or nothing: stands before the `Any` and the `/` of a `**` that is a whole name.
    Optional,
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut rest = pattern.strip_prefix('/').unwrap_or(pattern);
    let mut tokens = Vec::new();
    let mut at_name = true;
    while let Some(c) = rest.chars().next() {
        let token = match c {
            '*' if rest.starts_with("**") => Token::Any,
            '*' => Token::Name,
            '?' => Token::One,
            c => Token::Char(c),
        };
        if at_name && rest.starts_with("**/") {
            tokens.push(Token::Optional);
        }
        tokens.push(token);
        rest = match token {
            // More stars than two mean nothing more.
            Token::Any => rest.trim_start_matches('*'),
            _ => &rest[c.len_utf8()..],
        };
        at_name = c == '/';
    }
    tokens
}

fn step(tokens: &[Token], now: &[bool], c: char) -> Vec<bool> {
    let mut next = vec![false; now.len()];
    for (at, token) in tokens.iter().enumerate().filter(|(at, _)| now[*at]) {
        match token {
            Token::Char(wanted) => next[at + 1] |= same_letter(*wanted, c),
            Token::One => next[at + 1] |= c != '/',
            Token::Name => next[at] |= c != '/',
            Token::Any => next[at] = true,
            Token::Optional => {}
        }
    }
    next
}

fn skip_what_may_be_empty(tokens: &[Token], next: &mut [bool]) {
    // Every skip goes forward, so one pass sees them all.
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Name | Token::Any if next[at] => next[at + 1] = true,
            Token::Optional if next[at] => {
                next[at + 1] = true;
                next[at + 3] = true;
            }
            _ => {}
        }
    }
}

fn same_letter(a: char, b: char) -> bool {
    a == b || a.to_lowercase().eq(b.to_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        for path in matching {
            assert!(matches(pattern, path), "{pattern:?} should match {path:?}");
        }
        for path in others {
            assert!(!matches(pattern, path), "{pattern:?} should not match {path:?}");
        }
    }

    #[test]
    fn a_star_stays_within_a_name() {
        check(
            "/Finance/*.xlsx",
            &["/Finance/a.xlsx", "/Finance/.xlsx", "/Finance/a.b.xlsx"],
            &[
                "/Finance/2026/a.xlsx",
                "/Finance/a.xlsx.bak",
                "/a.xlsx",
                "/Finance",
            ],
        );
        check("/*", &["/a", "/"], &["/a/b"]);
        check("/*/b*", &["/a/b", "/a/bc"], &["/a/c", "/a/x/b"]);
    }

    #[test]
    fn two_stars_cross_folders() {
        check(
            "/Finance/**",
            &["/Finance/a", "/Finance/2026/03/a", "/Finance/"],
            &["/Finance", "/Financeer/a", "/x/Finance/a"],
        );
        check("**", &["", "/", "/a/b"], &[]);
        check("/a**z", &["/az", "/a/b/z", "/abcz"], &["/a/b/zy"]);
        check("/a/***", &["/a/b/c"], &["/b"]);
    }

    #[test]
    fn two_stars_as_a_name_stand_for_any_folders_or_none() {
        check(
            "/a/**/b",
            &["/a/b", "/a/x/b", "/a/x/y/b"],
            &["/a/xb", "/ab", "/a/x/yb"],
        );
        check("**/*.pdf", &["/x.pdf", "/a/b/x.pdf"], &["/x.pdf/y"]);
        check("/**/**/b", &["/b", "/a/b", "/a/a/b"], &["/ab"]);
        check("/a**/b", &["/a/b", "/ax/b", "/a/x/b"], &["/ab", "/b"]);
    }

    #[test]
    fn a_question_mark_is_one_character_of_a_name() {
        check(
            "/r?port",
            &["/report", "/r€port", "/r\u{1F980}port"],
            &["/rport", "/r/port", "/reeport"],
        );
    }

    #[test]
    fn case_does_not_matter() {
        check(
            "/finance/ÄRGER*",
            &["/Finance/ärger.txt", "/FINANCE/Ärger"],
            &["/finance/arger"],
        );
    }

    #[test]
    fn both_sides_begin_at_the_root_with_or_without_a_slash() {
        check("Finance/*", &["/Finance/a", "Finance/a"], &["/x/Finance/a"]);
        check("/Finance/*", &["Finance/a"], &[]);
        check("*.pdf", &["/a.pdf"], &["/a/b.pdf"]);
    }

    #[test]
    fn other_signs_stand_for_themselves() {
        check("/a.(b)[c]{d}+$", &["/a.(b)[c]{d}+$"], &["/axb", "/a.b"]);
        check("", &["", "/"], &["/a"]);
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        // A matcher that tries alternatives one after the other would not come back from these.
        let path = format!("/{}", "a".repeat(2_000));
        assert!(!matches(&format!("{}b", "*a".repeat(40)), &path));
        assert!(!matches(
            &format!("{}b", "**/".repeat(40)),
            &path.replace("aa", "a/")
        ));
    }

    /// The same meaning, said as plainly as can be and with no care for time.
    fn plainly(pattern: &[char], path: &[char], at_name: bool) -> bool {
        match pattern {
            ['*', '*', '/', rest @ ..] if at_name && plainly(rest, path, true) => true,
            ['*', '*', rest @ ..] => (0..=path.len()).any(|skip| plainly(rest, &path[skip..], false)),
            ['*', rest @ ..] => {
                let name = path.iter().take_while(|c| **c != '/').count();
                (0..=name).any(|skip| plainly(rest, &path[skip..], false))
            }
            ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && plainly(rest, &path[1..], false),
            [c, rest @ ..] => path.first() == Some(c) && plainly(rest, &path[1..], *c == '/'),
            [] => path.is_empty(),
        }
    }

    proptest! {
        #[test]
        fn it_means_what_the_plain_matcher_means(pattern in "[ab/?*]{0,9}", path in "[ab/]{0,9}") {
            let (pattern, path) = (format!("/x{pattern}"), format!("/x{path}"));
            let chars = |text: &str| text.chars().skip(1).collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &path), plainly(&chars(&pattern), &chars(&path), true));
        }
    }
}
