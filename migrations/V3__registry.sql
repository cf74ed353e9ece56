-- Who is a customer and which devices they were given: what operators decide, beside what devices
-- report (device_connectivity). Records have no reference to it: a message that the broker took is
-- stored, whatever the registry says.

create table tenants (
    tenant_uuid uuid        primary key,
    name        text        not null check (name <> ''),
    state       text        not null default 'active' check (state in ('active', 'suspended')),
    created_at  timestamptz not null default clock_timestamp(),
    changed_at  timestamptz not null default clock_timestamp()
);

-- One row a device. Its UUID is unique across tenants: the broker names its command consumer by it.
create table devices (
    device_uuid     uuid        primary key,
    tenant_uuid     uuid        not null references tenants,
    -- For people; empty where nobody gave one.
    name            text        not null default '',
    role            text        not null check (role in ('device', 'device-first-generation')),
    state           text        not null default 'active' check (state in ('active', 'revoked')),
    -- The device's public user key (nkey) of its newest credential; none before the first.
    public_key      text,
    -- The newest credential: from when, and until when (none: without an end).
    issued_at       timestamptz,
    expires_at      timestamptz,
    -- Labels that operators set; those that the device reports stand in device_connectivity.
    labels          jsonb       not null default '{}' check (jsonb_typeof(labels) = 'object'),
    created_at      timestamptz not null default clock_timestamp(),
    changed_at      timestamptz not null default clock_timestamp()
);

create index devices_by_tenant on devices (tenant_uuid, device_uuid);
create index devices_by_labels on devices using gin (labels);
