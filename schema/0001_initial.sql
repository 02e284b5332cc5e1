-- deltapost's database, version 1. README.md beside this file tells what each column means.
-- Times are UTC text with three decimals. No STRICT tables and no syntax newer than SQLite 3.34: the sqlite3 of
-- Debian 11 opens this file. Constraints are named, so that their name explains a failure.

CREATE TABLE meta (
  id                 INTEGER PRIMARY KEY CONSTRAINT meta_has_one_row CHECK (id = 1),
  created_at         TEXT NOT NULL,
  key_check          BLOB NOT NULL,
  plan_version       INTEGER NOT NULL DEFAULT 0,
  settings_error     TEXT,
  settings_error_at  TEXT
);

CREATE TABLE endpoint (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  url            TEXT NOT NULL,
  url_mac        BLOB NOT NULL CONSTRAINT endpoints_are_unique UNIQUE,
  state          TEXT NOT NULL DEFAULT 'active'
                 CONSTRAINT endpoint_state_is_known CHECK (state IN ('active', 'backing_off', 'disabled')),
  state_since    TEXT NOT NULL,
  failures       INTEGER NOT NULL DEFAULT 0,
  deaths         INTEGER NOT NULL DEFAULT 0,
  last_accepted_at TEXT,
  last_failed_at TEXT,
  next_probe_at  TEXT,
  last_error     TEXT
);

CREATE TABLE instance (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  name             TEXT NOT NULL CONSTRAINT instance_names_are_unique UNIQUE,
  element_key      TEXT NOT NULL,
  tags             TEXT NOT NULL DEFAULT '[]',
  enabled          INTEGER NOT NULL DEFAULT 1 CONSTRAINT instance_enabled_is_0_or_1 CHECK (enabled IN (0, 1)),
  events_enabled   INTEGER NOT NULL DEFAULT 0
                   CONSTRAINT instance_events_enabled_is_0_or_1 CHECK (events_enabled IN (0, 1)),
  configuration    TEXT NOT NULL,
  endpoint_id      INTEGER REFERENCES endpoint (id),
  grant_state      TEXT NOT NULL DEFAULT 'ok'
                   CONSTRAINT grant_state_is_known CHECK (grant_state IN ('ok', 'login_required')),
  grant_error      TEXT,
  renewal_holder   TEXT,
  renewal_until    TEXT,
  throttled_until  TEXT,
  throttles        INTEGER NOT NULL DEFAULT 0,
  clock_skew_minutes INTEGER,
  backlog_events   INTEGER NOT NULL DEFAULT 0,
  backlog_bytes    INTEGER NOT NULL DEFAULT 0,
  paused_by        TEXT CONSTRAINT paused_by_is_known CHECK (paused_by IN ('max_events', 'max_bytes')),
  paused_since     TEXT,
  schedule         TEXT,
  timezone         TEXT,
  interval_seconds INTEGER,
  created_at       TEXT NOT NULL,
  updated_at       TEXT NOT NULL,
  deleting_since   TEXT,
  CONSTRAINT paused_has_a_time CHECK ((paused_by IS NULL) = (paused_since IS NULL))
);

CREATE INDEX instance_by_deletion ON instance (deleting_since) WHERE deleting_since IS NOT NULL;

CREATE TABLE secret (
  instance_id  INTEGER NOT NULL REFERENCES instance (id) ON DELETE CASCADE,
  key          TEXT NOT NULL,
  sealed       BLOB NOT NULL,
  updated_at   TEXT NOT NULL,
  PRIMARY KEY (instance_id, key)
) WITHOUT ROWID;

CREATE TABLE resource (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  instance_id      INTEGER NOT NULL REFERENCES instance (id) ON DELETE CASCADE,
  name             TEXT NOT NULL,
  url              TEXT NOT NULL,
  baseline         TEXT NOT NULL
                   CONSTRAINT baseline_is_known CHECK (baseline IN ('snapshot', 'emit', 'latest')),
  page_size        INTEGER,
  schedule         TEXT,
  timezone         TEXT,
  phase            TEXT NOT NULL DEFAULT 'baseline'
                   CONSTRAINT phase_is_known CHECK (phase IN ('baseline', 'following', 'enumerating', 'sweeping')),
  silent           INTEGER NOT NULL DEFAULT 0 CONSTRAINT silent_is_0_or_1 CHECK (silent IN (0, 1)),
  generation       INTEGER NOT NULL DEFAULT 1,
  swept_generation INTEGER NOT NULL DEFAULT 1,
  cursor           BLOB,
  cursor_seq       INTEGER NOT NULL DEFAULT 0,
  next_cursor      BLOB,
  started_at       TEXT NOT NULL,
  drive_id         TEXT,
  root_id          TEXT,
  compared_items   INTEGER,
  held             TEXT CONSTRAINT held_is_known CHECK (held IN ('deletions', 'drive')),
  last_poll_at     TEXT,
  last_success_at  TEXT,
  next_poll_at     TEXT,
  unfinished       INTEGER NOT NULL DEFAULT 0 CONSTRAINT unfinished_is_0_or_1 CHECK (unfinished IN (0, 1)),
  failures         INTEGER NOT NULL DEFAULT 0,
  last_error       TEXT,
  CONSTRAINT resource_names_are_unique_within_an_instance UNIQUE (instance_id, name)
);

-- What decides when a resource is polled has a version, so that the agent need not read all of it to see that it is the
-- same.
CREATE TRIGGER instance_insert_plans AFTER INSERT ON instance
BEGIN
  UPDATE meta SET plan_version = plan_version + 1;
END;

CREATE TRIGGER instance_update_plans
AFTER UPDATE OF name, tags, enabled, events_enabled, grant_state, throttled_until, paused_by, schedule, timezone,
                interval_seconds, deleting_since
ON instance
BEGIN
  UPDATE meta SET plan_version = plan_version + 1;
END;

CREATE TRIGGER resource_insert_plans AFTER INSERT ON resource
BEGIN
  UPDATE meta SET plan_version = plan_version + 1;
END;

CREATE TRIGGER resource_update_plans AFTER UPDATE OF name, schedule, timezone, held ON resource
BEGIN
  UPDATE meta SET plan_version = plan_version + 1;
END;

CREATE TRIGGER resource_delete_plans AFTER DELETE ON resource
BEGIN
  UPDATE meta SET plan_version = plan_version + 1;
END;

CREATE TABLE item (
  resource_id  INTEGER NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
  object_id    TEXT NOT NULL,
  name         TEXT,
  parent_id    TEXT,
  kind         TEXT NOT NULL,
  content      BLOB NOT NULL,
  metadata     BLOB NOT NULL,
  generation   INTEGER NOT NULL,
  doomed       INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (resource_id, object_id)
) WITHOUT ROWID;

CREATE INDEX item_by_parent ON item (resource_id, parent_id);
CREATE INDEX item_doomed ON item (resource_id, doomed) WHERE doomed > 0;

CREATE TABLE staged_deletion (
  resource_id  INTEGER NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
  object_id    TEXT NOT NULL,
  raw          TEXT NOT NULL,
  PRIMARY KEY (resource_id, object_id)
) WITHOUT ROWID;

CREATE TABLE outbox (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  event_id         TEXT NOT NULL CONSTRAINT event_ids_are_unique UNIQUE,
  instance_id      INTEGER NOT NULL REFERENCES instance (id),
  resource         TEXT NOT NULL,
  state            TEXT NOT NULL DEFAULT 'pending'
                   CONSTRAINT outbox_state_is_known CHECK (state IN ('pending', 'delivered', 'dead')),
  created_at       TEXT NOT NULL,
  event_count      INTEGER NOT NULL,
  format           TEXT NOT NULL DEFAULT 'elements'
                   CONSTRAINT format_is_known CHECK (format IN ('elements', 'cloudevents', 'cloudevents-batch')),
  attempts         INTEGER NOT NULL DEFAULT 0,
  refusals         INTEGER NOT NULL DEFAULT 0,
  failures         INTEGER NOT NULL DEFAULT 0,
  next_attempt_at  TEXT,
  last_failed_at   TEXT,
  delivered_at     TEXT,
  last_status      INTEGER,
  last_error       TEXT,
  replay_of        TEXT,
  body             BLOB NOT NULL,
  CONSTRAINT pending_has_a_next_attempt CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
  CONSTRAINT delivered_has_a_time CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
);

CREATE INDEX outbox_pending_by_instance ON outbox (instance_id, id) WHERE state = 'pending';
CREATE INDEX outbox_dead_by_instance ON outbox (instance_id, id) WHERE state = 'dead';
CREATE INDEX outbox_by_delivery ON outbox (delivered_at) WHERE state = 'delivered';
CREATE INDEX outbox_by_instance ON outbox (instance_id, id);
CREATE INDEX outbox_waiting_replays ON outbox (replay_of) WHERE state = 'pending' AND replay_of IS NOT NULL;

-- What of an instance is not delivered is counted as it changes: polling asks for it after each page.
CREATE TRIGGER outbox_insert_counts AFTER INSERT ON outbox WHEN NEW.state <> 'delivered'
BEGIN
  UPDATE instance
     SET backlog_events = backlog_events + NEW.event_count,
         backlog_bytes = backlog_bytes + length(NEW.body)
   WHERE id = NEW.instance_id;
END;

CREATE TRIGGER outbox_update_counts AFTER UPDATE OF state ON outbox
WHEN (OLD.state = 'delivered') <> (NEW.state = 'delivered')
BEGIN
  UPDATE instance
     SET backlog_events = backlog_events + iif(NEW.state = 'delivered', -1, 1) * NEW.event_count,
         backlog_bytes = backlog_bytes + iif(NEW.state = 'delivered', -1, 1) * length(NEW.body)
   WHERE id = NEW.instance_id;
END;

CREATE TRIGGER outbox_delete_counts AFTER DELETE ON outbox WHEN OLD.state <> 'delivered'
BEGIN
  UPDATE instance
     SET backlog_events = backlog_events - OLD.event_count,
         backlog_bytes = backlog_bytes - length(OLD.body)
   WHERE id = OLD.instance_id;
END;

CREATE TABLE event (
  outbox_id    INTEGER NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
  position     INTEGER NOT NULL,
  event_type   TEXT NOT NULL
               CONSTRAINT event_type_is_known CHECK (event_type IN ('CREATED', 'UPDATED', 'DELETED')),
  object_id    TEXT NOT NULL,
  object_type  TEXT NOT NULL,
  path         TEXT,
  raw_start    INTEGER,
  raw_length   INTEGER,
  PRIMARY KEY (outbox_id, position)
) WITHOUT ROWID;

CREATE TABLE attempt (
  outbox_id    INTEGER NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
  number       INTEGER NOT NULL,
  at           TEXT NOT NULL,
  duration_ms  INTEGER NOT NULL,
  status       INTEGER,
  error        TEXT,
  PRIMARY KEY (outbox_id, number)
) WITHOUT ROWID;

CREATE TABLE poll (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  resource_id  INTEGER NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
  started_at   TEXT NOT NULL,
  duration_ms  INTEGER NOT NULL,
  outcome      TEXT NOT NULL
               CONSTRAINT outcome_is_known CHECK (outcome IN ('done', 'failed', 'stopped', 'paused')),
  pages        INTEGER NOT NULL,
  items        INTEGER NOT NULL,
  events       INTEGER NOT NULL,
  unchanged    INTEGER NOT NULL,
  filtered     INTEGER NOT NULL,
  error        TEXT,
  note         TEXT
);

CREATE INDEX poll_by_resource ON poll (resource_id, id);

-- What a command asks of the running agent; the agent answers in the same row.
CREATE TABLE request (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  resource_id  INTEGER NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
  depth        TEXT NOT NULL
               CONSTRAINT depth_is_known CHECK (depth IN ('changes', 'resync', 'accepted resync', 'rebaseline')),
  state        TEXT NOT NULL DEFAULT 'waiting'
               CONSTRAINT request_state_is_known CHECK (state IN ('waiting', 'done')),
  created_at   TEXT NOT NULL,
  answer       TEXT
);

CREATE INDEX request_waiting ON request (resource_id) WHERE state = 'waiting';

-- Each change of an alert's state, and whether it has been told.
CREATE TABLE alert (
  id               INTEGER PRIMARY KEY,
  alert            TEXT NOT NULL
                   CONSTRAINT alert_is_known
                   CHECK (alert IN ('endpoint_disabled', 'login_required', 'outbox_full', 'resource_failing', 'resource_held',
                                    'disk')),
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

CREATE INDEX alert_by_subject ON alert (alert, subject_key, id);

CREATE VIEW outbox_pending AS
SELECT o.id,
       o.event_id,
       i.name AS instance,
       o.resource,
       e.url AS endpoint,
       o.event_count,
       o.created_at,
       o.attempts,
       CASE WHEN e.state = 'active' OR e.id IS NULL THEN o.next_attempt_at
            ELSE max(o.next_attempt_at, e.next_probe_at)
       END AS next_attempt_at,
       e.state AS endpoint_state,
       o.last_status,
       o.last_error
  FROM outbox o
  JOIN instance i ON i.id = o.instance_id
  LEFT JOIN endpoint e ON e.id = i.endpoint_id
 WHERE o.state = 'pending'
 ORDER BY o.id;

CREATE VIEW outbox_dead AS
SELECT o.id,
       o.event_id,
       i.name AS instance,
       o.resource,
       e.url AS endpoint,
       o.event_count,
       o.created_at,
       o.attempts,
       o.last_status,
       o.last_error
  FROM outbox o
  JOIN instance i ON i.id = o.instance_id
  LEFT JOIN endpoint e ON e.id = i.endpoint_id
 WHERE o.state = 'dead'
 ORDER BY o.id;

CREATE VIEW recent_events AS
SELECT o.id AS outbox_id,
       v.position,
       o.created_at,
       i.name AS instance,
       o.resource,
       v.event_type,
       v.object_type,
       v.object_id,
       v.path,
       o.state,
       o.delivered_at,
       CAST(substr(o.body, v.raw_start + 1, v.raw_length) AS TEXT) AS raw
  FROM outbox o
  JOIN event v ON v.outbox_id = o.id
  JOIN instance i ON i.id = o.instance_id
 ORDER BY o.id DESC, v.position DESC;

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
         WHEN i.throttled_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now') THEN 'throttled'
         WHEN r.failures > 0 THEN 'failing'
         WHEN r.last_success_at IS NULL THEN 'not polled yet'
         ELSE 'ok'
       END AS health,
       r.phase,
       r.last_poll_at,
       r.last_success_at,
       r.next_poll_at,
       i.throttled_until,
       r.failures,
       coalesce(i.grant_error, r.last_error) AS last_error,
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
  LEFT JOIN resource r ON r.instance_id = i.id
 ORDER BY i.id, r.id;
