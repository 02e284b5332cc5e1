//! deltapost(1), from the tree of commands that `--help` is made from, too.

use clap::{Arg, Command};

use super::roff::Roff;

/// Writes what the page says after its name.
pub(super) fn write(roff: &mut Roff, mut root: Command) {
    root.build();
    roff.section("Synopsis");
    roff.paragraph("`deltapost` [`--config` FILE] [`--json`] [`-v`|`-q`] COMMAND");
    roff.section("Description");
    roff.paragraph(&root.get_about().map(ToString::to_string).unwrap_or_default());
    after_help(roff, &root);
    roff.section("Options");
    for argument in root.get_arguments().filter(|argument| is_told(argument)) {
        argument_item(roff, argument);
    }
    roff.section("Commands");
    for command in root.get_subcommands() {
        one(roff, command, "");
    }
    roff.section("Environment");
    roff.item(
        "DELTAPOST_CONFIG",
        "The configuration file, unless `--config` names it.",
    );
    roff.item(
        "CREDENTIALS_DIRECTORY",
        "Where `secret.key` is looked for first, as systemd hands it over.",
    );
    roff.item(
        "HTTPS_PROXY, NO_PROXY",
        "The way to the provider, unless the configuration names one.",
    );
    roff.item(
        "NOTIFY_SOCKET, JOURNAL_STREAM",
        "What systemd is told by, and whether lines go to the journal.",
    );
    roff.section("Exit status");
    roff.paragraph("0 done, 1 failed, 2 wrong usage or configuration.");
}

/// A command under the words `above`, and those below it.
fn one(roff: &mut Roff, command: &Command, above: &str) {
    let name = format!("{above}{}", command.get_name());
    if command.get_name() == "help" || command.is_hide_set() {
        return;
    }
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| is_told(argument) && !argument.is_global_set())
        .collect();
    let mut title = name.clone();
    for argument in own.iter().filter(|argument| argument.is_positional()) {
        title += &format!(" {argument}");
    }
    roff.subsection(&title);
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    for paragraph in about.split("\n\n") {
        roff.paragraph(paragraph);
    }
    for argument in own {
        argument_item(roff, argument);
    }
    after_help(roff, command);
    for below in command.get_subcommands() {
        one(roff, below, &format!("{name} "));
    }
}

fn is_told(argument: &Arg) -> bool {
    !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
}

fn argument_item(roff: &mut Roff, argument: &Arg) {
    let mut term = argument.to_string();
    if let Some(short) = argument.get_short() {
        term = format!("-{short}, {term}");
    }
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults = argument.get_default_values();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
        meaning += &format!(" [default: {}]", defaults.join(" "));
    }
    roff.item(&term, &meaning);
}

fn after_help(roff: &mut Roff, command: &Command) {
    let Some(text) = command.get_after_help().map(ToString::to_string) else {
        return;
    };
    for part in text.split("\n\n") {
        match part.split_once('\n') {
            Some((title, lines)) if title.ends_with(':') => {
                roff.paragraph(title);
                roff.verbatim(
                    &lines
                        .lines()
                        .map(|line| format!("{}\n", line.trim()))
                        .collect::<String>(),
                );
            }
            // The exit codes have a section of their own.
            _ if part.starts_with("Exit codes:") => {}
            _ => roff.paragraph(part),
        }
    }
}
