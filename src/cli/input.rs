//! What commands read from files and standard input: instance documents, and values of keys, which keeps secrets off
//! the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::failure::Failure;
use crate::core::elements::SECRET_KEYS;
use crate::core::shown::shown;

/// The largest document or value that is read.
const MAX_BYTES: u64 = 256 * 1024;

/// Where input comes from. Standard input can be read once only.
#[derive(Debug, Default)]
pub(super) struct Input {
    stdin_is_read: bool,
}

impl Input {
    /// The text of a file or, for `-`, of standard input.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 256 KiB, or not UTF-8.
    pub(super) fn read(&mut self, file: &Path) -> Result<String, Failure> {
        let is_stdin = file == Path::new("-");
        let name = if is_stdin {
            "standard input".to_owned()
        } else {
            format!("`{}`", shown(&file.to_string_lossy()))
        };
        if is_stdin && std::mem::replace(&mut self.stdin_is_read, true) {
            let hint = "use KEY=@FILE for the others".to_owned();
            let message = "standard input can be read for one value only";
            return Err(Failure::wrong(message, Some(hint)));
        }
        let read = match is_stdin {
            true => read_text(io::stdin()),
            false => File::open(file).and_then(read_text),
        };
        read.map_err(|error| Failure::wrong(format!("could not read {name}: {error}"), None))
    }
}

fn read_text(source: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 256 KiB",
        ));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Reads `KEY=VALUE`, where VALUE may be `@FILE`, or `-` for standard input; for a secret's key it must be one of them,
/// or nothing. A line break at the end of a file is not part of the value.
///
/// # Errors
/// Without repeating a value, since it may be a secret that was put in the wrong place.
pub(super) fn assignment(text: &str, input: &mut Input) -> Result<(String, String), Failure> {
    let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        let hint = "write `--set KEY=VALUE`, or `--set KEY=@FILE`".to_owned();
        return Err(Failure::wrong(
            "an argument of `--set` has no `=` after a key",
            Some(hint),
        ));
    };
    let file = match value {
        "-" => Some(Path::new("-")),
        value => value.strip_prefix('@').map(Path::new),
    };
    let value = match file {
        Some(file) => input.read(file)?.trim_end_matches(['\r', '\n']).to_owned(),
        None if SECRET_KEYS.contains(&key) && !value.is_empty() => {
            let hint = format!(
                "put it into a file that only you can read, and write `--set {key}=@FILE`; `{key}=-` reads standard input"
            );
            return Err(Failure::wrong(
                format!("`{key}` is a secret: on the command line other users of this machine could see it"),
                Some(hint),
            ));
        }
        None => value.to_owned(),
    };
    Ok((key.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<(&str, &str), &str>) {
        let read = assignment(text, &mut Input::default());
        let read = read.as_ref().map(|(key, value)| (key.as_str(), value.as_str()));
        let read = read.map_err(|failure| failure.problems[0].message.as_str());
        match (read, expect) {
            (Err(message), Err(part)) => {
                assert!(message.contains(part), "{message:?} has no {part:?}");
                assert!(!message.contains("hunter2"), "{message:?} tells the secret");
            }
            (read, expect) => assert_eq!(read, expect),
        }
    }

    #[test]
    fn an_assignment_is_a_key_and_a_value() {
        check("name=Finance OneDrive", Ok(("name", "Finance OneDrive")));
        check("tags=", Ok(("tags", "")));
        check(
            "event.notification.callback.url=https://example.com/?a=b",
            Ok(("event.notification.callback.url", "https://example.com/?a=b")),
        );
        check("hunter2", Err("no `=`"));
        check("=hunter2", Err("no `=`"));
    }

    #[test]
    fn a_secret_is_never_a_literal_and_never_repeated() {
        for key in SECRET_KEYS {
            check(&format!("{key}=hunter2"), Err("is a secret"));
            check(&format!("{key}="), Ok((key, "")));
        }
    }

    #[test]
    fn a_value_can_come_from_a_file_without_its_last_line_break() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, " two\nlines \r\n").unwrap();
        check(&format!("name=@{}", path.display()), Ok(("name", " two\nlines ")));
        std::fs::write(&path, vec![b'x'; MAX_BYTES as usize + 1]).unwrap();
        check(&format!("name=@{}", path.display()), Err("larger than 256 KiB"));
        check(
            "name=@/nonexistent/file",
            Err("could not read `/nonexistent/file`"),
        );
    }
}
