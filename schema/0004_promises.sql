-- deltapost's database, version 4. README.md beside this file tells what each column means.

-- What is scheduled and is not polled is an alert.
CREATE TABLE new_alert (
  id               INTEGER PRIMARY KEY,
  alert            TEXT NOT NULL
                   CONSTRAINT alert_is_known
                   CHECK (alert IN ('endpoint_disabled', 'login_required', 'outbox_full', 'resource_failing', 'resource_held',
                                    'resource_overdue', 'disk')),
  subject_key      TEXT NOT NULL,
  subject          TEXT NOT NULL,
  state            TEXT NOT NULL CONSTRAINT alert_state_is_known CHECK (state IN ('raised', 'cleared')),
  since            TEXT NOT NULL,
  message          TEXT NOT NULL,
  posted           INTEGER NOT NULL DEFAULT 0 CONSTRAINT alert_posted_is_0_or_1 CHECK (posted IN (0, 1)),
  ran              INTEGER NOT NULL DEFAULT 0 CONSTRAINT alert_ran_is_0_or_1 CHECK (ran IN (0, 1)),
  attempts         INTEGER NOT NULL DEFAULT 0,
  next_attempt_at  TEXT,
  last_error       TEXT
);

INSERT INTO new_alert SELECT * FROM alert;

DROP TABLE alert;

ALTER TABLE new_alert RENAME TO alert;

CREATE INDEX alert_by_subject ON alert (alert, subject_key, id);

-- Listed deletions of what holds something wait for the end of one more set, and for no more than that.
ALTER TABLE resource ADD COLUMN sets_read INTEGER NOT NULL DEFAULT 0;

ALTER TABLE staged_deletion ADD COLUMN staged_in INTEGER NOT NULL DEFAULT 0;

-- A provider's pause belongs to an app in a tenant, and holds for all instances of that app there. `app` is a keyed hash of
-- both. It is found at an instance's next poll; until then an upgraded instance has a name of its own for its pause.
CREATE TABLE throttle (
  app        BLOB PRIMARY KEY,
  since      TEXT NOT NULL,
  until      TEXT NOT NULL,
  throttles  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

ALTER TABLE instance ADD COLUMN app BLOB;

INSERT INTO throttle (app, since, until, throttles)
SELECT CAST('instance/' || id AS BLOB),
       strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
       min(throttled_until, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 day')),
       throttles
  FROM instance
 WHERE throttled_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now');

UPDATE instance SET app = CAST('instance/' || id AS BLOB)
 WHERE throttled_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now');

DROP VIEW instance_health;

DROP TRIGGER instance_update_plans;
ALTER TABLE instance DROP COLUMN throttled_until;
ALTER TABLE instance DROP COLUMN throttles;

CREATE TRIGGER instance_update_plans
AFTER UPDATE OF name, tags, enabled, events_enabled, grant_state, app, paused_by, schedule, timezone, interval_seconds,
                deleting_since
ON instance
BEGIN
  UPDATE meta SET plan_version = plan_version + 1;
END;

CREATE TRIGGER throttle_insert_plans AFTER INSERT ON throttle
BEGIN
  UPDATE meta SET plan_version = plan_version + 1;
END;

CREATE TRIGGER throttle_update_plans AFTER UPDATE OF until ON throttle WHEN NEW.until <> OLD.until
BEGIN
  UPDATE meta SET plan_version = plan_version + 1;
END;

-- When a wait began, beside its end: it lasts as long as was meant, also when the clock is set back. Null in `outbox` means
-- the row's own time, `created_at`.
ALTER TABLE outbox ADD COLUMN waits_since TEXT;
ALTER TABLE endpoint ADD COLUMN waits_since TEXT;
ALTER TABLE alert ADD COLUMN waits_since TEXT;

UPDATE outbox SET waits_since = last_failed_at WHERE state = 'pending' AND last_failed_at IS NOT NULL;
UPDATE endpoint SET waits_since = coalesce(last_failed_at, state_since) WHERE next_probe_at IS NOT NULL;
UPDATE alert SET waits_since = since WHERE next_attempt_at IS NOT NULL;

-- Jumps of the clock ahead: what was delivered before one is not older by it. `clock_seen_at` is what the clock showed last.
ALTER TABLE meta ADD COLUMN clock_seen_at TEXT;

CREATE TABLE clock_jump (
  jumped_from  TEXT PRIMARY KEY,
  jumped_to    TEXT NOT NULL
) WITHOUT ROWID;

-- Tokens in the paths of callback URLs are sealed; what older versions stored in the clear is, when it is opened with the key.
ALTER TABLE meta ADD COLUMN paths_sealed INTEGER NOT NULL DEFAULT 0
  CONSTRAINT paths_sealed_is_0_or_1 CHECK (paths_sealed IN (0, 1));

-- What changes between a resource's creation and the end of its first reading is announced: a link that began at the
-- creation is followed behind the reading, and what of it is announced already is remembered until then.
ALTER TABLE resource ADD COLUMN since TEXT;
ALTER TABLE resource ADD COLUMN anchor BLOB;
ALTER TABLE resource ADD COLUMN anchored_at TEXT;

CREATE TABLE told (
  resource_id  INTEGER NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
  object_id    TEXT NOT NULL,
  PRIMARY KEY (resource_id, object_id)
) WITHOUT ROWID;

-- Delivery: whether an endpoint asked for its wait itself (`Retry-After`). Then no instance tries it before the wait is over.
ALTER TABLE endpoint ADD COLUMN asked_to_wait INTEGER NOT NULL DEFAULT 0
  CONSTRAINT asked_to_wait_is_0_or_1 CHECK (asked_to_wait IN (0, 1));

CREATE VIEW instance_health AS
SELECT i.name AS instance,
       r.name AS resource,
       CASE
         WHEN i.deleting_since IS NOT NULL THEN 'deleting'
         WHEN i.grant_state = 'login_required' THEN 'login required'
         WHEN i.events_enabled = 0 THEN 'events off'
         WHEN r.held IS NOT NULL THEN 'held'
         WHEN i.enabled = 0 THEN 'disabled'
         WHEN i.paused_by IS NOT NULL THEN 'paused'
         WHEN t.until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now') THEN 'throttled'
         WHEN (SELECT a.state
                 FROM alert a
                WHERE a.alert = 'resource_overdue' AND a.subject_key = 'resource/' || r.id
                ORDER BY a.id DESC
                LIMIT 1) = 'raised' THEN 'overdue'
         WHEN r.failures > 0 THEN 'failing'
         WHEN r.last_success_at IS NULL THEN 'not polled yet'
         WHEN r.last_fault_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') THEN 'faulty records'
         ELSE 'ok'
       END AS health,
       r.mode,
       r.phase,
       r.last_poll_at,
       r.last_success_at,
       r.next_poll_at,
       t.until AS throttled_until,
       r.failures,
       coalesce(i.grant_error, r.last_error) AS last_error,
       r.faults,
       r.last_fault,
       r.last_fault_at,
       i.clock_skew_minutes,
       (SELECT count(*) FROM outbox o WHERE o.instance_id = i.id AND o.state = 'pending') AS pending,
       (SELECT count(*) FROM outbox o WHERE o.instance_id = i.id AND o.state = 'dead') AS dead,
       (SELECT o.created_at
          FROM outbox o
         WHERE o.instance_id = i.id AND o.state = 'pending'
         ORDER BY o.id
         LIMIT 1) AS oldest_pending_at,
       i.backlog_events,
       i.paused_by,
       i.paused_since,
       (SELECT m.settings_error FROM meta m) AS settings_error
  FROM instance i
  LEFT JOIN throttle t ON t.app = i.app
  LEFT JOIN resource r ON r.instance_id = i.id
 ORDER BY i.id, r.id;
