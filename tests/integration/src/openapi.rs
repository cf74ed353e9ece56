//! The HTTP API is what its OpenAPI document says, for requests that somebody else thinks up:
//! Schemathesis makes them of the document, right ones and wrong ones, and compares the answers.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use protocol::UnixMillis;
use storage::{ApiRole, ApiToken, NewApiToken, Scope};

use crate::api_isolation::{belongings, web};
use crate::world::{World, address, now_ms, repository};

/// Requests that are thought up for each operation, beside those that try each limit once.
const EXAMPLES: &str = "20";
/// What an answer has to keep to.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,ignored_auth";

#[tokio::test]
async fn no_request_gets_an_answer_that_the_document_does_not_know() -> Result<()> {
    let requirements = repository().join("tests/openapi/requirements.txt");
    let install = move || devstack::tools::python_with(&requirements);
    let python = tokio::task::spawn_blocking(install).await??;
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let web = web(&world).await?;
    belongings(&world, world.tenants[1]).await?;
    let token = ApiToken::generate();
    let wanted = NewApiToken {
        name: "schemathesis",
        scope: Scope::AllTenants,
        role: ApiRole::Admin,
        expires_at: UnixMillis::new(now_ms() + 3_600_000),
        who: "story",
    };
    world.records()?.create_api_token(&token, wanted).await?;
    let url = format!("http://{}", address(&web, ": listening").await?);
    let header = format!("Authorization: Bearer {}", token.expose());
    let report = world.path("schemathesis");
    let run = move || {
        Command::new(python.with_file_name("schemathesis"))
            .args(["run", &format!("{url}/v1/openapi.json"), "--header", &header])
            .args(["--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", "7"])
            .args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure"])
            .args(["--suppress-health-check", "all", "--warnings", "off", "--no-color"])
            // Has a sign-in and limits of its own, and a story: `enrolment`.
            .args(["--request-timeout", "20", "--exclude-path", "/v1/enroll"])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(report)
            .output()
    };
    std::fs::create_dir_all(world.path("schemathesis"))?;
    let said = tokio::task::spawn_blocking(run).await?.context("running schemathesis")?;
    let text = String::from_utf8_lossy(&said.stdout);
    ensure!(said.status.success(), "{text}\n{}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}
