-- What operators changed: who, when, what, and what came of it. Rows are only ever added.
create table audit_log (
    id     bigint generated always as identity primary key,
    at     timestamptz not null default clock_timestamp(),
    -- User of the machine and user at the broker.
    who    text        not null check (who <> ''),
    -- Verb, such as 'dlq replay'.
    action text        not null check (action <> ''),
    -- What it was done to, such as 'DEAD_LETTERS 17'.
    object text        not null check (object <> ''),
    detail jsonb       not null
);

create index audit_log_by_object on audit_log (object, id);
create index audit_log_by_action on audit_log (action, id desc);

create function refuse_change_of_audit_log() returns trigger language plpgsql as $$
begin
    raise exception 'audit_log is append-only: % is refused', tg_op
        using errcode = 'insufficient_privilege';
end
$$;

create trigger audit_log_is_append_only
    before update or delete or truncate on audit_log
    for each statement execute function refuse_change_of_audit_log();
