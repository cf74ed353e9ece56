-- The books: which of the messages that devices numbered are stored, and what the devices say that
-- they sent. Receivers remove a session 30 days after its last message. See
-- docs/adr/0010-books-by-number.md.

create table device_ledger (
    tenant_uuid uuid           not null,
    device_uuid uuid           not null,
    -- The run of the agent that numbered them.
    session_id  uuid           not null,
    kind        text           not null
                check (kind in ('metric', 'heartbeat', 'monitoring', 'response')),
    -- Numbers of the messages that are stored; a number that comes again changes nothing.
    stored      int8multirange not null,
    -- False: there were more gaps than are kept, and numbers after that are not in it.
    complete    boolean        not null default true,
    -- When it was last written, by the database's clock.
    changed_at  timestamptz    not null,
    primary key (tenant_uuid, device_uuid, session_id, kind)
);

-- What the newest heartbeat that spoke of a session said of it: {"sent", "spooled", "dropped"},
-- each with a number a kind.
create table device_ledger_told (
    tenant_uuid uuid        not null,
    device_uuid uuid        not null,
    session_id  uuid        not null,
    -- When the broker took that heartbeat.
    told_at     timestamptz not null,
    told        jsonb       not null,
    primary key (tenant_uuid, device_uuid, session_id)
);

call wegweiser_wall('device_ledger');
call wegweiser_wall('device_ledger_told');
grant select, insert, update, delete on device_ledger, device_ledger_told to wegweiser_receiver;
grant select on device_ledger, device_ledger_told to wegweiser_reader, wegweiser_web;
