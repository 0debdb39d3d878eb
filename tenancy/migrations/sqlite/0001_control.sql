-- Tenants, their agents, and the numbers that lead to them. Every key begins with the tenant, and so does every
-- foreign key, so that no row can point into another tenant.

CREATE TABLE tenants (
    id           TEXT    NOT NULL PRIMARY KEY,
    display_name TEXT    NOT NULL,
    created_at   INTEGER NOT NULL -- seconds since 1970
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
    tenant     TEXT    NOT NULL REFERENCES tenants (id),
    id         TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE agent_versions (
    tenant     TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version >= 1),
    document   TEXT    NOT NULL CHECK (json_valid(document)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, agent, version),
    FOREIGN KEY (tenant, agent) REFERENCES agents (tenant, id)
) STRICT;

-- Calls name the version they were answered with, so a published version never changes.
CREATE TRIGGER agent_versions_are_immutable BEFORE UPDATE ON agent_versions
BEGIN
    SELECT RAISE(ABORT, 'a published agent version never changes');
END;

CREATE TABLE phone_numbers (
    e164       TEXT    NOT NULL PRIMARY KEY, -- unique over all tenants: a dialled number has one owner
    carrier    TEXT    NOT NULL CHECK (carrier IN ('twilio', 'exotel')),
    tenant     TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    FOREIGN KEY (tenant, agent) REFERENCES agents (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX phone_numbers_by_agent ON phone_numbers (tenant, agent);
