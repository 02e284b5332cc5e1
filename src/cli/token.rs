//! `token rotate`: another API token in the place of the one there is. Who uses it reads the file anew each time.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

use serde_json::json;

use super::args::Args;
use super::failure::Failure;
use super::house::{self, hand_over};
use super::reply::Reply;
use crate::clock;
use crate::config::Config;
use crate::store::{StoreError, TOKEN_FILE};

/// Replaces the token, durably and at once: whoever reads the file finds the old one or the new one.
pub(super) fn rotate(args: &Args) -> Result<Reply, Failure> {
    let (path, explicit) = house::config_path(args);
    let data_dir = Config::load(&path, explicit)?.data_dir;
    let path = data_dir.join(TOKEN_FILE);
    let unfinished = data_dir.join("api.token.new");
    let write = || -> io::Result<()> {
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&unfinished)?;
        writeln!(file, "{}", clock::new_token())?;
        file.sync_all()?;
        // Before it bears its name: the agent must be able to read it from the first moment.
        hand_over(&unfinished, &data_dir)?;
        fs::rename(&unfinished, &path)?;
        fs::File::open(&data_dir)?.sync_all()
    };
    write().map_err(|source| {
        let error = StoreError::File {
            doing: "replace",
            path: path.clone(),
            source,
        };
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
