//! What a simulated account is like: its kind, with the spellings that go with it, and the habits of its feed.

use jiff::Timestamp;

use crate::sim::dice::Dice;

/// Which of the two services the account's drive lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// OneDrive at home. Its drive's id is 16 digits with a leading zero in `GET /me/drive`, and bare lower case in
    /// `parentReference`, as has been seen there.
    Consumer,
    /// OneDrive for Business: no cTag anywhere, no name on what is deleted.
    Business,
}

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Kind {
    /// `driveType`.
    pub(super) fn drive_type(self) -> &'static str {
        match self {
            Kind::Consumer => "personal",
            Kind::Business => "business",
        }
    }

    pub(super) fn new_drive_id(self, dice: &mut Dice) -> String {
        match self {
            Kind::Consumer => format!("0{:X}{}", 10 + dice.below(6), dice.word(b"0123456789ABCDEF", 14)),
            Kind::Business => format!("b!{}", dice.word(BASE64URL, 64)),
        }
    }

    /// The drive's id as items refer to it.
    pub(super) fn drive_id_in_items(self, drive_id: &str) -> String {
        match self {
            Kind::Consumer => drive_id.trim_start_matches('0').to_ascii_lowercase(),
            Kind::Business => drive_id.to_owned(),
        }
    }

    /// The id of the drive's `number`th item; on Business 34 characters.
    pub(super) fn new_item_id(self, drive_id: &str, number: usize, dice: &mut Dice) -> String {
        match self {
            Kind::Consumer => format!("{}!{}", drive_id.trim_start_matches('0'), 101 + number),
            Kind::Business => format!("01{}", dice.word(BASE32, 32)),
        }
    }
}

/// How a feed makes use of the liberties that its documentation leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Sets come in no particular order, the same for each request of the same link; else in the order of the changes,
    /// and a full enumeration parents first.
    pub shuffle: bool,
    /// Whether items come more than once in a set.
    pub repeats: Repeats,
    /// Pages are shorter than they might be.
    pub vary_pages: bool,
    /// Now and then a page is empty and only leads to the next.
    pub empty_pages: bool,
    /// Whether a deleted folder brings its contents along.
    pub deleted_descendants: Descendants,
}

impl Habits {
    /// No surprises; only the lists of deleted folders differ from one to the next.
    pub const CALM: Habits = Habits {
        shuffle: false,
        repeats: Repeats::None,
        vary_pages: false,
        empty_pages: false,
        deleted_descendants: Descendants::Either,
    };

    /// Every liberty that is taken in the field, but for `Repeats::OlderFirst`.
    pub const AWKWARD: Habits = Habits {
        shuffle: true,
        repeats: Repeats::Same,
        vary_pages: true,
        empty_pages: true,
        deleted_descendants: Descendants::Either,
    };
}

/// Whether an item may come more than once in one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// None does.
    None,
    /// Some do, each time in the same, latest, state.
    Same,
    /// Some do, at first as they were before the last operation on them: only the last occurrence counts.
    OlderFirst,
}

/// Whether the deletion of a folder lists what was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descendants {
    /// It does.
    Listed,
    /// Only the folder is listed.
    Implied,
    /// One or the other, by the seed.
    Either,
}

/// The shape of an answer 410.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The nested code, such as `resyncChangesApplyDifferences`.
    pub code: &'static str,
    /// Whether a `Location` tells where to begin again.
    pub location: bool,
}

impl Default for Gone {
    fn default() -> Gone {
        Gone {
            code: "resyncChangesApplyDifferences",
            location: true,
        }
    }
}

/// A simulated account and its drive.
#[derive(Clone, Debug)]
pub struct Account {
    /// Which service it lives in.
    pub kind: Kind,
    /// Decides everything that is random about the account.
    pub seed: u64,
    /// Items in a page, when `$top` does not ask for fewer.
    pub page_size: usize,
    /// The drive's first present time.
    pub start: Timestamp,
    /// How its feed behaves, until `Drive::set_habits`.
    pub habits: Habits,
}

impl Account {
    /// A home account with a calm feed.
    pub fn consumer() -> Account {
        // 2026-03-02T08:00:00Z, a Monday.
        let start = Timestamp::constant(1_772_438_400, 0);
        Account {
            kind: Kind::Consumer,
            seed: 1,
            page_size: 200,
            start,
            habits: Habits::CALM,
        }
    }

    /// A work account with a calm feed.
    pub fn business() -> Account {
        Account {
            kind: Kind::Business,
            ..Account::consumer()
        }
    }

    /// The same account with an awkward feed, all of its chances decided by `seed`.
    #[must_use]
    pub fn awkward(self, seed: u64) -> Account {
        Account {
            seed,
            habits: Habits::AWKWARD,
            ..self
        }
    }
}
