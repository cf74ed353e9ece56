//! No tenant sees another's rows, whatever a query forgets.

use anyhow::{Context as _, Result};
use devstack::DatabaseAddress;
use protocol::{DeviceId, Heartbeat, Labels, MessageNumber, SessionId, TenantId, UnixMillis};
use storage::{
    AuditEntry, HeartbeatWrite, OfflineRule, Records, Registration, Scope, WalledRecords,
};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::world::{empty_database, postgres_settings, repository, sql_client};

const RULE: OfflineRule =
    OfflineRule { silence: std::time::Duration::from_secs(120), missed_heartbeats: 3 };
/// What each tenant has a row in; the web service may read them.
const TABLES: [&str; 12] = [
    "device_connectivity",
    "device_connectivity_changes",
    "device_realtime_data",
    "device_ledger",
    "device_ledger_told",
    "commands",
    "command_transitions",
    "tenants",
    "devices",
    "audit_log",
    "deviceconnectivity",
    "devicerealtimedata",
];

/// A tenant with one device, and a row of each in every table.
#[derive(Clone, Copy)]
struct Customer {
    tenant: TenantId,
    device: DeviceId,
}

impl Customer {
    async fn settle_in(records: &Records, database: &DatabaseAddress) -> Result<Self> {
        let customer = Self::settle_in_before_books(records, database).await?;
        customer.beat(records).await?;
        customer.is_ordered_something(database).await?;
        Ok(customer)
    }

    /// Without the tables that came after the walls.
    async fn settle_in_before_books(records: &Records, database: &DatabaseAddress) -> Result<Self> {
        let tenant = TenantId::new(Uuid::now_v7());
        let device = DeviceId::new(Uuid::now_v7());
        records.ensure_tenant(tenant, "a customer").await?;
        records.register_device(Registration { tenant, device, name: "", role: "device" }).await?;
        beat(records, tenant, device, None).await?;
        records
            .audit(&[AuditEntry {
                who: "story".to_owned(),
                action: "story",
                object: format!("tenant {tenant}"),
                detail: serde_json::json!({ "tenant": tenant }),
            }])
            .await?;
        let report = format!(
            "insert into device_realtime_data (tenant_uuid, device_uuid, message_key, kind,
                                               data_type, payload, sent_at, received_at)
             values ('{tenant}', '{device}', 'k', 'monitoring', 'disk', '{{}}', now(), now())"
        );
        sql_client(database).await?.batch_execute(&report).await?;
        Ok(Self { tenant, device })
    }

    /// Without a line in the audit log.
    async fn is_ordered_something(&self, database: &DatabaseAddress) -> Result<()> {
        let (tenant, device, command) = (self.tenant, self.device, Uuid::now_v7());
        let order = format!(
            "insert into commands (command_uuid, tenant_uuid, device_uuid, batch_uuid, kind,
                                   arguments, timeout_ms, requester, moved_by, first_generation,
                                   created_at, expires_at, message)
             values ('{command}', '{tenant}', '{device}', '{command}', 'ping', '{{}}', 1, 'story',
                     'story', false, now(), now(), '');
             insert into command_transitions (command_uuid, tenant_uuid, state, at, moved_by)
             values ('{command}', '{tenant}', 'queued', now(), 'story')"
        );
        Ok(sql_client(database).await?.batch_execute(&order).await?)
    }

    /// The first heartbeat of the one run of its agent.
    async fn beat(&self, records: &Records) -> Result<()> {
        let session = SessionId::new(self.device.as_uuid());
        let number = Some(MessageNumber { session, counter: 1 });
        beat(records, self.tenant, self.device, number).await
    }
}

async fn beat(
    records: &Records,
    tenant: TenantId,
    device: DeviceId,
    number: Option<MessageNumber>,
) -> Result<()> {
    let heartbeat = Heartbeat {
        tenant,
        device,
        at: UnixMillis::now(),
        session: number.map(|number| number.session.to_string().into()),
        agent_version: None,
        interval_ms: None,
        labels: Labels::default(),
        details: r#"{"status":{"sent":{"heartbeat":1}}}"#.into(),
    };
    let write = HeartbeatWrite { heartbeat: &heartbeat, number, received: heartbeat.at };
    for written in records.write_heartbeats(&[write], &RULE).await? {
        let _ = written.map_err(|reject| anyhow::anyhow!("{reject:?}"))?;
    }
    Ok(())
}

/// A sign-in that is a member of `role` and of nothing else.
pub(crate) async fn sign_in(database: &DatabaseAddress, role: &str) -> Result<DatabaseAddress> {
    let user = format!("story_{}", Uuid::now_v7().simple());
    let sql = format!("create role {user} login password 'story' in role {role}");
    sql_client(database).await?.batch_execute(&sql).await?;
    Ok(DatabaseAddress { user, password: "story".to_owned().into(), ..database.clone() })
}

async fn migrated() -> Result<(DatabaseAddress, Records)> {
    let database = empty_database().await?;
    let records = Records::open(&postgres_settings(&database))?;
    records.migrate().await?;
    Ok((database, records))
}

/// Tables that say whose a row is and lack the wall or a policy for the web service.
const WITHOUT_WALL: &str = "
select c.oid::regclass::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_uuid' and not a.attisdropped
where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
  and not (c.relrowsecurity and exists (
      select from pg_policy p
      where p.polrelid = c.oid and p.polname = 'own_tenant'
        and p.polroles = array[(select oid from pg_roles where rolname = 'wegweiser_web')]))
order by 1";

async fn without_wall(client: &tokio_postgres::Client) -> Result<Vec<String>> {
    Ok(client.query(WITHOUT_WALL, &[]).await?.iter().map(|row| row.get(0)).collect())
}

async fn rows(client: &tokio_postgres::Client, table: &str) -> Result<i64> {
    let row = client.query_one(&format!("select count(*) from {table}"), &[]).await;
    Ok(row.with_context(|| format!("counting {table}"))?.get(0))
}

async fn refused(client: &tokio_postgres::Client, sql: &str) -> Result<()> {
    let error = client.batch_execute(sql).await.err().with_context(|| format!("done: {sql}"))?;
    anyhow::ensure!(error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error}");
    Ok(())
}

#[tokio::test]
async fn every_table_that_names_a_tenant_is_behind_the_wall() -> Result<()> {
    let (database, _) = migrated().await?;
    let client = sql_client(&database).await?;
    assert!(
        without_wall(&client).await?.is_empty(),
        "a migration must say: call wegweiser_wall('…'): {:?}",
        without_wall(&client).await?
    );
    client.batch_execute("create table forgotten (tenant_uuid uuid)").await?;
    assert_eq!(without_wall(&client).await?, ["forgotten"]);
    client.batch_execute("call wegweiser_wall('forgotten')").await?;
    assert!(without_wall(&client).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_web_service_sees_one_tenant_and_without_one_nothing() -> Result<()> {
    let (database, records) = migrated().await?;
    let first = Customer::settle_in(&records, &database).await?;
    let second = Customer::settle_in(&records, &database).await?;
    let web = sign_in(&database, "wegweiser_web").await?;
    let client = sql_client(&web).await?;
    for table in TABLES {
        assert_eq!(rows(&client, table).await?, 0, "{table} without a tenant");
    }
    client.batch_execute(&format!("set wegweiser.tenant = '{}'", first.tenant)).await?;
    for table in TABLES {
        assert_eq!(rows(&client, table).await?, 1, "{table} with one tenant");
        let other = match table {
            "deviceconnectivity" | "devicerealtimedata" => {
                format!("{table} where deviceuuid = '{}'", second.device)
            }
            _ => format!("{table} where tenant_uuid = '{}'", second.tenant),
        };
        assert_eq!(rows(&client, &other).await?, 0, "{other}");
    }
    client.batch_execute("set wegweiser.tenant = 'all'").await?;
    for table in TABLES {
        assert_eq!(rows(&client, table).await?, 2, "{table} with all tenants");
    }
    Ok(())
}

#[tokio::test]
async fn the_web_service_changes_nothing_and_climbs_no_wall() -> Result<()> {
    let (database, records) = migrated().await?;
    let first = Customer::settle_in(&records, &database).await?;
    let second = Customer::settle_in(&records, &database).await?;
    let web = sign_in(&database, "wegweiser_web").await?;
    let client = sql_client(&web).await?;
    client.batch_execute(&format!("set wegweiser.tenant = '{}'", first.tenant)).await?;
    let note = |tenant: TenantId| {
        format!(
            "insert into audit_log (who, action, object, detail)
             values ('w', 'a', 'o', '{{\"tenant\": \"{tenant}\"}}')"
        )
    };
    client.batch_execute(&note(first.tenant)).await?;
    refused(&client, &note(second.tenant)).await?;
    for sql in [
        "delete from device_realtime_data",
        "update device_connectivity set is_online = false",
        "truncate devices",
        "delete from audit_log",
        "select * from api_tokens",
        "select * from users",
        "select * from sessions",
        "select * from sign_in_links",
        "select token_hash from enroll_tokens",
        "update enroll_tokens set uses_left = 9",
        "select wegweiser_open_session(gen_random_uuid(), '\\x00', null, null, 'link', 1)",
        "insert into tenants (tenant_uuid, name) values (gen_random_uuid(), 'x')",
        "alter table devices disable row level security",
        "drop policy own_tenant on devices",
        "set role wegweiser_operator",
        "set role wegweiser",
        "alter role current_user bypassrls",
        "create table public.mine (a int)",
    ] {
        refused(&client, sql).await?;
    }
    // Its own table of that name is not what the tokens are looked up in.
    client
        .batch_execute(
            "create temp table api_tokens as
             select gen_random_uuid() as token_uuid, 'x' as name, null::uuid as tenant_uuid,
                    'admin' as role, now() + '1 day' as expires_at, null::timestamptz as revoked_at,
                    '\\x00'::bytea as token_hash",
        )
        .await?;
    assert_eq!(rows(&client, "wegweiser_api_token('\\x00')").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_scope_holds_for_every_reader_of_the_same_pool() -> Result<()> {
    let (database, records) = migrated().await?;
    let first = Customer::settle_in(&records, &database).await?;
    let second = Customer::settle_in(&records, &database).await?;
    let web = sign_in(&database, "wegweiser_web").await?;
    let walled = WalledRecords::open(&postgres_settings(&web))?;
    let seen = async |scope| -> Result<Vec<DeviceId>> {
        let devices = walled.within(scope).devices(None, None, 10).await?;
        Ok(devices.iter().map(|row| row.device).collect())
    };
    for _ in 0..3 {
        assert_eq!(seen(Scope::AllTenants).await?, [first.device, second.device]);
        assert_eq!(seen(Scope::Tenant(first.tenant)).await?, [first.device]);
        assert_eq!(seen(Scope::Nobody).await?, []);
        assert_eq!(seen(Scope::Tenant(second.tenant)).await?, [second.device]);
    }
    let asked_for = walled.within(Scope::Tenant(first.tenant));
    assert!(asked_for.devices(Some(second.tenant), None, 10).await?.is_empty());
    assert!(walled.within(Scope::Nobody).migration_state().await?.is_current());
    Ok(())
}

#[tokio::test]
async fn the_receiver_writes_records_of_every_tenant_and_reads_nothing_else() -> Result<()> {
    let (database, records) = migrated().await?;
    let customer = Customer::settle_in(&records, &database).await?;
    let receiver = sign_in(&database, "wegweiser_receiver").await?;
    let receiver_records = Records::open(&postgres_settings(&receiver))?;
    customer.beat(&receiver_records).await?;
    let horizon = UnixMillis::new(UnixMillis::now().get() + 3_600_000);
    let silent = receiver_records.mark_silent_devices(horizon, UnixMillis::new(0)).await?;
    assert_eq!(silent.len(), 1);
    let client = sql_client(&receiver).await?;
    for sql in [
        "select * from tenants",
        "select * from api_tokens",
        "select * from audit_log",
        "select * from wegweiser_api_token('\\x00')",
        "delete from device_realtime_data",
        "insert into audit_log (who, action, object, detail) values ('r', 'a', 'o', '{}')",
    ] {
        refused(&client, sql).await?;
    }
    Ok(())
}

#[tokio::test]
async fn rows_of_the_previous_version_stay_and_stand_behind_the_wall() -> Result<()> {
    let (newest, _) = migrated().await?;
    let database = empty_database().await?;
    let client = sql_client(&database).await?;
    for file in ["V1__records.sql", "V2__audit.sql", "V3__registry.sql"] {
        let path = repository().join("migrations").join(file);
        client.batch_execute(&std::fs::read_to_string(path)?).await?;
    }
    // What the previous version noted as applied.
    client
        .batch_execute(
            "create table refinery_schema_history
             (version int4 primary key, name text, applied_on text, checksum text)",
        )
        .await?;
    let history = "select version, name, applied_on, checksum from refinery_schema_history
                   where version <= 3";
    for row in sql_client(&newest).await?.query(history, &[]).await? {
        let (version, name): (i32, String) = (row.get(0), row.get(1));
        let (applied, checksum): (String, String) = (row.get(2), row.get(3));
        let note = "insert into refinery_schema_history values ($1, $2, $3, $4)";
        client.execute(note, &[&version, &name, &applied, &checksum]).await?;
    }
    let records = Records::open(&postgres_settings(&database))?;
    let customer = Customer::settle_in_before_books(&records, &database).await?;
    let entry = "insert into audit_log (who, action, object, detail)
                 values ('w', 'a', 'o', '{\"tenant\": \"no UUID\"}'), ('w', 'a', 'o', '[]')";
    client.batch_execute(entry).await?;

    assert!(!records.migrate().await?.is_empty());
    assert!(without_wall(&client).await?.is_empty());
    // A receiver of the previous version, signed in as the owner, goes on.
    customer.beat(&records).await?;
    customer.is_ordered_something(&database).await?;
    let web = sql_client(&sign_in(&database, "wegweiser_web").await?).await?;
    for table in TABLES {
        assert_eq!(rows(&web, table).await?, 0, "{table} without a tenant");
    }
    web.batch_execute(&format!("set wegweiser.tenant = '{}'", customer.tenant)).await?;
    for table in TABLES {
        assert_eq!(rows(&web, table).await?, 1, "{table} with its tenant");
    }
    Ok(())
}
