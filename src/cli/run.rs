//! `run`: the agent in the foreground.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::args::Args;
use super::failure::Failure;
use super::house;
use super::reply::Reply;
use super::signals;
use crate::agent::{self, ConfigFile};
use crate::commands::House;
use crate::store::{AgentLock, Look, StoreError};
use crate::web;

/// Runs the agent until a signal ends it.
pub(super) fn run(args: &Args) -> Result<Reply, Failure> {
    // Until it works, there is nothing that it would have to end in order.
    let starting = signals::end_at_once()?;
    let stop = signals::stop_flag()?;
    let (path, _) = house::config_path(args);
    let file = ConfigFile {
        path,
        wanted: signals::hangup_flag()?,
    };
    let opened = house::open(args, Look::Whole)?;
    let _lock = lock(&opened)?;
    starting.store(false, Ordering::Relaxed);
    log::info!(
        "deltapost {} started data_dir={:?} instances={} pid={}",
        env!("CARGO_PKG_VERSION"),
        opened.config.data_dir,
        opened.store.instance_count()?,
        std::process::id()
    );
    let listening = web::listen(&opened, &stop)?;
    agent::run(&opened, Some(file), &stop)?;
    if let Some(listening) = listening {
        listening.stop();
    }
    log::info!("stopped");
    Ok(Reply::default())
}

/// How often and how long apart the lock is asked for.
const TRIES: u32 = 20;
const APART: Duration = Duration::from_millis(100);

/// Takes the agent's lock. A command that makes sure whether an agent runs holds it for a moment, and a short one works
/// under it: neither should keep the agent from its start.
fn lock(opened: &House) -> Result<AgentLock, StoreError> {
    for tried in 1..TRIES {
        match opened.take_lock() {
            Err(StoreError::Locked { pid, .. }) => {
                if tried == 1 {
                    log::info!("waiting for the data directory pid={}", pid.unwrap_or_default());
                }
                opened.clock.sleep(APART);
            }
            other => return other,
        }
    }
    opened.take_lock()
}
