//! `.stack/env`: the local stack's addresses for a shell to source.
//!
//! Promises: what the caller has set already wins, a whole system at a time: with a `NATS_URL` of the
//! caller's, neither our certificate nor our credentials are put beside it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::LocalStack;
use super::state::write_whole;
use crate::RedisUser;
use crate::programs::{self, Places};

/// Writes the file; `web` is the URL of the web service where one runs.
pub(super) fn write(stack: &LocalStack, web: Option<&str>, path: &Path) -> Result<()> {
    let mut nats = vec![("NATS_URL", stack.nats.url().to_owned())];
    if stack.nats.url().starts_with("tls://") {
        nats.push(("WEGWEISER_NATS_CA", stack.tls.ca.display().to_string()));
    }
    if let Some(creds) = &stack.nats_creds {
        nats.push(("NATS_CREDS", creds.display().to_string()));
        // Of no use where the credentials are somebody else's, and in nobody's way.
        nats.extend(Places::of(&stack.stack).environment());
    }
    let ca = stack.tls.ca.display().to_string();
    let database =
        [("DATABASE_URL", programs::owner_url(stack)), ("WEGWEISER_DATABASE_CA", ca.clone())];
    let mut redis = programs::redis_address(stack);
    redis.extend(Places::of(&stack.stack).redis_sign_in(RedisUser::Operator));
    let mut text = String::from(
        "# Written at each start of the local stack. It holds a password. What is set already wins.\n",
    );
    group_text(&mut text, "${NATS_URL:-}", &nats)?;
    group_text(&mut text, "${DATABASE_URL:-}", &database)?;
    group_text(&mut text, "${METRICS_REDIS_HOST:-}${METRICS_REDIS_PORT:-}", &redis)?;
    if let Some(url) = web {
        let token = Places::of(&stack.stack).api_token().display().to_string();
        let web = [
            ("WEGWEISER_WEB_URL", url.to_owned()),
            ("WEGWEISER_WEB_CA", ca),
            ("WEGWEISER_API_TOKEN_FILE", token),
        ];
        group_text(&mut text, "${WEGWEISER_WEB_URL:-}", &web)?;
    }
    write_whole(path, text.as_bytes())
}

/// One system: nothing of it when the caller has named another by one of `addresses`, else what the
/// caller has not set.
fn group_text(text: &mut String, addresses: &str, variables: &[(&str, String)]) -> Result<()> {
    writeln!(text, "if [ -z \"{addresses}\" ]; then")?;
    for (name, value) in variables {
        writeln!(text, "    [ -n \"${{{name}:-}}\" ] || export {name}={}", quoted(value))?;
    }
    writeln!(text, "fi")?;
    Ok(())
}

/// As a shell takes it literally.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_path_stays_a_quote() {
        assert_eq!(quoted("/home/o'neil/ca.pem"), r"'/home/o'\''neil/ca.pem'");
    }
}
