//! The Markdown of a page, as far as its commands go: indented blocks are commands, fenced ones have a language, and code
//! within a sentence is what stands between backticks.

/// The languages that fences may have. Commands are indented, so that none hides in a fence, where nobody runs it.
const FENCES: [&str; 13] = [
    "bash", "go", "http", "java", "js", "json", "php", "python", "ruby", "sql", "text", "toml", "yaml",
];

/// A page of the documentation.
pub(crate) struct Page {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
}

/// A block of a page.
#[derive(Debug)]
pub(crate) struct Block {
    /// The line of the page that it begins at, from 1.
    pub(crate) line: usize,
    /// The fence's language; `None` for commands.
    pub(crate) fence: Option<&'static str>,
    pub(crate) text: String,
}

/// What a line is.
enum Line<'a> {
    /// It begins a fence of this language.
    Fence(&'a str),
    /// It ends one.
    End,
    /// It stands in a fence.
    Fenced(&'a str),
    /// It stands in an indented block, at whose beginning it may be.
    Indented {
        begins: bool,
        code: &'a str,
    },
    Prose(&'a str),
}

impl Page {
    /// Each line and its number, from 1.
    fn lines(&self) -> Vec<(usize, Line<'static>)> {
        let mut lines = Vec::new();
        let (mut fenced, mut indented, mut after_empty) = (false, false, true);
        for (at, line) in self.text.lines().enumerate() {
            let bare = line.trim_start();
            let code = line.strip_prefix("    ");
            let told = match (bare.strip_prefix("```"), code) {
                (Some(_), _) if fenced => Line::End,
                (Some(language), _) => Line::Fence(language),
                (None, _) if fenced => Line::Fenced(line),
                // What is indented goes on with a paragraph that it follows.
                (None, Some(code)) if indented || after_empty => Line::Indented {
                    begins: !indented,
                    code,
                },
                (None, _) => Line::Prose(line),
            };
            fenced = matches!(told, Line::Fence(_) | Line::Fenced(_));
            indented = matches!(told, Line::Indented { .. }) || (indented && line.is_empty());
            after_empty = line.is_empty();
            lines.push((at + 1, told));
        }
        lines
    }

    /// The blocks, in order. Fails for a fence without a known language.
    #[track_caller]
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for (number, line) in self.lines() {
            let begun = match line {
                Line::Fence(language) => Some(Some(self.language(number, language))),
                Line::Indented { begins: true, .. } => Some(None),
                _ => None,
            };
            if let Some(fence) = begun {
                blocks.push(Block {
                    line: number,
                    fence,
                    text: String::new(),
                });
            }
            if let Line::Fenced(code) | Line::Indented { code, .. } = line {
                let block = blocks.last_mut().expect("a block has begun");
                block.text.push_str(code);
                block.text.push('\n');
            }
        }
        blocks
    }

    #[track_caller]
    fn language(&self, line: usize, language: &str) -> &'static str {
        let known = FENCES.into_iter().find(|known| *known == language);
        known.unwrap_or_else(|| {
            panic!(
                "{}:{line}: `{language}` is no language of a fence; commands are indented",
                self.path
            )
        })
    }

    /// What stands between backticks in sentences and tables, with the line it stands in. Fails where code begins in one
    /// line and ends in another.
    #[track_caller]
    pub(crate) fn inline(&self) -> Vec<(usize, &'static str)> {
        let lines = self.lines().into_iter();
        let prose = lines.filter_map(|(number, line)| match line {
            Line::Prose(line) => {
                let pairs = line.matches('`').count() % 2 == 0;
                assert!(pairs, "{}:{number}: code goes over the line's end", self.path);
                Some((number, line))
            }
            _ => None,
        });
        prose
            .flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(move |code| (number, code)))
            .collect()
    }
}
