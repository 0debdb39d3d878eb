use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    auth::role_name,
    clock,
    testing::{claims, expected, with},
};

fn encode(claims: &Value) -> String {
    URL_SAFE_NO_PAD.encode(claims.to_string())
}

fn check_now(claims: &Value) -> Result<Checked, Refusal> {
    check(&encode(claims), &expected(), clock::since_epoch())
}

#[test]
fn what_must_be_refused() {
    let now = clock::since_epoch().as_secs();
    let issuer = expected().issuer;
    let groups: Vec<String> = (0..1000).map(|n| format!("/g{n}")).collect();
    let changes = [
        ("iss", json!(format!("{issuer}/"))),
        ("iss", json!(issuer.replace("http:", "https:"))),
        ("iss", json!(issuer.replace("trunkline", "master"))),
        ("iss", json!([issuer])),
        ("iss", json!(null)),
        ("aud", json!("account")),
        ("aud", json!(["account"])),
        ("aud", json!([])),
        ("aud", json!(7)),
        ("aud", json!(null)),
        ("aud", json!("trunkline2")),
        ("exp", json!(now - 31)),
        ("exp", json!(now.to_string())),
        ("exp", json!((now + 60) * 1000)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(-1)),
        ("exp", json!(now as f64 + 60.5)),
        ("exp", json!(null)),
        ("exp", json!(now + 3700)),
        ("nbf", json!(now + 60)),
        ("iat", json!(now + 60)),
        ("iat", json!(null)),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("typ", json!("Logout")),
        ("typ", json!("bearer")),
        ("typ", json!(null)),
        ("sub", json!(null)),
        ("sub", json!("")),
        ("azp", json!(null)),
        ("azp", json!("")),
        ("act", json!({ "sub": "someone" })),
        ("groups", json!(groups)),
        ("groups", json!("/tenants/acme")),
        ("realm_access", json!({ "roles": "platform-admin" })),
    ];
    assert!(check_now(&claims(Role::TenantViewer)).is_ok());
    for (name, value) in changes {
        let wrong = with(claims(Role::TenantViewer), name, value.clone());
        assert!(check_now(&wrong).is_err(), "{name} = {value}");
    }
}

#[test]
fn a_repeated_claim_is_refused() {
    let good = claims(Role::TenantViewer).to_string();
    let twice = good.replacen('{', r#"{"aud":"account","#, 1);
    assert!(check(&URL_SAFE_NO_PAD.encode(good), &expected(), clock::since_epoch()).is_ok());
    assert!(check(&URL_SAFE_NO_PAD.encode(twice), &expected(), clock::since_epoch()).is_err());
}

#[test]
fn clocks_may_differ_by_the_leeway() {
    let now = clock::since_epoch();
    let claims = claims(Role::TenantViewer);
    let at = |seconds: i64| {
        let now = now.as_secs().saturating_add_signed(seconds);
        check(&encode(&claims), &expected(), Duration::from_secs(now)).is_ok()
    };
    // Issued now, for 300 seconds.
    assert_eq!([-40, -29, 0, 299, 329, 331].map(at), [false, true, true, true, true, false]);
}

#[test]
fn our_audience_may_be_one_of_several() {
    let claims = with(claims(Role::TenantViewer), "aud", json!(["account", "trunkline"]));
    assert!(check_now(&claims).is_ok());
}

#[test]
fn tenants_come_from_whole_group_paths_only() {
    for (group, tenant) in [
        ("/tenants/acme", Some("acme")),
        ("/tenants/acme/operators", Some("acme")),
        ("/tenants/acme-evil", Some("acme-evil")),
        ("tenants/acme", None),
        ("/tenants/", None),
        ("/tenants/Acme", None),
        ("/tenants/acme/", None),
        ("/tenants/acme/Admins", None),
        ("/tenants/acme/a/b", None),
        ("/x/tenants/acme", None),
        ("/tenants/acme\n", None),
    ] {
        assert_eq!(tenant_of_group(group).map(|(tenant, _)| tenant), tenant, "{group}");
    }
    assert_eq!(tenant_of_group(&format!("/tenants/{}", "a".repeat(41))), None);
}

#[test]
fn a_right_counts_in_the_tenant_whose_group_gave_it() {
    use Role::{TenantAdmin, TenantOperator, TenantViewer};
    let all = [TenantAdmin, TenantOperator, TenantViewer];
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [Role], &'a [(&'a str, Role)]);
    let cases: [Case; 7] = [
        (&[("acme", "viewers"), ("evil", "admins")], &all, &[("acme", TenantViewer), ("evil", TenantAdmin)]),
        (&[("acme", "viewers"), ("acme", "operators")], &all, &[("acme", TenantOperator)]),
        // No group gave a right: the token's own holds in each of its tenants.
        (
            &[("acme", ""), ("other", "")],
            &[TenantOperator],
            &[("acme", TenantOperator), ("other", TenantOperator)],
        ),
        (&[("acme", "billing")], &[TenantViewer], &[("acme", TenantViewer)]),
        (&[("acme", "")], &[Role::SvcMedia], &[]),
        // The role may be of the other tenant's making.
        (&[("acme", ""), ("evil", "admins")], &all, &[("evil", TenantAdmin)]),
        (&[], &all, &[]),
    ];
    for (groups, roles, wanted) in cases {
        let wanted = wanted.iter().map(|(tenant, right)| ((*tenant).to_owned(), *right)).collect();
        assert_eq!(rights_of(groups, roles), wanted, "{groups:?}");
    }
}

#[test]
fn a_service_role_counts_for_a_service_client_only() {
    let stolen = with(claims(Role::SvcMedia), "azp", json!("acme-integration"));
    assert_eq!(check_now(&stolen).unwrap().holder.caller.roles, []);
    let caller = check_now(&claims(Role::SvcMedia)).unwrap().holder.caller;
    assert_eq!((caller.roles, caller.client.as_str()), (vec![Role::SvcMedia], role_name(Role::SvcMedia)));
}

#[test]
fn what_is_refused_before_any_key_is_looked_for() {
    let payload = encode(&claims(Role::TenantViewer));
    let token = |header: Value| format!("{}.{payload}.c2ln", URL_SAFE_NO_PAD.encode(header.to_string()));
    assert_eq!(take_apart(&token(json!({ "alg": "RS256", "kid": "k" }))).unwrap().kid, "k");
    let headers = [
        json!({ "alg": "none", "kid": "k" }),
        json!({ "alg": "None", "kid": "k" }),
        json!({ "alg": "nOnE", "kid": "k" }),
        json!({ "alg": "HS256", "kid": "k" }),
        json!({ "alg": "HS512", "kid": "k" }),
        json!({ "alg": "rs256", "kid": "k" }),
        json!({ "kid": "k" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "RS256", "kid": 7 }),
        json!({ "alg": "RS256", "kid": "" }),
        json!({ "alg": "RS256", "kid": "../../x" }),
        json!({ "alg": "RS256", "kid": "' OR 1=1 --" }),
        json!({ "alg": "RS256", "kid": "k\0" }),
        json!({ "alg": "RS256", "kid": "k".repeat(129) }),
        json!({ "alg": "RS256", "kid": "k", "jku": "https://evil.example/certs" }),
        json!({ "alg": "RS256", "kid": "k", "jwk": {} }),
        json!({ "alg": "RS256", "kid": "k", "x5u": "https://evil.example/x" }),
        json!({ "alg": "RS256", "kid": "k", "x5c": [] }),
        json!({ "alg": "RS256", "kid": "k", "crit": null }),
        json!({ "alg": "RS256", "kid": "k", "cty": "JWT" }),
        json!(["RS256"]),
    ];
    for header in headers {
        assert!(take_apart(&token(header.clone())).is_err(), "{header}");
    }
    let good = token(json!({ "alg": "RS256", "kid": "k" }));
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","alg":"RS256","kid":"k"}"#);
    for shape in [
        String::new(),
        "..".to_owned(),
        "a.b".to_owned(),
        format!("{good}.x"),
        format!("{good}.x.y"),
        format!("{good}{}", "A".repeat(10_000)),
        format!("{twice}.{payload}.c2ln"),
        format!(" {good}"),
    ] {
        assert!(take_apart(&shape).is_err(), "{shape}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_sent_makes_the_checks_fall_over(token in "\\PC{0,300}", json in "\\PC{0,300}") {
        let _ = take_apart(&token);
        let _ = check(&token, &expected(), Duration::ZERO);
        let _ = take_apart(&format!("{0}.{0}.{0}", URL_SAFE_NO_PAD.encode(&json)));
        let _ = check(&URL_SAFE_NO_PAD.encode(&json), &expected(), Duration::ZERO);
    }
}
