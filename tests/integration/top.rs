//! `top`: the numbers are those of the cgroups, and every form can be read by who reads it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::call::eventually;
use crate::harness::pty::Terminal;
use crate::harness::{Container, Lab, host, tests};

tests![
    top_shows_who_is_busy,
    top_tells_memory_pressure_throttling_and_kills,
    top_as_json_is_a_line_for_each_look,
    top_as_openmetrics_is_a_valid_exposition,
    top_shows_nothing_of_containers_that_have_stopped,
    top_on_a_terminal_goes_on_until_q,
    top_gives_the_terminal_back_when_it_is_ended,
    top_refuses_an_interval_of_nothing,
];

fn need(lab: &Lab) {
    lab.need_corten("no other runtime has top");
}

fn busy(lab: &Lab) -> Container<'_> {
    let mut bundle = lab.bundle();
    bundle.sh("while :; do :; done");
    lab.start(&bundle)
}

fn once(lab: &Lab) -> Vec<Value> {
    let words = ["top", "--once", "--format", "json", "--interval", "300ms"];
    let page = lab.corten(&words).ok().json();
    assert_eq!(page["version"], 1);
    page["containers"].as_array().unwrap().clone()
}

fn top_shows_who_is_busy(lab: &Lab) {
    need(lab);
    let (idle, busy) = (lab.start(&lab.sleeper()), busy(lab));
    let text = lab.corten(&["top", "--once", "-i", "500ms"]).ok().out;
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0][..3], ["ID", "STATUS", "CPU%"]);
    assert_eq!((lines[1][0], lines[1][1]), (busy.id.as_str(), "running"));
    let share: f64 = lines[1][2].parse().unwrap();
    assert!((5.0..=150.0).contains(&share), "{text}");
    assert_eq!((lines[2][0], lines[2][2]), (idle.id.as_str(), "0.0"));
    idle.end();
    busy.end();
}

fn top_tells_memory_pressure_throttling_and_kills(lab: &Lab) {
    need(lab);
    for controller in ["memory", "cpu", "pids"] {
        lab.need_controller(controller);
    }
    let mut bundle = lab.bundle();
    bundle
        .set("/linux/resources/memory/limit", (32 << 20).into())
        .set("/linux/resources/cpu/quota", 10_000.into())
        .set("/linux/resources/cpu/period", 100_000.into())
        .set("/linux/resources/pids/limit", 20.into())
        .sh("head -c 64m /dev/zero | tail -c 64m >/dev/null; while :; do :; done");
    let container = lab.start(&bundle);
    eventually("a process is killed", || {
        once(lab)[0]["oomKills"].as_u64() > Some(0)
    });
    let usage = &once(lab)[0];
    assert_eq!(usage["memory"]["limit"], 32 << 20);
    assert!(usage["memory"]["bytes"].as_u64().unwrap() <= 32 << 20);
    assert!(
        usage["memory"]["pressure"]["some"]["total"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert!(
        usage["cpu"]["throttledPercent"].as_f64().unwrap() > 50.0,
        "{usage}"
    );
    assert!(usage["cpu"]["percent"].as_f64().unwrap() < 50.0, "{usage}");
    assert_eq!(usage["pids"]["limit"], 20);
    container.end();
}

fn top_as_json_is_a_line_for_each_look(lab: &Lab) {
    need(lab);
    let container = busy(lab);
    let usage = &once(lab)[0];
    assert_eq!(usage["id"], *container.id);
    assert_eq!(usage["status"], "running");
    let before = usage["cpu"]["usageSeconds"].as_f64().unwrap();
    assert!(once(lab)[0]["cpu"]["usageSeconds"].as_f64().unwrap() > before);
    assert_eq!(usage["pids"]["current"], 1);
    // Without --once it goes on, a line each, until nobody reads any more.
    let call = lab.call(&["top", "--format", "json", "--interval", "50ms"]);
    let done = call.within(lab, "\"$@\" | head -3").done();
    assert_eq!(done.lines().len(), 3, "{done:?}");
    for line in done.lines() {
        let page: Value = serde_json::from_str(line).unwrap();
        assert!(
            page["containers"][0]["cpu"]["percent"].is_number(),
            "{line}"
        );
    }
    container.end();
}

fn top_as_openmetrics_is_a_valid_exposition(lab: &Lab) {
    need(lab);
    let (first, second) = (lab.start(&lab.sleeper()), busy(lab));
    let text = lab.corten(&["top", "--format", "openmetrics"]).ok().out;
    let samples = openmetrics(&text);
    for id in [&first.id, &second.id] {
        let info = format!("corten_container_info{{id=\"{id}\",status=\"running\"}}");
        assert_eq!(samples[&info], 1.0, "{text}");
        let pids = format!("corten_container_pids{{id=\"{id}\"}}");
        assert_eq!(samples[&pids], 1.0, "{text}");
    }
    let seconds = |id: &str| samples[&format!("corten_container_cpu_seconds_total{{id=\"{id}\"}}")];
    eventually("the processor's time grows", || {
        let text = lab.corten(&["top", "--format", "openmetrics"]).ok().out;
        let key = format!("corten_container_cpu_seconds_total{{id=\"{}\"}}", second.id);
        openmetrics(&text)[&key] > seconds(&second.id)
    });
    first.end();
    second.end();
    assert!(openmetrics(&lab.corten(&["top", "-f", "openmetrics"]).ok().out).is_empty());
}

/// A reader of OpenMetrics 1.0 (the ABNF and the rules for families), which panics at the first breach; the samples
/// by name and labels.
fn openmetrics(text: &str) -> BTreeMap<String, f64> {
    let body = text
        .strip_suffix("# EOF\n")
        .expect("the exposition ends in # EOF");
    let mut samples = BTreeMap::new();
    let mut families: BTreeMap<&str, (&str, Vec<&str>)> = BTreeMap::new();
    let mut current = "";
    for line in body.split_terminator('\n') {
        assert!(!line.is_empty(), "an empty line");
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (
                words.next().unwrap(),
                words.next().unwrap(),
                words.next().unwrap(),
            );
            assert!(is_name(name), "{line}");
            match what {
                "TYPE" => {
                    assert!(["gauge", "counter", "info"].contains(&rest), "{line}");
                    assert!(
                        families.insert(name, (rest, vec!["TYPE"])).is_none(),
                        "{name} comes twice"
                    );
                    current = name;
                }
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                "HELP" => assert!(!rest.contains('\n')),
                other => panic!("# {other}"),
            }
            assert_eq!(name, current, "families are not mixed");
            let seen = &mut families.get_mut(name).unwrap().1;
            assert!(what == "TYPE" || !seen.contains(&what), "{line}");
            seen.push(what);
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = key.split_once('{').unwrap();
        assert!(is_name(name), "{line}");
        let suffix = match families[current].0 {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert_eq!(name, format!("{current}{suffix}"), "{line}");
        check_labels(labels.strip_suffix('}').unwrap());
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0 && value.is_finite(), "{line}");
        assert!(
            samples.insert(key.to_owned(), value).is_none(),
            "{key} comes twice"
        );
    }
    samples
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || "_:".contains(first))
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "_:".contains(letter))
}

/// `name="text",…`, each name once, quotes and backslashes escaped.
fn check_labels(mut labels: &str) {
    let mut names = Vec::new();
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").unwrap();
        assert!(
            is_name(name) && !name.contains(':') && !names.contains(&name),
            "{labels}"
        );
        names.push(name);
        let mut is_escaped = false;
        let end = rest.find(|letter| {
            let is_end = letter == '"' && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            is_end
        });
        labels = &rest[end.unwrap() + 1..];
        if let Some(more) = labels.strip_prefix(',') {
            assert!(!more.is_empty(), "a comma at the end");
            labels = more;
        }
    }
}

fn top_shows_nothing_of_containers_that_have_stopped(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    container.corten(&["pause"], &[]).ok();
    assert_eq!(once(lab)[0]["status"], "paused");
    container.corten(&["resume"], &[]).ok();
    container.kill("KILL");
    container.wait();
    assert!(once(lab).is_empty());
    // One that cannot be read does not hide the others.
    let other = lab.start(&lab.sleeper());
    let record = lab.root.join(&container.id).join("state.json");
    let text = fs::read(&record).unwrap();
    fs::write(&record, "{").unwrap();
    let done = lab.corten(&["top", "--once", "-i", "10ms"]).ok();
    assert!(done.out.contains(&other.id), "{done:?}");
    assert!(done.err.contains(&container.id), "{done:?}");
    fs::write(&record, text).unwrap();
    other.end();
    container.end();
}

/// A terminal of 12 lines and 40 columns, `top` on it, and the terminal's modes before.
fn on_a_terminal(lab: &Lab) -> (Terminal, Child, std::os::fd::OwnedFd, Termios) {
    let size = Winsize {
        ws_row: 12,
        ws_col: 40,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pair = openpty(Some(&size), None).unwrap();
    let before = tcgetattr(&pair.slave).unwrap();
    let slave = || pair.slave.try_clone().unwrap();
    let child = Command::new(host::binary())
        .args([
            "--root",
            &lab.root.display().to_string(),
            "top",
            "-i",
            "100ms",
        ])
        .stdin(slave())
        .stdout(slave())
        .stderr(slave())
        .spawn()
        .unwrap();
    (Terminal::new(pair.master), child, pair.slave, before)
}

fn top_on_a_terminal_goes_on_until_q(lab: &Lab) {
    need(lab);
    let container = lab.start(&lab.sleeper());
    let (mut terminal, mut top, slave, before) = on_a_terminal(lab);
    let first = terminal.expect(&container.id);
    assert!(
        first.contains("\u{1b}[?1049h") && first.contains("q quits"),
        "{first:?}"
    );
    // A page does not fit: what is beyond the right edge is cut, and there are several pages.
    assert!(!first.contains("THROTTLED%  MEMORY  LIMIT"), "{first:?}");
    // The second look has a share to show.
    terminal.expect(" 0.0");
    assert_ne!(tcgetattr(&slave).unwrap(), before);
    terminal.enter("q");
    assert!(top.wait().unwrap().success());
    terminal.expect("\u{1b}[?1049l");
    assert_eq!(tcgetattr(&slave).unwrap(), before);
    container.end();
}

fn top_gives_the_terminal_back_when_it_is_ended(lab: &Lab) {
    need(lab);
    let (mut terminal, mut top, slave, before) = on_a_terminal(lab);
    terminal.expect("0 containers");
    kill(
        Pid::from_raw(i32::try_from(top.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert!(top.wait().unwrap().success());
    terminal.expect("\u{1b}[?1049l");
    assert_eq!(tcgetattr(&slave).unwrap(), before);
}

fn top_refuses_an_interval_of_nothing(lab: &Lab) {
    need(lab);
    lab.corten(&["top", "--interval", "0"])
        .fails(1, "--interval");
}
