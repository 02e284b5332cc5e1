//! Rust source, read as far as the house rules need: tokens without comments, which of them are test code, and the
//! paths that are named, with groups of `use` unfolded. It judges nothing.

/// One file, taken apart.
pub(crate) struct Source {
    pub(crate) tokens: Vec<Token>,
}

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    /// Within an item under `#[cfg(test)]`.
    pub(crate) in_test: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word(String),
    /// The content of a string literal, escapes left as they are.
    Text(String),
    Sign(char),
}

/// A path such as `crate::core::model`, from its first word on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) in_test: bool,
    pub(crate) words: Vec<String>,
    /// The inline modules that the path stands in.
    pub(crate) inside: Vec<String>,
}

impl Source {
    pub(crate) fn read(text: &str) -> Source {
        let mut tokens = tokens(text);
        mark_tests(&mut tokens);
        Source { tokens }
    }

    pub(crate) fn word(&self, at: usize) -> Option<&str> {
        match &self.tokens.get(at)?.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn is_sign(&self, at: usize, sign: char) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|token| token.kind == Kind::Sign(sign))
    }

    /// The modules that are declared for tests and stand in files of their own.
    pub(crate) fn test_modules(&self) -> Vec<&str> {
        let declared = (0..self.tokens.len()).filter(|at| {
            self.tokens[*at].in_test && self.word(*at) == Some("mod") && self.is_sign(at + 2, ';')
        });
        declared.filter_map(|at| self.word(at + 1)).collect()
    }

    /// Every path of two words or more, in order.
    pub(crate) fn paths(&self) -> Vec<Named> {
        let mut paths = Vec::new();
        let mut inside: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut at = 0;
        while at < self.tokens.len() {
            if let (Some("mod"), Some(name), true) =
                (self.word(at), self.word(at + 1), self.is_sign(at + 2, '{'))
            {
                depth += 1;
                inside.push((name.to_owned(), depth));
                at += 3;
                continue;
            }
            match &self.tokens[at].kind {
                Kind::Sign('{') => depth += 1,
                Kind::Sign('}') => {
                    inside.retain(|(_, opened)| *opened < depth);
                    depth = depth.saturating_sub(1);
                }
                // A path may begin with `::`, which must not tie it to the word before.
                Kind::Word(word) if word != "use" => {
                    let modules: Vec<String> = inside.iter().map(|(name, _)| name.clone()).collect();
                    at = self.path(at, &[], &modules, &mut paths);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        paths
    }

    /// Reads the path whose next word stands at `at`, `before` being its words so far. Returns the place behind it.
    fn path(&self, at: usize, before: &[String], inside: &[String], paths: &mut Vec<Named>) -> usize {
        let (first, mut at, mut words) = (at, at, before.to_vec());
        while let Some(word) = self.word(at) {
            words.push(word.to_owned());
            at += 1;
            if !(self.is_sign(at, ':') && self.is_sign(at + 1, ':')) {
                break;
            }
            at += 2;
            if self.is_sign(at, '{') {
                return self.group(at + 1, &words, inside, paths);
            }
            if self.is_sign(at, '*') {
                words.push("*".to_owned());
                at += 1;
                break;
            }
        }
        if words.len() > 1 {
            paths.push(Named {
                line: self.tokens[first].line,
                in_test: self.tokens[first].in_test,
                words,
                inside: inside.to_vec(),
            });
        }
        at
    }

    /// Reads the group whose `{` stands before `at`; each member goes on from `before`.
    fn group(&self, mut at: usize, before: &[String], inside: &[String], paths: &mut Vec<Named>) -> usize {
        while at < self.tokens.len() && !self.is_sign(at, '}') {
            if self.word(at) == Some("as") {
                at += 2;
            } else if self.word(at).is_some() {
                at = self.path(at, before, inside, paths);
            } else {
                at += 1;
            }
        }
        at + 1
    }
}

/// Marks every item that `#[cfg(test)]` stands before, attribute and all.
fn mark_tests(tokens: &mut [Token]) {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let spelled = |token: &Token| match &token.kind {
        Kind::Word(word) => word.clone(),
        Kind::Text(_) => "\"".to_owned(),
        Kind::Sign(sign) => sign.to_string(),
    };
    let mut at = 0;
    while at + 7 <= tokens.len() {
        let here: String = tokens[at..at + 7].iter().map(spelled).collect();
        let end = match here == ATTRIBUTE {
            true => end_of_item(tokens, at + 7),
            false => at + 1,
        };
        if here == ATTRIBUTE {
            tokens[at..end].iter_mut().for_each(|token| token.in_test = true);
        }
        at = end;
    }
}

/// The place behind the item that begins at `at`: behind its `;`, or behind the `}` of its first block.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.kind {
            Kind::Sign('{' | '(' | '[') => depth += 1,
            Kind::Sign(')' | ']') => depth -= 1,
            Kind::Sign('}') if depth <= 1 => break,
            Kind::Sign('}') => depth -= 1,
            Kind::Sign(';') if depth == 0 => break,
            _ => {}
        }
    }
    at
}

fn tokens(text: &str) -> Vec<Token> {
    let (mut tokens, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        let (length, kind) = token(rest, first);
        tokens.extend(kind.map(|kind| Token {
            line,
            kind,
            in_test: false,
        }));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of what `rest` begins with, and its kind unless that is a comment, a space or a character literal.
fn token(rest: &str, first: char) -> (usize, Option<Kind>) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), None);
    }
    if let Some((length, content)) = string(rest) {
        return (length, Some(Kind::Text(content.to_owned())));
    }
    if first == '\'' {
        return (character_or_lifetime(rest), None);
    }
    let word = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    if word > 0 {
        return (word, Some(Kind::Word(rest[..word].to_owned())));
    }
    let kind = (!first.is_whitespace()).then_some(Kind::Sign(first));
    (first.len_utf8(), kind)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            [_, ..] => at += 1,
            [] => return rest.len(),
        }
        if depth == 0 {
            return at;
        }
    }
}

/// Length and content of the string literal, of whatever sort, that `rest` begins with.
fn string(rest: &str) -> Option<(usize, &str)> {
    let quoted = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    let raw = quoted.strip_prefix('r');
    let hashes = raw.map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
    let content = raw.map_or(quoted, |raw| &raw[hashes..]).strip_prefix('"')?;
    let end = match raw {
        Some(_) => content.find(&format!("\"{}", "#".repeat(hashes))),
        None => closing_quote(content, b'"'),
    };
    let end = end.unwrap_or(content.len());
    let length = (rest.len() - content.len() + end + 1 + hashes).min(rest.len());
    Some((length, &content[..end]))
}

/// Where the first `quote` stands that no backslash escapes.
fn closing_quote(content: &str, quote: u8) -> Option<usize> {
    let mut bytes = content.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            _ if byte == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// The length of a character literal; of a lifetime only its quote, since the name does no harm as a word.
fn character_or_lifetime(rest: &str) -> usize {
    let content = &rest[1..];
    let literal = match content.strip_prefix('\\') {
        Some(_) => closing_quote(content, b'\''),
        None => content
            .char_indices()
            .nth(1)
            .filter(|(_, c)| *c == '\'')
            .map(|(at, _)| at),
    };
    literal.map_or(1, |end| end + 2)
}
