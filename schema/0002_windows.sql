-- deltapost's database, version 2: other feeds than a drive's, and collections polled by dates.
-- README.md beside this file tells what each column means.

ALTER TABLE resource ADD COLUMN mode TEXT NOT NULL DEFAULT 'delta'
  CONSTRAINT mode_is_known CHECK (mode IN ('delta', 'window'));
ALTER TABLE resource ADD COLUMN window_from TEXT;
ALTER TABLE resource ADD COLUMN window_to TEXT;
ALTER TABLE resource ADD COLUMN faults INTEGER NOT NULL DEFAULT 0;
ALTER TABLE resource ADD COLUMN last_fault TEXT;
ALTER TABLE resource ADD COLUMN last_fault_at TEXT;

ALTER TABLE poll ADD COLUMN faults INTEGER NOT NULL DEFAULT 0;

ALTER TABLE item ADD COLUMN announced_id TEXT;

-- Records of a window that the next one may show again.
CREATE TABLE seen_record (
  resource_id  INTEGER NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
  object_id    TEXT NOT NULL,
  updated_at   TEXT,
  fingerprint  BLOB NOT NULL,
  window       INTEGER NOT NULL,
  PRIMARY KEY (resource_id, object_id)
) WITHOUT ROWID;

CREATE INDEX seen_record_by_window ON seen_record (resource_id, window);

DROP VIEW instance_health;

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
         WHEN r.last_fault_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') THEN 'faulty records'
         ELSE 'ok'
       END AS health,
       r.mode,
       r.phase,
       r.last_poll_at,
       r.last_success_at,
       r.next_poll_at,
       i.throttled_until,
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
  LEFT JOIN resource r ON r.instance_id = i.id
 ORDER BY i.id, r.id;
