//! Who acts in the data directory. Root's commands do not: their process becomes the directory's owner for good before it opens
//! anything there, so that nothing that this user puts into the directory leads root to a file of somebody else's.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf, absolute};

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist, setgid, setgroups, setuid};

use super::failure::Failure;
use crate::store::{self, AGENT_LOCK, DATABASE, DATABASE_LOCK, KEY_FILE, StoreError, TOKEN_FILE};

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
        let uid = Uid::from_raw(found.uid());
        let account = User::from_uid(uid).map_err(|error| unread(error.into()))?;
        let owner = Owner {
            uid,
            gid: Gid::from_raw(found.gid()),
            account,
        };
        let private = owner.private_group().map_err(unread)?.unwrap_or(0);
        let foreign = foreign_step(&place, &[0, uid.as_raw()], &[0, private]).map_err(unread)?;
        // Root's own directory, with what others make in it.
        let is_shared =
            uid.is_root() && (found.mode() & 0o002 != 0 || found.mode() & 0o020 != 0 && found.gid() != 0);
        if let Some(step) = foreign.or(is_shared.then_some(place)) {
            let message = format!(
                "root does not work in `{}`: other users can change `{}`, and put another directory in its place",
                data_dir.display(),
                step.display()
            );
            let hint = "run as the owner of the data directory, or move it below directories that only root can change";
            return Err(Failure::failed(message, Some(hint.to_owned())));
        }
        Ok(Some(owner).filter(|owner| !owner.uid.is_root()))
    }

    /// Whether this user could put something else in the place of `path`: what root opens there, it opens as this user.
    fn can_change(&self, path: &Path) -> bool {
        let steps = nearest(path).and_then(|place| way_to(&place));
        let (Ok(steps), Ok(groups)) = (steps, self.groups()) else {
            return true;
        };
        let is_of_group = |look: &Metadata| groups.contains(&Gid::from_raw(look.gid()));
        steps
            .iter()
            .any(|(_, look)| look.uid() == self.uid.as_raw() || is_open(look, |look| !is_of_group(look)))
    }

    /// All groups of this user's but root's.
    fn groups(&self) -> nix::Result<Vec<Gid>> {
        let own = self.group();
        let name = self
            .account
            .as_ref()
            .map(|account| CString::new(account.name.as_str()));
        let mut groups = match name {
            Some(Ok(name)) => getgrouplist(&name, own)?,
            _ => vec![own],
        };
        groups.retain(|group| group.as_raw() != 0);
        Ok(groups)
    }

    /// The group of this user's own.
    fn group(&self) -> Gid {
        let group = self.account.as_ref().map_or(self.gid, |account| account.gid);
        match group.as_raw() {
            0 => Gid::from_raw(self.uid.as_raw()),
            _ => group,
        }
    }

    /// This user's group, where it bears the user's name: such a group has no other members.
    fn private_group(&self) -> io::Result<Option<u32>> {
        let group = Group::from_gid(self.group())?;
        let is_private = |group: &Group| {
            self.account
                .as_ref()
                .is_some_and(|account| account.name == group.name)
        };
        Ok(group.filter(is_private).map(|group| group.gid.as_raw()))
    }

    /// Lets this user read the configuration file that root has made: by group, since a service should not write its own
    /// configuration.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn let_read(&self, config: &Path) -> Result<(), StoreError> {
        let file = match store::look_at_own(config) {
            Ok(Some(file)) => file,
            Ok(None) | Err(StoreError::Linked(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let refused = handing_over(config);
        let look = file.metadata().map_err(&refused)?;
        match look.nlink() == 1 && look.uid() == 0 && look.gid() == 0 {
            true => fchown(&file, None, Some(self.group().as_raw())).map_err(refused),
            false => Ok(()),
        }
    }

    /// Gives this user the files in `data_dir` that bear the names of its own and that root has put there, as by copying
    /// them: never what is a link, or has a second name, nor what is in another directory by now.
    ///
    /// # Errors
    /// `Linked`; when the system refuses.
    pub(super) fn give_back(&self, data_dir: &Path) -> Result<(), StoreError> {
        let directory = match store::open_directory(data_dir) {
            Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let look = directory.metadata().map_err(handing_over(data_dir))?;
        if look.uid() != self.uid.as_raw() {
            return Ok(());
        }
        let small = [KEY_FILE, TOKEN_FILE, AGENT_LOCK, DATABASE_LOCK];
        let of_database = [DATABASE, "deltapost.db-wal", "deltapost.db-shm"];
        for name in small.into_iter().chain(of_database).map(Path::new) {
            let path = data_dir.join(name);
            let Some(file) = store::look_at_own_in(&directory, name, &path)? else {
                continue;
            };
            let look = file.metadata().map_err(handing_over(&path))?;
            if look.uid() == 0 && look.nlink() == 1 {
                fchown(&file, Some(self.uid.as_raw()), None).map_err(handing_over(&path))?;
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
            let mut groups = self.groups()?;
            groups.extend(group);
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

/// Whether root has to open `path` itself, before its process becomes `owner`: what that user could exchange, it opens as that
/// user; and in its own data directory, root opens by name what only it can change.
pub(super) fn opens_itself(owner: Option<&Owner>, path: &Path) -> bool {
    match owner {
        Some(owner) => !owner.can_change(path),
        None if geteuid().is_root() => !matches!(
            nearest(path).and_then(|place| foreign_step(&place, &[0], &[0])),
            Ok(None)
        ),
        None => false,
    }
}

/// Refuses root the configuration file `path` where others can change it: it names what is run, and whose files are used.
///
/// # Errors
/// Where others can change it; when it cannot be looked at.
pub(super) fn refuse_foreign(config: &Path) -> Result<(), Failure> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let foreign = nearest(config).and_then(|place| foreign_step(&place, &[0], &[0]));
    let foreign = foreign.map_err(|error| {
        Failure::failed(format!("could not look at `{}`: {error}", config.display()), None)
    })?;
    let Some(step) = foreign else {
        return Ok(());
    };
    let message = format!(
        "root does not use the configuration `{}`: other users can change `{}`",
        config.display(),
        step.display()
    );
    let hint = "run as the user whose file it is, or put a copy that only root can write into a directory that only root can change, such as `/etc/deltapost`";
    Err(Failure::failed(message, Some(hint.to_owned())))
}

fn handing_over(path: &Path) -> impl Fn(io::Error) -> StoreError {
    file("hand over", path)
}

/// The error of a file operation that failed while `doing` something to `path`.
pub(super) fn file(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File {
        doing,
        path: path.clone(),
        source,
    }
}

/// What others than root and `users` can change on the way to `place`, where it is a directory or file that is there. Members
/// of `groups` are no others.
fn foreign_step(place: &Path, users: &[u32], groups: &[u32]) -> io::Result<Option<PathBuf>> {
    // Whoever owns `/`, which in some containers is not root, has everything anyway.
    let top = fs::metadata("/")?.uid();
    let steps = way_to(place)?;
    let foreign = steps.into_iter().find(|(_, look)| {
        let is_owned = look.uid() == top || users.contains(&look.uid());
        !is_owned || is_open(look, |look| groups.contains(&look.gid()))
    });
    Ok(foreign.map(|(step, _)| step))
}

/// Whether everybody can change the file `look` or rename what is in the directory `look`, or its group, unless
/// `is_trusted`.
fn is_open(look: &Metadata, is_trusted: impl Fn(&Metadata) -> bool) -> bool {
    // In a directory with this bit, each can rename only what is its own.
    let is_sticky = look.is_dir() && look.mode() & 0o1000 != 0;
    let by_group = look.mode() & 0o020 != 0 && !is_trusted(look);
    !look.is_symlink() && !is_sticky && (by_group || look.mode() & 0o002 != 0)
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
