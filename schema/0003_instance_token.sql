-- An instance's own token, for the API's paths without an id: sealed, and found again by a keyed hash of it. An instance that
-- has none yet gets one when it is first shown by the API.

ALTER TABLE instance ADD COLUMN token BLOB;

ALTER TABLE instance ADD COLUMN token_mac BLOB;

CREATE UNIQUE INDEX instance_by_token ON instance (token_mac) WHERE token_mac IS NOT NULL;
