//! `completions` and `man`: what shells and man(1) read, made from the words that stand elsewhere already: the command line,
//! the commented configuration, and the description of the database.

mod commands;
mod configuration;
mod markdown;
mod roff;

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::{Args, Manual};
use super::reply::Reply;
use crate::config;
use roff::Roff;

/// The description of the database, as it stands in the source.
const SCHEMA: &str = include_str!("../../../schema/README.md");

/// Completions for `shell`.
pub(super) fn completions(shell: Shell) -> Reply {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "deltapost", &mut script);
    Reply::text(String::from_utf8_lossy(&script))
}

/// The manual page, as man(1) reads it.
pub(super) fn page(page: Manual) -> Reply {
    let (name, section, about) = match page {
        Manual::Deltapost => (
            "deltapost",
            1,
            "polls OneDrive for changes and delivers them to HTTP callbacks",
        ),
        Manual::Configuration => ("deltapost.toml", 5, "configuration of deltapost(1)"),
        Manual::Schema => ("deltapost-schema", 5, "the database of deltapost(1)"),
    };
    let mut roff = Roff::page(name, section, about);
    match page {
        Manual::Deltapost => commands::write(&mut roff, Args::command()),
        Manual::Configuration => {
            configuration::write(&mut roff, config::TEMPLATE);
            roff.section("FILES");
            roff.item(
                "/etc/deltapost/deltapost.toml",
                "unless `--config` or `DELTAPOST_CONFIG` name another",
            );
        }
        Manual::Schema => markdown::write(&mut roff, SCHEMA),
    }
    roff.section("SEE ALSO");
    let pages = [
        "deltapost(1)",
        "deltapost.toml(5)",
        "deltapost-schema(5)",
        "sqlite3(1)",
    ];
    let others = pages
        .into_iter()
        .filter(|other| !other.starts_with(&format!("{name}(")));
    roff.paragraph(&others.collect::<Vec<_>>().join(", "));
    Reply::text(roff.text())
}
