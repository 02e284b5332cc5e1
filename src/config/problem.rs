//! What can be wrong with a configuration file, and how it is said. Whoever prints it adds nothing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing though it was named, or it cannot be read as text.
    #[error("could not read the configuration file `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file that the settings in use came from is gone or empty. Whoever empties a file does not mean the defaults.
    #[error("the configuration file `{}` is {}", path.display(), if *missing { "gone" } else { "empty" })]
    Lost { path: PathBuf, missing: bool },
    /// What the file says is not a configuration. At least one problem; shown one a line, `path:line:column: …`.
    #[error("{}", each_in(path, problems))]
    Invalid {
        path: PathBuf,
        problems: Vec<ConfigProblem>,
    },
}

impl ConfigError {
    /// The next thing to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            ConfigError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "`deltapost init` writes a commented file; without one, and without naming one, the defaults hold"
            }
            ConfigError::Unreadable { .. } => {
                "the file must be UTF-8 text that the user who runs deltapost may read"
            }
            ConfigError::Lost { .. } => {
                "put it back; `deltapost init` writes a commented one where there is none"
            }
            ConfigError::Invalid { .. } => "correct these lines; a key that is left out has its default",
        }
    }
}

fn each_in(path: &Path, problems: &[ConfigProblem]) -> String {
    let lines = problems
        .iter()
        .map(|problem| format!("{}:{problem}", path.display()));
    lines.collect::<Vec<_>>().join("\n")
}

/// One thing that is wrong, and where. Shown as `line:column: key: fault`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The key with its table, as in `delivery.retry[2]`; empty where the text is not TOML.
    pub key: String,
    pub fault: Fault,
}

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The text is not TOML.
    Syntax(String),
    /// There is no such key; perhaps `meant`, named with its table.
    UnknownKey { meant: Option<&'static str> },
    /// The key is right and the value is not. Both are phrases, `received` with its own backticks.
    Value { expected: String, received: String },
    /// The same, in the words of what reads such values.
    Words(String),
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Syntax(message) | Fault::Words(message) => f.write_str(message),
            Fault::UnknownKey { meant: None } => f.write_str("unknown key"),
            Fault::UnknownKey { meant: Some(meant) } => write!(f, "unknown key, did you mean `{meant}`?"),
            Fault::Value { expected, received } => write!(f, "expected {expected}, got {received}"),
        }
    }
}
