//! A disk that is full, or that may not be written.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::adverse::{hurried, nothing_is_lost, polled};
use crate::support::skipped::without_root;
use crate::support::{Site, eventually};

/// A small file system at a directory, for as long as this lives.
struct Disk(PathBuf);

impl Disk {
    /// `None`, with a word, where mounting is not permitted.
    fn mount(at: &Path, size: &str) -> Option<Disk> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Disk(at.to_owned()));
        }
        without_root("mounting is not permitted here");
        None
    }

    fn remount(&self, options: &str) {
        let remounted = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0)
            .status();
        assert!(remounted.unwrap().success());
    }

    /// Fills it to the last byte.
    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = File::create(&filler).unwrap();
        let block = [0_u8; 4_096];
        loop {
            match file.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return filler,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: after a failure somebody may still be in it.
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn an_agent_on_a_full_disk_waits_and_goes_on_when_there_is_room() {
    let (account, sections) = hurried();
    let site = Site::bare(account, sections);
    let Some(disk) = Disk::mount(&site.data_dir(), "6m") else {
        return;
    };
    site.cli(&["init"]).code(0);
    polled(&site);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "before.xlsx", 1_200);
    let mut agent = site.spawn_run();
    eventually("the first event is there", || site.receiver.events().len() == 1);

    let filler = disk.fill();
    for number in 0..300 {
        drive.create_file(&drive.root_id(), &format!("amidst {number}.xlsx"), 1_200);
    }
    eventually("it is told", || {
        agent.log().contains("there is no space left on its disk")
    });
    let copy = site.data_dir().join("copy.db");
    site.cli(&["backup", copy.to_str().unwrap()])
        .code(1)
        .says(&["could not write `", "copy.db.new`: no storage space"]);
    assert!(!site.data_dir().join("copy.db.new").exists());
    // What is left of a copy with its key would be in the way of the next.
    site.cli(&["backup", copy.to_str().unwrap(), "--with-key"])
        .code(1);
    for left in ["copy.db.new", "copy.db.key", "copy.db.key.new"] {
        assert!(!site.data_dir().join(left).exists(), "{left}");
    }
    site.cli(&["instance", "disable", "Docs"]).code(1).says(&[
        "no space left on its disk",
        "hint: make room on the disk of the data directory",
    ]);
    assert!(agent.runs(), "{}", agent.log());
    let told = agent.log().lines().count();
    assert!(told < 60, "{told} lines: {}", agent.log());

    fs::remove_file(filler).unwrap();
    eventually("all has come", || site.receiver.events().len() >= 301);
    eventually("all is recorded", || {
        site.cell("SELECT count(*) FROM outbox WHERE state <> 'delivered'") == "0"
    });
    nothing_is_lost(&site);
    assert_eq!(agent.stop(), Some(0));
    drop(disk);
}

#[test]
fn a_read_only_disk_is_told_and_serves_again_when_it_can_be_written() {
    let (account, sections) = hurried();
    let site = Site::bare(account, sections);
    let Some(disk) = Disk::mount(&site.data_dir(), "6m") else {
        return;
    };
    site.cli(&["init"]).code(0);
    polled(&site);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "report.xlsx", 1_200);
    disk.remount("ro");
    let told = [
        "deltapost.db` is read-only",
        "hint: run as the owner of the data directory, on a disk that can be written",
    ];
    for args in [&["run"][..], &["once"], &["outbox"], &["check"]] {
        site.cli(args).code(1).says(&told);
    }
    disk.remount("rw");
    site.once().code(0);
    nothing_is_lost(&site);
    drop(disk);
}

#[test]
fn an_init_on_a_full_disk_leaves_nothing_that_keeps_the_next_from_its_work() {
    let (account, sections) = hurried();
    let site = Site::bare(account, sections);
    let Some(disk) = Disk::mount(&site.data_dir(), "1m") else {
        return;
    };
    // Names cost nothing there, only what is in a file does.
    let filler = disk.fill();
    fs::rename(&filler, site.data_dir().join("lost+found")).unwrap();
    site.cli(&["init"]).code(1).says(&[
        "could not create `",
        "secret.key`: No space left on device",
        "hint: ",
    ]);
    assert!(!site.data_dir().join("secret.key").exists());
    fs::remove_file(site.data_dir().join("lost+found")).unwrap();
    site.cli(&["init"]).code(0);
    site.cli(&["check"]).code(0);
    drop(disk);
}
