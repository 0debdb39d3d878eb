-- Run once in Trunkline's database, as a superuser:
--   psql -v owner_password=... -v app_password=... -d trunkline -f deploy/postgres/roles.sql
-- Two logins: the owner runs `trunkline migrate` (DATABASE_OWNER_URL), the nodes use the other (DATABASE_URL). It owns
-- nothing and inherits nothing: for each piece of work it takes one of three roles that cannot log in.

CREATE ROLE trunkline_tenant NOLOGIN;   -- the rows of one tenant, named in each transaction
CREATE ROLE trunkline_routing NOLOGIN;  -- a dialled number to its tenant and agent
CREATE ROLE trunkline_platform NOLOGIN; -- the list of tenants

CREATE ROLE trunkline_owner LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD :'owner_password';
CREATE ROLE trunkline LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS PASSWORD :'app_password';
GRANT trunkline_tenant, trunkline_routing, trunkline_platform TO trunkline;

GRANT CREATE, USAGE ON SCHEMA public TO trunkline_owner;
GRANT USAGE ON SCHEMA public TO trunkline, trunkline_tenant, trunkline_routing, trunkline_platform;
