//! How the store asks SQLite and reads the answer: columns by their names, into types that say what a column holds.

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};

use super::{Store, StoreError};
use crate::core::alert::{AlertKind, AlertState};
use crate::core::bounds::PausedBy;
use crate::core::feed::Mode;
use crate::core::model::{
    BaselineMode, ElementKey, EndpointState, EventType, Format, GrantState, ItemKind, OutboxState, Phase,
    time_from_text,
};
use crate::core::phase::{Depth, Hold};

/// What a column can be read as.
pub(super) trait Column: Sized {
    fn read(row: &Row<'_>, at: usize) -> Result<Self, StoreError>;
}

/// The column `name` of a row.
pub(super) fn get<T: Column>(row: &Row<'_>, name: &str) -> Result<T, StoreError> {
    T::read(row, row.as_ref().column_index(name)?)
}

/// The one column that a row has.
pub(super) fn only<T: Column>(row: &Row<'_>) -> Result<T, StoreError> {
    T::read(row, 0)
}

/// A column that holds a word of a fixed list, or another text with a meaning.
pub(super) fn word<T>(row: &Row<'_>, at: usize, read: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let text: String = row.get(at)?;
    let what = row.as_ref().column_name(at)?.to_owned();
    read(&text).ok_or_else(|| StoreError::unreadable(what, &text))
}

/// What the column `name` holds of a list or a map.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, name: &str) -> Result<T, StoreError> {
    word(row, row.as_ref().column_index(name)?, |text| {
        serde_json::from_str(text).ok()
    })
}

/// What a column holds of a list or a map.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("strings, numbers and maps of them are JSON")
}

/// Reads a row into a struct, or a tuple, by the names of its columns: `row!(Type { id, name })`, `row!(id, name)`. A
/// field's column bears its name, or another one: `instance as "name"`. Where a field needs more, the row is named:
/// `row!(row => Type { id, size: size(row)? })`.
macro_rules! row {
    ($row:ident => $type:ident { $($field:ident $(as $column:literal)? $(: $value:expr)?),* $(,)? }) => {
        Ok::<_, $crate::store::StoreError>($type {
            $($field: $crate::store::rows::row!(@ $row, $field $(as $column)? $(: $value)?)),*
        })
    };
    ($type:ident { $($fields:tt)* }) => {
        |row: &rusqlite::Row<'_>| $crate::store::rows::row!(row => $type { $($fields)* })
    };
    (@ $row:ident, $field:ident) => { $crate::store::rows::get($row, stringify!($field))? };
    (@ $row:ident, $field:ident as $column:literal) => { $crate::store::rows::get($row, $column)? };
    (@ $row:ident, $field:ident : $value:expr) => { $value };
    ($($field:ident),+) => {
        |row: &rusqlite::Row<'_>| {
            Ok::<_, $crate::store::StoreError>(($($crate::store::rows::get(row, stringify!($field))?),+))
        }
    };
}
pub(super) use row;

/// The forms in which a statement is run. On the store each is a transaction of its own, so that within one only those of
/// its connection may be used.
pub(super) trait Queries {
    /// Runs `work` on the connection that is read from.
    fn reading<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError>;

    /// Runs `work` on the connection that is written to.
    fn writing<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError>;

    /// All rows.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.reading(|connection| {
            connection
                .prepare_cached(sql)?
                .query_and_then(params, read)?
                .collect()
        })
    }

    /// The first row, where there is one.
    fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.reading(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            rows.next()?.map(read).transpose()
        })
    }

    /// The one value of the one row that there always is.
    fn value<T: Column>(&self, sql: &str, params: impl Params) -> Result<T, StoreError> {
        let value = self.first(sql, params, only)?;
        value.ok_or(StoreError::Sqlite(rusqlite::Error::QueryReturnedNoRows))
    }

    /// Changes rows. Returns how many.
    fn change(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.writing(|connection| Ok(connection.prepare_cached(sql)?.execute(params)?))
    }

    /// Changes rows, however many.
    fn run(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        self.change(sql, params).map(drop)
    }
}

impl Queries for Connection {
    fn reading<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(self)
    }

    fn writing<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(self)
    }
}

impl Queries for Store {
    fn reading<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.read(work)
    }

    fn writing<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.write(work)
    }
}

impl<T: Column> Column for Option<T> {
    fn read(row: &Row<'_>, at: usize) -> Result<Option<T>, StoreError> {
        match row.get_ref(at)? {
            ValueRef::Null => Ok(None),
            _ => T::read(row, at).map(Some),
        }
    }
}

macro_rules! as_it_is {
    ($($type:ty),+) => {
        $(impl Column for $type {
            fn read(row: &Row<'_>, at: usize) -> Result<$type, StoreError> {
                Ok(row.get(at)?)
            }
        })+
    };
}
as_it_is!(bool, i64, u16, u32, String, Vec<u8>);

impl Column for u64 {
    fn read(row: &Row<'_>, at: usize) -> Result<u64, StoreError> {
        Ok(row.get::<_, i64>(at)?.max(0).cast_unsigned())
    }
}

impl Column for Timestamp {
    fn read(row: &Row<'_>, at: usize) -> Result<Timestamp, StoreError> {
        word(row, at, time_from_text)
    }
}

/// Types whose `from_text` reads what the column holds.
macro_rules! as_words {
    ($($type:ty),+ $(,)?) => {
        $(impl Column for $type {
            fn read(row: &Row<'_>, at: usize) -> Result<$type, StoreError> {
                word(row, at, <$type>::from_text)
            }
        })+
    };
}

as_words!(
    AlertKind,
    AlertState,
    BaselineMode,
    Depth,
    ElementKey,
    EndpointState,
    EventType,
    Format,
    GrantState,
    Hold,
    ItemKind,
    Mode,
    OutboxState,
    PausedBy,
    Phase,
);
