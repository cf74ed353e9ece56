-- How a device gets its first credentials, and renews them: tokens that an operator makes, and two
-- functions through which alone the web service may register and note. See
-- docs/adr/0008-enrolment-and-renewal.md.

-- Only a hash is kept: whoever reads this table cannot enrol a device.
create table enroll_tokens (
    token_uuid  uuid        primary key,
    tenant_uuid uuid        not null references tenants on delete cascade,
    -- SHA-256 of the token.
    token_hash  bytea       not null unique check (octet_length(token_hash) = 32),
    -- Devices that may be enrolled with it, and how many still may.
    uses        integer     not null check (uses > 0),
    uses_left   integer     not null check (uses_left between 0 and uses),
    created_by  text        not null check (created_by <> ''),
    created_at  timestamptz not null default clock_timestamp(),
    expires_at  timestamptz not null,
    revoked_at  timestamptz
);

-- Who was enrolled with what. The same key again is a retry after a lost answer, and no second use.
create table enroll_uses (
    token_uuid  uuid        not null references enroll_tokens on delete cascade,
    -- The device's public user key (nkey).
    public_key  text        not null,
    tenant_uuid uuid        not null,
    device_uuid uuid        not null references devices on delete cascade,
    used_at     timestamptz not null default clock_timestamp(),
    primary key (token_uuid, public_key)
);

create index enroll_tokens_by_tenant on enroll_tokens (tenant_uuid, created_at);
create index enroll_uses_by_device on enroll_uses (device_uuid);

call wegweiser_wall('enroll_tokens');
call wegweiser_wall('enroll_uses');

create index enroll_uses_by_key on enroll_uses (tenant_uuid, public_key);

-- Notes a credential among those that are refused when the device is shut out; false where the key
-- is another device's, or was revoked.
create function wegweiser_note_credential(the_tenant uuid, the_device uuid, the_key text,
                                          issued_ms bigint, expires_ms bigint)
returns boolean language plpgsql as $$
begin
    insert into device_credentials as c (public_key, device_uuid, tenant_uuid, issued_at, expires_at)
    values (the_key, the_device, the_tenant, to_timestamp(issued_ms / 1000.0),
            to_timestamp(expires_ms / 1000.0))
    on conflict (public_key) do update
        set issued_at = excluded.issued_at, expires_at = excluded.expires_at
        where c.device_uuid = excluded.device_uuid and c.revoked_at is null;
    return found;
end
$$;

-- Takes one use of a token, registers the device, notes its credential and writes the audit log, all
-- or nothing. The token's row is locked, so that of several devices racing for the last use one wins.
-- The outcome: done, token (unknown, over, revoked or used up), suspended, or replaced (a retry whose
-- device was given another key, or was revoked, meanwhile).
create function wegweiser_enroll(the_hash bytea, the_key text, fresh_device uuid, the_name text,
                                 the_labels jsonb, the_source text, issued_ms bigint, expires_ms bigint)
returns table (outcome text, tenant uuid, device uuid)
language plpgsql security definer as $$
declare
    token    enroll_tokens;
    enrolled uuid;
    again    boolean;
begin
    select * into token from enroll_tokens t where t.token_hash = the_hash for update;
    if not found or token.revoked_at is not null or token.expires_at <= clock_timestamp() then
        return query select 'token', null::uuid, null::uuid;
        return;
    end if;
    select u.device_uuid into enrolled from enroll_uses u
    where u.token_uuid = token.token_uuid and u.public_key = the_key;
    again := found;
    -- A key pair is one device, whichever tokens it came with.
    if not again then
        select u.device_uuid into enrolled from enroll_uses u
        where u.tenant_uuid = token.tenant_uuid and u.public_key = the_key limit 1;
    end if;
    if enrolled is not null and not exists (
        select from devices d
        where d.device_uuid = enrolled and d.state = 'active' and d.public_key = the_key) then
        return query select 'replaced', token.tenant_uuid, enrolled;
        return;
    end if;
    if not again and token.uses_left = 0 then
        return query select 'token', null::uuid, null::uuid;
        return;
    end if;
    -- Locked, so that a suspension under way is waited for.
    perform from tenants t where t.tenant_uuid = token.tenant_uuid and t.state = 'active' for share;
    if not found then
        return query select 'suspended', token.tenant_uuid, null::uuid;
        return;
    end if;
    if not again then
        update enroll_tokens t set uses_left = t.uses_left - 1 where t.token_uuid = token.token_uuid;
        if enrolled is null then
            enrolled := fresh_device;
            insert into devices (device_uuid, tenant_uuid, name, role, labels)
            values (enrolled, token.tenant_uuid, the_name, 'device', the_labels);
        end if;
        insert into enroll_uses (token_uuid, public_key, tenant_uuid, device_uuid)
        values (token.token_uuid, the_key, token.tenant_uuid, enrolled);
    end if;
    update devices d set public_key = the_key,
           issued_at = to_timestamp(issued_ms / 1000.0),
           expires_at = to_timestamp(expires_ms / 1000.0),
           changed_at = clock_timestamp()
    where d.device_uuid = enrolled and d.state = 'active'
      and (d.public_key is null or d.public_key = the_key);
    if not found or not wegweiser_note_credential(token.tenant_uuid, enrolled, the_key, issued_ms,
                                                  expires_ms) then
        return query select 'replaced', token.tenant_uuid, enrolled;
        return;
    end if;
    insert into audit_log (who, action, object, detail)
    values ('enroll-token ' || token.token_uuid, 'device enroll', 'device ' || enrolled,
            jsonb_build_object('tenant', token.tenant_uuid, 'device', enrolled, 'key', the_key,
                               'from', the_source, 'again', again, 'expires_at', expires_ms));
    return query select 'done', token.tenant_uuid, enrolled;
end
$$;

-- Notes a renewed credential. The outcome: done, unknown (device, tenant or role), revoked,
-- suspended, or replaced (the device was given another key).
create function wegweiser_renew(the_tenant uuid, the_device uuid, the_key text,
                                issued_ms bigint, expires_ms bigint)
returns text language plpgsql security definer as $$
declare
    owner text;
    found_device devices;
begin
    select t.state into owner from tenants t where t.tenant_uuid = the_tenant for share;
    select * into found_device from devices d
    where d.device_uuid = the_device and d.tenant_uuid = the_tenant and d.role = 'device' for update;
    if owner is null or found_device.device_uuid is null then
        return 'unknown';
    elsif owner <> 'active' then
        return 'suspended';
    elsif found_device.state <> 'active' then
        return 'revoked';
    elsif found_device.public_key is distinct from the_key
        or not wegweiser_note_credential(the_tenant, the_device, the_key, issued_ms, expires_ms) then
        return 'replaced';
    end if;
    update devices d set issued_at = to_timestamp(issued_ms / 1000.0),
           expires_at = to_timestamp(expires_ms / 1000.0), changed_at = clock_timestamp()
    where d.device_uuid = the_device;
    return 'done';
end
$$;

revoke execute on function
    wegweiser_note_credential(uuid, uuid, text, bigint, bigint),
    wegweiser_enroll(bytea, text, uuid, text, jsonb, text, bigint, bigint),
    wegweiser_renew(uuid, uuid, text, bigint, bigint)
    from public;
grant execute on function
    wegweiser_enroll(bytea, text, uuid, text, jsonb, text, bigint, bigint),
    wegweiser_renew(uuid, uuid, text, bigint, bigint)
    to wegweiser_web, wegweiser_operator;

-- Nobody puts a table of his own before ours.
do $$
begin
    execute format('alter function wegweiser_enroll(bytea, text, uuid, text, jsonb, text, bigint, bigint)
                    set search_path = %I, pg_temp', current_schema());
    execute format('alter function wegweiser_renew(uuid, uuid, text, bigint, bigint)
                    set search_path = %I, pg_temp', current_schema());
end
$$;
