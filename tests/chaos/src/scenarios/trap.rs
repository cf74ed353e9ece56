//! The trap for whoever writes a marked message.
//!
//! No fault is built into the product for this. A trigger in the scenario's database stops the
//! write of the marked message, and whoever waits for that write is killed: the same as a message
//! that aborts its receiver, at the same place, each time.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use tokio_postgres::Client;

use crate::stage::Stage;
use crate::world::sql_client;

const TRAP: &str = "
create function trap() returns trigger language plpgsql as $$
begin
    perform pg_sleep(60);
    raise exception 'whoever wrote this should be dead' using errcode = '57P01';
end $$;
create trigger trap before insert on device_realtime_data
    for each row when (new.payload ? 'deadly') execute function trap();";

/// A trap, and who fell into it.
pub(super) struct Trap {
    sql: Client,
    dead: HashSet<i32>,
}

impl Trap {
    /// Sets it in the scenario's database.
    pub(super) async fn set(stage: &Stage) -> Result<Self> {
        let sql = sql_client(&stage.world.database).await?;
        sql.batch_execute(TRAP).await?;
        Ok(Self { sql, dead: HashSet::new() })
    }

    /// The replica that waits in it, once for each time that it falls into it.
    pub(super) async fn victim(&mut self, stage: &Stage) -> Result<Option<usize>> {
        let waiting = "select pid, client_port from pg_stat_activity where wait_event = 'PgSleep'";
        for row in self.sql.query(waiting, &[]).await? {
            let (backend, port): (i32, i32) = (row.get(0), row.get(1));
            let Some(inode) = socket_of(u16::try_from(port)?)? else { continue };
            let replicas = stage.replicas.iter();
            if let Some(victim) = { replicas }.position(|replica| owns(replica.id(), &inode))
                && self.dead.insert(backend)
            {
                return Ok(Some(victim));
            }
        }
        Ok(None)
    }
}

/// The inode of the socket with this local port, as `/proc/net/tcp` (proc_net(5)) gives it.
fn socket_of(port: u16) -> Result<Option<String>> {
    let local = format!(":{port:04X}");
    for line in std::fs::read_to_string("/proc/net/tcp")?.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [_, address, _, _, _, _, _, _, _, inode, ..] = fields.as_slice()
            && address.ends_with(&local)
        {
            return Ok(Some((*inode).to_owned()));
        }
    }
    Ok(None)
}

fn owns(pid: u32, inode: &str) -> bool {
    let socket = format!("socket:[{inode}]");
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files
        .flatten()
        .any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&socket)))
}
