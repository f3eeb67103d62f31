//! libseccomp, loaded at run time.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd};

use corten::config::{Seccomp, SeccompAction as Action, SeccompOperator as Operator, SeccompRule};
use corten::seccomp::interpret::Call;
use corten::seccomp::interpret::run;
use corten::seccomp::{Arch, tables};
use seccompiler::sock_filter;

use super::meaning::verdict;

/// struct scmp_arg_cmp.
#[repr(C)]
#[derive(Clone, Copy)]
struct Comparison {
    argument: c_uint,
    operator: c_uint,
    first: u64,
    second: u64,
}

/// How libseccomp lays its program out.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Its default: one rule after the other. It loads the number with the first rule, and forgets to
    /// where that rule is of a call that the architecture lacks.
    #[allow(dead_code, reason = "only the benchmark compares both")]
    List = 1,
    /// What runc asks for when there are many rules.
    Tree = 2,
}

type Context = *mut c_void;

/// SCMP_FLTATR_CTL_OPTIMIZE.
const OPTIMIZE: c_uint = 8;

/// The functions that a profile needs.
pub struct Library {
    init: unsafe extern "C" fn(u32) -> Context,
    arch_add: unsafe extern "C" fn(Context, u32) -> c_int,
    arch_remove: unsafe extern "C" fn(Context, u32) -> c_int,
    attr_set: unsafe extern "C" fn(Context, c_uint, u32) -> c_int,
    rule_add: unsafe extern "C" fn(Context, u32, c_int, c_uint, *const Comparison) -> c_int,
    resolve: unsafe extern "C" fn(u32, *const c_char) -> c_int,
    export: unsafe extern "C" fn(Context, c_int) -> c_int,
}

/// A profile as libseccomp understands it.
pub struct Oracle {
    /// Its program.
    pub instructions: Vec<sock_filter>,
    newest: Vec<(Arch, u32)>,
}

impl Oracle {
    /// Whether the program compares something with what it meant for something else: an instruction that
    /// is reached with different words in the accumulator. No correct program has one.
    pub fn is_confused(&self) -> bool {
        let mut held: Vec<Option<(u32, u32)>> = vec![None; self.instructions.len() + 1];
        held[0] = Some((u32::MAX, 0));
        for (index, instruction) in self.instructions.iter().enumerate() {
            let Some(mut word) = held[index] else {
                continue;
            };
            match instruction.code {
                0x20 => word = (instruction.k, u32::MAX),
                0x54 => word.1 &= instruction.k,
                _ => {}
            }
            let targets = match instruction.code {
                0x06 => vec![],
                0x05 => vec![instruction.k],
                0x20 | 0x54 => vec![0],
                _ => vec![instruction.jt.into(), instruction.jf.into()],
            };
            for target in targets
                .into_iter()
                .map(|skip| index + 1 + usize::try_from(skip).unwrap())
            {
                let independent = matches!(self.instructions[target].code, 0x20 | 0x06);
                match held[target] {
                    Some(known) if known != word && !independent => return true,
                    _ => held[target] = Some(word),
                }
            }
        }
        false
    }

    /// libseccomp's verdict with runc's rule on top.
    pub fn verdict(&self, profile: &Seccomp, call: &Call) -> u32 {
        let permissive = matches!(
            profile.default_action,
            Action::Allow | Action::Log | Action::Trace
        );
        let newest = self.newest_of(call);
        if !permissive && newest.is_some_and(|newest| call.number > newest) {
            return libc::SECCOMP_RET_ERRNO | 38;
        }
        run(&self.instructions, call)
            .expect("libseccomp's filter ends with a verdict")
            .verdict
    }

    fn newest_of(&self, call: &Call) -> Option<u32> {
        let x32 = |number: u32| number & 0x4000_0000 != 0;
        let same = |arch: Arch| {
            arch.audit() == call.audit
                && (arch.audit() != 0xc000_003e || (arch == Arch::X32) == x32(call.number))
        };
        self.newest
            .iter()
            .find(|(arch, _)| same(*arch))
            .map(|(_, number)| *number)
    }
}

fn token(arch: Arch) -> u32 {
    if arch == Arch::X32 {
        0x4000_003e
    } else {
        arch.audit()
    }
}

fn architectures(profile: &Seccomp, native: Arch) -> Vec<Arch> {
    let asked = |arch: &Arch| {
        let name = match arch {
            Arch::X86_64 => "SCMP_ARCH_X86_64",
            Arch::X86 => "SCMP_ARCH_X86",
            Arch::X32 => "SCMP_ARCH_X32",
            Arch::Aarch64 => "SCMP_ARCH_AARCH64",
            Arch::Arm => "SCMP_ARCH_ARM",
        };
        *arch == native || profile.architectures.iter().any(|known| known == name)
    };
    native.served().iter().copied().filter(asked).collect()
}

/// What runc makes of a rule's conditions: one rule, or one a condition if two are on one argument.
fn comparisons(rule: &SeccompRule) -> Vec<Vec<Comparison>> {
    let operator = |operator| match operator {
        Operator::Ne => 1,
        Operator::Lt => 2,
        Operator::Le => 3,
        Operator::Eq => 4,
        Operator::Ge => 5,
        Operator::Gt => 6,
        Operator::MaskedEq => 7,
    };
    let all: Vec<Comparison> = rule
        .args
        .iter()
        .map(|arg| Comparison {
            argument: arg.index,
            operator: operator(arg.op),
            first: arg.value,
            second: arg.value_two,
        })
        .collect();
    let twice = |one: &Comparison| {
        all.iter()
            .filter(|other| other.argument == one.argument)
            .count()
            > 1
    };
    if all.iter().any(twice) {
        all.iter().map(|one| vec![*one]).collect()
    } else {
        vec![all]
    }
}

impl Library {
    /// The library, if it is installed.
    pub fn open() -> Option<Self> {
        // SAFETY: the name is a C string; libseccomp has no constructor that asks anything of us.
        let library = unsafe { libc::dlopen(c"libseccomp.so.2".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return None;
        }
        let symbol = |name: &CStr| {
            // SAFETY: the handle is open and never closed, the name is a C string.
            let address = unsafe { libc::dlsym(library, name.as_ptr()) };
            assert!(!address.is_null(), "{name:?}");
            address
        };
        // SAFETY: each address is that of the function of this name, declared so in seccomp.h.
        unsafe {
            Some(Self {
                init: function(symbol(c"seccomp_init")),
                arch_add: function(symbol(c"seccomp_arch_add")),
                arch_remove: function(symbol(c"seccomp_arch_remove")),
                attr_set: function(symbol(c"seccomp_attr_set")),
                rule_add: function(symbol(c"seccomp_rule_add_array")),
                resolve: function(symbol(c"seccomp_syscall_resolve_name_arch")),
                export: function(symbol(c"seccomp_export_bpf")),
            })
        }
    }

    /// The number of a call, negative for one that the architecture has not, None for an unknown name.
    pub fn number(&self, arch: Arch, name: &str) -> Option<i32> {
        let name = CString::new(name).unwrap();
        // SAFETY: the name is a C string that outlives the call.
        let number = unsafe { (self.resolve)(token(arch), name.as_ptr()) };
        (number != -1).then_some(number)
    }

    /// Whether this version of the library knows the call as the kernel does now, on every table.
    pub fn knows(&self, name: &str) -> bool {
        let same = |arch: Arch| {
            let theirs = self
                .number(arch, name)
                .map(|number| u32::try_from(number).ok());
            let multiplexed = arch == Arch::X86 && tables::multiplexed(name).is_some();
            multiplexed || theirs == tables::numbers(name).map(|numbers| numbers.on(arch))
        };
        [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm]
            .into_iter()
            .all(same)
    }

    /// A profile as runc gives it to libseccomp. None if the library refuses it, or does not come back:
    /// some profiles send it round in circles for ever, so it works in a child with five seconds to live.
    pub fn compile(&self, profile: &Seccomp, native: Arch) -> Option<Oracle> {
        self.compile_as(profile, native, Shape::Tree)
    }

    /// The same in a shape of choice.
    pub fn compile_as(&self, profile: &Seccomp, native: Arch, shape: Shape) -> Option<Oracle> {
        let archs = architectures(profile, native);
        // SAFETY: the name is a C string; the new descriptor belongs to nobody else.
        let mut file =
            unsafe { std::fs::File::from_raw_fd(libc::memfd_create(c"bpf".as_ptr(), 0)) };
        // SAFETY: the child allocates, which glibc allows behind fork even among threads, writes to the
        // file and leaves by _exit; no lock of the test's own is held here.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let built = self.build(profile, &archs, shape, file.as_raw_fd());
            // SAFETY: ends the child at once, without the parent's exit functions.
            unsafe { libc::_exit(i32::from(built.is_none())) };
        }
        let mut status = -1;
        // SAFETY: the child is ours, and `status` one c_int to write.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        let newest = archs
            .iter()
            .filter_map(|arch| Some((*arch, self.newest(profile, *arch)?)))
            .collect();
        (status == 0).then(|| Oracle {
            instructions: read(&mut file),
            newest,
        })
    }

    fn build(
        &self,
        profile: &Seccomp,
        archs: &[Arch],
        shape: Shape,
        descriptor: c_int,
    ) -> Option<()> {
        let default = verdict(profile.default_action, profile.default_errno_ret);
        // SAFETY: alarm takes any number; the default is an action of seccomp.h.
        let context = unsafe {
            libc::alarm(5);
            (self.init)(default)
        };
        // SAFETY: init gave the context.
        let optimized = unsafe { (self.attr_set)(context, OPTIMIZE, shape as u32) };
        assert_eq!(optimized, 0);
        self.fill(context, profile, archs, default)?;
        // SAFETY: init gave the context, and seccomp_export_bpf writes to an open descriptor.
        (unsafe { (self.export)(context, descriptor) } == 0).then_some(())
    }

    fn fill(
        &self,
        context: Context,
        profile: &Seccomp,
        archs: &[Arch],
        default: u32,
    ) -> Option<()> {
        // SAFETY: the context is valid, the tokens are those of seccomp.h; -EEXIST for the native one and
        // the errno of removing what is not there are both harmless.
        unsafe {
            for arch in archs {
                (self.arch_add)(context, token(*arch));
            }
            if !archs.contains(&Arch::native()) {
                assert_eq!((self.arch_remove)(context, token(Arch::native())), 0);
            }
        }
        for rule in &profile.syscalls {
            let action = verdict(rule.action, rule.errno_ret);
            if action == default {
                continue;
            }
            for (name, set) in rule
                .names
                .iter()
                .flat_map(|name| comparisons(rule).into_iter().map(move |set| (name, set)))
            {
                let Some(number) = self.number(Arch::native(), name) else {
                    continue;
                };
                let count = c_uint::try_from(set.len()).unwrap();
                // SAFETY: the context is valid and the library reads `count` comparisons.
                let answer =
                    unsafe { (self.rule_add)(context, action, number, count, set.as_ptr()) };
                if answer != 0 {
                    return None;
                }
            }
        }
        Some(())
    }

    fn newest(&self, profile: &Seccomp, arch: Arch) -> Option<u32> {
        let names = profile.syscalls.iter().flat_map(|rule| rule.names.iter());
        let newest = names.filter_map(|name| self.number(arch, name)).max()?;
        u32::try_from(newest).ok().filter(|newest| *newest > 0)
    }
}

fn read(file: &mut std::fs::File) -> Vec<sock_filter> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    let instruction = |raw: &[u8]| sock_filter {
        code: u16::from_ne_bytes([raw[0], raw[1]]),
        jt: raw[2],
        jf: raw[3],
        k: u32::from_ne_bytes([raw[4], raw[5], raw[6], raw[7]]),
    };
    bytes.chunks_exact(8).map(instruction).collect()
}

/// The function at an address.
///
/// # Safety
/// `F` must be the type of the function that is there.
unsafe fn function<F: Copy>(address: *mut c_void) -> F {
    assert_eq!(size_of::<F>(), size_of_val(&address));
    // SAFETY: the sizes are equal, and the caller vouches for the type.
    unsafe { std::mem::transmute_copy(&address) }
}
