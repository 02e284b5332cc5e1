//! When resources are polled, through the binary: the configuration file edited beside a running agent, time that has
//! passed or gone back, time zones that change, and what `schedule` tells of it.

mod busy;
mod edits;
mod preview;
mod stranded;
mod times;

use crate::support::{Site, eventually};

/// The polls of the instance's resource that have ended.
fn polls(site: &Site) -> usize {
    site.cell("SELECT count(*) FROM poll").parse().unwrap()
}

/// When the one resource is polled next, by the database.
fn planned(site: &Site) -> String {
    site.cell("SELECT next_poll_at FROM resource")
}

/// Waits until so many polls have ended and the next one is planned.
#[track_caller]
fn settled(site: &Site, wanted: usize) {
    eventually("the polls have ended", || {
        polls(site) == wanted
            && site.cell("SELECT coalesce(next_poll_at > last_poll_at, 1) AND NOT unfinished FROM resource")
                == "1"
    });
}
