//! `validate`: everything that is wrong, at once, with its place; for people, for programs, for editors.

use serde_json::{Value, json};

use crate::harness::{Bundle, Done, Lab, tests};
use crate::schema;

tests![
    a_right_configuration_has_nothing_wrong,
    everything_wrong_is_told_at_once_with_its_place,
    types_rules_and_planners_all_have_their_say,
    what_is_meant_is_guessed,
    warnings_alone_have_a_status_of_their_own,
    a_misspelt_mount_option_is_a_warning_with_its_place,
    a_filesystem_that_is_not_here_is_a_warning_on_request,
    a_file_that_is_no_json_is_one_finding,
    a_file_that_is_not_there_is_a_failure,
    a_place_after_an_element_that_is_wrong_is_still_right,
    the_host_is_asked_only_on_request,
    what_validate_passes_create_takes,
    json_and_sarif_agree_with_their_schemas,
];

fn validate(lab: &Lab, bundle: &Bundle, flags: &[&str]) -> Done {
    lab.need_corten("runc validates nothing");
    let path = bundle.write();
    lab.corten(&[&["validate"], flags, &[path.as_str()]].concat())
}

/// The findings as JSON.
fn findings(lab: &Lab, bundle: &Bundle, flags: &[&str]) -> Vec<Value> {
    let done = validate(lab, bundle, &[flags, &["--format", "json"]].concat());
    let report: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{done:?}"));
    report["findings"].as_array().unwrap().clone()
}

fn fields(findings: &[Value]) -> Vec<&str> {
    findings
        .iter()
        .map(|finding| finding["field"].as_str().unwrap_or(""))
        .collect()
}

fn push(bundle: &mut Bundle, mount: Value) {
    bundle.config["mounts"].as_array_mut().unwrap().push(mount);
}

fn a_right_configuration_has_nothing_wrong(lab: &Lab) {
    let bundle = lab.bundle();
    let done = validate(lab, &bundle, &[]).ok();
    assert!(
        done.out.ends_with("config.json: nothing is wrong\n"),
        "{done:?}"
    );
    assert_eq!(findings(lab, &bundle, &[]), Vec::<Value>::new());
}

fn everything_wrong_is_told_at_once_with_its_place(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set("/process/cwd", json!("tmp"));
    bundle.set(
        "/process/rlimits",
        json!([{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 5}]),
    );
    bundle.set(
        "/hooks",
        json!({"createRuntime": [{"path": "hook"}], "poststop": [{"path": "/x", "timeout": 0}]}),
    );
    bundle.set("/linux/rootPropagation", json!("slave"));
    let done = validate(lab, &bundle, &[]);
    assert_eq!(done.code, 2, "{done:?}");
    let text = std::fs::read_to_string(bundle.dir.join("config.json")).unwrap();
    for (name, words) in [
        ("\"tmp\"", "process.cwd: \"tmp\" is not an absolute path"),
        (
            "10",
            "process.rlimits[0].soft: 10 is above the hard limit 5",
        ),
        (
            "\"hook\"",
            "hooks.createRuntime[0].path: \"hook\" is not an absolute path",
        ),
        ("0", "hooks.poststop[0].timeout: 0 is not above 0 seconds"),
    ] {
        let line = done
            .out
            .lines()
            .find(|line| line.contains(words))
            .expect(&done.out);
        let mut place = line.rsplit_once(": error E0201").expect(line).0.rsplit(':');
        let column: usize = place.next().unwrap().parse().unwrap();
        let number: usize = place.next().unwrap().parse().unwrap();
        let there = &text.lines().nth(number - 1).unwrap()[column - 1..];
        assert!(there.starts_with(name), "{line}: {there}");
    }
    assert!(
        done.out
            .contains("linux.rootPropagation: unknown property, did you mean rootfsPropagation")
    );
    assert!(
        done.out.ends_with("config.json: 4 errors, 1 warning\n"),
        "{done:?}"
    );
}

fn types_rules_and_planners_all_have_their_say(lab: &Lab) {
    let mut bundle = lab.bundle();
    // Three faults of types, of which a parser alone would tell the first.
    bundle.set("/process/args", json!("sh"));
    bundle.set("/process/user", json!({"uid": "0", "gid": 0}));
    bundle.set("/linux/namespaces/0/type", json!("nett"));
    // A rule, and something that only the planner of mounts refuses.
    bundle.set("/process/oomScoreAdj", json!(2000));
    bundle.set("/hostname", json!("a\u{0}b"));
    let found = findings(lab, &bundle, &[]);
    let fields = fields(&found);
    for field in [
        "process.args",
        "process.user.uid",
        "linux.namespaces[0].type",
        "process.oomScoreAdj",
        "hostname",
    ] {
        assert_eq!(
            fields.iter().filter(|name| **name == field).count(),
            1,
            "{field}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

fn what_is_meant_is_guessed(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set(
        "/process/rlimits",
        json!([{"type": "RLIMIT_NOFILES", "soft": 1, "hard": 5}]),
    );
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALOW"}));
    bundle.set("/linux/rootfsPropagation", json!("slav"));
    let found = findings(lab, &bundle, &[]);
    let meant: Vec<_> = found
        .iter()
        .map(|finding| {
            (
                finding["field"].as_str().unwrap(),
                finding["suggestion"].as_str().unwrap_or(""),
            )
        })
        .collect();
    for pair in [
        ("process.rlimits[0].type", "RLIMIT_NOFILE"),
        ("linux.seccomp.defaultAction", "SCMP_ACT_ALLOW"),
        ("linux.rootfsPropagation", "slave"),
    ] {
        assert!(meant.contains(&pair), "{pair:?}: {found:#?}");
    }
}

fn warnings_alone_have_a_status_of_their_own(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set("/process/capabilities/bounding", json!(["CAP_CHWON"]));
    let done = validate(lab, &bundle, &[]);
    assert!(
        done.code == 1 && done.out.contains("warning W0201"),
        "{done:?}"
    );
    assert!(done.out.contains("did you mean CAP_CHOWN"), "{done:?}");
    lab.run(&bundle).ok();
}

fn a_misspelt_mount_option_is_a_warning_with_its_place(lab: &Lab) {
    let mut bundle = lab.bundle();
    let at = bundle.config["mounts"].as_array().unwrap().len();
    push(
        &mut bundle,
        json!({"destination": "/a", "type": "tmpfs", "options": ["nosiud", "size=1m", "moode=755"]}),
    );
    let done = validate(lab, &bundle, &[]);
    assert_eq!(done.code, 1, "{done:?}");
    let text = std::fs::read_to_string(bundle.dir.join("config.json")).unwrap();
    for (place, word, meant) in [(0, "nosiud", "nosuid"), (2, "moode", "mode")] {
        let quoted = format!("\"{word}");
        let (line, found) = text
            .lines()
            .enumerate()
            .find_map(|(line, text)| Some((line + 1, text.find(&quoted)? + 1)))
            .unwrap();
        let wanted = format!(
            "config.json:{line}:{found}: warning W0201: mounts[{at}].options[{place}]: \"{word}\" is no option of tmpfs, did you mean {meant}\n"
        );
        assert!(done.out.contains(&wanted), "{wanted} {done:?}");
    }
    let found = findings(lab, &bundle, &[]);
    assert_eq!(found[0]["pointer"], format!("/mounts/{at}/options/0"));
    assert_eq!(found[0]["suggestion"], "nosuid");
    // The kernel has the last word.
    lab.refuse(&bundle);
}

fn a_filesystem_that_is_not_here_is_a_warning_on_request(lab: &Lab) {
    let mut bundle = lab.bundle();
    push(&mut bundle, json!({"destination": "/a", "type": "tmpsf"}));
    assert_eq!(findings(lab, &bundle, &[]), Vec::<Value>::new());
    let found = findings(lab, &bundle, &["--host"]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        (&found[0]["origin"], &found[0]["suggestion"]),
        (&json!("host"), &json!("tmpfs"))
    );
    lab.refuse(&bundle);
}

fn a_file_that_is_no_json_is_one_finding(lab: &Lab) {
    lab.need_corten("runc validates nothing");
    let bundle = lab.bundle();
    let path = bundle.write();
    std::fs::write(
        bundle.dir.join("config.json"),
        "{\n  \"ociVersion\": \"1.0.0\",\n}",
    )
    .unwrap();
    let done = lab.corten(&["validate", &path]);
    assert_eq!(done.code, 2);
    assert!(
        done.out.contains("config.json:3:1: error E0202: "),
        "{done:?}"
    );
    assert!(done.out.ends_with("1 error, 0 warnings\n"), "{done:?}");
}

fn a_file_that_is_not_there_is_a_failure(lab: &Lab) {
    lab.need_corten("runc validates nothing");
    let done = lab.corten(&["validate", lab.path("nowhere").to_str().unwrap()]);
    assert!(
        done.code == 2 && done.err.contains("config.json not found"),
        "{done:?}"
    );
}

fn a_place_after_an_element_that_is_wrong_is_still_right(lab: &Lab) {
    let mut bundle = lab.bundle();
    let mounts = bundle.config["mounts"].as_array().unwrap().len();
    push(&mut bundle, json!("no mount at all"));
    push(
        &mut bundle,
        json!({"destination": "/a", "type": "bind", "source": "/", "options": ["rbind", "nosiud"]}),
    );
    push(
        &mut bundle,
        json!({"destination": "/../b", "type": "tmpfs", "source": "tmpfs"}),
    );
    let found = findings(lab, &bundle, &[]);
    let fields = fields(&found);
    let expected = [
        format!("mounts[{mounts}]"),
        format!("mounts[{}].options[1]", mounts + 1),
        format!("mounts[{}].destination", mounts + 2),
    ];
    assert_eq!(fields, expected, "{found:#?}");
}

fn the_host_is_asked_only_on_request(lab: &Lab) {
    let mut bundle = lab.bundle();
    push(
        &mut bundle,
        json!({"destination": "/a", "type": "bind", "source": "/no/such/place", "options": ["rbind"]}),
    );
    bundle.set(
        "/hooks",
        json!({"createRuntime": [{"path": "/no/such/hook"}]}),
    );
    bundle.set("/linux/netDevices", json!({"nosuch0": {}}));
    bundle.set("/process/rlimits", json!([]));
    assert_eq!(findings(lab, &bundle, &[]), Vec::<Value>::new());
    let found = findings(lab, &bundle, &["--host"]);
    let told: Vec<_> = found
        .iter()
        .map(|finding| {
            (
                finding["rule"].as_str().unwrap(),
                finding["field"].as_str().unwrap(),
            )
        })
        .collect();
    for (rule, field) in [
        ("E0501", "mounts["),
        ("E0505", "hooks.createRuntime[0]"),
        ("E0503", "linux.netDevices[\"nosuch0\"]"),
    ] {
        assert!(
            told.iter()
                .any(|(other, name)| *other == rule && name.starts_with(field)),
            "{rule} {field}: {found:#?}"
        );
    }
    assert!(
        found.iter().all(|finding| finding["origin"] == "host"),
        "{found:#?}"
    );
}

fn what_validate_passes_create_takes(lab: &Lab) {
    let bundle = lab.bundle();
    assert_eq!(validate(lab, &bundle, &["--host"]).code, 0);
    lab.run(&bundle).ok();
    // And what it does not pass, create refuses with the same words.
    let mut bundle = lab.bundle();
    bundle.set("/process/cwd", json!("tmp"));
    let found = findings(lab, &bundle, &[]);
    let refused = lab.refuse(&bundle);
    assert!(
        refused.err.contains(found[0]["message"].as_str().unwrap()),
        "{refused:?}"
    );
}

fn json_and_sarif_agree_with_their_schemas(lab: &Lab) {
    let mut bundle = lab.bundle();
    bundle.set("/process/cwd", json!("tmp"));
    bundle.set("/rooot", json!({}));
    for (format, text) in [
        ("json", include_str!("../../docs/schema/validate.json")),
        ("sarif", include_str!("../schema/sarif.json")),
    ] {
        let schema: Value = serde_json::from_str(text).unwrap();
        for flags in [&["--format", format][..], &["--host", "--format", format]] {
            let document = validate(lab, &bundle, flags);
            let document: Value = serde_json::from_str(&document.out).unwrap();
            let errors = schema::errors(&schema, &document);
            assert!(errors.is_empty(), "{format}: {errors:#?} {document:#}");
        }
        let right = lab.bundle();
        let document: Value =
            serde_json::from_str(&validate(lab, &right, &["--format", format]).out).unwrap();
        assert_eq!(schema::errors(&schema, &document), Vec::<String>::new());
    }
}
