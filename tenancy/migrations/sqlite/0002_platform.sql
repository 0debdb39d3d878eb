-- States, drafts, members' programs, repeats and the audit log. Times are microseconds since 1970 from here on, and
-- `updated_at` grows with every change, so that it serves as the etag.

ALTER TABLE tenants RENAME COLUMN id TO tenant;
ALTER TABLE tenants ADD COLUMN state TEXT NOT NULL DEFAULT 'active'
    CHECK (state IN ('provisioning', 'active', 'suspended', 'deleted'));
ALTER TABLE tenants ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN request_id TEXT; -- of the request that took it on: no other tenant comes of the same one
UPDATE tenants SET created_at = created_at * 1000000, updated_at = created_at * 1000000;
CREATE UNIQUE INDEX tenants_by_request ON tenants (request_id);

ALTER TABLE agents ADD COLUMN draft TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(draft));
ALTER TABLE agents ADD COLUMN live_version INTEGER;
ALTER TABLE agents ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN deleted_at INTEGER;

DROP TRIGGER agent_versions_are_immutable;
UPDATE agent_versions SET created_at = created_at * 1000000;
CREATE TRIGGER agent_versions_are_immutable BEFORE UPDATE ON agent_versions
BEGIN
    SELECT RAISE(ABORT, 'a published agent version never changes');
END;

-- The newest version answered calls so far: it is the live one and what is edited next.
UPDATE agents SET
    created_at = created_at * 1000000,
    updated_at = created_at * 1000000,
    live_version = (SELECT max(version) FROM agent_versions v WHERE v.tenant = agents.tenant AND v.agent = agents.id),
    draft = coalesce(
        (SELECT document FROM agent_versions v WHERE v.tenant = agents.tenant AND v.agent = agents.id
         ORDER BY version DESC LIMIT 1),
        '{}');
-- An agent without a version could not be made by earlier programs, and its draft would not be one.
DELETE FROM agents WHERE live_version IS NULL;

ALTER TABLE phone_numbers ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE phone_numbers ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE phone_numbers SET created_at = created_at * 1000000, updated_at = created_at * 1000000;
CREATE INDEX phone_numbers_by_tenant ON phone_numbers (tenant, e164);

CREATE TABLE service_accounts (
    tenant     TEXT    NOT NULL REFERENCES tenants (tenant),
    id         TEXT    NOT NULL,
    "right"    TEXT    NOT NULL CHECK ("right" IN ('viewer', 'operator', 'admin')),
    state      TEXT    NOT NULL CHECK (state IN ('provisioning', 'active')),
    client_id  TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
    tenant     TEXT    NOT NULL REFERENCES tenants (tenant),
    method     TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    response   BLOB, -- without secrets; absent while the request is worked on
    busy_until INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, method, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_by_age ON requests (tenant, created_at);

CREATE TABLE audit_log (
    tenant     TEXT    NOT NULL REFERENCES tenants (tenant),
    id         TEXT    NOT NULL, -- grows with time
    created_at INTEGER NOT NULL,
    subject    TEXT    NOT NULL,
    client     TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_log_by_resource ON audit_log (tenant, resource, id);

CREATE TRIGGER audit_log_is_not_edited BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append only');
END;

CREATE TRIGGER audit_log_is_not_cut BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append only');
END;

-- What page tokens are signed with: every node of a cluster reads the same.
CREATE TABLE page_key (key BLOB NOT NULL) STRICT;
INSERT INTO page_key VALUES (randomblob(32));
