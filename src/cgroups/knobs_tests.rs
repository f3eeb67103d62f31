use super::super::texts::{cost_weight, weight_of_shares};
use super::*;

/// `linux.resources` as JSON, and what is written: `file=value`.
fn written(json: &str) -> Vec<String> {
    let resources: Resources = serde_json::from_str(json).unwrap();
    let writes = writes(&resources).unwrap();
    writes
        .iter()
        .map(|write| format!("{}={}", write.file, write.value))
        .collect()
}

fn refused(json: &str) -> String {
    let resources: Resources = serde_json::from_str(json).unwrap();
    writes(&resources).unwrap_err().to_string()
}

#[test]
fn nothing_asked_is_nothing_written() {
    assert!(written("{}").is_empty());
    assert!(written(r#"{"memory":{},"cpu":{},"pids":{},"blockIO":{}}"#).is_empty());
    // Engines send zero for what they have not set.
    let zeroes = r#"{"memory":{"limit":0,"swap":0,"reservation":0},"cpu":{"shares":0,"quota":0,
        "period":0,"cpus":"","mems":""},"blockIO":{"weight":0}}"#;
    assert!(written(zeroes).is_empty());
}

#[test]
fn scalars_go_to_their_files() {
    assert_eq!(
        written(r#"{"memory":{"limit":1048576,"reservation":4096}}"#),
        ["memory.max=1048576", "memory.low=4096"]
    );
    assert_eq!(
        written(r#"{"cpu":{"cpus":"0-1","mems":"0"}}"#),
        ["cpuset.cpus=0-1", "cpuset.mems=0"]
    );
    assert_eq!(written(r#"{"pids":{"limit":-1}}"#), ["pids.max=max"]);
    assert_eq!(written(r#"{"pids":{"limit":20}}"#), ["pids.max=20"]);
}

#[test]
fn no_pids_still_admits_the_first() {
    assert_eq!(written(r#"{"pids":{"limit":0}}"#), ["pids.max=1"]);
}

#[test]
fn swap_no_longer_includes_memory() {
    let swap = |limit: i64, swap: i64| {
        let all = written(&format!(
            r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#
        ));
        all.into_iter()
            .find_map(|write| write.strip_prefix("memory.swap.max=").map(str::to_owned))
    };
    assert_eq!(swap(100, 300).as_deref(), Some("200"));
    assert_eq!(swap(100, 100).as_deref(), Some("0"));
    assert_eq!(swap(100, -1).as_deref(), Some("max"));
    assert_eq!(swap(-1, 0).as_deref(), Some("max"));
    assert_eq!(swap(-1, 300).as_deref(), Some("300"));
    assert_eq!(swap(100, 0), None);
    assert_eq!(
        refused(r#"{"memory":{"limit":300,"swap":100}}"#),
        "linux.resources.memory.swap: 100 is less than memory.limit (300), which it includes"
    );
    assert_eq!(
        refused(r#"{"memory":{"swap":100}}"#),
        "linux.resources.memory.swap: needs memory.limit, which it includes"
    );
    assert_eq!(
        refused(r#"{"memory":{"limit":-2}}"#),
        "linux.resources.memory.limit: -2 is neither a number of bytes nor -1 (no limit)"
    );
}

#[test]
fn a_kernel_without_swap_accounting_can_still_switch_swap_off() {
    let needs = |json| {
        let resources: Resources = serde_json::from_str(json).unwrap();
        writes(&resources).unwrap()[0].need.clone()
    };
    assert_eq!(needs(r#"{"memory":{"limit":1,"swap":1}}"#), Need::IfPresent);
    assert_eq!(needs(r#"{"memory":{"limit":1,"swap":2}}"#), Need::Required);
}

#[test]
fn shares_become_weights_on_the_common_curve() {
    let expected = [
        (1, 1),
        (2, 1),
        (3, 2),
        (512, 59),
        (1024, 100),
        (2048, 174),
        (262_143, 10_000),
        (262_144, 10_000),
        (u64::MAX, 10_000),
    ];
    for (shares, weight) in expected {
        assert_eq!(weight_of_shares(shares), weight, "{shares}");
    }
    for shares in 2..262_144 {
        assert!(weight_of_shares(shares) <= weight_of_shares(shares + 1));
    }
}

#[test]
fn an_idle_group_has_no_weight() {
    assert_eq!(
        written(r#"{"cpu":{"idle":1,"shares":1024}}"#),
        ["cpu.idle=1"]
    );
    assert_eq!(
        written(r#"{"cpu":{"idle":0,"shares":1024}}"#),
        ["cpu.idle=0", "cpu.weight=100"]
    );
}

#[test]
fn quota_and_period_share_a_file() {
    assert_eq!(written(r#"{"cpu":{"quota":50000}}"#), ["cpu.max=50000"]);
    assert_eq!(
        written(r#"{"cpu":{"quota":50000,"period":200000}}"#),
        ["cpu.max=50000 200000"]
    );
    assert_eq!(
        written(r#"{"cpu":{"period":200000}}"#),
        ["cpu.max=max 200000"]
    );
    assert_eq!(
        written(r#"{"cpu":{"quota":-1,"period":200000}}"#),
        ["cpu.max=max 200000"]
    );
    assert_eq!(written(r#"{"cpu":{"quota":-1}}"#), ["cpu.max=max"]);
}

#[test]
fn burst_never_exceeds_the_quota_between_writes() {
    let all = written(r#"{"cpu":{"quota":50000,"burst":10000}}"#);
    assert_eq!(
        all,
        ["cpu.max.burst=0", "cpu.max=50000", "cpu.max.burst=10000"]
    );
    assert_eq!(
        written(r#"{"cpu":{"quota":50000,"burst":0}}"#),
        ["cpu.max.burst=0", "cpu.max=50000"]
    );
    assert_eq!(written(r#"{"cpu":{"burst":0}}"#), ["cpu.max.burst=0"]);
}

#[test]
fn io_weights_reach_either_scheduler() {
    let resources: Resources = serde_json::from_str(
        r#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":10}]}}"#,
    )
    .unwrap();
    let shown: Vec<String> = writes(&resources)
        .unwrap()
        .iter()
        .map(Write::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            "write 500 to io.bfq.weight or else 4950 to io.weight",
            "write 8:0 10 to io.bfq.weight or else 8:0 1 to io.weight",
        ]
    );
    assert_eq!(
        refused(r#"{"blockIO":{"weight":5}}"#),
        "linux.resources.blockIO.weight: 5 is not between 10 and 1000"
    );
    assert_eq!(cost_weight(1000), Ok(10_000));
}

#[test]
fn throttles_are_keys_of_io_max() {
    let json = r#"{"blockIO":{
        "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1024}],
        "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":0}],
        "throttleReadIOPSDevice":[{"major":8,"minor":16,"rate":10}],
        "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":20}]}}"#;
    let expected = [
        "io.max=8:0 rbps=1024",
        "io.max=8:0 wbps=max",
        "io.max=8:16 riops=10",
        "io.max=8:16 wiops=20",
    ];
    assert_eq!(written(json), expected);
}

#[test]
fn huge_pages_are_limited_by_fault_and_by_reservation() {
    let json = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":9223372036854775807}]}"#;
    assert_eq!(
        written(json),
        [
            "hugetlb.2MB.max=9223372036854775807",
            "hugetlb.2MB.rsvd.max=9223372036854775807"
        ]
    );
    assert_eq!(
        refused(r#"{"hugepageLimits":[{"pageSize":"../x","limit":1}]}"#),
        "linux.resources.hugepageLimits[0].pageSize: \"../x\" is no page size such as 2MB"
    );
}

#[test]
fn rdma_is_one_line_a_device() {
    let json = r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"rxe3":{"hcaObjects":1}}}"#;
    assert_eq!(
        written(json),
        [
            "rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
            "rdma.max=rxe3 hca_object=1"
        ]
    );
    assert_eq!(
        refused(r#"{"rdma":{"x":{}}}"#),
        "linux.resources.rdma[\"x\"]: neither hcaHandles nor hcaObjects is set"
    );
}

#[test]
fn unified_comes_last_in_the_order_of_the_file() {
    let json = r#"{"unified":{"memory.high":"1","cgroup.max.depth":"2","io.max":"8:0 rbps=1\n8:16 rbps=2"},"pids":{"limit":3}}"#;
    assert_eq!(
        written(json),
        [
            "pids.max=3",
            "memory.high=1",
            "cgroup.max.depth=2",
            "io.max=8:0 rbps=1",
            "io.max=8:16 rbps=2"
        ]
    );
}

#[test]
fn unified_names_stay_names() {
    for key in [
        "../memory.max",
        "memory",
        ".max",
        "memory.",
        "a/b.c",
        "memory.\\u0000x",
        "..",
        "me mory.max",
    ] {
        let text = refused(&format!(r#"{{"unified":{{"{key}":"1"}}}}"#));
        assert!(
            text.ends_with("is not the name of a file, controller.parameter"),
            "{text}"
        );
    }
}

#[test]
fn checks_of_usage_are_only_made_when_asked() {
    let limits = |json| usage_limits(&serde_json::from_str(json).unwrap()).len();
    assert_eq!(limits(r#"{"memory":{"limit":5,"swap":9}}"#), 0);
    assert_eq!(
        limits(r#"{"memory":{"limit":5,"swap":9,"checkBeforeUpdate":true}}"#),
        2
    );
    assert_eq!(
        limits(r#"{"memory":{"limit":-1,"checkBeforeUpdate":true}}"#),
        0
    );
}
