//! `backup` and `restore`: a copy of the database for another day or another box, and the way back from it.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::{Args, BackupArgs};
use super::failure::Failure;
use super::house;
use super::init;
use super::owner;
use super::reply::Reply;
use super::table::{counted, pairs};
use crate::clock::{Clock, SystemClock};
use crate::store::{self, AgentLock, Candidate, Contents, KEY_FILE, Key, Look, Replaced, Source, Target};

/// Copies the database, and the key when it is wanted, also while an agent writes.
pub(super) fn backup(args: &Args, wanted: &BackupArgs) -> Result<Reply, Failure> {
    let config = house::read_config(args)?;
    let (credential, target) = house::enter_after(&config, |owner| {
        let opens = owner::opens_itself(owner, &wanted.file);
        let target = opens.then(|| Target::create(&wanted.file, wanted.with_key));
        Ok(target.transpose()?)
    })?;
    house::refuse_foreign(&config.data_dir)?;
    let key = Key::load(&config.data_dir, credential)?;
    let store = house::open_store(&config, key, Look::Brief)?;
    if wanted.with_key {
        store.key()?;
    }
    let contents = match &target {
        Some(target) => store.back_up_into(target)?,
        None => store.back_up(&wanted.file, wanted.with_key)?,
    };
    let key = wanted.with_key.then(|| store::key_beside(&wanted.file));
    if args.json {
        let told = json!({"file": wanted.file, "key": key, "contents": contents});
        return Ok(Reply::json(&told));
    }
    let note = match &key {
        Some(_) => "whoever has both files can use every secret in them: keep them as safe as this box",
        None => {
            "it opens only with its key, which is not in it: keep a copy of that elsewhere, or use --with-key"
        }
    };
    let mut lines = vec![("copied", described(&wanted.file, contents))];
    lines.extend(key.map(|key| ("copied", key.display().to_string())));
    Ok(Reply::text(pairs(lines)).noting(vec![note.to_owned()]))
}

fn described(file: &Path, contents: Contents) -> String {
    format!(
        "{} ({}, {} pending, {} bytes)",
        file.display(),
        counted(contents.instances.unsigned_abs(), "instance"),
        counted(contents.pending.unsigned_abs(), "notification"),
        contents.bytes
    )
}

/// Puts the copy in `file` in place of the database, once everything in it has been looked at.
pub(super) fn restore(args: &Args, file: &Path) -> Result<Reply, Failure> {
    let config = house::read_config(args)?;
    let group = house::group_id(&config)?;
    let (data_dir, sharing) = (&config.data_dir, house::sharing(&config));
    let (credential, source) = house::enter_after(&config, |owner| {
        let opens = owner::opens_itself(owner, file);
        Ok(opens.then(|| Source::open(file)).transpose()?)
    })?;
    init::make_directory(data_dir, sharing)?;
    // To the end: no agent starts in the middle of it.
    let _lock = AgentLock::take(data_dir)?;
    let key = Key::load(data_dir, credential.clone())?;
    let now = SystemClock.now();
    let source = match source {
        Some(source) => source,
        None => Source::open(file)?,
    };
    let candidate = Candidate::prepare(data_dir, source, sharing, key.as_ref())?;
    let contents = candidate.contents();
    let replaced = candidate.put_in_place(now)?;
    init::make_token(data_dir)?;
    init::settle(data_dir, sharing, group)?;
    if replaced.key_is_new && credential.is_some() {
        let hint = format!(
            "hand on `{}` as the credential",
            data_dir.join(KEY_FILE).display()
        );
        return Err(Failure::failed(
            "the copy was restored, and the key among systemd's credentials is not the one that opens it",
            Some(hint),
        ));
    }
    let key = Key::load(data_dir, credential)?;
    house::open_store(&config, key, Look::Brief)?.key()?;
    if args.json {
        let told = json!({
            "dataDir": data_dir, "contents": contents,
            "replaced": {"database": replaced.database, "key": replaced.key},
        });
        return Ok(Reply::json(&told));
    }
    Ok(Reply::text(words(file, contents, replaced)).noting(vec![
        "what happened since the copy was made is found by the next polls and announced again".to_owned(),
    ]))
}

fn words(file: &Path, contents: Contents, replaced: Replaced) -> String {
    let kept = |path: PathBuf| ("kept", path.display().to_string());
    let mut lines = vec![("restored", described(file, contents))];
    lines.extend(replaced.database.map(kept));
    lines.extend(replaced.key.map(kept));
    pairs(lines)
}
