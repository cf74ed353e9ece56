-- Commands: what operators order devices to do, how far each is, and what came of it. A row is also
-- the outbox of its message: it is written first, and published until the stream has confirmed. See
-- docs/adr/0017-commands-by-outbox.md.

create table commands (
    command_uuid     uuid        primary key,
    tenant_uuid      uuid        not null,
    device_uuid      uuid        not null,
    -- Those that were sent together have the same.
    batch_uuid       uuid        not null,
    -- A device gets its commands in this order.
    position         bigint      not null generated always as identity,
    kind             text        not null check (kind <> ''),
    arguments        jsonb       not null,
    timeout_ms       bigint      not null check (timeout_ms > 0),
    -- Who ordered it.
    requester        text        not null check (requester <> ''),
    -- Whether its device hears commands by subscription, unsigned.
    first_generation boolean     not null,
    created_at       timestamptz not null,
    expires_at       timestamptz not null,
    -- What is published, byte for byte.
    message          text        not null,
    -- Of the first generation: when somebody set out to publish it.
    claimed_at       timestamptz,
    -- When the stream confirmed it, and its place there.
    published_at     timestamptz,
    stream_sequence  bigint,
    state            text        not null default 'queued'
                     check (state in ('queued', 'delivered', 'running', 'succeeded', 'failed',
                                      'timed_out', 'expired', 'cancelled', 'rejected')),
    changed_at       timestamptz not null default clock_timestamp(),
    -- Who brought it there: the device, or whoever ordered or cancelled it.
    moved_by         text        not null check (moved_by <> ''),
    -- Ended by our clock and not by the device's word, which replaces it should it come.
    assumed          boolean     not null default false,
    -- Why it did not succeed: a code of docs/commands.md, and words.
    reason_code      text,
    reason_text      text
);

create index commands_by_tenant on commands (tenant_uuid, position desc);
create index commands_by_device on commands (device_uuid, position desc);
create index commands_by_state on commands (state, position desc);
create index commands_by_batch on commands (batch_uuid, position);
create index commands_unpublished on commands (device_uuid, position)
    where published_at is null and state = 'queued';
create index commands_open on commands (expires_at)
    where state in ('queued', 'delivered', 'running');

-- When each state was reached. A command has each at most once.
create table command_transitions (
    command_uuid uuid        not null references commands on delete cascade,
    tenant_uuid  uuid        not null,
    state        text        not null,
    -- Our clock: the broker's where the device told it, else the database's.
    at           timestamptz not null,
    -- The device's clock, where the device told it.
    device_at    timestamptz,
    -- Who moved it: the device, or whoever ordered or cancelled it.
    moved_by     text        not null check (moved_by <> ''),
    primary key (command_uuid, state)
);

create index command_transitions_by_tenant on command_transitions (tenant_uuid);

-- A state never goes back to one of a lower rank.
create function wegweiser_command_rank(state text) returns integer
language sql immutable strict parallel safe as
$$ select case state when 'queued' then 0 when 'delivered' then 1 when 'running' then 2 else 3 end $$;

-- Wakes whoever publishes; the sweep finds what nobody was woken for.
create function wegweiser_commands_wait() returns trigger language plpgsql as $$
begin
    perform pg_notify('wegweiser_commands', '');
    return null;
end
$$;
create trigger commands_wait after insert on commands
    for each statement execute function wegweiser_commands_wait();

-- What came of a command is in the audit log beside who sent it, whoever writes it here: nobody needs
-- a right to write anything else into that log.
create function wegweiser_note_end_of_command() returns trigger
language plpgsql security definer as $$
begin
    insert into audit_log (who, action, object, detail)
    values (new.moved_by, 'command result', 'command ' || new.command_uuid,
            jsonb_build_object('tenant', new.tenant_uuid, 'device', new.device_uuid,
                               'kind', new.kind, 'outcome', new.state,
                               'reason', new.reason_code, 'assumed', new.assumed));
    return null;
end
$$;
revoke execute on function wegweiser_note_end_of_command() from public;
create trigger commands_end after update on commands
    for each row when (wegweiser_command_rank(new.state) = 3
                       and (old.state <> new.state or old.assumed <> new.assumed))
    execute function wegweiser_note_end_of_command();

-- Nobody puts a table of his own before ours.
do $$
begin
    execute format('alter function wegweiser_note_end_of_command() set search_path = %I, pg_temp',
                   current_schema());
end
$$;

call wegweiser_wall('commands');
call wegweiser_wall('command_transitions');
grant select, insert, update on commands to wegweiser_web;
grant select, insert on command_transitions to wegweiser_web;
grant select, update on commands to wegweiser_receiver;
grant select, insert on command_transitions to wegweiser_receiver;
grant select on commands, command_transitions to wegweiser_reader;

-- Whether operators let commands go to the tenant's agents of the first generation, which check no
-- signature.
alter table tenants add column first_generation_commands boolean not null default false;

-- A device tells of a command while it runs.
alter table device_realtime_data drop constraint device_realtime_data_status_check;
alter table device_realtime_data add constraint device_realtime_data_status_check
    check (status in ('success', 'error', 'running')) not valid;
alter table device_realtime_data validate constraint device_realtime_data_status_check;
