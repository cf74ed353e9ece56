//! Who may ask what: every route, every sort of token.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::time::Duration;

use protocol::{TenantId, UnixMillis};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use storage::{ApiRole, ApiToken, HeartbeatWrite, NewApiToken, OfflineRule, RingWrite, Scope};
use uuid::Uuid;

use crate::support::{DEVICE, Servers, TENANT, Web, heartbeat, point, token};

const RULE: OfflineRule = OfflineRule { silence: Duration::from_secs(120), missed_heartbeats: 3 };
const OTHER_TENANT: &str = "33333333-3333-4333-8333-333333333333";
const OTHER_DEVICE: &str = "44444444-4444-4444-8444-444444444444";

/// What more than a viewer may do: the beginning of the path, and the least role.
const CHANGES: [(Method, &str, ApiRole); 11] = [
    (Method::POST, "/v1/dead-letters/{sequence}/replay", ApiRole::Operator),
    (Method::POST, "/v1/dead-letters/{sequence}/discard", ApiRole::Operator),
    (Method::POST, "/v1/commands", ApiRole::Operator),
    (Method::POST, "/v1/commands/{command}/cancel", ApiRole::Operator),
    (Method::GET, "/v1/enroll-tokens", ApiRole::Admin),
    (Method::POST, "/v1/enroll-tokens", ApiRole::Admin),
    (Method::DELETE, "/v1/enroll-tokens/{token}", ApiRole::Admin),
    (Method::POST, "/v1/tenants/{tenant}/suspend", ApiRole::Admin),
    (Method::POST, "/v1/tenants/{tenant}/resume", ApiRole::Admin),
    (Method::POST, "/v1/devices/{device}/revoke", ApiRole::Admin),
    (Method::POST, "/v1/devices/{device}/rotate", ApiRole::Admin),
];

/// A request to an operation of the document.
struct Route {
    method: Method,
    path: String,
    role: ApiRole,
}

/// Every operation of the OpenAPI document that asks for a sign-in.
async fn routes(web: &Web) -> Vec<Route> {
    let (status, document) = web.json("/v1/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut routes = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // Who has no token is asked for something else, and a session has a story of its own.
            let needs = &operation["security"];
            if *needs == json!([{}]) || *needs == json!([{"session": []}]) {
                continue;
            }
            let method: Method = method.to_uppercase().parse().unwrap();
            let least =
                CHANGES.iter().find(|(other, path, _)| *other == method && path == template);
            let role = least.map_or(ApiRole::Viewer, |(.., role)| *role);
            assert!(
                role > ApiRole::Viewer || method == Method::GET,
                "who may {method} {template}?"
            );
            let ids =
                [("device", DEVICE), ("tenant", TENANT), ("token", DEVICE), ("command", DEVICE)];
            let mut path = template.replace("{metric}", "cpu_percent").replace("{sequence}", "1");
            for (name, id) in ids {
                path = path.replace(&format!("{{{name}}}"), id);
            }
            assert!(!path.contains('{'), "what is an example of {template}?");
            routes.push(Route { method, path, role });
        }
    }
    assert!(routes.len() >= 20, "{} operations", routes.len());
    routes
}

async fn made(servers: &Servers, wanted: NewApiToken<'_>) -> (Uuid, ApiToken) {
    let token = ApiToken::generate();
    (servers.records().create_api_token(&token, wanted).await.unwrap(), token)
}

fn only(tenant: &str) -> Scope {
    Scope::Tenant(tenant.parse().unwrap())
}

/// Two tenants, each with a device that has a heartbeat and a point.
async fn two_tenants() -> (Servers, Web) {
    let servers = Servers::with_tables().await;
    let records = servers.records();
    for (tenant, device) in [(TENANT, DEVICE), (OTHER_TENANT, OTHER_DEVICE)] {
        records.ensure_tenant(tenant.parse().unwrap(), "a customer").await.unwrap();
        let now = UnixMillis::now();
        let beat = heartbeat(tenant, device, now.get());
        let write = HeartbeatWrite { heartbeat: &beat, received: now, number: None };
        let _ = records.write_heartbeats(&[write], &RULE).await.unwrap().pop().unwrap().unwrap();
        let point = point(device, now.get(), 1.0);
        let write = RingWrite { point: &point, received: now, repeated: false, number: None };
        let _ = servers.rings().write(&[write]).await.unwrap().pop().unwrap().unwrap();
    }
    let web = Web::start(&servers);
    (servers, web)
}

async fn answer(web: &Web, path: &str, token: &ApiToken) -> (StatusCode, Value) {
    let response = web.ask(Method::GET, path, Some(token)).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn without_a_good_token_no_route_answers() {
    let (servers, web) = two_tenants().await;
    let expires_at = UnixMillis::new(UnixMillis::now().get() - 1);
    let (_, expired) = made(&servers, NewApiToken { expires_at, ..token("late") }).await;
    let (id, revoked) = made(&servers, token("gone")).await;
    assert_eq!(servers.records().revoke_api_token(id, "test").await.unwrap(), Some(true));
    assert_eq!(servers.records().revoke_api_token(id, "test").await.unwrap(), Some(false));
    let invented = ApiToken::generate();
    for Route { method, path, .. } in routes(&web).await {
        for (token, why) in [
            (None, "no Authorization header"),
            (Some(&expired), "time of this token is over"),
            (Some(&revoked), "was revoked"),
            (Some(&invented), "nobody made this token"),
        ] {
            let response = web.ask(method.clone(), &path, token).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path} {why}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            let problem: Value = response.json().await.unwrap();
            assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
            assert!(problem["remedy"].as_str().unwrap().contains("api-token create"), "{problem}");
        }
        for header in ["", "Bearer", "Bearer x", "Basic YTpi"] {
            let request = web.ask(method.clone(), &path, None).header("authorization", header);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path} {header:?}");
        }
    }
}

#[tokio::test]
async fn a_token_of_one_tenant_sees_nothing_of_another() {
    let (servers, web) = two_tenants().await;
    let scope = only(OTHER_TENANT);
    let (_, theirs) = made(&servers, NewApiToken { scope, ..token("theirs") }).await;
    let (status, own) = answer(&web, "/v1/devices", &theirs).await;
    assert_eq!(status, StatusCode::OK);
    let seen = own["devices"].as_array().unwrap();
    assert_eq!(seen.iter().map(|row| &row["device"]).collect::<Vec<_>>(), [OTHER_DEVICE]);
    let (status, none) = answer(&web, &format!("/v1/devices?tenant={TENANT}"), &theirs).await;
    assert_eq!((status, &none["devices"]), (StatusCode::OK, &json!([])));
    for path in
        [format!("/v1/devices/{DEVICE}"), format!("/v1/devices/{DEVICE}/metrics/cpu_percent")]
    {
        assert_eq!(answer(&web, &path, &theirs).await.0, StatusCode::NOT_FOUND, "{path}");
        let own = path.replace(DEVICE, OTHER_DEVICE);
        assert_eq!(answer(&web, &own, &theirs).await.0, StatusCode::OK, "{own}");
    }
    let (_, me) = answer(&web, "/v1/token", &theirs).await;
    assert_eq!(me["tenant"], OTHER_TENANT);
    assert_eq!(me["role"], "viewer");
    let (_, all) = web.json("/v1/devices").await;
    assert_eq!(all["devices"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_role_that_is_too_low_is_refused_with_the_one_that_is_needed() {
    let (servers, web) = two_tenants().await;
    let (_, viewer) = made(&servers, token("viewer")).await;
    let mut refused = 0;
    for Route { method, path, role } in routes(&web).await {
        let response = web.ask(method.clone(), &path, Some(&viewer)).send().await.unwrap();
        let too_low = role > ApiRole::Viewer;
        assert_eq!(response.status() == StatusCode::FORBIDDEN, too_low, "{method} {path}");
        if too_low {
            let problem: Value = response.json().await.unwrap();
            let needed = format!("--role {}", role.as_str());
            assert!(problem["remedy"].as_str().unwrap().contains(&needed), "{problem}");
            refused += 1;
        }
    }
    assert_eq!(refused, CHANGES.len());
}

#[tokio::test]
async fn a_suspended_tenants_token_is_refused_until_it_is_resumed() {
    let (servers, web) = two_tenants().await;
    let scope = only(TENANT);
    let tenant: TenantId = TENANT.parse().unwrap();
    let (_, token) = made(&servers, NewApiToken { scope, ..token("acme") }).await;
    for (state, status) in [
        (storage::TenantState::Suspended, StatusCode::UNAUTHORIZED),
        (storage::TenantState::Active, StatusCode::OK),
    ] {
        servers.records().set_tenant_state(tenant, state).await.unwrap();
        assert_eq!(answer(&web, "/v1/devices", &token).await.0, status);
    }
    let trail = servers
        .records()
        .audit_rows(storage::AuditFilter { action: "api-token", limit: 10, ..Default::default() })
        .await
        .unwrap();
    let made = trail.iter().find(|row| row.detail["name"] == "acme").unwrap();
    assert_eq!(made.detail["tenant"], TENANT);
    assert!(!format!("{trail:?}").contains(token.expose()));
}
