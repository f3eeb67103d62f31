#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers, known here"
)]

use super::*;

/// What the kernel asks about.
#[derive(Clone, Copy, Debug)]
struct Request {
    kind: Kind,
    major: u32,
    minor: u32,
    access: u8,
}

/// The meaning of a list of rules, said as plainly as possible.
fn model(rules: &[Rule], request: Request) -> bool {
    let decides = |rule: &&Rule, bit: u8| {
        (rule.kind == Kind::Any || rule.kind == request.kind)
            && rule.major.is_none_or(|major| major == request.major)
            && rule.minor.is_none_or(|minor| minor == request.minor)
            && rule.access.0 & bit != 0
    };
    [1, 2, 4]
        .into_iter()
        .filter(|bit| request.access & bit != 0)
        .all(|bit| {
            let last = rules.iter().rev().find(|rule| decides(rule, bit));
            last.is_some_and(|rule| rule.verdict == Verdict::Allow)
        })
}

/// An eBPF interpreter of the instructions that the assembler knows; anything else panics.
fn interpret(program: &[u64], request: Request) -> bool {
    let kind = match request.kind {
        Kind::Char => 2,
        Kind::Block => 1,
        Kind::Any => unreachable!(),
    };
    let context = [
        u32::from(request.access) << 16 | kind,
        request.major,
        request.minor,
    ];
    let mut registers = [0u64; 11];
    let mut at = 0usize;
    loop {
        let [code, pair, o0, o1, i0, i1, i2, i3] = program[at].to_ne_bytes();
        let (low, high) = (usize::from(pair & 15), usize::from(pair >> 4));
        let (to, from) = if cfg!(target_endian = "little") {
            (low, high)
        } else {
            (high, low)
        };
        let offset = i16::from_ne_bytes([o0, o1]);
        let immediate = u32::from_ne_bytes([i0, i1, i2, i3]);
        let word = registers[to] & 0xffff_ffff;
        at += 1;
        let taken = match code {
            0x61 => {
                registers[to] = context[offset as usize / 4].into();
                false
            }
            0xbc => {
                registers[to] = registers[from] & 0xffff_ffff;
                false
            }
            0x54 => {
                registers[to] = word & u64::from(immediate);
                false
            }
            0x74 => {
                registers[to] = word >> immediate;
                false
            }
            0xb7 => {
                registers[to] = immediate.into();
                false
            }
            0x05 => true,
            0x16 => word == u64::from(immediate),
            0x56 => word != u64::from(immediate),
            0x46 => word & u64::from(immediate) != 0,
            0x95 => return registers[0] != 0,
            other => panic!("unknown operation {other:#x}"),
        };
        if taken {
            assert!(offset >= 0, "the verifier knows loops, we do not");
            at += offset as usize;
        }
    }
}

/// Instructions that no path reaches: the verifier refuses a program that has one.
fn unreachable_instructions(program: &[u64]) -> usize {
    let mut reached = vec![false; program.len()];
    let mut open = vec![0usize];
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut reached[at], true) {
            continue;
        }
        let [code, _, o0, o1, ..] = program[at].to_ne_bytes();
        let target = at + 1 + i16::from_ne_bytes([o0, o1]) as usize;
        match code {
            0x95 => {}
            0x05 => open.push(target),
            0x16 | 0x56 | 0x46 => open.extend([at + 1, target]),
            _ => open.push(at + 1),
        }
    }
    reached.iter().filter(|reached| !**reached).count()
}

/// xorshift64: every run asks the same.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn number(&mut self) -> Option<u32> {
        [None, Some(0), Some(1), Some(5), Some(u32::MAX)][self.below(5) as usize]
    }

    fn rule(&mut self) -> Rule {
        Rule {
            verdict: [Verdict::Allow, Verdict::Deny][self.below(2) as usize],
            kind: [Kind::Char, Kind::Block, Kind::Any][self.below(3) as usize],
            major: self.number(),
            minor: self.number(),
            access: Access([1, 2, 3, 4, 5, 6, 7, 7, 7][self.below(9) as usize]),
        }
    }
}

fn requests() -> impl Iterator<Item = Request> {
    let numbers = [0, 1, 2, 5, u32::MAX];
    [Kind::Char, Kind::Block].into_iter().flat_map(move |kind| {
        numbers.into_iter().flat_map(move |major| {
            numbers.into_iter().flat_map(move |minor| {
                (1..8).map(move |access| Request {
                    kind,
                    major,
                    minor,
                    access,
                })
            })
        })
    })
}

fn compiled(list: &[Rule]) -> Vec<u64> {
    let (base, rules) = simplify(list);
    assemble(base, &rules)
}

#[test]
fn programs_decide_as_the_model_does() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..3000 {
        let list: Vec<Rule> = (0..random.below(9)).map(|_| random.rule()).collect();
        let program = compiled(&list);
        assert_eq!(unreachable_instructions(&program), 0, "round {round}");
        for request in requests() {
            let shown: Vec<String> = list.iter().map(Rule::to_string).collect();
            assert_eq!(
                interpret(&program, request),
                model(&list, request),
                "{request:?} {shown:?}"
            );
        }
    }
}

fn spec(allow: bool, kind: &str, major: i64, minor: i64, access: &str) -> DeviceRule {
    DeviceRule {
        allow,
        kind: Some(kind.to_owned()),
        major: Some(major),
        minor: Some(minor),
        access: Some(access.to_owned()),
    }
}

fn asks(program: &DeviceProgram, kind: Kind, major: u32, minor: u32, access: u8) -> bool {
    interpret(
        &program.instructions,
        Request {
            kind,
            major,
            minor,
            access,
        },
    )
}

#[test]
fn no_rules_leave_the_default_devices() {
    let program = program(&[]).unwrap().unwrap();
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 2),
        (136, 77),
        (10, 200),
    ] {
        assert!(asks(&program, Kind::Char, major, minor, 7));
    }
    assert!(asks(&program, Kind::Block, 8, 0, 1), "mknod of anything");
    assert!(!asks(&program, Kind::Block, 8, 0, 2), "reading a disk");
    assert!(!asks(&program, Kind::Char, 1, 1, 2), "reading /dev/mem");
    assert!(!asks(&program, Kind::Char, 10, 229, 6), "/dev/fuse");
}

#[test]
fn a_privileged_container_has_no_program() {
    assert_eq!(program(&[spec(true, "a", -1, -1, "rwm")]).unwrap(), None);
    let absent = DeviceRule {
        allow: true,
        kind: None,
        major: None,
        minor: None,
        access: None,
    };
    assert_eq!(program(&[absent]).unwrap(), None);
}

#[test]
fn later_rules_win() {
    let rules = [
        spec(true, "a", -1, -1, "rwm"),
        spec(false, "b", 8, -1, "w"),
        spec(true, "b", 8, 1, "rwm"),
    ];
    let program = program(&rules).unwrap().unwrap();
    assert!(!asks(&program, Kind::Block, 8, 0, 4));
    assert!(asks(&program, Kind::Block, 8, 0, 2));
    assert!(!asks(&program, Kind::Block, 8, 0, 6));
    assert!(asks(&program, Kind::Block, 8, 1, 4));
    assert!(asks(&program, Kind::Char, 8, 0, 4));
}

#[test]
fn accesses_may_come_from_different_rules() {
    let rules = [spec(true, "c", 10, -1, "r"), spec(true, "c", -1, 229, "w")];
    let program = program(&rules).unwrap().unwrap();
    assert!(asks(&program, Kind::Char, 10, 229, 6));
    assert!(!asks(&program, Kind::Char, 10, 228, 6));
}

#[test]
fn dockers_rules_shrink_to_what_differs_from_the_defaults() {
    let mut rules = vec![spec(false, "a", -1, -1, "rwm")];
    rules.extend(
        [(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)]
            .map(|(major, minor)| spec(true, "c", major, minor, "rwm")),
    );
    rules.push(spec(false, "c", 10, 229, "rwm"));
    let program = program(&rules).unwrap().unwrap();
    assert_eq!(program.rules, DEFAULTS);
    assert!(
        program.instructions.len() < 36,
        "{}",
        program.instructions.len()
    );
}

#[test]
fn wrong_rules_name_their_property() {
    let refused = |rule| program(&[rule]).unwrap_err().to_string();
    assert_eq!(
        refused(spec(true, "p", 1, 1, "r")),
        "linux.resources.devices[0].type: \"p\" is none of a, b, c"
    );
    assert_eq!(
        refused(spec(true, "c", -2, 1, "r")),
        "linux.resources.devices[0].major: -2 is no device number"
    );
    assert_eq!(
        refused(spec(true, "c", 1, 1 << 32, "r")),
        "linux.resources.devices[0].minor: 4294967296 is no device number"
    );
    assert_eq!(
        refused(spec(true, "c", 1, 1, "rx")),
        "linux.resources.devices[0].access: 'x' is none of r, w, m"
    );
}

#[test]
fn the_longest_list_fits_the_jumps() {
    let rules: Vec<DeviceRule> = (0..MOST_RULES as i64)
        .map(|index| {
            spec(
                index % 2 == 0,
                ["c", "b"][index as usize % 2],
                index,
                index,
                "rw",
            )
        })
        .collect();
    let long = program(&rules).unwrap().unwrap();
    assert!(!asks(&long, Kind::Block, 1, 1, 2));
    assert!(program(&vec![rules[0].clone(); MOST_RULES + 1]).is_err());
}
