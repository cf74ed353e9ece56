-- People who sign in at the web service, their sessions, and the link that lets the first one in.
-- Secrets are kept as hashes: argon2id for passwords, which people choose, SHA-256 for what is made
-- of 256 random bits. The web service reaches all of it through the functions below alone. See
-- docs/adr/0020-sessions-and-live-push.md.

create table users (
    user_uuid     uuid        primary key,
    -- What they sign in by, and what the audit log names.
    name          text        not null check (name <> ''),
    -- None: all tenants.
    tenant_uuid   uuid        references tenants on delete cascade,
    role          text        not null check (role in ('admin', 'operator', 'viewer')),
    -- A PHC string; none: no password was set yet.
    password_hash text,
    created_by    text        not null check (created_by <> ''),
    created_at    timestamptz not null default clock_timestamp(),
    changed_at    timestamptz not null default clock_timestamp()
);

create unique index users_by_name on users (lower(name));

-- A session is good as long as what it was opened with: remove the user or revoke the token, and it
-- is over.
create table sessions (
    session_uuid uuid        primary key,
    session_hash bytea       not null unique check (octet_length(session_hash) = 32),
    user_uuid    uuid        references users on delete cascade,
    token_uuid   uuid        references api_tokens on delete cascade,
    opened_by    text        not null check (opened_by in ('token', 'password', 'link')),
    opened_at    timestamptz not null default clock_timestamp(),
    -- Its last request, to the minute.
    seen_at      timestamptz not null default clock_timestamp(),
    expires_at   timestamptz not null,
    check ((user_uuid is null) <> (token_uuid is null))
);

create index sessions_by_user on sessions (user_uuid);
create index sessions_by_token on sessions (token_uuid);
create index sessions_by_end on sessions (expires_at);

-- Links that let somebody in who has no password yet, once.
create table sign_in_links (
    link_hash  bytea       primary key check (octet_length(link_hash) = 32),
    expires_at timestamptz not null,
    used_at    timestamptz
);

call wegweiser_wall('users');
grant select, insert, update, delete on sessions, sign_in_links to wegweiser_operator;

-- Opens a session; those that are over are removed on the way. Not to be called by others.
create function wegweiser_open_session(the_session uuid, the_hash bytea, the_user uuid,
                                       the_token uuid, the_way text, lasts_seconds bigint)
returns void language plpgsql as $$
begin
    delete from sessions where expires_at < clock_timestamp();
    insert into sessions (session_uuid, session_hash, user_uuid, token_uuid, opened_by, expires_at)
    values (the_session, the_hash, the_user, the_token, the_way,
            clock_timestamp() + lasts_seconds * interval '1 second');
    insert into audit_log (who, action, object, detail)
    select coalesce(u.name, t.name) || ' by session ' || the_session, 'session open',
           'session ' || the_session,
           jsonb_build_object('by', the_way, 'tenant', coalesce(u.tenant_uuid, t.tenant_uuid))
    from sessions s
    left join users u on u.user_uuid = s.user_uuid
    left join api_tokens t on t.token_uuid = s.token_uuid
    where s.session_uuid = the_session;
end
$$;

-- Whose password is to be compared, and with what.
create function wegweiser_password(the_name text)
returns table (user_uuid uuid, password_hash text)
language sql stable security definer as $$
    select u.user_uuid, u.password_hash from users u
    where lower(u.name) = lower(the_name) and u.password_hash is not null
$$;

-- Signs in somebody whose password was right.
create function wegweiser_sign_in_user(the_session uuid, the_hash bytea, the_user uuid,
                                       lasts_seconds bigint)
returns boolean language plpgsql security definer as $$
begin
    perform wegweiser_open_session(the_session, the_hash, the_user, null, 'password', lasts_seconds);
    return true;
end
$$;

-- Signs in with a token of the API; false where it is good for nothing.
create function wegweiser_sign_in_token(the_session uuid, the_hash bytea, token_hash bytea,
                                        lasts_seconds bigint)
returns boolean language plpgsql security definer as $$
declare
    known record;
begin
    select * into known from wegweiser_api_token(token_hash);
    if not found or known.is_expired or known.is_revoked or known.is_suspended then
        return false;
    end if;
    perform wegweiser_open_session(the_session, the_hash, null, known.token_uuid, 'token',
                                   lasts_seconds);
    return true;
end
$$;

-- Makes a link for the first admin; false where there is somebody already.
create function wegweiser_first_link(the_link bytea, lasts_seconds bigint)
returns boolean language plpgsql security definer as $$
begin
    if exists (select from users) then
        return false;
    end if;
    delete from sign_in_links where expires_at < clock_timestamp();
    insert into sign_in_links (link_hash, expires_at)
    values (the_link, clock_timestamp() + lasts_seconds * interval '1 second');
    return true;
end
$$;

-- Signs in with a link, once; false where it is good for nothing. The first admin is made on the way.
create function wegweiser_sign_in_link(the_session uuid, the_hash bytea, the_link bytea,
                                       lasts_seconds bigint)
returns boolean language plpgsql security definer as $$
declare
    admin uuid;
begin
    update sign_in_links l set used_at = clock_timestamp()
    where l.link_hash = the_link and l.used_at is null and l.expires_at > clock_timestamp();
    if not found then
        return false;
    end if;
    insert into users (user_uuid, name, role, created_by)
    select the_session, 'admin', 'admin', 'the link of the first start'
    where not exists (select from users)
    on conflict do nothing
    returning user_uuid into admin;
    if admin is null then
        return false;
    end if;
    perform wegweiser_open_session(the_session, the_hash, admin, null, 'link', lasts_seconds);
    return true;
end
$$;

-- What a session is worth. Whose request it is was seen, to the minute.
create function wegweiser_session(the_hash bytea, idle_seconds bigint)
returns table (session_uuid uuid, name text, tenant_uuid uuid, role text, opened_by text,
               expires_at timestamptz, needs_password boolean, is_expired boolean,
               is_revoked boolean, is_suspended boolean)
language plpgsql security definer as $$
#variable_conflict use_column
begin
    update sessions s set seen_at = clock_timestamp()
    where s.session_hash = the_hash and s.seen_at < clock_timestamp() - interval '1 minute'
      and s.seen_at > clock_timestamp() - idle_seconds * interval '1 second'
      and s.expires_at > clock_timestamp();
    return query
    select s.session_uuid, coalesce(u.name, t.name), coalesce(u.tenant_uuid, t.tenant_uuid),
           coalesce(u.role, t.role), s.opened_by, s.expires_at,
           s.user_uuid is not null and u.password_hash is null,
           s.expires_at <= clock_timestamp()
               or s.seen_at <= clock_timestamp() - idle_seconds * interval '1 second'
               or coalesce(t.expires_at <= clock_timestamp(), false),
           t.revoked_at is not null, coalesce(o.state <> 'active', false)
    from sessions s
    left join users u on u.user_uuid = s.user_uuid
    left join api_tokens t on t.token_uuid = s.token_uuid
    left join tenants o on o.tenant_uuid = coalesce(u.tenant_uuid, t.tenant_uuid)
    where s.session_hash = the_hash;
end
$$;

create function wegweiser_end_session(the_hash bytea) returns void
language sql security definer as $$ delete from sessions where session_hash = the_hash $$;

-- Sets the password of a session's user and ends the user's other sessions; false where the session
-- is of a token.
create function wegweiser_set_password(the_hash bytea, the_password text)
returns boolean language plpgsql security definer as $$
declare
    changed users;
begin
    update users u set password_hash = the_password, changed_at = clock_timestamp()
    from sessions s where s.session_hash = the_hash and u.user_uuid = s.user_uuid
    returning u.* into changed;
    if changed.user_uuid is null then
        return false;
    end if;
    delete from sessions s where s.user_uuid = changed.user_uuid and s.session_hash <> the_hash;
    insert into audit_log (who, action, object, detail)
    values (changed.name, 'user password', 'user ' || changed.user_uuid,
            jsonb_build_object('name', changed.name, 'tenant', changed.tenant_uuid));
    return true;
end
$$;

do $$
declare
    one text;
begin
    revoke execute on function
        wegweiser_open_session(uuid, bytea, uuid, uuid, text, bigint) from public;
    foreach one in array array[
        'wegweiser_password(text)',
        'wegweiser_sign_in_user(uuid, bytea, uuid, bigint)',
        'wegweiser_sign_in_token(uuid, bytea, bytea, bigint)',
        'wegweiser_first_link(bytea, bigint)',
        'wegweiser_sign_in_link(uuid, bytea, bytea, bigint)',
        'wegweiser_session(bytea, bigint)',
        'wegweiser_end_session(bytea)',
        'wegweiser_set_password(bytea, text)'] loop
        execute format('revoke execute on function %s from public', one);
        execute format('grant execute on function %s to wegweiser_web, wegweiser_operator', one);
        -- Nobody puts a table of his own before ours.
        execute format('alter function %s set search_path = %I, pg_temp', one, current_schema());
    end loop;
end
$$;

-- The web service makes and revokes what admits devices, for admins, within their tenant.
grant select (token_uuid, tenant_uuid, uses, uses_left, created_by, created_at, expires_at,
              revoked_at) on enroll_tokens to wegweiser_web;
grant insert on enroll_tokens to wegweiser_web;
grant update (revoked_at) on enroll_tokens to wegweiser_web;
