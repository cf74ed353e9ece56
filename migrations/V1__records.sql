-- Records of the fleet. Forward-only; see docs/upgrade.md.

-- One row a device: where it stands now. Times are the broker's clock unless named otherwise.
create table device_connectivity (
    tenant_uuid        uuid        not null,
    device_uuid        uuid        not null,
    is_online          boolean     not null,
    last_online_change timestamptz not null,
    last_seen_online   timestamptz not null,
    last_heartbeat     timestamptz not null,
    -- The device's clock minus the broker's at its last heartbeat.
    clock_offset_ms    bigint      not null,
    -- Silence after which it is offline.
    offline_after_ms   bigint      not null check (offline_after_ms > 0),
    session_id         text,
    agent_version      text,
    connection_type    text        not null,
    connection_info    jsonb       not null,
    primary key (tenant_uuid, device_uuid)
);

create index device_connectivity_by_device on device_connectivity (device_uuid);
create index device_connectivity_online on device_connectivity (last_heartbeat) where is_online;

-- One row a change, so that a timeline can be drawn.
create table device_connectivity_changes (
    id          bigint generated always as identity primary key,
    tenant_uuid uuid        not null,
    device_uuid uuid        not null,
    changed_at  timestamptz not null,
    is_online   boolean     not null
);

create index device_connectivity_changes_by_device
    on device_connectivity_changes (device_uuid, changed_at desc);

-- Responses and monitoring reports. A message has its effect once: by the sender's message id,
-- else by stream and sequence.
create table device_realtime_data (
    id          bigint generated always as identity primary key,
    tenant_uuid uuid        not null,
    device_uuid uuid        not null,
    message_key text        not null,
    kind        text        not null check (kind in ('monitoring', 'response')),
    -- The report's monitoring_type, or 'response'.
    data_type   text        not null,
    command_id  text        check ((command_id is null) = (kind = 'monitoring')),
    status      text        check (status in ('success', 'error')),
    payload     jsonb       not null,
    -- The device's clock.
    sent_at     timestamptz not null,
    -- The broker's clock.
    received_at timestamptz not null,
    -- When it happened: the device's word, but never later than the broker took it.
    occurred_at timestamptz not null generated always as (least(sent_at, received_at)) stored,
    unique (tenant_uuid, device_uuid, kind, message_key)
);

create index device_realtime_data_newest
    on device_realtime_data (device_uuid, data_type, occurred_at desc, id desc);
create index device_realtime_data_by_command
    on device_realtime_data (command_id) where command_id is not null;

-- The first web app reads these two, by its names and in its units (seconds since 1970).
create view deviceconnectivity as
select device_uuid                                         as deviceuuid,
       is_online,
       floor(extract(epoch from last_online_change))::bigint as last_online_change,
       floor(extract(epoch from last_seen_online))::bigint   as last_seen_online,
       floor(extract(epoch from last_heartbeat))::bigint     as last_heartbeat,
       agent_version,
       connection_type,
       connection_info
from device_connectivity;

create view devicerealtimedata as
select distinct on (device_uuid, data_type)
       id,
       device_uuid                                    as deviceuuid,
       data_type,
       payload::text                                  as data_value,
       floor(extract(epoch from received_at))::bigint as last_updated
from device_realtime_data
order by device_uuid, data_type, occurred_at desc, id desc;
