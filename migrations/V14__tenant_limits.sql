-- What the broker lets a tenant use, as `wegweiser accounts apply` or `tenant add` last gave it to
-- the tenant's account: for readers that hold no key to ask the broker for it. -1 is no limit; none:
-- not told since this migration. See docs/adr/0024-limits-and-drift-without-keys.md.

alter table tenants
    add column connections_max   bigint,
    add column payload_max_bytes bigint,
    add column subscriptions_max bigint,
    add check (num_nulls(connections_max, payload_max_bytes, subscriptions_max) in (0, 3));
