//! The command line: parse it, call one command, print one error, choose the exit code.

fn main() {
    corten::process::listen::note_inherited();
    // Whatever the caller leaked must not reach a container or a hook (CVE-2024-21626): closed at
    // exec from the first moment; `--preserve-fds` asks some of them back. Without close_range(2)
    // no other call would succeed either, so a failure shows there.
    if let Err(errno) = corten::sys::fs::close_at_exec_from(3) {
        eprintln!("corten: cannot mark descriptors close-on-exec: {errno}");
        std::process::exit(1);
    }
    std::process::exit(i32::from(corten::cli::main(std::env::args_os())));
}
