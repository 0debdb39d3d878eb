use super::*;

fn sources(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    Sources {
        file: Some(("trunkline.toml".into(), file.to_owned())),
        env: pairs(env).into_iter().collect(),
        flags: pairs(flags),
    }
}

#[test]
fn later_sources_win() {
    let file = "calls_max = 7\nnode = \"from-file\"\n[deepgram]\nmodel = \"from-file\"";
    let config = Config::load(&sources(
        file,
        &[("TRUNKLINE_NODE", "from-env"), ("DEEPGRAM_MODEL", "from-env")],
        &[("node", "from-flag")],
    ))
    .unwrap();
    assert_eq!(config.calls_max, 7);
    assert_eq!(config.deepgram_model, "from-env");
    assert_eq!(config.node, "from-flag");
    assert_eq!(config.http_addr.port(), 8080);
}

#[test]
fn every_problem_is_reported_with_its_key_source_and_what_is_allowed() {
    let problems = Config::load(&sources(
        "colour = 3\ncalls_max = 0",
        &[
            ("TRUNKLINE_HTTP_ADDR", "nowhere"),
            ("DEEPGRAM_BASE_URL", "mailto:x"),
            ("TRUNKLINE_TLS_CERT", "/no/such"),
            ("EXOTEL_WEBHOOK_SECRET", "a/secret"),
            ("EXOTEL_NETWORKS", "203.0.113.0/24,everywhere"),
            ("EXOTEL_SAMPLE_RATE", "44100"),
        ],
        &[("speed", "9")],
    ))
    .unwrap_err();
    let text = problems.to_string();
    for part in [
        "colour (from trunkline.toml): there is no such setting",
        "calls_max (from trunkline.toml): \"0\" is not allowed",
        "http_addr (from environment TRUNKLINE_HTTP_ADDR)",
        "deepgram.base_url (from environment DEEPGRAM_BASE_URL)",
        "tls.cert (from environment TRUNKLINE_TLS_CERT)",
        "tls.key (from no source): must be set because tls.cert is",
        "exotel.webhook_secret (from environment EXOTEL_WEBHOOK_SECRET)",
        "exotel.networks (from environment EXOTEL_NETWORKS): \"203.0.113.0/24,everywhere\" is not allowed",
        "exotel.sample_rate (from environment EXOTEL_SAMPLE_RATE): \"44100\" is not allowed",
        "speed (from a flag): there is no such setting",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let config = Config::load(&sources("", &[("DEEPGRAM_API_KEY", "dg-secret")], &[])).unwrap();
    assert!(!format!("{config:?}").contains("dg-secret"));
}

#[test]
fn the_sample_is_a_valid_file_once_uncommented() {
    let mut text = String::new();
    for line in sample().lines() {
        let setting = line.strip_prefix("# ").filter(|rest| rest.contains(" = ") && !rest.contains(": "));
        text.push_str(setting.filter(|rest| !rest.ends_with("\"\"")).unwrap_or(line));
        text.push('\n');
    }
    Config::load(&sources(&text, &[], &[])).unwrap();
}

#[test]
fn the_committed_sample_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/config/trunkline.sample.toml");
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        sample(),
        "make deploy/config/trunkline.sample.toml anew"
    );
}
