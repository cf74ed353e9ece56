//! Whoever has the whole of the tenant's account, or of the backend's, and no key that signs
//! commands, makes the agent run nothing; each attempt is refused with its reason, and counted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{FutureExt as _, StreamExt as _};
use identity::{AccountName, CommandSigner, Credentials, KeyDir, KeyKind, SecretKey, issue_user};
use protocol::command::{CommandEvent, CommandOutcome, EventWord};
use protocol::{Command, CommandId, DeviceId, SignedCommand, TenantId, UnixMillis};
use serde_json::{Value, json};
use uuid::Uuid;

use super::site::{Site, code, program, run, succeeded};
use crate::world::{Process, World, eventually, repository, scrape};

/// A program that leaves a mark where it ran.
const MARKING: &str = r#"
[commands.run.mark]
program = "{home}/mark"
arguments = ["{name}"]
"#;

async fn marked_site() -> Result<Site> {
    let site = Site::open(MARKING).await?;
    let marks = site.home().join("marks");
    program(&site.home().join("mark"), &format!("echo \"$1\" >> {}", marks.display()))?;
    Ok(site)
}

fn marks(site: &Site) -> Vec<String> {
    let text = std::fs::read_to_string(site.home().join("marks")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn mark(site: &Site, name: &str) -> (&'static str, Value) {
    ("run", run(&site.home().join("mark"), &[name]))
}

/// A signer whose key nobody believes.
fn stranger() -> Result<CommandSigner> {
    Ok(CommandSigner::with_keys(vec![SecretKey::generate(KeyKind::Signer)?])?)
}

#[tokio::test]
async fn what_is_published_with_the_backends_rights_runs_only_if_a_believed_key_signed_it()
-> Result<()> {
    let site = marked_site().await?;
    let receiver = site.world.receiver(&[])?;
    let genuine = |name: &str| site.signed(mark(&site, name), |_| {});
    let mut tampered = genuine("tampered")?;
    tampered.signed = tampered.signed.replace("\"tampered\"", "\"changed\"");
    let mut claimed = stranger()?.sign(&read(&genuine("claimed")?)?)?;
    claimed.key = genuine("key")?.key;
    let past = |command: &mut Command| {
        command.created = UnixMillis::new(command.created.get() - 600_000);
        command.expires = UnixMillis::new(command.expires.get() - 600_000);
    };
    let other_device = |it: &mut Command| it.device = DeviceId::new(Uuid::now_v7());
    let other_tenant = |it: &mut Command| it.tenant = TenantId::new(Uuid::now_v7());
    let unknown = |it: &mut Command| it.kind = "shell".into();
    let shell = |it: &mut Command| it.arguments["shell"] = json!(true);
    let unsigned = json!({ "command_id": CommandId::create(), "command": "run", "parameters": mark(&site, "x").1 });
    for (wanted, forged) in [
        ("unknown_key", stranger()?.sign(&read(&genuine("stranger")?)?)?),
        ("wrong_signature", tampered),
        ("wrong_signature", claimed),
        ("other_device", site.signed(mark(&site, "device"), other_device)?),
        ("other_tenant", site.signed(mark(&site, "tenant"), other_tenant)?),
        ("expired", site.signed(mark(&site, "late"), past)?),
        ("unknown_kind", site.signed(mark(&site, "kind"), unknown)?),
        ("bad_arguments", site.signed(mark(&site, "arguments"), shell)?),
        ("not_allowed", site.signed(("run", json!({ "program": "/bin/sh" })), |_| {})?),
    ] {
        let id = site.publish(&forged).await?;
        let end = site.end_of(id).await?;
        assert_eq!((code(&end), end.outcome), (wanted, Some(CommandOutcome::Rejected)), "{end:?}");
        assert_eq!((end.status.as_str(), end.number), ("error", 0), "{end:?}");
    }
    site.publish_payload(unsigned.to_string().into_bytes()).await?;
    let id: CommandId = unsigned["command_id"].as_str().context("an id")?.parse()?;
    assert_eq!(code(&site.end_of(id).await?), "malformed");
    site.publish_payload(b"\xff not even JSON".to_vec()).await?;

    let counted = site.heartbeat(|said| said["refused"]["malformed"] == 2).await?;
    for (reason, count) in [
        ("unknown_key", 1),
        ("wrong_signature", 2),
        ("other_device", 1),
        ("other_tenant", 1),
        ("expired", 1),
        ("unknown_kind", 1),
        ("bad_arguments", 1),
        ("not_allowed", 1),
    ] {
        assert_eq!(counted["refused"][reason], count, "{counted}");
        backend_counts(&receiver, reason, f64::from(count)).await?;
    }
    // The other one named no id, so that there was nothing to answer.
    backend_counts(&receiver, "malformed", 1.0).await?;
    assert_eq!(marks(&site), Vec::<String>::new());
    let id = site.publish(&genuine("genuine")?).await?;
    succeeded(&site.end_of(id).await?)?;
    assert_eq!(marks(&site), ["genuine"]);
    Ok(())
}

/// Waits until a receiver has counted so many refusals for this reason.
async fn backend_counts(receiver: &Process, reason: &str, count: f64) -> Result<()> {
    let figure = format!("wegweiser_command_refusals_total{{reason=\"{reason}\"}}");
    eventually(&format!("{figure} is {count}"), async || {
        let page = scrape(receiver, "health listening").await?;
        Ok(page.is(&figure, count).then_some(()))
    })
    .await
}

fn read(signed: &SignedCommand) -> Result<Command> {
    Ok(Command::from_signed_text(&signed.signed)?)
}

#[tokio::test]
async fn a_known_id_is_never_run_again_whatever_comes_under_it() -> Result<()> {
    let mut site = marked_site().await?;
    let receiver = site.world.receiver(&[])?;
    let first = site.signed(mark(&site, "once"), |_| {})?;
    let id = site.publish(&first).await?;
    let end = site.end_of(id).await?;
    site.publish(&first).await?;
    site.until(id, EventWord::Finished, 2).await?;
    let again = site.events(id).await?;
    assert_eq!(again.last(), Some(&end), "the recorded answer, word for word");

    let other = site.signed(mark(&site, "other"), |command| command.command_id = id)?;
    site.publish(&other).await?;
    site.until(id, EventWord::Refused, 1).await?;
    let forged = stranger()?.sign(&read(&first)?)?;
    site.publish(&forged).await?;
    site.until(id, EventWord::Refused, 2).await?;
    let refused: Vec<CommandEvent> = site.events(id).await?;
    let codes: Vec<&str> =
        refused.iter().filter(|event| event.event == EventWord::Refused).map(code).collect();
    assert_eq!(codes, ["replayed", "unknown_key"]);
    let counted = site.heartbeat(|said| said["refused"]["unknown_key"] == 1).await?;
    assert_eq!(counted["refused"]["replayed"], 1, "{counted}");
    for reason in ["replayed", "unknown_key"] {
        backend_counts(&receiver, reason, 1.0).await?;
    }

    site.agent.kill()?;
    site.start_again()?;
    site.publish(&first).await?;
    site.until(id, EventWord::Finished, 3).await?;
    assert_eq!(marks(&site), ["once"]);
    Ok(())
}

/// Somebody who may do whatever the tenant's account can: a role that the template does not have.
async fn tenant_master(world: &World) -> Result<Credentials> {
    const ROLE: &str = "master";
    let accounts = world.path("accounts-with-a-master");
    std::fs::create_dir(&accounts)?;
    for entry in std::fs::read_dir(repository().join("nats/accounts"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), accounts.join(entry.file_name()))?;
        }
    }
    let path = accounts.join("tenant.template.json");
    let mut template: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    template["roles"][ROLE] = json!({
        "description": "Everything in the account.",
        "template": { "pub": { "allow": [">"] }, "sub": { "allow": [">"] } }
    });
    std::fs::write(&path, template.to_string())?;
    let told = [("WEGWEISER_ACCOUNTS_DIR", accounts.to_str().context("a text")?)];
    let (code, said) = world.wegweiser_told(&["accounts", "apply"], &told).await?;
    ensure!(code == 0, "{said}");
    let keys = KeyDir::open_or_create(&world.path("keys"))?;
    let account = AccountName::Tenant(world.tenants[0]);
    Ok(issue_user(&keys, account, ROLE, ROLE, None)?)
}

#[tokio::test]
async fn who_owns_the_tenants_account_reaches_the_agents_inbox_and_makes_it_run_nothing()
-> Result<()> {
    let site = marked_site().await?;
    let receiver = site.world.receiver(&[])?;
    let master = site.world.connect(&tenant_master(&site.world).await?).await?;
    let mut requests = master.subscribe("$JS.API.CONSUMER.MSG.NEXT.COMMANDS.>").await?;
    let mut inboxes = master.subscribe(format!("_INBOX_{}.>", site.device)).await?;
    master.flush().await?;
    let genuine = site.signed(mark(&site, "genuine"), |_| {})?;
    let id = site.publish(&genuine).await?;
    let end = site.end_of(id).await?;
    succeeded(&end)?;
    assert_eq!(marks(&site), ["genuine"]);

    // The agent's newest request for commands shows where it waits for them.
    let request = tokio::time::timeout(Duration::from_secs(60), requests.next()).await?;
    let mut newest = request.context("a request")?;
    while let Some(Some(request)) = requests.next().now_or_never() {
        newest = request;
    }
    let inbox = newest.reply.context("an inbox")?;
    let forged = stranger()?.sign(&read(&site.signed(mark(&site, "forged"), |_| {})?)?)?;
    // The server takes no message whose reply looks like an acknowledgement's from anybody.
    let deliver = async |payload: Vec<u8>| {
        master.publish(inbox.clone(), payload.into()).await?;
        master.flush().await?;
        Ok::<(), anyhow::Error>(())
    };
    let (_, shell) = mark(&site, "late");
    let late = site.signed(("run", shell), |command| {
        command.created = UnixMillis::new(command.created.get() - 600_000);
        command.expires = UnixMillis::new(command.expires.get() - 600_000);
    })?;
    let elsewhere =
        site.signed(mark(&site, "elsewhere"), |it| it.device = DeviceId::new(Uuid::now_v7()))?;
    for payload in [
        forged.to_payload()?,
        genuine.to_payload()?,
        late.to_payload()?,
        elsewhere.to_payload()?,
        b"{}".to_vec(),
    ] {
        deliver(payload).await?;
    }
    let command = format!("tenant.{}.device.{}.command", site.world.tenants[0], site.device);
    master.publish(command, forged.to_payload()?.into()).await?;
    master.flush().await?;
    // What is genuine comes after all of it, and is all that ran.
    let later = site.publish(&site.signed(mark(&site, "later"), |_| {})?).await?;
    succeeded(&site.end_of(later).await?)?;
    assert_eq!(marks(&site), ["genuine", "later"]);
    let counted = site.heartbeat(|said| said["refused"]["malformed"] == 1).await?;
    for reason in ["unknown_key", "expired", "other_device"] {
        assert_eq!(counted["refused"][reason], 1, "{counted}");
        backend_counts(&receiver, reason, 1.0).await?;
    }
    let heard = tokio::time::timeout(Duration::from_secs(5), inboxes.next()).await;
    ensure!(heard.is_ok(), "the attacker does read along, and that is all");
    Ok(())
}

#[tokio::test]
async fn a_key_that_the_owner_rotated_away_is_not_believed_for_long() -> Result<()> {
    let mut site = marked_site().await?;
    let keys = KeyDir::open_or_create(&site.world.path("keys"))?;
    let old = site.signer.clone();
    keys.rotate_command_key()?;
    site.signer = CommandSigner::open(&keys)?;
    let new = site.signed(mark(&site, "early"), |_| {})?;
    let refused = site.publish(&new).await?;
    assert_eq!(code(&site.end_of(refused).await?), "unknown_key", "it knows the old one alone");

    let trust = serde_json::to_value(site.signer.trust())?;
    succeeded(&site.order("agent.trust-keys", trust).await?)?;
    let (kind, arguments) = mark(&site, "new");
    succeeded(&site.order(kind, arguments).await?)?;
    let kept = std::fs::read_to_string(site.home().join("command-keys"))?;
    assert_eq!(kept.lines().collect::<Vec<_>>(), site.signer.trust().keys);

    // The one before is good for a time, and after the next rotation no more.
    let still = old.sign(&read(&site.signed(mark(&site, "still"), |_| {})?)?)?;
    let id = site.publish(&still).await?;
    succeeded(&site.end_of(id).await?)?;
    keys.rotate_command_key()?;
    site.signer = CommandSigner::open(&keys)?;
    let trust = serde_json::to_value(site.signer.trust())?;
    succeeded(&site.order("agent.trust-keys", trust).await?)?;
    let gone = old.sign(&read(&site.signed(mark(&site, "gone"), |_| {})?)?)?;
    let id = site.publish(&gone).await?;
    assert_eq!(code(&site.end_of(id).await?), "unknown_key");
    assert_eq!(marks(&site), ["new", "still"]);
    Ok(())
}
