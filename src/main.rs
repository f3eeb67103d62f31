//! The command line: parse it, call one command, print one error, choose the exit code.

fn main() {
    println!("corten");
}
