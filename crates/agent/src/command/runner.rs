//! What each kind of command does on this machine.

use std::path::Path;
use std::time::Instant;

use broker::{Ended, Runner, Sender, Work};
use protocol::command::{CommandReason, ReasonCode, Run};
use protocol::{Order, UnixMillis};
use serde_json::{Map, Value, json};

use super::output::Sink;
use super::program::{self, Ran};
use super::{AllowedProgram, CommandPlan, Limits, OsqueryPlan, Wish, WishBox, allow};
use crate::collect;
use crate::replaceable;

/// Carries commands out.
#[derive(Debug)]
pub(crate) struct AgentRunner {
    sender: Sender,
    started: Instant,
    limits: Limits,
    osquery: OsqueryPlan,
    programs: Vec<AllowedProgram>,
    wishes: WishBox,
}

impl AgentRunner {
    pub(super) fn new(plan: &CommandPlan, sender: Sender, wishes: WishBox) -> Self {
        Self {
            sender,
            started: Instant::now(),
            limits: plan.limits,
            osquery: plan.osquery.clone(),
            programs: plan.programs.clone(),
            wishes,
        }
    }

    fn ping(&self) -> Ended {
        Ended::well(json!({
            "agent_version": env!("CARGO_PKG_VERSION"),
            "session_id": self.sender.session,
            "uptime_s": self.started.elapsed().as_secs(),
            "device_time_ms": UnixMillis::now(),
        }))
    }

    async fn wish(&self, wish: Wish) -> Ended {
        match self.wishes.wish(wish).await {
            Some(answer) => Ended::well(answer),
            None => Ended::badly(ReasonCode::Interrupted, "the agent ends", None),
        }
    }

    async fn run_program(&self, run: &Run, work: &Work) -> Ended {
        let path = Path::new(&run.program);
        let shown = path.display();
        if !path.exists() {
            let text = format!("{shown} is not there; install it on the device");
            return Ended::badly(ReasonCode::ProgramMissing, &text, None);
        }
        if let Err(error) = replaceable::refuse(path) {
            return Ended::badly(ReasonCode::ProgramMissing, &format!("{error:#}"), None);
        }
        let sinks = (Sink::Tell(work), Sink::Tell(work));
        let ran = program::run(path, &run.arguments, &self.limits, sinks, &work.stop).await;
        match ran {
            Ok(ran) => told(&ran, &shown.to_string()),
            Err(error) => Ended::badly(ReasonCode::ProgramFailed, &format!("{error:#}"), None),
        }
    }
}

impl Runner for AgentRunner {
    fn permits(&self, order: &Order) -> Result<(), CommandReason> {
        let (code, checked) = match order {
            Order::Run(Run { program, arguments }) => {
                (ReasonCode::NotAllowed, allow::check(&self.programs, program, arguments))
            }
            Order::SetInterval(wish) => {
                (ReasonCode::BadArguments, self.wishes.check_interval(wish))
            }
            Order::MetricsStart(wish) => {
                (ReasonCode::BadArguments, self.wishes.check_metrics(wish))
            }
            _ => return Ok(()),
        };
        checked.map_err(|text| CommandReason::new(code, &text))
    }

    async fn run(&self, order: Order, work: Work) -> Ended {
        match order {
            Order::Ping(_) => self.ping(),
            Order::SystemInfo(_) => looked(collect::machine).await,
            Order::ProcessList(wanted) => {
                let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
                looked(move || collect::processes(limit)).await
            }
            Order::Osquery(question) => self.osquery.ask(&question.sql, &self.limits, &work).await,
            Order::Run(run) => self.run_program(&run, &work).await,
            Order::SetInterval(wish) => self.wish(Wish::SetInterval(wish)).await,
            Order::CollectNow(_) => self.wish(Wish::CollectNow).await,
            Order::MetricsStart(wish) => self.wish(Wish::StartMetrics(wish)).await,
            Order::MetricsStop(_) => self.wish(Wish::StopMetrics).await,
            // Both are done before it comes to this.
            Order::Cancel(_) | Order::TrustKeys(_) => {
                Ended::badly(ReasonCode::Internal, "not a matter of the machine", None)
            }
        }
    }
}

/// Looks at the machine on a thread that may block.
async fn looked(
    look: impl FnOnce() -> anyhow::Result<Map<String, Value>> + Send + 'static,
) -> Ended {
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(found)) => Ended::well(Value::Object(found)),
        Ok(Err(error)) => Ended::badly(ReasonCode::Internal, &format!("{error:#}"), None),
        Err(error) => Ended::badly(ReasonCode::Internal, &error.to_string(), None),
    }
}

fn told(ran: &Ran<'_>, shown: &str) -> Ended {
    let result = json!({
        "exit_code": ran.status.and_then(|status| status.code()),
        "signal": signal(ran),
        "stdout_bytes": ran.stdout.printed,
        "stderr_bytes": ran.stderr.printed,
        "cut": ran.stdout.is_cut() || ran.stderr.is_cut(),
    });
    let failed =
        |text: String| Ended::badly(ReasonCode::ProgramFailed, &text, Some(result.clone()));
    if ran.flooded {
        return failed(format!("{shown} printed without end, and was ended"));
    }
    match ran.status {
        Some(status) if status.success() => Ended::well(result),
        Some(status) => failed(format!("{shown} ended with {status}")),
        None => failed(format!("{shown} was ended")),
    }
}

#[cfg(unix)]
fn signal(ran: &Ran<'_>) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    ran.status.and_then(|status| status.signal())
}

#[cfg(not(unix))]
fn signal(_ran: &Ran<'_>) -> Option<i32> {
    None
}
