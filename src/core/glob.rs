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
mod tests;
