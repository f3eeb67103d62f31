//! What is written: one function for each row of [`super::knobs`], and the rules by which v1's
//! numbers become v2's.

use std::borrow::Cow;

use super::knobs::{Knob, Need, Write};
use crate::config::{BlockIo, Cpu, Memory, Resources, ThrottleDevice};
use crate::error::{Failure, Field, Result};

// cpuset and cpu

fn cpu(resources: &Resources) -> Option<&Cpu> {
    resources.cpu.as_ref()
}

pub(super) fn cpus(resources: &Resources) -> Result<Option<String>, String> {
    Ok(cpu(resources).and_then(|cpu| non_empty(cpu.cpus.as_ref())))
}

pub(super) fn mems(resources: &Resources) -> Result<Option<String>, String> {
    Ok(cpu(resources).and_then(|cpu| non_empty(cpu.mems.as_ref())))
}

fn non_empty(list: Option<&String>) -> Option<String> {
    list.filter(|list| !list.is_empty()).cloned()
}

pub(super) fn idle(resources: &Resources) -> Result<Option<String>, String> {
    match cpu(resources).and_then(|cpu| cpu.idle) {
        None => Ok(None),
        Some(idle @ (0 | 1)) => Ok(Some(idle.to_string())),
        Some(other) => Err(format!("{other} is neither 0 nor 1")),
    }
}

/// An idle group has no weight, and the kernel refuses to be told one.
pub(super) fn weight(resources: &Resources) -> Result<Option<String>, String> {
    let shares = match cpu(resources) {
        Some(cpu) if cpu.idle != Some(1) => cpu.shares.unwrap_or(0),
        _ => 0,
    };
    Ok((shares != 0).then(|| weight_of_shares(shares).to_string()))
}

/// v1's 2 to 262144, default 1024, onto v2's 1 to 10000, default 100: the curve through the three
/// points that runc, crun and youki all use since 2025.
pub(super) fn weight_of_shares(shares: u64) -> u16 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    #[expect(clippy::cast_precision_loss, reason = "less than 2^18")]
    let l = (shares as f64).log2();
    let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 10000, by the two cases above"
    )]
    let weight = 10f64.powf(exponent).ceil() as u16;
    weight
}

/// Quota and period share a file. The kernel holds burst ≤ quota at every moment; saved-up time is
/// therefore given up first and asked for last, whatever the old values were.
pub(super) fn bandwidth(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let Some(cpu) = cpu(resources) else {
        return Ok(Vec::new());
    };
    let burst = |value: String| Write {
        file: Cow::Borrowed("cpu.max.burst"),
        ..knob.write(Field::new("linux.resources.cpu.burst"), value)
    };
    let max = max_of(cpu).map(|(field, value)| knob.write(Field::new(field), value));
    let mut writes = Vec::new();
    if cpu.burst.is_some() && max.is_some() {
        writes.push(burst("0".to_owned()));
    }
    writes.extend(max);
    match cpu.burst {
        None => {}
        // Written already.
        Some(0) if writes.len() == 2 => {}
        Some(value) => writes.push(burst(value.to_string())),
    }
    Ok(writes)
}

/// `QUOTA PERIOD`. The quota alone leaves the period as it is; the period cannot stand alone, so
/// `update` hands in the quota that was.
fn max_of(cpu: &Cpu) -> Option<(&'static str, String)> {
    let quota = cpu.quota.filter(|&quota| quota != 0);
    let period = cpu.period.filter(|&period| period != 0);
    let quota_text = match quota {
        Some(quota) if quota > 0 => quota.to_string(),
        _ => "max".to_owned(),
    };
    match (quota, period) {
        (None, None) => None,
        (Some(_), None) => Some(("linux.resources.cpu.quota", quota_text)),
        (Some(_), Some(period)) => Some((
            "linux.resources.cpu.quota",
            format!("{quota_text} {period}"),
        )),
        (None, Some(period)) => Some(("linux.resources.cpu.period", format!("max {period}"))),
    }
}

// memory

fn memory(resources: &Resources) -> Option<&Memory> {
    resources.memory.as_ref()
}

/// Bytes, -1 for no limit, 0 for not set.
fn bytes(value: Option<i64>) -> Result<Option<String>, String> {
    match value {
        None | Some(0) => Ok(None),
        Some(-1) => Ok(Some("max".to_owned())),
        Some(value) if value > 0 => Ok(Some(value.to_string())),
        Some(value) => Err(format!(
            "{value} is neither a number of bytes nor -1 (no limit)"
        )),
    }
}

pub(super) fn memory_limit(resources: &Resources) -> Result<Option<String>, String> {
    bytes(memory(resources).and_then(|memory| memory.limit))
}

pub(super) fn reservation(resources: &Resources) -> Result<Option<String>, String> {
    bytes(memory(resources).and_then(|memory| memory.reservation))
}

/// v1 counts memory plus swap, v2 swap alone. A kernel without swap accounting has no such file,
/// which is as good as no limit and as good as no swap.
pub(super) fn swap(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let Some(memory) = memory(resources) else {
        return Ok(Vec::new());
    };
    let field = Field::new(knob.field);
    let limit = memory.limit.unwrap_or(0);
    let value = match (limit, memory.swap.unwrap_or(0)) {
        // v1 lifted both at once: engines that ask for unlimited memory expect unlimited swap.
        (-1, 0) | (_, -1) => "max".to_owned(),
        (_, 0) => return Ok(Vec::new()),
        (-1, swap) if swap > 0 => swap.to_string(),
        (0, _) => {
            return Err(Failure::config(
                field,
                "needs memory.limit, which it includes",
            ));
        }
        (limit, swap) if limit < 0 || swap < limit => {
            return Err(Failure::config(
                field,
                format!("{swap} is less than memory.limit ({limit}), which it includes"),
            ));
        }
        (limit, swap) => (swap - limit).to_string(),
    };
    let need = match value.as_str() {
        "max" | "0" => Need::IfPresent,
        _ => Need::Required,
    };
    Ok(vec![Write {
        need,
        ..knob.write(field, value)
    }])
}

// io

fn block_io(resources: &Resources) -> Option<&BlockIo> {
    resources.block_io.as_ref()
}

/// BFQ takes v1's 10 to 1000; the io.cost controller has 1 to 10000, onto which it is stretched.
pub(super) fn io_weight(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let weight = block_io(resources).and_then(|io| io.weight).unwrap_or(0);
    if weight == 0 {
        return Ok(Vec::new());
    }
    let field = Field::new(knob.field);
    let cost = cost_weight(weight).map_err(|text| Failure::config(field.clone(), text))?;
    Ok(vec![either_scheduler(
        knob,
        field,
        weight.to_string(),
        cost.to_string(),
    )])
}

pub(super) fn io_device_weights(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    let devices = block_io(resources).map_or(&[][..], |io| &io.weight_device);
    for (index, device) in devices.iter().enumerate() {
        let field = Field::index(knob.field, index);
        let weight = device.weight.unwrap_or(0);
        if weight == 0 {
            continue;
        }
        let cost = cost_weight(weight)
            .map_err(|text| Failure::config(field.clone().leaf("weight"), text))?;
        let line = |weight: u32| format!("{}:{} {weight}", device.major, device.minor);
        writes.push(either_scheduler(
            knob,
            field,
            line(weight.into()),
            line(cost),
        ));
    }
    Ok(writes)
}

pub(super) fn cost_weight(weight: u16) -> Result<u32, String> {
    match weight {
        10..=1000 => Ok(1 + (u32::from(weight) - 10) * 9999 / 990),
        _ => Err(format!("{weight} is not between 10 and 1000")),
    }
}

fn either_scheduler(knob: &Knob, field: Field, bfq: String, cost: String) -> Write {
    let instead = Write {
        file: Cow::Borrowed("io.weight"),
        ..knob.write(field.clone(), cost)
    };
    Write {
        need: Need::OrElse(Box::new(instead)),
        ..knob.write(field, bfq)
    }
}

pub(super) fn read_bytes(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let devices = block_io(resources).map(|io| &io.throttle_read_bps_device);
    Ok(throttles(knob, "rbps", devices))
}

pub(super) fn write_bytes(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let devices = block_io(resources).map(|io| &io.throttle_write_bps_device);
    Ok(throttles(knob, "wbps", devices))
}

pub(super) fn read_operations(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let devices = block_io(resources).map(|io| &io.throttle_read_iops_device);
    Ok(throttles(knob, "riops", devices))
}

pub(super) fn write_operations(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let devices = block_io(resources).map(|io| &io.throttle_write_iops_device);
    Ok(throttles(knob, "wiops", devices))
}

/// v1 lifts a limit by 0, v2 by "max".
fn throttles(knob: &Knob, key: &str, devices: Option<&Vec<ThrottleDevice>>) -> Vec<Write> {
    let devices = devices.into_iter().flatten().enumerate();
    let write = |(index, device): (usize, &ThrottleDevice)| {
        let rate = match device.rate {
            0 => "max".to_owned(),
            rate => rate.to_string(),
        };
        let line = format!("{}:{} {key}={rate}", device.major, device.minor);
        knob.write(Field::index(knob.field, index), line)
    };
    devices.map(write).collect()
}

// pids, hugetlb, rdma

/// A limit of 0 is written as 1: with the container's first process inside the two mean the same,
/// no further process, but 0 would keep the first one from being cloned into the cgroup at all.
pub(super) fn pids(resources: &Resources) -> Result<Option<String>, String> {
    let limit = resources.pids.as_ref().and_then(|pids| pids.limit);
    match limit {
        None => Ok(None),
        Some(-1) => Ok(Some("max".to_owned())),
        Some(limit) if limit >= 0 => Ok(Some(limit.max(1).to_string())),
        Some(limit) => Err(format!(
            "{limit} is neither a number of tasks nor -1 (no limit)"
        )),
    }
}

/// Limits reservations where the kernel can (5.7), and faults always: a limit on faults alone kills
/// with SIGBUS, one on reservations alone does not count pages that nobody reserved.
pub(super) fn huge_pages(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    for (index, page) in resources.hugepage_limits.iter().enumerate() {
        let field = Field::index(knob.field, index);
        let size = &page.page_size;
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let text = format!("{size:?} is no page size such as 2MB");
            return Err(Failure::config(field.leaf("pageSize"), text));
        }
        let write = |file: String, need| Write {
            file: Cow::Owned(file),
            need,
            ..knob.write(field.clone(), page.limit.to_string())
        };
        writes.push(write(format!("hugetlb.{size}.max"), Need::Required));
        writes.push(write(format!("hugetlb.{size}.rsvd.max"), Need::IfPresent));
    }
    Ok(writes)
}

pub(super) fn rdma(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    for (device, limits) in resources.rdma.iter() {
        let field = Field::key(knob.field, device);
        let mut line = device.to_owned();
        for (key, limit) in [
            ("hca_handle", limits.hca_handles),
            ("hca_object", limits.hca_objects),
        ] {
            if let Some(limit) = limit {
                line.push_str(&format!(" {key}={limit}"));
            }
        }
        if line.len() == device.len() {
            return Err(Failure::config(
                field,
                "neither hcaHandles nor hcaObjects is set",
            ));
        }
        writes.push(knob.write(field, line));
    }
    Ok(writes)
}

// unified

/// Files named by the user. The name must stay a name: `../x` would write into the parent's.
/// A value of several lines is several writes, as kernel files take one line each.
pub(super) fn unified(resources: &Resources, knob: &Knob) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    for (key, value) in resources.unified.iter() {
        let field = Field::key(knob.field, key);
        let Some(controller) = controller_of(key) else {
            let text = "is not the name of a file, controller.parameter";
            return Err(Failure::config(field, text));
        };
        let write = |line: &str| Write {
            file: Cow::Owned(key.to_owned()),
            controller: Cow::Owned(controller.to_owned()),
            ..knob.write(field.clone(), line.to_owned())
        };
        // An empty value is a write too: it clears cpuset.cpus.
        match value.lines().next() {
            None => writes.push(write("")),
            Some(_) => writes.extend(value.lines().map(write)),
        }
    }
    Ok(writes)
}

/// `memory` of `memory.max`; empty for files of cgroup core, which need no controller.
fn controller_of(key: &str) -> Option<&str> {
    let (controller, parameter) = key.split_once('.')?;
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    if controller.is_empty() || parameter.is_empty() || !key.bytes().all(plain) {
        return None;
    }
    // Pressure stall information is of cgroup core although it is named after controllers.
    if controller == "cgroup" || parameter == "pressure" {
        return Some("");
    }
    Some(controller)
}
