//! Who acts in the data directory. Root's commands do not: their process becomes the directory's owner for good before it opens
//! anything there, so that nothing that this user puts into the directory leads root to a file of somebody else's.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown, lchown};
use std::path::{Path, PathBuf, absolute};

use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist, setgid, setgroups, setuid};

use super::failure::Failure;
use crate::store::{self, AGENT_LOCK, DATABASE, DATABASE_LOCK, KEY_FILE, TOKEN_FILE};

/// More steps than this on the way to a path are a circle of links.
const MAX_STEPS: usize = 400;

/// A user other than root, who owns the data directory of a command that root runs.
#[derive(Debug)]
pub(super) struct Owner {
    uid: Uid,
    gid: Gid,
    account: Option<User>,
}

impl Owner {
    /// Whom this process has to become before it touches `data_dir`: `None` where it may stay who it is.
    ///
    /// # Errors
    /// Where somebody else than root and the directory's owner could put another directory in its place.
    pub(super) fn of(data_dir: &Path) -> Result<Option<Owner>, Failure> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let unread = |error: io::Error| {
            Failure::failed(
                format!("could not look at `{}`: {error}", data_dir.display()),
                None,
            )
        };
        let place = nearest(data_dir).map_err(unread)?;
        let found = fs::metadata(&place).map_err(unread)?;
        let steps = way_to(&place).map_err(unread)?;
        // Whoever owns `/`, which in some containers is not root, has everything anyway.
        let trusted = [0, found.uid(), fs::metadata("/").map_err(unread)?.uid()];
        // What may be renamed by everybody; and root's own directory with what others make in it.
        let is_open = |look: &Metadata| look.is_dir() && look.mode() & 0o1002 == 0o002;
        let is_shared = found.uid() == 0 && found.gid() != 0 && found.mode() & 0o020 != 0;
        let odd = steps.iter().find(|(_, look)| {
            !trusted.contains(&look.uid()) || is_open(look) || (is_shared && look.ino() == found.ino())
        });
        if let Some((step, _)) = odd {
            let message = format!(
                "root does not work in `{}`: other users can change `{}`, and put another directory in its place",
                data_dir.display(),
                step.display()
            );
            let hint = "run as the owner of the data directory, or move it below directories that only root can change";
            return Err(Failure::failed(message, Some(hint.to_owned())));
        }
        let uid = Uid::from_raw(found.uid());
        let account = || User::from_uid(uid).map_err(|error| unread(error.into()));
        Ok(match uid.is_root() {
            true => None,
            false => Some(Owner {
                uid,
                gid: Gid::from_raw(found.gid()),
                account: account()?,
            }),
        })
    }

    /// Whether this user could put something else in the place of `path`: what root opens there, it opens as this user.
    pub(super) fn can_change(&self, path: &Path) -> bool {
        let steps = nearest(path).and_then(|place| way_to(&place));
        steps.map_or(true, |steps| {
            steps.iter().any(|(_, look)| look.uid() == self.uid.as_raw())
        })
    }

    /// The group of this user's own.
    fn group(&self) -> Gid {
        let group = self.account.as_ref().map_or(self.gid, |account| account.gid);
        match group.as_raw() {
            0 => Gid::from_raw(self.uid.as_raw()),
            _ => group,
        }
    }

    /// Lets this user read the configuration file that root has made: by group, since a service should not write its own
    /// configuration.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn let_read(&self, config: &Path) -> io::Result<()> {
        let look = config.symlink_metadata()?;
        match look.is_file() && look.nlink() == 1 && look.uid() == 0 && look.gid() == 0 {
            true => lchown(config, None, Some(self.group().as_raw())),
            false => Ok(()),
        }
    }

    /// Gives this user the files in `data_dir` that bear the names of its own and that root has put there, as by copying
    /// them: never what is a link, or has a second name.
    ///
    /// # Errors
    /// `Linked`; when the system refuses.
    pub(super) fn give_back(&self, data_dir: &Path) -> Result<(), Failure> {
        let small = [KEY_FILE, TOKEN_FILE, AGENT_LOCK, DATABASE_LOCK];
        let of_database = [DATABASE, "deltapost.db-wal", "deltapost.db-shm"];
        for name in small.into_iter().chain(of_database) {
            let path = data_dir.join(name);
            let refused = |source| store::StoreError::File {
                doing: "hand over",
                path: path.clone(),
                source,
            };
            let Some(file) = store::look_at_own(&path)? else {
                continue;
            };
            let look = file.metadata().map_err(refused)?;
            if look.uid() == 0 && look.nlink() == 1 {
                fchown(&file, Some(self.uid.as_raw()), None).map_err(refused)?;
            }
        }
        Ok(())
    }

    /// Makes this process this user's, for good, as a member of its groups and of `group`.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn become_it(self, group: Option<u32>) -> Result<(), Failure> {
        let own = self.group();
        let group = group.filter(|group| *group != 0).map(Gid::from_raw);
        let change = || {
            let mut groups = match self
                .account
                .as_ref()
                .map(|account| CString::new(account.name.as_str()))
            {
                Some(Ok(name)) => getgrouplist(&name, own)?,
                _ => vec![own],
            };
            groups.extend(group);
            groups.retain(|group| group.as_raw() != 0);
            setgroups(&groups)?;
            // What is made from now on is the group's that may read it.
            setgid(group.unwrap_or(own))?;
            setuid(self.uid)
        };
        change().map_err(|error: nix::Error| {
            let hint = "run as the owner of the data directory".to_owned();
            Failure::failed(
                format!(
                    "root could not become the data directory's owner, user {}: {error}",
                    self.uid
                ),
                Some(hint),
            )
        })
    }
}

/// `path`, or the nearest directory above it that is there.
fn nearest(path: &Path) -> io::Result<PathBuf> {
    let path = absolute(path)?;
    let mut places = path.ancestors();
    let there = places.find(|place| place.symlink_metadata().is_ok());
    Ok(there.unwrap_or(Path::new("/")).to_owned())
}

/// All directories and links on the way to `path`, which is absolute, and itself.
fn way_to(path: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut found = Vec::new();
    let mut wanted = vec![path.to_owned()];
    while let Some(path) = wanted.pop() {
        for step in path.ancestors() {
            let look = step.symlink_metadata()?;
            if look.is_symlink() {
                let above = step.parent().unwrap_or(Path::new("/"));
                wanted.push(above.join(fs::read_link(step)?));
            }
            found.push((step.to_owned(), look));
        }
        if found.len() > MAX_STEPS {
            return Err(io::Error::other("too many links lead there"));
        }
    }
    Ok(found)
}
