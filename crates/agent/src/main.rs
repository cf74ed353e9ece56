//! wegweiser-agent: reports one device.
//!
//! Promises: what was measured is sent until a stream has it; a broker that is away is waited for,
//! however long; a slow collector delays nobody else. Refuses: to start with settings that cannot
//! be used (exit 64, with every mistake), and to send a value that is not finite.

mod clock;
mod collect;
mod command;
mod condition;
mod config;
mod crew;
mod device;
mod enroll;
mod figures;
mod heartbeat;
mod monitoring;
mod points;
mod print;
mod reload;
mod renew;
mod replaceable;
mod service;
mod settings;
mod status_file;
mod verb;

use std::process::ExitCode;

use runtime::EXIT_USAGE;
use runtime::settings::Mistakes;

fn main() -> ExitCode {
    let arguments = match verb::arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            // A closed pipe is all that can go wrong here.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match verb::run(arguments) {
        Ok(code) => code,
        Err(error) if error.is::<Mistakes>() => {
            print::complain(&error);
            ExitCode::from(EXIT_USAGE)
        }
        Err(error) => {
            print::complain(&format!("wegweiser-agent: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
