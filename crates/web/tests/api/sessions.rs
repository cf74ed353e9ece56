//! People sign in: with a token, a password or the first link; and are out when they should be.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use storage::{ApiRole, ApiToken, LinkToken, NewApiToken, NewUser, Scope};

use crate::support::{Servers, TENANT, Web, token};

const PASSWORD: &str = "correct horse battery staple";

/// As a page of this service's own sends it.
fn own(web: &Web, request: RequestBuilder) -> RequestBuilder {
    request.header("origin", &web.url)
}

async fn sign_in(web: &Web, body: Value) -> Response {
    own(web, web.ask(Method::POST, "/v1/session", None)).json(&body).send().await.unwrap()
}

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(response: &Response) -> String {
    let header = response.headers()["set-cookie"].to_str().unwrap();
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(header.contains(attribute), "{header}");
    }
    assert!(header.starts_with("__Host-wegweiser="), "{header}");
    header.split(';').next().unwrap().to_owned()
}

async fn with(web: &Web, method: Method, path: &str, cookie: &str) -> StatusCode {
    let request = own(web, web.ask(method, path, None)).header("cookie", cookie);
    request.send().await.unwrap().status()
}

async fn add_user(servers: &Servers, name: &str, scope: Scope) {
    let password_hash = storage::hash_password(&SecretString::from(PASSWORD)).unwrap();
    let (password_hash, role) = (password_hash.as_str(), ApiRole::Admin);
    let wanted = NewUser { name, scope, role, password_hash, who: "test" };
    servers.records().create_user(wanted).await.unwrap();
}

#[tokio::test]
async fn a_password_opens_a_session_that_signing_out_ends() {
    let servers = Servers::with_tables().await;
    let scope = Scope::Tenant(TENANT.parse().unwrap());
    servers.records().ensure_tenant(TENANT.parse().unwrap(), "Acme").await.unwrap();
    add_user(&servers, "Anna", scope).await;
    let web = Web::start(&servers);

    let response = sign_in(&web, json!({"name": "anna", "password": PASSWORD})).await;
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = cookie(&response);
    let session: Value = response.json().await.unwrap();
    assert_eq!((&session["name"], &session["tenant"]), (&json!("Anna"), &json!(TENANT)));
    assert_eq!((&session["by"], &session["needs_password"]), (&json!("password"), &json!(false)));
    assert_eq!(with(&web, Method::GET, "/v1/devices", &cookie).await, StatusCode::OK);
    assert_eq!(with(&web, Method::GET, "/v1/session", &cookie).await, StatusCode::OK);
    assert_eq!(with(&web, Method::GET, "/v1/streams", &cookie).await, StatusCode::FORBIDDEN);

    // A page of another site has the browser send the cookie, but cannot send our origin.
    let change = || web.ask(Method::DELETE, "/v1/session", None).header("cookie", &cookie);
    for request in [change(), change().header("origin", "https://evil.example")] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    let foreign = web.ask(Method::POST, "/v1/enroll-tokens", None).header("cookie", &cookie);
    let foreign = foreign.header("origin", "https://evil.example").json(&json!({"tenant": TENANT}));
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let live = web.ask(Method::GET, "/v1/live", None).header("cookie", &cookie);
    let live = live.header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(live.status(), StatusCode::FORBIDDEN);

    assert_eq!(with(&web, Method::DELETE, "/v1/session", &cookie).await, StatusCode::NO_CONTENT);
    assert_eq!(with(&web, Method::GET, "/v1/devices", &cookie).await, StatusCode::UNAUTHORIZED);
    let filter = storage::AuditFilter { action: "session", limit: 9, ..Default::default() };
    let trail = servers.records().audit_rows(filter).await.unwrap();
    assert_eq!((trail.len(), &trail[0].detail["tenant"]), (1, &json!(TENANT)));
    assert!(!format!("{trail:?}").contains(&cookie[20..]));
}

#[tokio::test]
async fn what_is_wrong_is_not_told_and_guessing_ends_in_waiting() {
    let servers = Servers::with_tables().await;
    add_user(&servers, "anna", Scope::AllTenants).await;
    let web = Web::start(&servers);
    let wrong = [
        json!({"name": "anna", "password": "wrong"}),
        json!({"name": "nobody", "password": PASSWORD}),
        json!({"token": ApiToken::generate().expose()}),
        json!({"token": "x"}),
        json!({"link": "wegweiser_link_x"}),
    ];
    let mut told = Vec::new();
    for body in wrong {
        let response = sign_in(&web, body).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(!response.headers().contains_key("set-cookie"));
        told.push(response.json::<Value>().await.unwrap());
    }
    assert!(told.iter().all(|problem| *problem == told[0]), "{told:?}");
    for body in [json!({}), json!({"name": "anna"}), json!({"token": "x", "link": "y"})] {
        assert_eq!(sign_in(&web, body).await.status(), StatusCode::BAD_REQUEST);
    }
    for _ in 0..9 {
        sign_in(&web, json!({"name": "Anna", "password": "wrong again"})).await;
    }
    let locked = sign_in(&web, json!({"name": "anna", "password": PASSWORD})).await;
    assert_eq!(locked.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = locked.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((800..=901).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_session_by_token_ends_with_the_token() {
    let servers = Servers::with_tables().await;
    let made = ApiToken::generate();
    let wanted = NewApiToken { role: ApiRole::Operator, ..token("wallboard") };
    let id = servers.records().create_api_token(&made, wanted).await.unwrap();
    let web = Web::start(&servers);
    let response = sign_in(&web, json!({"token": made.expose()})).await;
    let cookie = cookie(&response);
    let session: Value = response.json().await.unwrap();
    assert_eq!((&session["role"], &session["by"]), (&json!("operator"), &json!("token")));
    let body = json!({"password": PASSWORD});
    let set = own(&web, web.ask(Method::PUT, "/v1/session/password", None));
    let set = set.header("cookie", &cookie).json(&body).send().await.unwrap();
    assert_eq!(set.status(), StatusCode::CONFLICT);
    servers.records().revoke_api_token(id, "test").await.unwrap();
    assert_eq!(with(&web, Method::GET, "/v1/devices", &cookie).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_first_link_is_printed_on_a_terminal_and_nowhere_else() {
    let servers = Servers::with_tables().await;
    let web = Web::start(&servers);
    let said = web.said_until("wegweiser user link");
    assert!(!said.contains("wegweiser_link_") && !said.contains("#link="), "{said}");

    let mut terminal = on_a_terminal(&servers);
    let lines = BufReader::new(terminal.stdout.take().unwrap()).lines();
    let printed = lines.map_while(Result::ok).find(|line| line.contains("/#link=")).unwrap();
    let link = printed.trim().split_once("/#link=").unwrap().1.to_owned();
    assert_eq!(sign_in(&web, json!({"link": link})).await.status(), StatusCode::OK);
    // It hands the signal on, and waits.
    let pid = terminal.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    terminal.wait().unwrap();
}

/// The service as somebody starts it by hand.
fn on_a_terminal(servers: &Servers) -> Child {
    let mut command = Command::new("script");
    // In place of the shell, so that signals reach it.
    command.args(["-qefc", concat!("exec ", env!("CARGO_BIN_EXE_wegweiser-web")), "/dev/null"]);
    let command = command.env_clear().envs(servers.variables()).env("WEGWEISER_LOG", "warn");
    let command = command.env("PATH", std::env::var_os("PATH").unwrap());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

#[tokio::test]
async fn the_first_link_lets_one_admin_in_once_who_then_has_a_password() {
    let servers = Servers::with_tables().await;
    let web = Web::start(&servers);
    let link = LinkToken::generate();
    assert!(servers.records().make_first_link(&link).await.unwrap());
    let link = link.expose();
    let response = sign_in(&web, json!({"link": link})).await;
    assert_eq!(response.status(), StatusCode::OK);
    let first = cookie(&response);
    let session: Value = response.json().await.unwrap();
    assert_eq!((&session["role"], &session["needs_password"]), (&json!("admin"), &json!(true)));
    assert_eq!(sign_in(&web, json!({"link": link})).await.status(), StatusCode::UNAUTHORIZED);

    let set = |body: Value, cookie: String| {
        let request = own(&web, web.ask(Method::PUT, "/v1/session/password", None));
        request.header("cookie", cookie).json(&body).send()
    };
    let short = set(json!({"password": "short"}), first.clone()).await.unwrap();
    assert_eq!(short.status(), StatusCode::BAD_REQUEST);
    let done = set(json!({"password": PASSWORD}), first.clone()).await.unwrap();
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    let second = sign_in(&web, json!({"name": "admin", "password": PASSWORD})).await;
    let second = cookie(&second);

    // Another change asks for the one until now, and ends the other sessions.
    let body = json!({"password": "another one that is long", "current": "wrong"});
    assert_eq!(set(body, first.clone()).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let body = json!({"password": "another one that is long", "current": PASSWORD});
    assert_eq!(set(body, first.clone()).await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(with(&web, Method::GET, "/v1/devices", &first).await, StatusCode::OK);
    assert_eq!(with(&web, Method::GET, "/v1/devices", &second).await, StatusCode::UNAUTHORIZED);

    servers.records().remove_user("ADMIN", "test").await.unwrap();
    assert_eq!(with(&web, Method::GET, "/v1/devices", &first).await, StatusCode::UNAUTHORIZED);
}
