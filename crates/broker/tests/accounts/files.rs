//! Broken files are named with field, value and remedy; nothing is asked of a server.

use std::fs;
use std::path::{Path, PathBuf};

use broker::accounts::Declared;
use serde_json::{Value, json};

use crate::stage::TENANT;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nats/accounts");

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for name in ["system.json", "backend.json", "tenant.template.json"] {
            fs::copy(Path::new(REPOSITORY).join(name), files.path(name)).unwrap();
        }
        fs::create_dir(files.path("tenants")).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap();
        change(&mut value);
        fs::write(self.path(name), value.to_string()).unwrap();
    }

    fn load(&self) -> Result<Declared, broker::accounts::Mistakes> {
        Declared::load(self.0.path(), &self.path("tenants"))
    }

    /// The mistakes as text, without the directory.
    fn mistakes(&self) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        let mistakes = self.load().unwrap_err().0;
        mistakes.iter().map(|mistake| mistake.to_string().replace(&directory, "")).collect()
    }
}

#[test]
fn the_repositorys_files_are_right_and_tenants_fill_the_template() {
    let files = Files::new();
    let tenant = json!({ "tenant": TENANT, "name": "Acme", "limits": { "conn": 7 } });
    fs::write(files.path("tenants/acme.json"), tenant.to_string()).unwrap();
    let declared = files.load().unwrap();
    let acme = &declared.tenants()[0];
    assert_eq!((acme.limits.conn, acme.limits.payload), (7, 1_048_576));
    let text = format!("{acme:?}");
    assert!(text.contains(TENANT) && !text.contains("{tenant}"));
    assert!(text.contains("{{name()}}"), "the server's own words stay");
}

#[test]
fn every_mistake_of_every_file_is_told_at_once() {
    let files = Files::new();
    files.edit("backend.json", |file| file["limits"]["con"] = json!(5));
    files.edit("system.json", |file| file["limits"]["subs"] = json!("many"));
    for (name, tenant) in [
        ("a", json!({ "tenant": "acme", "name": "Acme" })),
        ("b", json!({ "tenant": TENANT, "name": "Acme", "limit": {} })),
        ("c", json!({ "tenant": TENANT })),
    ] {
        fs::write(files.path(&format!("tenants/{name}.json")), tenant.to_string()).unwrap();
    }
    let mistakes = files.mistakes();
    let expect = [
        ("system.json: limits.subs: ", "\"many\""),
        ("backend.json: limits.con: ", "unknown field `con`, expected one of"),
        ("tenants/a.json: tenant: ", "acme"),
        ("tenants/b.json: limit: ", "unknown field `limit`"),
        ("tenants/c.json: ", "missing field `name`"),
    ];
    assert_eq!(mistakes.len(), expect.len(), "{mistakes:#?}");
    for ((start, reason), mistake) in expect.iter().zip(&mistakes) {
        assert!(mistake.starts_with(start) && mistake.contains(reason), "{mistake}");
    }
}

#[test]
fn what_the_server_would_refuse_or_misread_is_refused_here() {
    type Edit = fn(&mut Value);
    let cases: [(&str, Edit, &str); 11] = [
        (
            "tenant.template.json",
            |file| drop(file["limits"].as_object_mut().unwrap().remove("conn")),
            "limits.conn: is 0 or left out",
        ),
        (
            "tenant.template.json",
            |file| file["limits"]["imports"] = json!(3),
            "limits.imports: is 3 with 10 imports declared; raise it",
        ),
        (
            "tenant.template.json",
            |file| file["imports"][0]["local_subject"] = json!("demo.system.$1"),
            "imports[0].local_subject: is \"demo.system.$1\"; name each of the subject's 2 wildcards",
        ),
        (
            "tenant.template.json",
            |file| file["imports"][0]["subject"] = json!("tenant.{tenant}.other.*.*"),
            "that backend.json exports; export it there or correct it",
        ),
        (
            "tenant.template.json",
            |file| file["imports"][0]["account"] = json!("BACKND"),
            "imports[0].account: is \"BACKND\"; only BACKEND exports anything",
        ),
        (
            "tenant.template.json",
            |file| file["roles"]["device"]["template"]["pub"]["allow"][0] = json!("demo.{{nam()}}"),
            "roles.device.template.pub.allow: \"nam()\" in \"demo.{{nam()}}\" is none of name()",
        ),
        (
            "tenant.template.json",
            |file| file["roles"]["device"]["template"]["pub"]["allow"][0] = json!("a.{tenannt}.b"),
            "has a brace that nothing fills in",
        ),
        (
            "tenant.template.json",
            |file| file["roles"]["device"]["template"]["sub"] = json!({}),
            "roles.device.template.sub: allows every subject by being empty",
        ),
        (
            "backend.json",
            |file| file["exports"][4]["response_type"] = json!("Many"),
            "exports[4].response_type: is \"Many\"; take Singleton, Stream or Chunked",
        ),
        (
            "backend.json",
            |file| file["exports"][0]["subject"] = json!("tenant.*..x"),
            "exports[0].subject: \"tenant.*..x\" is no subject",
        ),
        (
            "backend.json",
            |file| file["roles"]["web"]["template"]["allowed_connection_types"][0] = json!("TCP"),
            "roles.web.template.allowed_connection_types: \"TCP\" is none of STANDARD",
        ),
    ];
    for (name, edit, expected) in cases {
        let files = Files::new();
        files.edit(name, edit);
        let mistakes = files.mistakes().join("\n");
        assert!(mistakes.contains(name) && mistakes.contains(expected), "{expected}\n{mistakes}");
    }
}

#[test]
fn two_files_for_one_tenant_are_refused() {
    let files = Files::new();
    for name in ["a", "b"] {
        let tenant = json!({ "tenant": TENANT, "name": name });
        fs::write(files.path(&format!("tenants/{name}.json")), tenant.to_string()).unwrap();
    }
    let mistakes = files.mistakes();
    assert_eq!(mistakes.len(), 1);
    let expected = format!("tenants/b.json: tenant: {TENANT} is declared by tenants/a.json too");
    assert!(mistakes[0].starts_with(&expected), "{mistakes:?}");
}
