//! A unit of systemd, with as few rights as collecting needs.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::{Service, ask, have, remove, write};

const UNIT: &str = "wegweiser-agent.service";
/// The service's user, and its folder below `/var/lib`.
const USER: &str = "wegweiser-agent";
const STATE: &str = "/var/lib/wegweiser-agent";
const UNIT_PATH: &str = "etc/systemd/system/wegweiser-agent.service";
const WANTED_PATH: &str = "etc/systemd/system/multi-user.target.wants/wegweiser-agent.service";
const SYSUSERS_PATH: &str = "etc/sysusers.d/wegweiser-agent.conf";
/// There while systemd runs the machine.
const RUNNING: &str = "/run/systemd/system";

pub(super) fn install(service: &Service, root: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let runs = Path::new(RUNNING).is_dir();
    let remedy = "systemd does not run this machine; write its files below another with --root";
    ensure!(runs || root.is_some(), remedy);
    let at = |path: &str| root.unwrap_or(Path::new("/")).join(path);
    let users = format!("u {USER} - \"Wegweiser agent\" {STATE}\n");
    let mut done = vec![write(&at(SYSUSERS_PATH), &users)?, write(&at(UNIT_PATH), &unit(service))?];
    if root.is_some() {
        done.push(want(&at(WANTED_PATH))?);
        return Ok(done);
    }
    done.push(have("systemd-sysusers", &[&format!("/{SYSUSERS_PATH}")])?);
    if let Some(creds) = service.creds.as_ref().and_then(|creds| creds.to_str()) {
        done.push(have("chown", &[&format!("{USER}:"), creds])?);
        if Path::new(creds).parent() == Some(Path::new(STATE)) {
            done.push(have("chown", &[&format!("{USER}:"), STATE])?);
        } else {
            done.push(format!("note: the service can renew credentials in {STATE} only"));
        }
    }
    done.push(have("systemctl", &["daemon-reload"])?);
    done.push(have("systemctl", &["enable", UNIT])?);
    // Also where an older one runs already.
    done.push(have("systemctl", &["restart", UNIT])?);
    Ok(done)
}

pub(super) fn uninstall(root: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let at = |path: &str| root.unwrap_or(Path::new("/")).join(path);
    let mut done = Vec::new();
    if root.is_none() && at(UNIT_PATH).exists() {
        done.push(have("systemctl", &["disable", "--now", UNIT])?);
    }
    for path in [WANTED_PATH, UNIT_PATH, SYSUSERS_PATH] {
        done.extend(remove(&at(path))?);
    }
    if root.is_none() && Path::new(RUNNING).is_dir() {
        done.push(have("systemctl", &["daemon-reload"])?);
    }
    done.push(format!("left: the user {USER}, its folder {STATE} and the configuration"));
    Ok(done)
}

pub(super) fn state() -> anyhow::Result<String> {
    let properties = "--property=LoadState,ActiveState,SubState,UnitFileState";
    let told = ask("systemctl", &["show", "--no-pager", properties, UNIT])?;
    let field = |name: &str| {
        let mut lines = told.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    };
    if field("LoadState") == "not-found" {
        return Ok("not installed".to_owned());
    }
    let (active, sub, enabled) = (field("ActiveState"), field("SubState"), field("UnitFileState"));
    Ok(format!("{active} ({sub}), {enabled}"))
}

/// What `systemctl enable` would do to a machine that does not run.
fn want(path: &Path) -> anyhow::Result<String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    remove(path)?;
    std::os::unix::fs::symlink(PathBuf::from("/").join(UNIT_PATH), path)?;
    Ok(format!("wrote {}", path.display()))
}

fn unit(service: &Service) -> String {
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    let (program, config) = (quoted(&service.program), quoted(&service.config));
    format!(
        "# Made by wegweiser-agent install; changes belong into {UNIT}.d/*.conf.
[Unit]
Description=Wegweiser agent: reports this machine
Documentation=man:systemd.exec(5)
After=network-online.target
Wants=network-online.target
# It waits for its broker by itself, and is started again for ever.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=60
ExecStart={program} run --config {config}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
# A configuration that cannot be used does not become better by trying.
RestartPreventExitStatus=64
TimeoutStopSec=15
User={USER}
StateDirectory={USER}
StateDirectoryMode=0700
# Where its status is, also after its end.
RuntimeDirectory={USER}
RuntimeDirectoryMode=0750
RuntimeDirectoryPreserve=yes
UMask=0077
MemoryMax=128M
TasksMax=128

# It reads the machine and talks to its broker; nothing else. Not ProtectProc and not ProcSubset:
# it would see neither processes nor the machine's figures.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
# AF_NETLINK tells the interfaces' addresses.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# What a command runs is given limits and a lower priority.
SystemCallFilter=setrlimit prlimit64 setpriority
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"
    )
}
