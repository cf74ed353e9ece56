-- Every credential that a device was given, so that none is forgotten when the device is shut out.
-- One row a public key: a JWT that is renewed for the same key moves its row forward.

create table device_credentials (
    public_key  text        primary key check (public_key <> ''),
    device_uuid uuid        not null references devices on delete cascade,
    tenant_uuid uuid        not null,
    issued_at   timestamptz not null,
    -- None: without an end.
    expires_at  timestamptz,
    -- When it was revoked at the broker; none: it was not.
    revoked_at  timestamptz
);

create index device_credentials_by_device on device_credentials (device_uuid, issued_at);
create index device_credentials_by_tenant on device_credentials (tenant_uuid);

insert into device_credentials (public_key, device_uuid, tenant_uuid, issued_at, expires_at)
select public_key, device_uuid, tenant_uuid, coalesce(issued_at, created_at), expires_at
from devices where public_key is not null
on conflict do nothing;

call wegweiser_wall('device_credentials');
-- The web service notes what it issues when devices enrol and renew.
grant select, insert, update on device_credentials to wegweiser_web;
grant select on device_credentials to wegweiser_reader;
