-- Commands: a bound on what is kept of each one's answers, an end of those that ended long ago, and
-- quick answers to how many wait. See docs/adr/0023-bounds-of-commands.md.

-- How much of a command's answers is kept. Its device names a bound of its own, and is not believed.
create table command_answers (
    command_uuid uuid    primary key references commands on delete cascade,
    tenant_uuid  uuid    not null,
    -- Of what is in device_realtime_data.
    bytes        bigint  not null check (bytes >= 0),
    -- Something was left out.
    cut          boolean not null
);

create index command_answers_by_tenant on command_answers (tenant_uuid);

call wegweiser_wall('command_answers');
grant select, insert, update on command_answers to wegweiser_receiver;
grant select on command_answers to wegweiser_reader, wegweiser_web;

-- What waits for a device, and what somebody has waiting.
create index commands_waiting on commands (device_uuid) where state = 'queued';
create index commands_waiting_by_requester on commands (requester) where state = 'queued';
create index commands_ended on commands (changed_at)
    where state not in ('queued', 'delivered', 'running');

-- Removes commands that ended so long ago, with all that was answered to them, the oldest first; how
-- many. Nobody needs a right to remove anything else, nor one that has not ended.
create function wegweiser_forget_commands(older_than interval, most integer) returns bigint
language plpgsql security definer as $$
declare
    forgotten bigint;
begin
    -- Younger answers are still in their stream, from which they would be rebuilt.
    if older_than < interval '8 days' then
        raise exception 'commands are kept for 8 days at least, not for %', older_than;
    end if;
    with old as (
        select command_uuid, tenant_uuid, device_uuid from commands
        where state not in ('queued', 'delivered', 'running')
          and changed_at < clock_timestamp() - older_than
        order by changed_at
        limit most
        for update skip locked
    ), answers as (
        delete from device_realtime_data d using old
        where d.command_id = old.command_uuid::text and d.tenant_uuid = old.tenant_uuid
          and d.device_uuid = old.device_uuid
    ), gone as (
        delete from commands c using old where c.command_uuid = old.command_uuid
        returning c.command_uuid
    )
    select count(*) into forgotten from gone;
    return forgotten;
end
$$;
revoke execute on function wegweiser_forget_commands(interval, integer) from public;
grant execute on function wegweiser_forget_commands(interval, integer)
    to wegweiser_web, wegweiser_operator;

-- Nobody puts a table of his own before ours.
do $$
begin
    execute format('alter function wegweiser_forget_commands(interval, integer)
                    set search_path = %I, pg_temp', current_schema());
end
$$;
