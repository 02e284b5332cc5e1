//! Instances with their secrets. A configuration is split on its way in: what may be shown stands as JSON
//! in `instance`, the rest is sealed in `secret`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params};

use super::first::Starts;
use super::grants::{ACCESS_TOKEN, Grant, REFRESH_TOKEN};
use super::rows::{Queries, from_json, get, json, only, row};
use super::secrets::{place, secrets_of};
use super::{Store, StoreError, endpoints, plan, resources};
use crate::core::elements;
use crate::core::model::{Configuration, ElementKey, Instance, Settings, time_text};

/// Rows that one transaction removes.
const REMOVAL: i64 = 1_000;

/// An instance that does not exist yet.
#[derive(Debug)]
pub struct NewInstance<'a> {
    pub name: &'a str,
    pub element: ElementKey,
    pub tags: &'a [String],
    pub configuration: &'a Configuration,
    /// The typed reading of `configuration`.
    pub settings: &'a Settings,
    pub grant: &'a Grant,
    pub starts: &'a Starts,
}

/// Which instances are asked for; all of it must hold. Those that are being deleted are never among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceListing {
    pub id: Option<i64>,
    pub element: Option<ElementKey>,
    /// With every one of these.
    pub tags: Vec<String>,
    /// With an id above this one: where the last page ended.
    pub after: i64,
    /// At most as many.
    pub most: usize,
}

/// An instance without its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRow {
    pub id: i64,
    pub name: String,
    pub element: ElementKey,
    pub enabled: bool,
    /// Bytes of its configuration, a JSON text.
    pub configuration_bytes: usize,
    /// What it takes of memory when it is parsed.
    pub parsed_bytes: usize,
}

/// What came of a step of an instance's removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// There is more to remove.
    Part,
    /// The instance is gone.
    Whole,
    /// Something of it is pending: nothing was removed.
    Refused,
}

impl Store {
    /// Writes `new` whole: instance, secrets, grant and resources. Returns its id.
    ///
    /// # Errors
    /// `NameTaken`; `NoKey`, since it has secrets.
    pub fn create_instance(&self, new: &NewInstance<'_>, now: Timestamp) -> Result<i64, StoreError> {
        self.write(|connection| {
            refuse_taken(connection, new.name, None)?;
            connection.run(
                "INSERT INTO instance (name, element_key, configuration, created_at, updated_at)
                 VALUES (?1, ?2, '{}', ?3, ?3)",
                (new.name, new.element.as_str(), time_text(now)),
            )?;
            let id = connection.last_insert_rowid();
            self.put_instance(
                connection,
                (id, new.name, new.tags),
                new.configuration,
                new.settings,
                now,
            )?;
            self.put_grant(connection, id, new.grant, now)?;
            resources::reconcile(self, connection, id, new.settings, new.starts, now)?;
            Ok(id)
        })
    }

    /// Writes a changed instance: name, tags and configuration. Returns notes on what the change did to its resources.
    ///
    /// # Errors
    /// `Superseded` where somebody else has changed it since it was `before`; `NameTaken`, `NoSuchInstance`, `NoKey`.
    pub fn update_instance(
        &self,
        before: &Instance,
        instance: &Instance,
        settings: &Settings,
        grant: Option<&Grant>,
        starts: &Starts,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        // Without the key the configuration at hand has masks for secrets, and writing it would lose them.
        self.key()?;
        self.write(|connection| {
            let found = self.only_instance(connection, "id = ?1", instance.id, &instance.name)?;
            if !is_same(&found, before) {
                return Err(StoreError::Superseded);
            }
            refuse_taken(connection, &instance.name, Some(instance.id))?;
            connection.run(
                "DELETE FROM secret WHERE instance_id = ?1 AND key NOT IN (?2, ?3)",
                (instance.id, REFRESH_TOKEN, ACCESS_TOKEN),
            )?;
            let named = (instance.id, &*instance.name, &*instance.tags);
            self.put_instance(connection, named, &instance.configuration, settings, now)?;
            endpoints::forget_unused(connection)?;
            let notes = resources::reconcile(self, connection, instance.id, settings, starts, now)?;
            if let Some(grant) = grant {
                self.put_sign_in(connection, instance.id, grant, now)?;
            }
            Ok(notes)
        })
    }

    /// The instance with that id, or name, with its configuration in the clear.
    ///
    /// # Errors
    /// `NoSuchInstance`.
    pub fn find_instance(&self, id_or_name: &str) -> Result<Instance, StoreError> {
        let condition = "name = ?1 OR CAST(id AS TEXT) = ?1";
        self.read(|connection| self.only_instance(connection, condition, id_or_name, &id_or_name))
    }

    /// The instance with that id.
    ///
    /// # Errors
    /// `NoSuchInstance`.
    pub fn instance(&self, id: i64) -> Result<Instance, StoreError> {
        self.read(|connection| self.instance_of(connection, id))
    }

    /// The instance with that id, as `connection` sees it.
    pub(super) fn instance_of(&self, connection: &Connection, id: i64) -> Result<Instance, StoreError> {
        self.only_instance(connection, "id = ?1", id, &id)
    }

    /// The first instance of which `condition` says so; where there is none, it is called `asked`.
    fn only_instance(
        &self,
        connection: &Connection,
        condition: &str,
        value: impl rusqlite::ToSql,
        asked: &dyn std::fmt::Display,
    ) -> Result<Instance, StoreError> {
        let found = self
            .instances_where(connection, condition, value)?
            .into_iter()
            .next();
        found.ok_or_else(|| StoreError::NoSuchInstance(asked.to_string()))
    }

    /// All instances, by id.
    pub fn instances(&self) -> Result<Vec<Instance>, StoreError> {
        self.read(|connection| self.instances_where(connection, "?1", true))
    }

    /// The instances that are asked for, by id.
    pub fn listed_instances(&self, asked: &InstanceListing) -> Result<Vec<InstanceRow>, StoreError> {
        self.all(
            "SELECT id, name, element_key AS element, enabled, configuration
               FROM instance
              WHERE id > :after AND (:id IS NULL OR id = :id) AND deleting_since IS NULL
                AND (:element IS NULL OR element_key = :element)
                AND NOT EXISTS (SELECT 1 FROM json_each(:tags) asked
                                 WHERE asked.value NOT IN (SELECT value FROM json_each(instance.tags)))
              ORDER BY id LIMIT :most",
            named_params! {
                ":after": asked.after,
                ":id": asked.id,
                ":element": asked.element.map(ElementKey::as_str),
                ":tags": json(&asked.tags),
                ":most": i64::try_from(asked.most).unwrap_or(i64::MAX),
            },
            |row| {
                let text = row
                    .get_ref("configuration")?
                    .as_bytes()
                    .map_err(rusqlite::Error::from)?;
                let (bytes, parsed) = (text.len(), elements::parsed_bytes(text));
                row!(row => InstanceRow {
                    id,
                    name,
                    element,
                    enabled,
                    configuration_bytes: bytes,
                    parsed_bytes: parsed,
                })
            },
        )
    }

    /// How many instances there are.
    pub fn instance_count(&self) -> Result<i64, StoreError> {
        self.value("SELECT count(*) FROM instance", [])
    }

    /// Pauses or resumes polling of an instance.
    pub fn enable_instance(&self, id: i64, enabled: bool, now: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE instance SET enabled = ?2, updated_at = ?3 WHERE id = ?1",
            (id, enabled, time_text(now)),
        )
    }

    /// Stops polling of an instance for good; it is removed when nothing of it is pending any more.
    pub fn begin_deletion(&self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE instance SET deleting_since = coalesce(deleting_since, ?2) WHERE id = ?1",
            (id, time_text(now)),
        )
    }

    /// The ids of the instances that are being deleted.
    pub fn leaving_instances(&self) -> Result<Vec<i64>, StoreError> {
        self.all(
            "SELECT id FROM instance WHERE deleting_since IS NOT NULL",
            [],
            only,
        )
    }

    /// The instances being deleted of which nothing is pending.
    pub fn drained_deletions(&self) -> Result<Vec<(i64, String)>, StoreError> {
        self.all(
            "SELECT id, name FROM instance i
              WHERE deleting_since IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM outbox WHERE instance_id = i.id AND state = 'pending')",
            [],
            row!(id, name),
        )
    }

    /// Removes an instance and everything of it, in transactions of at most a thousand rows, itself last. Returns whether
    /// it is gone: it stays while something of it is pending.
    ///
    /// # Errors
    /// When the database cannot be written; what is left is removed by the next call.
    pub fn remove_instance(&self, id: i64) -> Result<bool, StoreError> {
        loop {
            match self.remove_part_of_instance(id)? {
                Removal::Part => {}
                removal => return Ok(removal == Removal::Whole),
            }
        }
    }

    /// Removes as much of an instance as one transaction should. That nothing of it is pending is looked at in the same
    /// transaction: `outbox retry` may have revived something since the instance was found drained.
    pub fn remove_part_of_instance(&self, id: i64) -> Result<Removal, StoreError> {
        self.write(|connection| {
            let pending = "SELECT EXISTS (SELECT 1 FROM outbox WHERE instance_id = ?1 AND state = 'pending')";
            if connection.value(pending, [id])? {
                return Ok(Removal::Refused);
            }
            for statement in [
                "DELETE FROM item WHERE (resource_id, object_id) IN
                   (SELECT resource_id, object_id FROM item
                     WHERE resource_id IN (SELECT id FROM resource WHERE instance_id = ?1) LIMIT ?2)",
                "DELETE FROM poll WHERE id IN
                   (SELECT id FROM poll
                     WHERE resource_id IN (SELECT id FROM resource WHERE instance_id = ?1) LIMIT ?2)",
                "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE instance_id = ?1 LIMIT ?2 / 10)",
            ] {
                if connection.change(statement, (id, REMOVAL))? > 0 {
                    return Ok(Removal::Part);
                }
            }
            connection.run("DELETE FROM instance WHERE id = ?1", [id])?;
            endpoints::forget_unused(connection)?;
            Ok(Removal::Whole)
        })
    }

    pub(super) fn instances_where(
        &self,
        connection: &Connection,
        condition: &str,
        value: impl rusqlite::ToSql,
    ) -> Result<Vec<Instance>, StoreError> {
        let select = format!(
            "SELECT id, name, element_key, tags, enabled, grant_state, created_at, configuration
               FROM instance WHERE {condition} ORDER BY id"
        );
        connection.all(&select, [value], |row| self.read_instance(connection, row))
    }

    /// Reads a row, with its secrets and with what its configuration means.
    fn read_instance(&self, connection: &Connection, row: &Row<'_>) -> Result<Instance, StoreError> {
        let (id, element) = (get(row, "id")?, get(row, "element_key")?);
        let mut secrets = BTreeMap::new();
        for (key, sealed) in secrets_of(connection, id)? {
            // Without the key a secret stays masked: the instance can be shown, but not used.
            if let Ok(secret) = self.key().and_then(|k| k.open(&place(id, &key), &sealed))
                && !key.starts_with("grant.")
            {
                secrets.insert(key, secret);
            }
        }
        let shown: Configuration = from_json(row, "configuration")?;
        let configuration = elements::join(shown, &secrets);
        row!(row => Instance {
            id,
            name,
            element: element,
            tags: from_json(row, "tags")?,
            enabled,
            grant_state,
            created_at,
            settings: elements::settings(element, &configuration, &self.graph_base),
            configuration: configuration,
        })
    }

    /// Writes what people say of an instance: name, tags and configuration, with its secrets and its endpoint.
    fn put_instance(
        &self,
        connection: &Connection,
        (id, name, tags): (i64, &str, &[String]),
        configuration: &Configuration,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (shown, secrets) = elements::split(configuration);
        self.put_secrets(connection, id, &secrets, now)?;
        let endpoint = match &settings.callback_url {
            Some(url) => Some(endpoints::endpoint_of(connection, self.key()?, url, now)?),
            None => None,
        };
        connection.run(
            "UPDATE instance
                SET name = ?2, tags = ?3, events_enabled = ?4, configuration = ?5, updated_at = ?6, schedule = ?7,
                    timezone = ?8, interval_seconds = ?9, endpoint_id = ?10
              WHERE id = ?1",
            (
                id,
                name,
                json(&tags),
                settings.events_enabled,
                json(&shown),
                time_text(now),
                &settings.schedule,
                &settings.timezone,
                plan::interval_seconds(settings.interval),
                endpoint,
            ),
        )
    }
}

/// Whether what people change of an instance is the same in both.
fn is_same(one: &Instance, other: &Instance) -> bool {
    let changed_by_people = |of: &Instance| (of.name.clone(), of.tags.clone(), of.configuration.clone());
    changed_by_people(one) == changed_by_people(other)
}

fn refuse_taken(connection: &Connection, name: &str, except: Option<i64>) -> Result<(), StoreError> {
    let holder: Option<i64> = connection.first("SELECT id FROM instance WHERE name = ?1", [name], only)?;
    match holder {
        Some(id) if Some(id) != except => Err(StoreError::NameTaken(name.to_owned())),
        _ => Ok(()),
    }
}
