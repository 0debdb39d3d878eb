-- The same tables as the embedded engine's, and the walls between tenants: row level security, enabled and forced on
-- every table with a tenant. The setting `app.tenant_id` is text that a pooled connection keeps as '' after its first
-- transaction, hence the nullif. Unset, it shows nothing and admits nothing.
--
-- The roles are made by deploy/postgres/roles.sql. A login of the program holds none of them by inheritance: it takes one
-- for each piece of work, so that a forgotten one has no right at all.

SET LOCAL lock_timeout = '2s';

CREATE TABLE tenants (
    tenant       text   COLLATE "C" PRIMARY KEY,
    display_name text   NOT NULL,
    state        text   NOT NULL CHECK (state IN ('provisioning', 'active', 'suspended', 'deleted')),
    created_at   bigint NOT NULL, -- microseconds since 1970, as all times
    updated_at   bigint NOT NULL, -- grows with every change and serves as the etag
    request_id   text   UNIQUE    -- of the request that took it on: no other tenant comes of the same one
);

CREATE TABLE agents (
    tenant       text   COLLATE "C" NOT NULL REFERENCES tenants,
    id           text   COLLATE "C" NOT NULL,
    draft        text   NOT NULL CHECK (draft::jsonb IS NOT NULL),
    live_version bigint,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL,
    deleted_at   bigint,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE agent_versions (
    tenant     text   COLLATE "C" NOT NULL,
    agent      text   COLLATE "C" NOT NULL,
    version    bigint NOT NULL CHECK (version >= 1),
    document   text   NOT NULL CHECK (document::jsonb IS NOT NULL),
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, agent, version),
    FOREIGN KEY (tenant, agent) REFERENCES agents
);

CREATE TABLE phone_numbers (
    tenant       text   COLLATE "C" NOT NULL,
    e164         text   COLLATE "C" NOT NULL UNIQUE, -- over all tenants: a dialled number has one owner
    carrier      text   NOT NULL CHECK (carrier IN ('twilio', 'exotel')),
    agent        text   COLLATE "C" NOT NULL,
    display_name text   NOT NULL,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL,
    PRIMARY KEY (tenant, e164),
    FOREIGN KEY (tenant, agent) REFERENCES agents
);

CREATE INDEX phone_numbers_by_agent ON phone_numbers (tenant, agent);

CREATE TABLE service_accounts (
    tenant     text   COLLATE "C" NOT NULL REFERENCES tenants,
    id         text   COLLATE "C" NOT NULL,
    "right"    text   NOT NULL CHECK ("right" IN ('viewer', 'operator', 'admin')),
    state      text   NOT NULL CHECK (state IN ('provisioning', 'active')),
    client_id  text   NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE requests (
    tenant     text   COLLATE "C" NOT NULL REFERENCES tenants,
    method     text   NOT NULL,
    request_id text   NOT NULL,
    hash       bytea  NOT NULL,
    response   bytea, -- without secrets; absent while the request is worked on
    busy_until bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, method, request_id)
);

CREATE INDEX requests_by_age ON requests (tenant, created_at);

CREATE TABLE audit_log (
    tenant     text   COLLATE "C" NOT NULL REFERENCES tenants,
    id         text   COLLATE "C" NOT NULL, -- grows with time
    created_at bigint NOT NULL,
    subject    text   NOT NULL,
    client     text   NOT NULL,
    method     text   NOT NULL,
    resource   text   NOT NULL,
    detail     text   NOT NULL,
    request_id text   NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX audit_log_by_resource ON audit_log (tenant, resource, id);

-- What page tokens are signed with: every node of a cluster reads the same.
CREATE TABLE page_key (key bytea NOT NULL);
INSERT INTO page_key
    SELECT sha256(convert_to(string_agg(gen_random_uuid()::text, ''), 'UTF8')) FROM generate_series(1, 3);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenants', 'agents', 'agent_versions', 'phone_numbers', 'service_accounts', 'requests',
                                'audit_log']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY own_rows ON %I TO trunkline_tenant
             USING (tenant = nullif(current_setting(''app.tenant_id'', true), ''''))
             WITH CHECK (tenant = nullif(current_setting(''app.tenant_id'', true), ''''))', name);
    END LOOP;
END $$;

-- No update of a published version, no change of the audit log, and nobody truncates: that knows no policy.
GRANT SELECT, INSERT, UPDATE ON tenants TO trunkline_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON agents, phone_numbers, service_accounts, requests TO trunkline_tenant;
GRANT SELECT, INSERT, DELETE ON agent_versions TO trunkline_tenant;
GRANT SELECT, INSERT ON audit_log TO trunkline_tenant;

-- The look-up of a dialled number does not know its tenant. It reads which agent answers, and no document.
CREATE POLICY routes ON tenants FOR SELECT TO trunkline_routing USING (true);
CREATE POLICY routes ON agents FOR SELECT TO trunkline_routing USING (true);
CREATE POLICY routes ON phone_numbers FOR SELECT TO trunkline_routing USING (true);
GRANT SELECT (tenant, state) ON tenants TO trunkline_routing;
GRANT SELECT (tenant, id, live_version, deleted_at) ON agents TO trunkline_routing;
GRANT SELECT (tenant, e164, carrier, agent) ON phone_numbers TO trunkline_routing;

-- The platform's own look-ups: which tenants there are, and in what state.
CREATE POLICY platform ON tenants FOR SELECT TO trunkline_platform USING (true);
GRANT SELECT ON tenants, page_key, _sqlx_migrations TO trunkline_platform;
