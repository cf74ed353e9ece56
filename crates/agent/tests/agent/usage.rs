//! What the agent says of itself and of settings that cannot be used.

use crate::stage::{Creds, TENANT, program};

#[test]
fn every_mistake_is_told_at_once_and_the_exit_code_is_64() {
    let output = program()
        .env("NATS_CREDS", "/nowhere/device.creds")
        .env("WEGWEISER_TENANT", "acme")
        .env("WEGWEISER_METRICS_INTERVAL_MS", "1")
        .env("WEGWEISER_LOG_FORMAT", "xml")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8(output.stderr).unwrap();
    for words in [
        "4 setting(s) cannot be used",
        "NATS_CREDS: is \"/nowhere/device.creds\"",
        "WEGWEISER_TENANT: tenant \"acme\" is not a UUID",
        "WEGWEISER_METRICS_INTERVAL_MS: is \"1\"; give milliseconds from 250 to 3600000",
        "WEGWEISER_LOG_FORMAT: is \"xml\"; give one of human, json",
    ] {
        assert!(told.contains(words), "{words:?} is not in:\n{told}");
    }
}

#[test]
fn credentials_that_others_can_read_are_refused_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt as _;
    let creds = Creds::issue();
    std::fs::set_permissions(&creds.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output =
        program().env("NATS_CREDS", &creds.path).env("WEGWEISER_TENANT", TENANT).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("NATS_CREDS") && told.contains("chmod 0600"), "{told}");
}

#[test]
fn help_lists_every_setting_and_an_unknown_word_is_a_mistake() {
    let help = program().arg("--help").output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let table = program().arg("--settings").output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    for setting in [
        "NATS_URL",
        "NATS_CREDS",
        "WEGWEISER_NATS_CA",
        "WEGWEISER_TENANT",
        "WEGWEISER_METRICS_INTERVAL_MS",
        "WEGWEISER_HEARTBEAT_INTERVAL_MS",
        "WEGWEISER_MONITORING_INTERVAL_MS",
        "WEGWEISER_LOG",
    ] {
        let entries =
            help.lines().filter(|line| line.trim_start().split(' ').next() == Some(setting));
        assert_eq!(entries.count(), 1, "{setting} in --help");
        assert_eq!(
            table.matches(&format!("| `{setting}` |")).count(),
            1,
            "{setting} in --settings"
        );
    }
    assert!(help.contains("[default: 2000]") && help.contains("milliseconds"), "{help}");

    let output = program().arg("--verison").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--verison"));
}

#[test]
fn a_check_tells_the_device_or_every_mistake_and_runs_nothing() {
    let creds = Creds::issue();
    let check = |tenant: &str| {
        let mut command = program();
        command.args(["config", "check"]).env("NATS_CREDS", &creds.path);
        command.env("WEGWEISER_TENANT", tenant).output().unwrap()
    };
    let fine = check(TENANT);
    assert!(fine.status.success());
    assert!(String::from_utf8(fine.stdout).unwrap().contains(crate::stage::DEVICE));
    let wrong = check("acme");
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("WEGWEISER_TENANT"));
}
