//! What a command has to say at its end, and how it reaches standard output, standard error and the exit code.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use log::Level;
use serde::Serialize;

use super::args::Args;
use super::failure::Failure;
use super::logging::priority;
use crate::core::shown::is_hidden;

/// What a command has to say at its end. It can have both an answer and a failure, as a poll of two resources has.
#[derive(Debug, Default)]
pub struct Reply {
    /// For standard output; whole lines.
    data: String,
    /// What the user should know although nothing is wrong, for standard error.
    notes: Vec<String>,
    failure: Option<Failure>,
}

impl Reply {
    /// `data` for people: whole lines.
    pub(super) fn text(data: impl Into<String>) -> Reply {
        Reply {
            data: data.into(),
            ..Reply::default()
        }
    }

    /// `value` for programs: one document.
    pub(super) fn json(value: &impl Serialize) -> Reply {
        let json = serde_json::to_string_pretty(value).expect("strings, numbers and maps of them are JSON");
        Reply::text(json + "\n")
    }

    /// What `args` ask for: `json` for programs, or `text` for people.
    pub(super) fn either(args: &Args, json: &impl Serialize, text: impl FnOnce() -> String) -> Reply {
        match args.json {
            true => Reply::json(json),
            false => Reply::text(text()),
        }
    }

    /// The same with `notes`.
    pub(super) fn noting(self, notes: Vec<String>) -> Reply {
        Reply { notes, ..self }
    }

    /// The same, and yet it failed; `None` changes nothing.
    pub(super) fn failing(self, failure: Option<Failure>) -> Reply {
        Reply { failure, ..self }
    }

    /// Prints the reply, and returns the exit code: 0 done, 1 failed, 2 wrong usage or configuration.
    pub fn print(&self) -> ExitCode {
        let grave = priority(Level::Error);
        match self.write(&mut io::stdout().lock(), &mut io::stderr().lock(), &grave) {
            Ok(()) => ExitCode::from(self.failure.as_ref().map_or(0, |failure| failure.code)),
            Err(_) => ExitCode::FAILURE,
        }
    }

    /// `grave` is what a line about a failure begins with.
    fn write(&self, out: &mut impl Write, err: &mut impl Write, grave: &str) -> io::Result<()> {
        let lines = |text: &str| printable(text).replace('\n', &format!("\n{grave}"));
        let written = out.write_all(self.data.as_bytes()).and_then(|()| out.flush());
        // Whoever closed the pipe has read enough, as `head` has.
        let written = written.or_else(|error| match error.kind() {
            ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        });
        for note in &self.notes {
            writeln!(err, "note: {}", printable(note))?;
        }
        for problem in self.failure.iter().flat_map(|failure| &failure.problems) {
            writeln!(err, "{grave}error: {}", lines(&problem.message))?;
            if let Some(hint) = &problem.hint {
                writeln!(err, "{grave}hint: {}", lines(hint))?;
            }
        }
        if let Err(error) = &written {
            writeln!(err, "{grave}error: could not write to standard output: {error}")?;
        }
        written
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Reply {
        Reply {
            failure: Some(failure),
            ..Reply::default()
        }
    }
}

/// `text` without what a terminal would obey. Messages are escaped where they are made; this is the last line of
/// defence, so that what is escaped already is not escaped again.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &Reply, out: &str, err: &str) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        reply.write(&mut stdout, &mut stderr, "").unwrap();
        assert_eq!(String::from_utf8(stdout).unwrap(), out);
        assert_eq!(String::from_utf8(stderr).unwrap(), err);
    }

    #[test]
    fn an_answer_goes_to_standard_output_and_all_else_to_standard_error() {
        let failure = Failure::failed("it broke", Some("mend it".to_owned()));
        check(
            &Reply::text("one\n")
                .noting(vec!["by the way".to_owned()])
                .failing(Some(failure)),
            "one\n",
            "note: by the way\nerror: it broke\nhint: mend it\n",
        );
    }

    #[test]
    fn a_terminal_is_told_nothing_that_it_would_obey() {
        check(
            &Reply::from(Failure::failed("two\nlines \u{1b}[31m \u{9b}1m \u{202e}", None)),
            "",
            "error: two\nlines \\u{1b}[31m \\u{9b}1m \\u{202e}\n",
        );
    }

    #[test]
    fn each_line_about_a_failure_bears_its_priority_and_no_other_does() {
        let failure = Failure::failed("it broke\ntwice", Some("mend it".to_owned()));
        let reply = Reply::text("one\n")
            .noting(vec!["by the way".to_owned()])
            .failing(Some(failure));
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        reply.write(&mut stdout, &mut stderr, "<3>").unwrap();
        let expect = "note: by the way\n<3>error: it broke\n<3>twice\n<3>hint: mend it\n";
        assert_eq!((&stdout[..], &stderr[..]), (&b"one\n"[..], expect.as_bytes()));
    }

    #[test]
    fn a_failure_is_told_even_when_nobody_reads_the_answer() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut stderr = Vec::new();
        let reply = Reply::text("one\n").failing(Some(Failure::failed("it broke", None)));
        reply.write(&mut Closed, &mut stderr, "").unwrap();
        assert_eq!(stderr, b"error: it broke\n");
    }
}
