//! `run`: the agent in the foreground.

use super::args::Args;
use super::failure::Failure;
use super::house::{self, Opened};
use super::reply::Reply;
use super::signals;
use crate::agent::{self, ConfigFile};
use crate::store::Look;

/// Runs the agent until a signal ends it.
pub(super) fn run(args: &Args) -> Result<Reply, Failure> {
    let stop = signals::stop_flag()?;
    let (path, _) = house::config_path(args);
    let file = ConfigFile {
        path,
        wanted: signals::hangup_flag()?,
    };
    let opened = Opened::open(args, Look::Whole)?;
    let _lock = opened.take_lock()?;
    log::info!(
        "deltapost {} started data_dir={:?} instances={} pid={}",
        env!("CARGO_PKG_VERSION"),
        opened.config.data_dir,
        opened.store.instance_count()?,
        std::process::id()
    );
    agent::run(&opened.house(), Some(file), &stop)?;
    log::info!("stopped");
    Ok(Reply::default())
}
