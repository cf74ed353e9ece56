-- Walls between tenants: row-level security on every table that says whose a row is, one role a
-- kind of program, and tokens of the HTTP API. See docs/adr/0009-walls-past-the-broker.md.
-- The owner of the tables passes the walls: a receiver that still signs in as the owner goes on.

-- Roles belong to the whole server, so they may be there already, or be made by another database
-- at this moment. None can sign in: sign-ins are made members of one, see docs/install.md.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['wegweiser_operator', 'wegweiser_receiver', 'wegweiser_reader',
                                  'wegweiser_web'] loop
        if exists (select from pg_roles where rolname = wanted) then
            continue;
        end if;
        begin
            execute format('create role %I nologin', wanted);
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                raise exception 'role % is missing and % may not make roles; run once as a superuser: create role % nologin',
                    wanted, current_user, wanted using errcode = 'insufficient_privilege';
        end;
    end loop;
    execute format('grant usage on schema %I to wegweiser_operator, wegweiser_receiver,
                    wegweiser_reader, wegweiser_web', current_schema());
end
$$;

-- Whose rows the session may see: wegweiser.tenant is a tenant's UUID, 'all', or unset: nobody's.
create function wegweiser_tenant() returns uuid language sql stable parallel safe as
$$ select nullif(nullif(current_setting('wegweiser.tenant', true), ''), 'all')::uuid $$;

create function wegweiser_all_tenants() returns boolean language sql stable parallel safe as
$$ select coalesce(current_setting('wegweiser.tenant', true) = 'all', false) $$;

-- Puts a table with a column tenant_uuid behind the wall. Every later migration that makes such a
-- table calls it, and then grants wegweiser_web and wegweiser_receiver what they need of it.
create procedure wegweiser_wall(walled regclass) language plpgsql as $$
begin
    execute format('alter table %s enable row level security', walled);
    execute format('create policy every_tenant on %s
                    to wegweiser_operator, wegweiser_receiver, wegweiser_reader
                    using (true) with check (true)', walled);
    -- Asked once a statement, not once a row.
    execute format('create policy own_tenant on %s to wegweiser_web
                    using (tenant_uuid = (select wegweiser_tenant()) or (select wegweiser_all_tenants()))
                    with check (tenant_uuid = (select wegweiser_tenant()) or (select wegweiser_all_tenants()))',
                   walled);
    execute format('grant select, insert, update, delete on %s to wegweiser_operator', walled);
end
$$;

-- Whose an entry of the audit log is; none: the operator's own. Written by nobody, so that no
-- entry contradicts its detail.
alter table audit_log add column tenant_uuid uuid generated always as (
    case when detail ->> 'tenant' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
         then (detail ->> 'tenant')::uuid end) stored;
create index audit_log_by_tenant on audit_log (tenant_uuid, id desc);

-- Tokens of the HTTP API. Only a hash is kept: whoever reads this table cannot use one.
create table api_tokens (
    token_uuid  uuid        primary key,
    -- Who uses it, for people; the audit log names it.
    name        text        not null check (name <> ''),
    -- None: all tenants.
    tenant_uuid uuid        references tenants on delete cascade,
    role        text        not null check (role in ('admin', 'operator', 'viewer')),
    -- SHA-256 of the token.
    token_hash  bytea       not null unique check (octet_length(token_hash) = 32),
    created_by  text        not null check (created_by <> ''),
    created_at  timestamptz not null default clock_timestamp(),
    expires_at  timestamptz not null,
    revoked_at  timestamptz
);

call wegweiser_wall('device_connectivity');
call wegweiser_wall('device_connectivity_changes');
call wegweiser_wall('device_realtime_data');
call wegweiser_wall('tenants');
call wegweiser_wall('devices');
call wegweiser_wall('audit_log');
call wegweiser_wall('api_tokens');

grant select on refinery_schema_history
    to wegweiser_operator, wegweiser_receiver, wegweiser_reader, wegweiser_web;
revoke update, delete on audit_log from wegweiser_operator;

grant select, insert, update on device_connectivity to wegweiser_receiver;
grant select, insert on device_connectivity_changes, device_realtime_data to wegweiser_receiver;

grant select on device_connectivity, device_connectivity_changes, device_realtime_data, tenants,
                devices, audit_log
    to wegweiser_reader, wegweiser_web;
grant insert on audit_log to wegweiser_web;

-- The views ask for the rights of who reads them, not of who made them. Before Postgres 15 they
-- cannot, and would show every tenant: the web service gets none there.
do $$
begin
    grant select on deviceconnectivity, devicerealtimedata to wegweiser_operator, wegweiser_reader;
    if current_setting('server_version_num')::int >= 150000 then
        alter view deviceconnectivity set (security_invoker = true);
        alter view devicerealtimedata set (security_invoker = true);
        grant select on deviceconnectivity, devicerealtimedata to wegweiser_web;
    end if;
end
$$;

-- The one way from a token to its rights: who asks must know the token, and sees no other.
create function wegweiser_api_token(hash bytea)
returns table (token_uuid uuid, name text, tenant_uuid uuid, role text, is_expired boolean,
               is_revoked boolean, is_suspended boolean)
language sql stable security definer as $$
    select a.token_uuid, a.name, a.tenant_uuid, a.role, a.expires_at <= clock_timestamp(),
           a.revoked_at is not null, coalesce(t.state <> 'active', false)
    from api_tokens a left join tenants t on t.tenant_uuid = a.tenant_uuid
    where a.token_hash = hash
$$;
revoke execute on function wegweiser_api_token(bytea) from public;
grant execute on function wegweiser_api_token(bytea) to wegweiser_web, wegweiser_operator;

-- Nobody puts a table of his own before ours.
do $$
begin
    execute format('alter function wegweiser_api_token(bytea) set search_path = %I, pg_temp',
                   current_schema());
end
$$;
