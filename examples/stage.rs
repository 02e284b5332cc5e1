//! A simulated OneDrive for programs that are not Rust: it says where it is, then does to its drive what it reads, line by
//! line, and goes when there is nothing more to read. `tests/real/run` puts the real agent in front of it.
//!
//! A command and its arguments are separated by tabs; each is answered by one line, `ok` or `error: …`:
//!
//! ```text
//! code                                  an authorization code (the answer), good for one sign-in
//! folder  /Finance
//! file    /Finance/report.xlsx          with some content
//! edit    /Finance/report.xlsx          other content
//! rename  /Finance/report.xlsx  q1.xlsx
//! move    /Finance/q1.xlsx      /Archive
//! delete  /Finance                      with all that is in it
//! ```

use std::io::{self, BufRead, Write};

use deltapost::clock::{Clock, SystemClock};
use deltapost::sim::onedrive::{Account, Drive, OneDrive};

/// Bytes in a new file.
const SIZE: u64 = 1200;

fn main() -> io::Result<()> {
    let cloud = OneDrive::start(Account::business())?;
    cloud.drive().advance_to(SystemClock.now());
    let mut out = io::stdout().lock();
    writeln!(out, "authority\t{}", cloud.authority())?;
    writeln!(out, "graph\t{}", cloud.graph_base())?;
    out.flush()?;
    for line in io::stdin().lock().lines() {
        let answer = obey(&cloud, &line?).unwrap_or_else(|complaint| format!("error: {complaint}"));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// Does what `line` says.
///
/// # Errors
/// What is wrong with the line.
fn obey(cloud: &OneDrive, line: &str) -> Result<String, String> {
    let drive = cloud.drive();
    let words: Vec<&str> = line.split('\t').collect();
    match words[..] {
        ["code"] => return Ok(cloud.issue_code()),
        ["folder", path] => {
            let (parent, name) = place(&drive, path)?;
            drive.create_folder(&parent, name);
        }
        ["file", path] => {
            let (parent, name) = place(&drive, path)?;
            drive.create_file(&parent, name, SIZE);
        }
        ["edit", path] => drive.edit(&find(&drive, path)?),
        ["rename", path, name] => drive.rename(&find(&drive, path)?, name),
        ["move", path, folder] => drive.move_to(&find(&drive, path)?, &find(&drive, folder)?),
        ["delete", path] => drive.delete(&find(&drive, path)?),
        _ => return Err(format!("{line:?} is no command")),
    }
    Ok("ok".to_owned())
}

/// The id of what is at `path`.
fn find(drive: &Drive, path: &str) -> Result<String, String> {
    drive.find(path).ok_or_else(|| format!("there is no {path:?}"))
}

/// The id of the folder that `path` lies in, and the name there.
fn place<'a>(drive: &Drive, path: &'a str) -> Result<(String, &'a str), String> {
    let (folder, name) = path
        .rsplit_once('/')
        .ok_or_else(|| format!("{path:?} does not begin with `/`"))?;
    Ok((find(drive, folder)?, name))
}
