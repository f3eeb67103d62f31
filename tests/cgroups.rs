//! The cgroup room against a real kernel.
//!
//! Every test runs itself again in a private mount namespace where /sys/fs/cgroup is the v2 tree,
//! so that a hybrid host looks like a unified one, and works in a cgroup of its own that it removes.
//! What the host cannot do is skipped with a word why.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use corten::cgroups::{
    self, CgroupHost, CgroupPath, Created, DeviceFilter, freeze, remove, run, stats, walk,
};
use corten::config::Resources;
use corten::sys;

const INSIDE: &str = "CORTEN_TEST_CGROUP2_ONLY";

/// Runs `body` where only cgroup v2 can be seen; `name` is the test's own.
fn with_cgroup2(name: &str, body: fn(&Bench)) {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: {name}: not root");
    }
    if std::env::var_os(INSIDE).is_some() {
        let bench = Bench::new(name);
        body(&bench);
        return bench.finish();
    }
    let script = "mount --make-rprivate / && if [ -d /sys/fs/cgroup/unified ]; then \
                  mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup; fi && exec \"$@\"";
    let status = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed inside its mount namespace");
}

/// The tree, and a place in it for one test.
struct Bench {
    host: CgroupHost,
    mount: OwnedFd,
    top: String,
}

impl Bench {
    fn new(name: &str) -> Self {
        let host = CgroupHost::probe(None, DeviceFilter::Enforced).unwrap();
        let mount = run::open_mount(&host.mount).unwrap();
        let top = format!("corten-test-{}-{name}", std::process::id());
        Self { host, mount, top }
    }

    fn path(&self, below: &str) -> CgroupPath {
        CgroupPath::try_from(format!("{}{below}", self.top)).unwrap()
    }

    fn create(&self, below: &str) -> Created {
        run::create(self.mount.as_fd(), &self.path(below), &[]).unwrap()
    }

    fn open_or_create(&self, plan: &cgroups::CgroupPlan) -> OwnedFd {
        match run::open(self.mount.as_fd(), &plan.path).unwrap() {
            Some(dir) => dir,
            None => {
                run::create(self.mount.as_fd(), &plan.path, &plan.enable)
                    .unwrap()
                    .dir
            }
        }
    }

    fn exists(&self, below: &str) -> bool {
        run::open(self.mount.as_fd(), &self.path(below))
            .unwrap()
            .is_some()
    }

    fn finish(&self) {
        remove::remove(self.mount.as_fd(), &self.path(""), soon()).unwrap();
        assert!(!self.exists(""));
    }

    fn resources(&self, json: &str) -> corten::Result<cgroups::CgroupPlan> {
        let resources: Resources = serde_json::from_str(json).unwrap();
        cgroups::plan(
            Some(&format!("/{}/limited", self.top)),
            "id",
            &corten::config::Pairs::default(),
            &resources,
            &self.host,
        )
        .map(|plan| plan.expect("root has the right to a cgroup"))
    }
}

/// A test that failed leaves nothing either.
impl Drop for Bench {
    fn drop(&mut self) {
        if let Ok(Some(dir)) = run::open(self.mount.as_fd(), &self.path("")) {
            remove::kill(dir.as_fd()).ok();
            remove::remove(self.mount.as_fd(), &self.path(""), soon()).ok();
        }
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// A process in a cgroup; killed when dropped.
struct Inmate(Child);

impl Inmate {
    fn new(dir: &OwnedFd, script: &str) -> Self {
        // Waits for a line, so that it acts only once it is inside.
        let child = Command::new("sh")
            .args(["-c", &format!("read line; {script}")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut inmate = Self(child);
        run::join(dir.as_fd(), inmate.pid()).unwrap();
        drop(inmate.0.stdin.take());
        inmate
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Inmate {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn create_makes_what_is_missing_and_remove_is_idempotent() {
    with_cgroup2(
        "create_makes_what_is_missing_and_remove_is_idempotent",
        |bench| {
            let created = bench.create("/a/b");
            let made: Vec<String> = created.made.iter().map(ToString::to_string).collect();
            let top = &bench.top;
            assert_eq!(
                made,
                [
                    format!("/{top}"),
                    format!("/{top}/a"),
                    format!("/{top}/a/b")
                ]
            );
            assert_eq!(run::id(created.dir.as_fd()).unwrap(), created.id);
            let again = bench.create("/a/b");
            assert!(again.made.is_empty());
            assert_eq!(again.id, created.id);
            for _ in 0..2 {
                remove::remove(bench.mount.as_fd(), &bench.path("/a/b"), soon()).unwrap();
                assert!(!bench.exists("/a/b"));
            }
            run::unmake(bench.mount.as_fd(), &created.made);
            assert!(!bench.exists(""));
        },
    );
}

#[test]
fn a_failed_create_leaves_nothing() {
    with_cgroup2("a_failed_create_leaves_nothing", |bench| {
        let enable = [cgroups::Enable {
            controller: "nonsense".to_owned(),
            asked_by: Some(corten::error::Field::new("linux.resources.pids.limit")),
        }];
        let failure = run::create(bench.mount.as_fd(), &bench.path("/a/b"), &enable).unwrap_err();
        assert!(
            failure
                .to_string()
                .starts_with("linux.resources.pids.limit: cgroup / has no nonsense controller"),
            "{failure}"
        );
        assert!(!bench.exists(""));
        // The kernel wants no line break in a cgroup's name; the parents are made by then.
        let broken = bench.path("/a/b\nc");
        let failure = run::create(bench.mount.as_fd(), &broken, &[]).unwrap_err();
        assert!(
            failure.to_string().ends_with("invalid argument"),
            "{failure}"
        );
        assert!(!bench.exists(""));
    });
}

#[test]
fn a_used_cgroup_is_refused() {
    with_cgroup2("a_used_cgroup_is_refused", |bench| {
        let refused = |below| {
            run::create(bench.mount.as_fd(), &bench.path(below), &[])
                .unwrap_err()
                .to_string()
        };
        let created = bench.create("/used");
        let inmate = Inmate::new(&created.dir, "exec sleep 1000");
        assert!(refused("/used").contains("container's cgroup is not empty"));
        assert!(
            refused("").contains("container's cgroup is not empty"),
            "the processes are below"
        );
        drop(inmate);
        remove::kill(created.dir.as_fd()).unwrap();
        remove::wait_empty(created.dir.as_fd(), soon()).unwrap();
        freeze::freeze(created.dir.as_fd(), soon()).unwrap();
        assert!(refused("/used").contains("container's cgroup unexpectedly frozen"));
    });
}

#[test]
fn kill_reaches_nested_and_frozen_processes() {
    with_cgroup2("kill_reaches_nested_and_frozen_processes", |bench| {
        let outer = bench.create("/box");
        let inner = bench.create("/box/in/ner");
        let first = Inmate::new(&outer.dir, "exec sleep 1000");
        let second = Inmate::new(&inner.dir, "sleep 1000 & sleep 1000");
        let listed = walk::processes(outer.dir.as_fd()).unwrap();
        assert!(
            listed.contains(&first.pid()) && listed.contains(&second.pid()),
            "{listed:?}"
        );
        freeze::freeze(outer.dir.as_fd(), soon()).unwrap();
        assert!(freeze::frozen(inner.dir.as_fd()).unwrap());
        let early = remove::wait_empty(
            outer.dir.as_fd(),
            Instant::now() + Duration::from_millis(20),
        );
        assert_eq!(
            early.unwrap_err().to_string(),
            "processes are left in the container's cgroup"
        );
        let busy = remove::remove(bench.mount.as_fd(), &bench.path("/box"), Instant::now());
        assert!(
            busy.unwrap_err()
                .to_string()
                .ends_with("device or resource busy")
        );
        remove::kill(outer.dir.as_fd()).unwrap();
        remove::wait_empty(outer.dir.as_fd(), soon()).unwrap();
        assert!(walk::processes(outer.dir.as_fd()).unwrap().is_empty());
        remove::remove(bench.mount.as_fd(), &bench.path("/box"), soon()).unwrap();
        // Everything about a cgroup that is gone is an answer, not an error.
        remove::kill(outer.dir.as_fd()).unwrap();
        remove::wait_empty(outer.dir.as_fd(), soon()).unwrap();
        assert!(!freeze::frozen(outer.dir.as_fd()).unwrap());
        assert!(walk::processes(outer.dir.as_fd()).unwrap().is_empty());
    });
}

#[test]
fn freeze_and_thaw_are_seen_in_events() {
    with_cgroup2("freeze_and_thaw_are_seen_in_events", |bench| {
        let created = bench.create("/box");
        let _inmate = Inmate::new(&created.dir, "while :; do :; done");
        freeze::freeze(created.dir.as_fd(), soon()).unwrap();
        assert!(freeze::frozen(created.dir.as_fd()).unwrap());
        freeze::thaw(created.dir.as_fd()).unwrap();
        remove::kill(created.dir.as_fd()).unwrap();
    });
}

#[test]
fn a_deep_tree_is_removed_without_running_out_of_anything() {
    with_cgroup2(
        "a_deep_tree_is_removed_without_running_out_of_anything",
        |bench| {
            let created = bench.create("");
            let mut dir = created.dir;
            let name = CString::new("x".repeat(200)).unwrap();
            let longest = CString::new("y".repeat(4095)).unwrap();
            // Deeper than PATH_MAX, in steps that need no path.
            for _ in 0..64 {
                use std::os::fd::AsRawFd;
                sys::fs::mkdirat(dir.as_raw_fd(), &name, 0o755).unwrap();
                sys::fs::mkdirat(dir.as_raw_fd(), c"sibling", 0o755).unwrap();
                // cgroupfs has no NAME_MAX.
                sys::fs::mkdirat(dir.as_raw_fd(), &longest, 0o755).unwrap();
                dir = sys::cgroup::open_dir(dir.as_fd(), &name).unwrap();
            }
            drop(dir);
            let top = run::open(bench.mount.as_fd(), &bench.path(""))
                .unwrap()
                .unwrap();
            assert!(walk::processes(top.as_fd()).unwrap().is_empty());
            remove::remove(bench.mount.as_fd(), &bench.path(""), soon()).unwrap();
            assert!(!bench.exists(""));
        },
    );
}

#[test]
fn limits_arrive_in_their_files() {
    with_cgroup2("limits_arrive_in_their_files", |bench| {
        let cases = [
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#,
                "hugetlb.2MB.max",
                "4194304",
            ),
            (r#"{"pids":{"limit":7}}"#, "pids.max", "7"),
            (
                r#"{"memory":{"limit":33554432,"swap":33554432}}"#,
                "memory.max",
                "33554432",
            ),
            (r#"{"cpu":{"shares":1024}}"#, "cpu.weight", "100"),
            (
                r#"{"cpu":{"quota":50000,"period":200000,"burst":10000}}"#,
                "cpu.max.burst",
                "10000",
            ),
            (r#"{"cpu":{"cpus":"0","mems":"0"}}"#, "cpuset.cpus", "0"),
            (
                r#"{"unified":{"cgroup.max.depth":"3"}}"#,
                "cgroup.max.depth",
                "3",
            ),
        ];
        for (json, file, expected) in cases {
            let Some(plan) = planned(bench, json) else {
                continue;
            };
            let created = run::create(bench.mount.as_fd(), &plan.path, &plan.enable).unwrap();
            for write in &plan.writes {
                run::write(created.dir.as_fd(), write).unwrap();
            }
            let found = sys::cgroup::read_file(created.dir.as_fd(), &CString::new(file).unwrap());
            assert_eq!(found.unwrap().trim(), expected, "{file}");
            remove::remove(bench.mount.as_fd(), &plan.path, soon()).unwrap();
        }
    });
}

#[test]
fn refused_values_name_field_value_and_file() {
    with_cgroup2("refused_values_name_field_value_and_file", |bench| {
        let created = bench.create("/box");
        let refused = |json| {
            let plan = bench.resources(json).unwrap();
            run::write(created.dir.as_fd(), &plan.writes[0])
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(r#"{"unified":{"cgroup.max.depth":"banana"}}"#),
            "linux.resources.unified[\"cgroup.max.depth\"]: cannot write \"banana\" to cgroup.max.depth: invalid argument"
        );
        assert_eq!(
            refused(r#"{"unified":{"cgroup.nonsense":"1"}}"#),
            "linux.resources.unified[\"cgroup.nonsense\"]: cannot write \"1\" to cgroup.nonsense: the kernel has no such knob here"
        );
    });
}

#[test]
fn device_rules_bind_processes_in_the_cgroup() {
    with_cgroup2("device_rules_bind_processes_in_the_cgroup", |bench| {
        let created = bench.create("/box");
        let attach = |json: &str, replace: bool| {
            let program = bench.resources(json).unwrap().devices.unwrap();
            let act = if replace {
                run::replace_devices
            } else {
                run::attach_devices
            };
            act(created.dir.as_fd(), &program).unwrap();
        };
        let succeeds = |script: &str| {
            let mut inmate = Inmate::new(&created.dir, script);
            inmate.0.wait().unwrap().success()
        };
        // Any node of the host will do that is not among the defaults.
        let write_kmsg = "exec 2>/dev/null; : > /dev/kmsg";
        assert!(succeeds("exec 2>/dev/null; : < /dev/kmsg"));
        attach("{}", false);
        assert!(succeeds(
            ": > /dev/null && : < /dev/zero && head -c1 /dev/urandom > /dev/null"
        ));
        assert!(!succeeds("exec 2>/dev/null; : < /dev/kmsg"));
        attach(
            r#"{"devices":[{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]}"#,
            true,
        );
        assert!(succeeds("exec 2>/dev/null; : < /dev/kmsg"));
        assert!(!succeeds(write_kmsg));
        let programs = || {
            sys::bpf::device_programs(created.dir.as_fd())
                .unwrap()
                .len()
        };
        assert_eq!(programs(), 1);
        // The next container there starts afresh.
        remove::wait_empty(created.dir.as_fd(), soon()).unwrap();
        bench.create("/box");
        assert_eq!(programs(), 0);
    });
}

#[test]
fn the_verifier_takes_long_programs() {
    with_cgroup2("the_verifier_takes_long_programs", |bench| {
        let created = bench.create("/box");
        for count in [0, 1, 2, 30, 1024] {
            let rule = |index: usize| {
                let allow = index.is_multiple_of(2);
                let kind = ["c", "b", "a"][index % 3];
                format!(
                    r#"{{"allow":{allow},"type":"{kind}","major":{index},"minor":{index},"access":"rw"}}"#
                )
            };
            let rules: Vec<String> = (0..count).map(rule).collect();
            let plan = bench
                .resources(&format!(r#"{{"devices":[{}]}}"#, rules.join(",")))
                .unwrap();
            run::replace_devices(created.dir.as_fd(), &plan.devices.unwrap()).unwrap();
        }
        let nonsense = sys::bpf::load_device_program(c"nonsense", &[0x95]).unwrap_err();
        assert!(nonsense.log.contains("R0 !read_ok"), "{nonsense:?}");
    });
}

#[test]
fn delegation_gives_the_directory_but_not_the_limits() {
    with_cgroup2(
        "delegation_gives_the_directory_but_not_the_limits",
        |bench| {
            use std::os::fd::AsRawFd;
            let created = bench.create("/box");
            run::delegate(created.dir.as_fd(), 12345).unwrap();
            let owner = |file| {
                sys::fs::lstatat(created.dir.as_raw_fd(), file)
                    .unwrap()
                    .st_uid
            };
            assert_eq!(
                sys::fs::fstat(created.dir.as_raw_fd()).unwrap().st_uid,
                12345
            );
            assert_eq!(owner(c"cgroup.procs"), 12345);
            assert_eq!(owner(c"cgroup.subtree_control"), 12345);
            assert_eq!(owner(c"cgroup.max.depth"), 0);
            assert_eq!(owner(c"cgroup.freeze"), 0);
        },
    );
}

#[test]
fn statistics_need_no_controller() {
    with_cgroup2("statistics_need_no_controller", |bench| {
        let created = bench.create("/box");
        let mut inmate = Inmate::new(
            &created.dir,
            "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; done",
        );
        inmate.0.wait().unwrap();
        let read = stats::read(created.dir.as_fd()).unwrap();
        assert!(read.cpu.usage.total > 0, "{read:?}");
        let kills = stats::oom_kills(created.dir.as_fd()).unwrap();
        assert_eq!(kills.unwrap_or(0), 0);
        let huge = run::create(bench.mount.as_fd(), &bench.path("/huge"), &[]).unwrap();
        assert!(
            stats::read(huge.dir.as_fd()).unwrap().hugetlb.is_empty(),
            "not enabled there"
        );
    });
}

/// A plan, or a word why this host has none.
fn planned(bench: &Bench, json: &str) -> Option<cgroups::CgroupPlan> {
    match bench.resources(json) {
        Ok(plan) => Some(plan),
        Err(failure) => {
            println!("skipped: {failure}");
            None
        }
    }
}

#[test]
fn quota_and_burst_change_in_any_direction() {
    with_cgroup2("quota_and_burst_change_in_any_direction", |bench| {
        let steps = [
            (50_000, 40_000),
            (20_000, 10_000),
            (90_000, 90_000),
            (1_000, 0),
        ];
        for (quota, burst) in steps {
            let json = format!(r#"{{"cpu":{{"quota":{quota},"burst":{burst}}}}}"#);
            let Some(plan) = planned(bench, &json) else {
                return;
            };
            let dir = bench.open_or_create(&plan);
            for write in &plan.writes {
                run::write(dir.as_fd(), write).unwrap();
            }
            let read = |file| sys::cgroup::read_file(dir.as_fd(), file).unwrap();
            assert_eq!(read(c"cpu.max"), format!("{quota} 100000\n"));
            assert_eq!(read(c"cpu.max.burst"), format!("{burst}\n"));
        }
    });
}

#[test]
fn weights_and_throttles_reach_the_scheduler_there_is() {
    with_cgroup2(
        "weights_and_throttles_reach_the_scheduler_there_is",
        |bench| {
            let Ok(disk) = std::fs::read_to_string("/sys/block/vda/dev") else {
                return println!("skipped: no /dev/vda to throttle");
            };
            let (major, minor) = disk.trim().split_once(':').unwrap();
            let device = format!(r#""major":{major},"minor":{minor}"#);
            let json = format!(
                r#"{{"blockIO":{{"throttleReadBpsDevice":[{{{device},"rate":1048576}}],
                "throttleWriteIOPSDevice":[{{{device},"rate":100}}]}}}}"#
            );
            let Some(plan) = planned(bench, &json) else {
                return;
            };
            let dir = bench.open_or_create(&plan);
            for write in &plan.writes {
                run::write(dir.as_fd(), write).unwrap();
            }
            let max = sys::cgroup::read_file(dir.as_fd(), c"io.max").unwrap();
            assert_eq!(
                max.trim(),
                format!("{major}:{minor} rbps=1048576 wbps=max riops=max wiops=100")
            );
            for write in planned(bench, r#"{"blockIO":{"weight":500}}"#)
                .unwrap()
                .writes
            {
                match run::write(dir.as_fd(), &write) {
                    Ok(()) => {}
                    Err(failure) => println!("skipped: neither BFQ nor io.cost: {failure}"),
                }
            }
        },
    );
}

#[test]
fn a_parent_with_processes_cannot_hand_down_and_says_so() {
    with_cgroup2(
        "a_parent_with_processes_cannot_hand_down_and_says_so",
        |bench| {
            let Some(plan) = planned(bench, r#"{"memory":{"limit":33554432}}"#) else {
                return;
            };
            let parent = bench.create("");
            let inmate = Inmate::new(&parent.dir, "exec sleep 1000");
            let failure = run::create(bench.mount.as_fd(), &plan.path, &plan.enable).unwrap_err();
            let text = failure.to_string();
            assert!(
                text.starts_with("linux.cgroupsPath: cannot enable the memory controller"),
                "{text}"
            );
            assert!(
                text.contains("a cgroup with processes cannot control its children"),
                "{text}"
            );
            // What nobody asked for must not turn the parent into a threaded domain.
            let unasked = plan.enable.iter().cloned();
            let unasked = unasked.map(|wanted| cgroups::Enable {
                asked_by: None,
                ..wanted
            });
            let unasked: Vec<cgroups::Enable> = unasked.collect();
            run::create(bench.mount.as_fd(), &plan.path, &unasked).unwrap();
            let kind = sys::cgroup::read_file(parent.dir.as_fd(), c"cgroup.type").unwrap();
            assert_eq!(kind.trim(), "domain");
            drop(inmate);
            remove::wait_empty(parent.dir.as_fd(), soon()).unwrap();
            let created = run::create(bench.mount.as_fd(), &plan.path, &plan.enable).unwrap();
            drop(created);
            // And now the parent is no place for processes.
            let failure = run::create(bench.mount.as_fd(), &bench.path(""), &[]).unwrap_err();
            assert!(
                failure.to_string().contains("controls children"),
                "{failure}"
            );
        },
    );
}

#[test]
fn memory_kills_are_counted_and_limits_below_usage_refused() {
    with_cgroup2(
        "memory_kills_are_counted_and_limits_below_usage_refused",
        |bench| {
            let json = r#"{"memory":{"limit":8388608,"swap":8388608,"checkBeforeUpdate":true}}"#;
            let Some(plan) = planned(bench, json) else {
                return;
            };
            let dir = bench.open_or_create(&plan);
            for write in &plan.writes {
                run::write(dir.as_fd(), write).unwrap();
            }
            // A shell variable of 64 MiB.
            let eat = "x=$(head -c 67108864 /dev/zero | tr '\\0' x)";
            let mut inmate = Inmate::new(&dir, eat);
            assert!(!inmate.0.wait().unwrap().success());
            remove::wait_empty(dir.as_fd(), soon()).unwrap();
            assert!(stats::oom_kills(dir.as_fd()).unwrap().unwrap() > 0);
            let _inmate = Inmate::new(&dir, "exec sleep 1000");
            for limit in &plan.usage {
                run::check_usage(dir.as_fd(), limit).unwrap();
            }
            // Swap first, as runc looks.
            let words = [
                "linux.resources.memory.swap: rejecting memory+swap limit 1: it is not above the usage",
                "linux.resources.memory.limit: rejecting memory limit 1: it is not above the usage",
            ];
            assert_eq!(plan.usage.len(), words.len());
            for (usage, words) in plan.usage.iter().zip(words) {
                let limit = cgroups::UsageLimit {
                    limit: 1,
                    ..usage.clone()
                };
                let refused = run::check_usage(dir.as_fd(), &limit).unwrap_err();
                assert!(refused.to_string().starts_with(words), "{refused}");
            }
            let read = stats::read(dir.as_fd()).unwrap();
            assert_eq!(read.memory.usage.limit, 8_388_608);
            assert_eq!(read.memory.swap.limit, 8_388_608);
            assert!(read.memory.usage.usage > 0 && read.memory.raw.contains_key("anon"));
            assert!(read.pids.current >= 1);
        },
    );
}
