//! `token rotate`: another API token in the place of the one there is. Who uses it reads the file anew each time.

use std::path::Path;

use serde_json::json;

use super::args::Args;
use super::failure::Failure;
use super::house::{self, hand_over};
use super::reply::Reply;
use crate::clock;
use crate::config::Config;
use crate::store::{self, TOKEN_FILE};

/// Replaces the token, durably and at once: whoever reads the file finds the old one or the new one.
pub(super) fn rotate(args: &Args) -> Result<Reply, Failure> {
    let (path, explicit) = house::config_path(args);
    let data_dir = Config::load(&path, explicit)?.data_dir;
    let path = data_dir.join(TOKEN_FILE);
    let token = format!("{}\n", clock::new_token());
    // Before it bears its name: the agent must be able to read it from the first moment.
    let settle = |unfinished: &Path| hand_over(unfinished, &data_dir);
    store::write_whole("replace", &path, 0o600, token.as_bytes(), settle).map_err(|error| {
        Failure::failed(
            error.to_string(),
            Some("run as the user who owns the data directory, after `deltapost init`".to_owned()),
        )
    })?;
    if args.json {
        return Ok(Reply::json(&json!({"token": path})));
    }
    Ok(Reply::text(format!(
        "the new API token is in `{}`; the old one is refused from now on\n",
        path.display()
    )))
}
