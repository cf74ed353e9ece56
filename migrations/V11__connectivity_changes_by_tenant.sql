-- Counting and removing one tenant's changes (wegweiser tenant remove) must not read everybody's.
-- The wall itself goes by device: its condition names the tenant or all, which no index answers.
-- Who writes this table, the receivers' heartbeats, waits while it is built, and keeps what it holds.
-- Where there are many millions of changes, make it beforehand:
--   create index concurrently device_connectivity_changes_by_tenant
--       on device_connectivity_changes (tenant_uuid);
create index if not exists device_connectivity_changes_by_tenant
    on device_connectivity_changes (tenant_uuid);
